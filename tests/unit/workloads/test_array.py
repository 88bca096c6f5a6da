"""An array's Job: its completions, what the containers are told, and how parameters get there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kubelet
from batchwright import names
from batchwright.domain.indexes import runs_of
from batchwright.domain.items import Column, ItemTable
from batchwright.errors import WorkloadError
from batchwright.workloads.array import CHUNK, ArrayWork, check_policy, encode_items, encode_runs
from batchwright.workloads.elementpolicy import (
    build_element_binding,
    build_element_policy,
    probe_element,
    shows_element,
)
from batchwright.workloads.job import job_request, needs_admission
from workload_cases import (
    CASES,
    RETRY_BY_TEXT,
    RETRY_SPOT,
    UID,
    WHOLE_TEMPLATE,
    Case,
    array_work,
    container,
    definition,
    job,
    list_table,
    render,
    template,
)
from workload_strategies import DEFINITIONS, JOBS

OURS = ["AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_JOB_ARRAY_SIZE", "AWS_BATCH_JOB_ID"]
TABLE = list_table(lr=("0.1", "$(HOME) $$", ""), PATH=("a", "b", "c"))


def pod_of(rendered: dict[str, Any]) -> dict[str, Any]:
    """The pod template."""
    made: dict[str, Any] = rendered["spec"]["template"]
    return made


def gates(rendered: dict[str, Any]) -> list[str]:
    """The names of the gates."""
    return [gate["name"] for gate in pod_of(rendered)["spec"].get("schedulingGates", [])]


def fill_in(rendered: dict[str, Any], position: int, work: ArrayWork, index: int) -> dict[str, Any]:
    """The pod of a position as the admission policy leaves it."""
    made = pod_of(rendered)
    row = {} if work.table is None else _encoded_row(work.table, index)
    if work.needs_policy:
        row["AWS_BATCH_JOB_ARRAY_INDEX"] = str(index)
    for each in made["spec"]["containers"] + made["spec"].get("initContainers", []):
        for variable in each["env"]:
            if variable["name"] in row:
                assert variable == {"name": variable["name"], "value": ""}, "an empty place to fill in"
                variable["value"] = row[variable["name"]]
    made["metadata"].setdefault("annotations", {})[names.POD_INDEX] = str(position)
    return made


def _encoded_row(table: ItemTable, index: int) -> dict[str, str]:
    row: dict[str, str] = {}
    for column in encode_items(table).split("\x1d"):
        head, *chunks = [chunk.split("\x1f") for chunk in column.split("\x1e")]
        values = [value for chunk in chunks for value in chunk]
        assert len(values) == int(head[2])
        row[head[0]] = values[index // int(head[1]) % len(values)]
    return row


def test_an_ordinary_array_needs_no_policy() -> None:
    work = array_work(10_000, parallelism=17)
    rendered = render(container(), array=work)
    assert (rendered["spec"]["completions"], rendered["spec"]["parallelism"]) == (10_000, 17)
    assert rendered["spec"]["completionMode"] == "Indexed"
    pod = pod_of(rendered)
    assert pod["metadata"]["labels"][names.LABEL_ARRAY] == "true"
    assert names.LABEL_ELEMENTS not in pod["metadata"]["labels"]
    assert pod["metadata"]["annotations"] == {}
    assert gates(rendered) == []
    assert names.ANNOTATION_GATED not in rendered["metadata"]["annotations"]
    assert pod["spec"]["containers"][0]["env"] == [
        {
            "name": "AWS_BATCH_JOB_ARRAY_INDEX",
            "valueFrom": {
                "fieldRef": {"fieldPath": "metadata.annotations['batch.kubernetes.io/job-completion-index']"}
            },
        },
        {"name": "AWS_BATCH_JOB_ARRAY_SIZE", "value": "10000"},
        {"name": "AWS_BATCH_JOB_ID", "value": f"{UID}:$(AWS_BATCH_JOB_ARRAY_INDEX)"},
        {"name": "AWS_BATCH_JQ_NAME", "value": "normal"},
        {"name": "AWS_BATCH_CE_NAME", "value": "nodes"},
        {"name": "AWS_EXECUTION_ENV", "value": "AWS_ECS_EC2"},
        {"name": "AWS_BATCH_JOB_ATTEMPT", "value": "1"},
    ]


def test_a_job_that_is_no_array_has_no_mark_of_one() -> None:
    forged = template({"name": "a", "image": "b", "env": [{"name": "AWS_BATCH_JOB_ARRAY_INDEX", "value": "7"}]})
    forged["podTemplate"]["metadata"] = {
        "labels": {names.LABEL_ARRAY: "true", names.LABEL_ELEMENTS: "true"},
        "annotations": {names.ANNOTATION_ITEMS: "x", names.ANNOTATION_INDEXES: "0:0/0:0:5", "mine": "kept"},
    }
    pod = pod_of(render(forged))
    assert not {names.LABEL_ARRAY, names.LABEL_ELEMENTS} & pod["metadata"]["labels"].keys()
    assert pod["metadata"]["annotations"] == {"mine": "kept"}
    assert not {each["name"] for each in pod["spec"]["containers"][0]["env"]} & set(OURS[:2])


@pytest.mark.parametrize(
    ("work", "retry", "want_gates"),
    [
        pytest.param(array_work(3), {"attempts": 2}, [], id="plain"),
        pytest.param(array_work(3, gated=True), {"attempts": 1}, [names.GATE_ADMISSION], id="gated"),
        pytest.param(array_work(3), RETRY_BY_TEXT, [names.GATE_ADMISSION], id="rules on texts"),
        pytest.param(array_work(3, gated=True), RETRY_BY_TEXT, [names.GATE_ADMISSION], id="both"),
        pytest.param(array_work(3, "1"), {"attempts": 1}, [names.GATE_ELEMENTS], id="some indexes"),
        pytest.param(
            array_work(3, None, TABLE, gated=True),
            {"attempts": 1},
            [names.GATE_ADMISSION, names.GATE_ELEMENTS],
            id="items, gated",
        ),
    ],
)
def test_gates(work: ArrayWork, retry: dict[str, Any], want_gates: list[str]) -> None:
    rendered = render(container() | {"retryStrategy": retry}, array=work)
    assert gates(rendered) == want_gates
    is_gated = names.GATE_ADMISSION in want_gates
    assert rendered["metadata"]["annotations"].get(names.ANNOTATION_GATED) == ("true" if is_gated else None)


def test_a_single_job_says_that_it_is_gated_too() -> None:
    rendered = render(container() | {"retryStrategy": RETRY_BY_TEXT})
    assert rendered["metadata"]["annotations"][names.ANNOTATION_GATED] == "true"


def test_elements_that_end_alone_have_rules() -> None:
    given_ = container() | {"retryStrategy": RETRY_SPOT}
    of_array = render(given_, array=array_work(3))["spec"]["podFailurePolicy"]["rules"]
    of_job = render(given_)["spec"]["podFailurePolicy"]["rules"]
    assert [of_array[0], *of_array[3:]] == of_job
    assert of_array[1:3] == [
        {"action": "FailIndex", "onPodConditions": [{"type": condition, "status": "True"}]}
        for condition in ("batchwright.io/DependencyFailed", "batchwright.io/ElementTerminated")
    ]


@pytest.mark.parametrize(
    ("indexes", "want_completions", "want_places"),
    [
        pytest.param("3,7-9", 4, "0:3/0:0:3,1:3:7", id="some"),
        pytest.param("0", 1, "0:0/0:0:0", id="one"),
        pytest.param("0-8", 9, "0:8/0:8:0", id="all but the last"),
        pytest.param("0-9", 10, None, id="all"),
    ],
)
def test_some_indexes(indexes: str, want_completions: int, want_places: str | None) -> None:
    rendered = render(container(), array=array_work(10, indexes))
    assert rendered["spec"]["completions"] == want_completions
    pod = pod_of(rendered)
    assert pod["metadata"]["annotations"].get(names.ANNOTATION_INDEXES) == want_places
    assert pod["metadata"]["labels"].get(names.LABEL_ELEMENTS) == (None if want_places is None else "true")
    index, size = pod["spec"]["containers"][0]["env"][:2]
    assert ("valueFrom" in index) == (want_places is None)
    assert size["value"] == "10", "the size of the whole array"


def test_parameters_have_places_in_every_container() -> None:
    rendered = render(WHOLE_TEMPLATE, array=array_work(3, None, TABLE))
    pod = pod_of(rendered)["spec"]
    for each in pod["initContainers"] + pod["containers"]:
        listed = [variable["name"] for variable in each["env"]]
        assert listed[:3] == OURS
        assert listed[7:9] == ["lr", "PATH"]
    work = pod["containers"][1]["env"]
    assert [variable["name"] for variable in work[9:]] == ["A", "POD"], "after, so that they may refer to it"


def test_parameters_replace_the_users_variables() -> None:
    given_ = container(
        environment=[{"name": "PATH", "value": "mine"}, {"name": "B", "value": "2"}],
        secrets=[{"name": "lr", "valueFrom": "vault/key"}],
    )
    overrides = {"environment": [{"name": "lr", "value": "over"}, {"name": "C", "value": "3"}]}
    rendered = render(given_, job(containerOverrides=overrides), array=array_work(3, None, TABLE))
    env = pod_of(rendered)["spec"]["containers"][0]["env"]
    assert env[7:] == [
        {"name": "lr", "value": ""},
        {"name": "PATH", "value": ""},
        {"name": "B", "value": "2"},
        {"name": "C", "value": "3"},
    ]


@pytest.mark.parametrize(
    ("argument", "want"),
    [
        pytest.param("--lr=Ref::lr", "--lr=$(lr)", id="item"),
        pytest.param("Ref::lrRef::lr", "$(lr)$(lr)", id="two"),
        pytest.param("Ref::greeting Ref::lr", "hello $$(x) $(lr)", id="job parameter too"),
        pytest.param("Ref::lr $(lr) $$ ${lr}", "$(lr) $$(lr) $$$ ${lr}", id="only the reference is live"),
        pytest.param("$Ref::lr", "$$$(lr)", id="a dollar before"),
        pytest.param("$$Ref::lr", "$$$$$(lr)", id="two dollars before"),
        pytest.param("$Ref::end$Ref::lr", "$a$$$$$(lr)", id="dollars of a parameter before"),
        pytest.param("Ref::PATH", "$(PATH)", id="item wins over the job parameter"),
        pytest.param("Ref::lrs Ref::unknown", "long Ref::unknown", id="longest name wins"),
        pytest.param("nothing $(x)", "nothing $$(x)", id="no reference"),
    ],
)
def test_references_of_a_container(argument: str, want: str) -> None:
    parameters = {"greeting": "hello $(x)", "PATH": "/bin", "lrs": "long", "end": "a$"}
    given_ = container(command=[argument]) | {"parameters": parameters}
    rendered = render(given_, array=array_work(3, None, TABLE))
    assert pod_of(rendered)["spec"]["containers"][0]["args"] == [want]


@pytest.mark.parametrize(
    ("argument", "want"),
    [
        pytest.param("Ref::lr $(A) $$(A)", "$(lr) $(A) $$(A)", id="kubernetes' own references stay"),
        pytest.param("$Ref::lr", "$$$(lr)", id="a dollar before"),
        pytest.param("$$Ref::lr", "$$$(lr)", id="an escaped dollar before"),
    ],
)
def test_references_of_a_template(argument: str, want: str) -> None:
    given_ = template(
        {"name": "a", "image": "b", "command": [argument]}, initContainers=[{"name": "i", "args": [argument]}]
    )
    spec = pod_of(render(given_, array=array_work(3, None, TABLE)))["spec"]
    assert spec["containers"][0]["command"] == spec["initContainers"][0]["args"] == [want]


TEXTS = st.lists(st.sampled_from(["$", "(", ")", "x", "lr", " ", "Ref::"]), max_size=8).map("".join)


@settings(deadline=None)
@given(st.lists(st.lists(TEXTS, min_size=2, max_size=2), min_size=2, max_size=2), st.data())
def test_every_value_and_text_arrives_verbatim(values: list[list[str]], data: st.DataObject) -> None:
    """The kubelet's own expansion of what is rendered gives what the user wrote, with the references replaced."""
    table = list_table(lr=values[0], x=values[1])
    pieces = data.draw(st.lists(TEXTS | st.sampled_from(["lr", "x"]).map(lambda name: f"Ref::{name}"), max_size=5))
    argument = " ".join(pieces)
    work = array_work(2, None, table)
    for index in (0, 1):
        rendered = render(container(command=[argument]), array=work)
        pod = fill_in(rendered, index, work, index)
        main = pod["spec"]["containers"][0]
        row = table.row(index)
        seen = kubelet.environment(main, pod["metadata"])
        assert {name: seen[name] for name in row} == row
        assert seen["AWS_BATCH_JOB_ID"] == f"{UID}:{index}"
        want = argument
        # One pass, from left to right: a value is not looked at again.
        for name in ("lr", "x"):
            want = want.replace(f"Ref::{name}", f"\0{name}\0")
        for name, value in row.items():
            want = want.replace(f"\0{name}\0", value)
        assert kubelet.command_line(main, pod["metadata"]) == [want]


