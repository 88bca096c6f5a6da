"""The flags of `submit` for arrays: sizes, items, dependencies by element."""

from __future__ import annotations

import re

import pytest
import typer

from batchwright.api.v1alpha1 import BatchJob
from batchwright.cli.array_flags import parse_dependency, parse_items
from batchwright.cli.submission import Submission, build_job
from unit.cli.objects import JSON

UID = "0f8fad5b-d9cb-469f-a165-70867728950e"


def spec(**flags: object) -> JSON:
    """The spec that flags make."""
    body = build_job(Submission(queue="normal", definition="hello", **flags))  # type: ignore[arg-type]
    BatchJob.model_validate(body | {"metadata": {"name": "x"}})
    made: JSON = body["spec"]
    return made


@pytest.mark.parametrize(
    ("flags", "want"),
    [
        pytest.param({}, None, id="no array"),
        pytest.param({"array_size": 10}, {"size": 10}, id="size"),
        pytest.param({"array_size": 10, "max_concurrency": 3}, {"size": 10, "maxConcurrency": 3}, id="concurrency"),
        pytest.param(
            {"array_items": [{"a": "1"}, {"a": "2"}]}, {"items": {"list": [{"a": "1"}, {"a": "2"}]}}, id="items"
        ),
        pytest.param(
            {"array_items": [{"a": "1"}, {"a": "2"}], "array_size": 2},
            {"items": {"list": [{"a": "1"}, {"a": "2"}]}, "size": 2},
            id="items, and their number",
        ),
    ],
)
def test_array_properties(flags: dict[str, object], want: JSON | None) -> None:
    assert spec(**flags).get("arrayProperties") == want


@pytest.mark.parametrize(
    ("flags", "hint", "want"),
    [
        pytest.param({"max_concurrency": 3}, "--max-concurrency", "only with --array-size", id="no array"),
        pytest.param(
            {"array_size": 3, "array_items": [{"a": "1"}] * 2}, "--array-size", "has 2 items: leave", id="two sizes"
        ),
        pytest.param({"depends_on": ["SEQUENTIAL"]}, "--depends-on", "give --array-size", id="nothing to order"),
    ],
)
def test_flags_that_do_not_go_together(flags: dict[str, object], hint: str, want: str) -> None:
    with pytest.raises(typer.BadParameter, match=want) as refusal:
        spec(**flags)
    assert refusal.value.param_hint == hint


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param(
            "[{a: 007, b: true}, {b: 1.10, a: x}]", [{"a": "007", "b": "true"}, {"b": "1.10", "a": "x"}], id="YAML"
        ),
        pytest.param('[{"a": 1}, {"a": "two"}]', [{"a": "1"}, {"a": "two"}], id="JSON"),
        pytest.param("- x\n- 2", [{"item": "x"}, {"item": "2"}], id="plain values"),
    ],
)
def test_items_are_taken_as_they_are_written(text: str, want: list[dict[str, str]]) -> None:
    assert parse_items("rows.yaml", text) == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("a: 1", "rows.yaml must be a YAML or JSON list", id="a map"),
        pytest.param("[1", "rows.yaml is not YAML", id="not YAML"),
        pytest.param("[1]", "rows.yaml has 1 items, and an array takes 2 to 10000", id="one"),
        pytest.param("[" + "1," * 10_001 + "]", "name a ConfigMap", id="too many"),
        pytest.param("[{a: 1}, {b: 1}]", "[1] has no parameter a, which the first item has", id="not alike"),
        pytest.param("[{a: [1]}, {a: 1}]", "rows.yaml[0].a must be a text", id="nested"),
        pytest.param("[{a: 1, a: 2}, {a: 1}]", "rows.yaml[0] has a parameter twice", id="twice"),
        pytest.param("[{a: null}, {a: 1}]", "is null", id="null"),
        pytest.param("[{a-b: 1}, {a-b: 1}]", "'a-b' must be a name of letters", id="no name of a variable"),
        pytest.param("[{AWS_BATCH_X: 1}, {AWS_BATCH_X: 1}]", "reserved", id="reserved"),
        pytest.param(f"[{{a: {'x' * 1025}}}, {{a: 1}}]", "has 1025 characters", id="too long"),
    ],
)
def test_items_that_are_refused(text: str, want: str) -> None:
    with pytest.raises(typer.BadParameter, match=re.escape(want)) as refusal:
        parse_items("rows.yaml", text)
    assert refusal.value.param_hint == "--array-items"


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("c", {"name": "c"}, id="name"),
        pytest.param("bj/c", {"name": "c"}, id="with its kind"),
        pytest.param(UID, {"jobId": UID}, id="jobId"),
        pytest.param("c:N_TO_N", {"name": "c", "type": "N_TO_N"}, id="type"),
        pytest.param("c:n_to_n:completed", {"name": "c", "type": "N_TO_N", "condition": "Completed"}, id="in any case"),
        pytest.param(f"{UID}:SEQUENTIAL", {"jobId": UID, "type": "SEQUENTIAL"}, id="jobId and type"),
        pytest.param("c:Failed", {"name": "c", "condition": "Failed"}, id="condition alone"),
        pytest.param("SEQUENTIAL", {"type": "SEQUENTIAL"}, id="the array itself"),
        pytest.param("SEQUENTIAL:Completed", {"type": "SEQUENTIAL", "condition": "Completed"}, id="itself, ended"),
        pytest.param("sequential", {"name": "sequential"}, id="a job of that name"),
    ],
)
def test_dependencies(text: str, want: JSON) -> None:
    assert parse_dependency(text) == want
    assert spec(array_size=2, depends_on=[text])["dependsOn"] == [want]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("", "names no job", id="empty"),
        pytest.param(":N_TO_N", "names no job", id="type alone"),
        pytest.param("c:NTON", "'NTON' is neither a type (N_TO_N, SEQUENTIAL) nor a condition (Succeeded", id="typo"),
        pytest.param("c:17", "no job depends on a single element", id="an element"),
        pytest.param("c:", "'' is neither", id="nothing after the colon"),
        pytest.param("c:Failed:N_TO_N", "write JOB:TYPE:CONDITION", id="wrong order"),
        pytest.param("c:N_TO_N:SEQUENTIAL", "write JOB:TYPE:CONDITION", id="two types"),
        pytest.param("SEQUENTIAL:N_TO_N", "write JOB:TYPE:CONDITION", id="itself with another type"),
    ],
)
def test_malformed_dependencies(text: str, want: str) -> None:
    with pytest.raises(typer.BadParameter, match=re.escape(want)) as refusal:
        parse_dependency(text)
    assert refusal.value.param_hint == "--depends-on"
