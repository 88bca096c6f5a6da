"""The models as code: what they accept goes to the wire and back unchanged; texts have the forms of the schema."""

from __future__ import annotations

import re
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

import manifests
from batchwright.api import crds
from batchwright.api.v1alpha1 import (
    BatchJob,
    ComputeEnvironment,
    ConsumableResource,
    JobDefinition,
    JobDefinitionSpec,
    JobQueue,
    SchedulingPolicy,
)
from batchwright.api.v1alpha1 import array as a
from batchwright.api.v1alpha1 import common as c
from batchwright.api.v1alpha1 import container as k
from batchwright.api.v1alpha1 import quotashare as q
from batchwright.api.v1alpha1 import schedulingpolicy as s
from batchwright.api.v1alpha1.common import Model

MODELS = (BatchJob, ComputeEnvironment, ConsumableResource, JobDefinition, JobQueue, SchedulingPolicy)
KINDS = {kind.model: kind for kind in crds.KINDS}
PATTERN = re.compile(r"self\.matches\(r'(.*)'\)")
BETWEEN = re.compile(r"self >= (-?[0-9.]+) && self <= ([0-9.]+)")
AT_LEAST = re.compile(r"self\.size\(\) >= ([0-9]+)")
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def objects_of(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a structural schema allows (its rules across fields aside), small enough to be quick."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "string":
            return _texts(schema)
        case "integer":
            return _numbers(schema)
        case "number":
            (found,) = said(schema, BETWEEN)
            return st.floats(float(found[1]), float(found[2]))
        case "boolean":
            return st.booleans()
        case "array":
            keys = schema.get("x-kubernetes-list-map-keys", [])
            unique = (lambda item: tuple(item[key] for key in keys)) if keys else None
            low = max([schema.get("minItems", 0), *(int(found[1]) for found in said(schema, AT_LEAST))])
            return st.lists(
                objects_of(schema["items"]), min_size=low, max_size=min(3, schema.get("maxItems", 3)), unique_by=unique
            )
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return st.dictionaries(st.text(max_size=8), JSON_VALUES, max_size=3)
    if "additionalProperties" in schema:
        keys_ = st.from_regex(r"[a-z]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
        low = schema.get("minProperties", 0)
        return st.dictionaries(keys_, objects_of(schema["additionalProperties"]), min_size=low, max_size=3)
    fields = {name: objects_of(child) for name, child in schema.get("properties", {}).items()}
    required = {name: fields.pop(name) for name in schema.get("required", [])}
    return st.fixed_dictionaries(required, optional=fields)


def said(schema: dict[str, Any], form: re.Pattern[str]) -> list[re.Match[str]]:
    """The rules of the schema node that are written in this form."""
    rules = schema.get("x-kubernetes-validations", [])
    return [found for rule in rules if (found := form.fullmatch(rule["rule"]))]


def _numbers(schema: dict[str, Any]) -> st.SearchStrategy[int]:
    for found in said(schema, BETWEEN):
        return st.integers(int(found[1]), int(found[2]))
    return st.integers(schema.get("minimum", -(2**31)), schema.get("maximum", 2**31))


def _texts(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    low, high = schema.get("minLength", 0), schema["maxLength"]
    for found in said(schema, PATTERN):
        texts = st.from_regex(re.compile(found[1], re.ASCII), fullmatch=True)
        return texts.filter(lambda text: low <= len(text) <= high)
    return st.text(min_size=low, max_size=min(high, low + 12))


def test_every_form_is_understood_by_the_strategies() -> None:
    """Guards the property below: were the rules' spelling to change, it would draw values without a form."""
    text = crds.render(crds.build_crd(KINDS[BatchJob]))
    assert len(re.findall(r"rule: self\.matches\(r'", text)) >= 10
    items = crds.build_schema(KINDS[BatchJob])["properties"]["spec"]["properties"]["arrayProperties"]["properties"]
    assert [found[2] for field in ("size", "maxConcurrency") for found in said(items[field], BETWEEN)] == ["100000"] * 2
    assert [found[1] for found in said(items["items"]["properties"]["list"], AT_LEAST)] == ["2"]


def is_contained(sent: Any, written: Any) -> bool:
    """Whether all that was sent is there again; what the models add are defaults."""
    if isinstance(sent, dict):
        return isinstance(written, dict) and all(
            name in written and is_contained(value, written[name]) for name, value in sent.items()
        )
    if isinstance(sent, list):
        return len(sent) == len(written) and all(map(is_contained, sent, written))
    return bool(sent == written)


@pytest.mark.parametrize("model", [pytest.param(model, id=model.__name__) for model in MODELS])
@pytest.mark.parametrize("part", ["spec", "status"])
def test_what_the_schema_allows_goes_through_the_model_unchanged(model: type[Model], part: str) -> None:
    schema = crds.build_schema(KINDS[model])["properties"][part]
    annotation: Any = model.model_fields[part].annotation
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)

    @settings(max_examples=150, deadline=None)
    @given(objects_of(schema))
    def check(sent: dict[str, Any]) -> None:
        read = adapter.validate_python(sent)
        written = read.to_wire()
        assert is_contained(sent, written)
        assert adapter.validate_python(written) == read

    check()


FORMS = [
    (c.ObjectName, ["a", "a-b.c", "0", "x" * 128], ["", "A", "a_b", "-a", "a-", "a..b", ".a", "a\n", "x" * 129]),
    (c.DefinitionName, ["a", "a:1", "a.b:999999999"], ["a:", "a:0", "a:01", "a:x", ":1", "a:1:2", "arn:aws:batch:x"]),
    (c.ExitPattern, ["0", "137", "13*", "*"], ["", "*1", "1*3", "**", "-1", "x", "1\n"]),
    (c.ReasonPattern, ["*", "Host EC2*", "CannotPullContainerError:*", "a.b: c"], ["", "*a", "a*b", "a-b", "é"]),
    (c.Path, ["/", "/a/b", "/a b"], ["", "a", "./a", "/a:b", "C:/x"]),
    (c.EnvironmentName, ["A", "a.b-c", "a b", "1"], ["", "A=B", "=", "ä", "A\t"]),
    (k.SecretKey, ["a/b", "a.b/c_D-e.f"], ["a", "a/", "/b", "a/b/c", "A/b", "arn:aws:ssm:eu-west-1:1:parameter/x"]),
    (
        k.RoleArn,
        ["arn:aws:iam::123456789012:role/a/b", "arn:aws-us-gov:iam::123456789012:role/r"],
        ["role/r", "arn:aws:iam::1:role/r"],
    ),
    (k.VolumeName, ["a", "a-1"], ["", "A", "a.b", "-a", "x" * 64]),
    (a.IndexRanges, ["0", "3,7-9", "0-99999", "5,5", "9-3"], ["", "x", "3-", "-3", "3,,4", "3, 4", "100000", "3\n"]),
    (a.FewIndexRanges, ["17", "0,2,4-5"], ["", "17x", "1:2", "0," * 600 + "0"]),
    (a.ItemName, ["lr", "_x1", "LEARNING_RATE"], ["", "1x", "a-b", "a.b", "a b", "é", "x" * 129]),
    (s.ShareIdentifier, ["A", "UserA1", "7", "x" * 255], ["", "A*", "a-b", "a_b", "a b", "é", "A\n", "x" * 256]),
    (s.SharePattern, ["A", "A*", "7*", "x" * 255 + "*"], ["", "*", "A**", "*A", "A*1", "a-*", "x" * 256]),
    (q.QuotaShareName, ["A", "team_a-1", "0", "x" * 128], ["", "_a", "-a", "a.b", "a b", "x" * 129]),
    (
        q.CapacityUnit,
        ["vcpu", "memoryMiB", "nvidia.com/gpu", "example.com/Foo_1.a", "amd/gpu"],
        ["", "cpu", "memory", "VCPU", "gpu", "nvidia.com/", "/gpu", "a/b/c", "Nvidia.com/gpu", "nvidia.com/gpu-"],
    ),
    (k.UserId, ["0", "1000", "1000:1000"], ["", "root", "1:", "-1", "1:2:3", "12345678901"]),
]


@pytest.mark.parametrize(
    ("form", "text", "want_accepted"),
    [
        pytest.param(form, text, accepted, id=f"{number}-{text[:20]!r}-{'good' if accepted else 'bad'}")
        for number, (form, good, bad) in enumerate(FORMS)
        for accepted, texts in ((True, good), (False, bad))
        for text in texts
    ],
)
def test_text_form(form: Any, text: str, want_accepted: bool) -> None:
    adapter: TypeAdapter[str] = TypeAdapter(form)
    if want_accepted:
        assert adapter.validate_python(text) == text
    else:
        with pytest.raises(ValidationError):
            adapter.validate_python(text)


def test_refusal_names_the_field_and_says_the_message_of_the_schema() -> None:
    with pytest.raises(ValidationError) as refusal:
        BatchJob.model_validate({"spec": {"jobQueue": "My_Queue", "jobDefinition": "hello"}})
    (error,) = refusal.value.errors()
    assert error["loc"] == ("spec", "jobQueue")
    assert "must be the name of an object" in error["msg"]


@pytest.mark.parametrize(
    ("array", "want_field", "want_text"),
    [
        pytest.param({"size": 1}, "size", "leave arrayProperties out for a single job", id="size-1"),
        pytest.param({"size": 100_001}, "size", "an array has 2 to 100000 elements", id="size-100001"),
        pytest.param({"size": 2, "maxConcurrency": 0}, "maxConcurrency", "leave it out for no limit", id="at-once-0"),
        pytest.param({"items": {"list": [{"a": "x"}]}}, "items.list", "2 elements or more", id="list-of-one"),
        pytest.param({"size": 2, "indexes": "3-"}, "indexes", "such as 17 or 3,7-9", id="open-range"),
    ],
)
def test_array_refusal_names_the_field_and_the_way_out(array: dict[str, Any], want_field: str, want_text: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        BatchJob.model_validate({"spec": {"jobQueue": "q", "jobDefinition": "d", "arrayProperties": array}})
    (error,) = refusal.value.errors()
    assert ".".join(map(str, error["loc"])) == f"spec.arrayProperties.{want_field}"
    assert want_text in error["msg"]


def test_list_of_items_is_called_list_on_the_wire() -> None:
    rows = [{"lr": "0.1"}, {"lr": "0.2"}]
    array = a.ArrayProperties.model_validate({"items": {"list": rows}})
    assert array.items is not None
    assert array.items.rows == tuple(rows)
    assert array.to_wire() == {"items": {"list": rows}}


def test_models_are_frozen_and_ignore_what_a_newer_version_adds() -> None:
    job = BatchJob.model_validate({"spec": {"jobQueue": "q", "jobDefinition": "d", "fromNextYear": "newer"}})
    with pytest.raises(ValidationError, match="frozen"):
        job.spec.job_queue = "other"  # type: ignore[misc]
    assert "fromNextYear" not in job.to_wire()["spec"]


@pytest.mark.parametrize(
    ("identifiers", "want"),
    [
        pytest.param([], None, id="none"),
        pytest.param(["UserA1", "UserA2", "UserB*"], None, id="apart"),
        pytest.param(["UserA1", "UserA*"], ("UserA*", "UserA1"), id="user-guide"),
        pytest.param(["UserA", "UserA*"], ("UserA*", "UserA"), id="prefix-itself"),
        pytest.param(["User*", "UserAB*"], ("User*", "UserAB*"), id="prefix-of-prefix"),
        pytest.param(["User", "UserA*"], None, id="identifier-is-no-prefix"),
        pytest.param(["A", "A"], ("A", "A"), id="twice"),
        pytest.param(["a*", "A1"], None, id="case-matters"),
        pytest.param(["ab*", "a", "abc", "b"], ("ab*", "abc"), id="among-others"),
    ],
)
def test_overlap_of_share_identifiers(identifiers: list[str], want: tuple[str, str] | None) -> None:
    assert s.find_overlap(identifiers) == want
    assert s.find_overlap(reversed(identifiers)) == want


@given(st.lists(st.from_regex(r"[ab]{1,4}[*]?", fullmatch=True), max_size=6, unique=True))
def test_overlap_is_found_wherever_there_is_one(identifiers: list[str]) -> None:
    def means_the_same(one: str, other: str) -> bool:
        return one.endswith("*") and other.startswith(one[:-1])

    there_is = any(means_the_same(one, other) for one, other in permutations(identifiers, 2))
    found = s.find_overlap(identifiers)
    assert (found is not None) is there_is
    assert found is None or means_the_same(*found)


@pytest.mark.parametrize(
    ("sharing", "want_borrow", "want_lend"),
    [
        pytest.param({}, 0, 0, id="absent-reserves"),
        pytest.param({"strategy": "RESERVE"}, 0, 0, id="reserve"),
        pytest.param({"strategy": "LEND"}, 0, 100, id="lend"),
        pytest.param({"strategy": "LEND", "lendLimit": 25}, 0, 25, id="lend-some"),
        pytest.param({"strategy": "LEND", "lendLimit": 0}, 0, 0, id="lend-none"),
        pytest.param({"strategy": "LEND_AND_BORROW"}, q.UNLIMITED, 100, id="borrow-whatever-is-lent"),
        pytest.param({"strategy": "LEND_AND_BORROW", "borrowLimit": -1}, q.UNLIMITED, 100, id="borrow-unlimited"),
        pytest.param({"strategy": "LEND_AND_BORROW", "borrowLimit": 0, "lendLimit": 5}, 0, 5, id="borrow-nothing"),
        pytest.param({"strategy": "LEND_AND_BORROW", "borrowLimit": 200}, 200, 100, id="borrow-double"),
    ],
)
def test_what_a_quota_share_may_borrow_and_lend(sharing: dict[str, Any], want_borrow: int, want_lend: int) -> None:
    read = q.ResourceSharingConfiguration.model_validate(sharing)
    assert (read.borrow_percent, read.lend_percent) == (want_borrow, want_lend)


@pytest.mark.parametrize(
    ("model", "spec"),
    [
        pytest.param(SchedulingPolicy, {}, id="sp"),
        pytest.param(ConsumableResource, {"totalQuantity": 0}, id="cr"),
        pytest.param(ComputeEnvironment, {"computeResources": {"maxvCpus": 0}}, id="ce-max-vcpus"),
        pytest.param(
            BatchJob,
            {
                "jobQueue": "q",
                "jobDefinition": "d",
                "consumableResourcePropertiesOverride": {
                    "consumableResourceList": [{"consumableResource": "licences", "quantity": 2}]
                },
            },
            id="bj-consumables",
        ),
    ],
)
def test_what_the_scheduler_reads_is_written_as_aws_spells_it(model: type[Model], spec: dict[str, Any]) -> None:
    read = model.model_validate({"spec": spec})
    assert is_contained(spec, read.to_wire()["spec"])


def test_an_error_does_not_repeat_what_was_given() -> None:
    """It goes to the operator's log, and an environment may have a password in it."""
    wrong = manifests.job_definition(
        "hello", "default", containerProperties=manifests.container(environment=[{"name": "P", "value": ["hunter2"]}])
    )
    with pytest.raises(ValidationError) as caught:
        JobDefinitionSpec.model_validate(wrong["spec"])
    assert "containerProperties.environment.0.value" in str(caught.value)
    assert "hunter2" not in str(caught.value)