def test_encoding() -> None:
    table = ItemTable((Column("a", 2, ("x", "$(y)")), Column("b", 1, ("", "$"))), 4)
    assert encode_items(table) == "a\x1f2\x1f2\x1ex\x1f$$(y)\x1db\x1f1\x1f2\x1e\x1f$"


@given(st.sets(st.integers(0, 400), min_size=1) | st.just(set(range(0, 1000, 3))))
def test_runs_say_the_index_of_every_position(chosen: set[int]) -> None:
    indexes = sorted(chosen)
    chunks = [chunk.split("/") for chunk in encode_runs(runs_of(indexes)).split(";")]
    assert all(len(runs.split(",")) == CHUNK for _, runs in chunks[:-1])
    found = []
    for position in range(len(indexes)):
        ((_, runs),) = [chunk for chunk in chunks if has(chunk[0], position)]
        (place,) = [run for run in runs.split(",") if has(run, position)]
        found.append(int(place.split(":")[2]) + position - int(place.split(":")[0]))
    assert found == indexes


def has(place: str, position: int) -> bool:
    """Whether the place, which begins with its first and last position, has the position."""
    first, last = map(int, place.split(":")[:2])
    return first <= position <= last


@pytest.mark.parametrize("notes", [0, 58_000], ids=["fits", "other annotations"])
def test_largest_table_beside_other_annotations(notes: int) -> None:
    given_ = template()
    given_["podTemplate"]["metadata"] = {"annotations": {"note": "n" * notes}}
    work = array_work(204, None, list_table(a=["x" * 1003] * 204))
    if not notes:
        assert len(pod_of(render(given_, array=work))["metadata"]["annotations"][names.ANNOTATION_ITEMS]) > 200_000
        return
    with pytest.raises(WorkloadError, match=r"take 204843 bytes of annotations, .* other annotations 58004; .* 262144"):
        render(given_, array=work)


@pytest.mark.parametrize(
    ("work", "want"),
    [
        pytest.param(array_work(3), None, id="plain"),
        pytest.param(array_work(3, None, TABLE), "^arrayProperties.items needs the Mut", id="items"),
        pytest.param(array_work(3, "1,2", gated=True), "^arrayProperties.indexes needs the", id="indexes"),
    ],
)
def test_what_needs_the_policy_is_refused_without_it(work: ArrayWork, want: str | None) -> None:
    check_policy(work, acts=True)
    if want is None:
        check_policy(work, acts=False)
        return
    with pytest.raises(WorkloadError, match=want):
        check_policy(work, acts=False)


def test_policy_is_narrow_and_bound() -> None:
    policy, binding = build_element_policy()["spec"], build_element_binding()["spec"]
    assert binding == {"policyName": build_element_policy()["metadata"]["name"]}
    assert (policy["failurePolicy"], policy["reinvocationPolicy"]) == ("Fail", "Never")
    assert policy["matchConstraints"]["objectSelector"] == {"matchLabels": {"batchwright.io/elements": "true"}}
    assert [rule["operations"] for rule in policy["matchConstraints"]["resourceRules"]] == [["CREATE"]]


@pytest.mark.parametrize(
    ("variables", "gate", "want"),
    [
        pytest.param({"AWS_BATCH_JOB_ARRAY_INDEX": "5", "PROBE": "right"}, False, True, id="acts"),
        pytest.param({"AWS_BATCH_JOB_ARRAY_INDEX": "5", "PROBE": "right"}, True, False, id="gate left"),
        pytest.param({"AWS_BATCH_JOB_ARRAY_INDEX": "2", "PROBE": "wrong"}, False, False, id="wrong row"),
        pytest.param({}, False, False, id="nothing"),
    ],
)
def test_probe_tells_a_policy_that_acts(variables: dict[str, str], gate: bool, want: bool) -> None:
    pod = probe_element()
    assert not shows_element(pod)
    pod["spec"]["containers"][0]["env"] = [{"name": name, "value": value} for name, value in variables.items()]
    if not gate:
        del pod["spec"]["schedulingGates"]
    assert shows_element(pod) == want


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_every_case_as_an_array(case: Case) -> None:
    """The size of the request and the need of a look at each retry are an element's, as they are a job's."""
    submitted = job(**case.job)
    rendered = render(case.definition, submitted, array=array_work(5))
    assert rendered["spec"]["completions"] == 5
    assert (names.GATE_ADMISSION in gates(rendered)) == needs_admission(definition(case.definition), submitted)
    as_array = job(**case.job, arrayProperties={"size": 5})
    assert job_request(definition(case.definition), as_array) == job_request(definition(case.definition), submitted)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(DEFINITIONS, JOBS, st.sampled_from([None, "1", "0-1"]), st.booleans(), st.booleans())
def test_any_definition_makes_an_array(
    given_: dict[str, Any], submitted: dict[str, Any], indexes: str | None, gated: bool, has_items: bool
) -> None:
    work = array_work(3, indexes, TABLE if has_items else None, gated=gated)
    rendered = render(given_, job(**submitted), array=work)
    assert rendered == render(given_, job(**submitted), array=work)
    spec = rendered["spec"]
    assert len(spec["podFailurePolicy"]["rules"]) <= 20
    for each in pod_of(rendered)["spec"]["containers"] + pod_of(rendered)["spec"].get("initContainers", []):
        listed = [variable["name"] for variable in each["env"]]
        assert listed[:3] == OURS
        assert not set(listed[3:]) & set(OURS)
        if has_items:
            assert [listed.count(name) for name in TABLE.names] == [1, 1]
