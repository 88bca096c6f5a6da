"""What `describe` and `list` say of arrays, and of dependencies between elements."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from batchwright.cli.array_text import items_text
from batchwright.cli.description import describe
from batchwright.cli.facts import Dependency, Facts
from batchwright.cli.listing import job_grid
from batchwright.cli.words import explain
from unit.cli.objects import JSON, array, element_pod, job

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
EXITED = "Essential container in task exited"
COUNTS = {"PENDING": 1, "RUNNABLE": 2, "STARTING": 3, "RUNNING": 1, "SUCCEEDED": 2, "FAILED": 1}


def page(given: JSON, *dependencies: Dependency) -> list[str]:
    """The lines of `describe`."""
    return describe(Facts(given, {}, {}, dependencies), NOON).splitlines()


def test_describe_shows_counts_ranges_and_the_first_failures() -> None:
    spec = {
        "arrayProperties": {
            "maxConcurrency": 50,
            "items": {"list": [{"seed": "1", "lr": "2"}] * 10},
        },
        "terminateElements": [{"indexes": "3,7-9", "reason": "enough"}],
    }
    failures = [
        {"indexes": "8", "exitCode": 137, "statusReason": EXITED, "reason": "OutOfMemoryError: Container killed"},
        {"indexes": "2,4", "statusReason": "Dependent Job failed"},
    ]
    given = array(spec=spec, state="PENDING", counts=COUNTS, succeeded="0-1", failed="2,4,8", failures=failures)
    given["status"]["arrayProperties"]["statusSummaryLastUpdatedAt"] = "2026-01-01T11:59:50Z"
    lines = page(given)
    start = lines.index("Array:           10 elements, at most 50 at a time")
    assert lines[start + 1 : start + 10] == [
        "Items:           a list of 10, each with seed, lr",
        "Elements:        0 SUBMITTED, 1 PENDING, 2 RUNNABLE, 3 STARTING, 1 RUNNING, 2 SUCCEEDED, 1 FAILED",
        "Counted:         10s ago",
        "Succeeded:       0,1",
        "Failed:          2,4,8",
        "Terminate asked: 3,7-9: enough",
        "Failures:",
        "  COUNT  EXIT  INDEXES  REASON",
        f"  1      137   8        {EXITED}; OutOfMemoryError: Container killed",
    ]
    assert lines[start + 10] == "  2      -     2,4      Dependent Job failed"


def test_describe_shows_what_a_retry_runs() -> None:
    assert "Runs only:       3,7-9 (4 of them)" in page(array(spec={"arrayProperties": {"indexes": "3,7-9"}}))


def test_an_array_of_unknown_size_is_described() -> None:
    lines = page(array(size=None, spec={"arrayProperties": {"items": {"configMap": {"name": "rows", "key": "all"}}}}))
    assert "Array:           as many elements as there are items" in lines
    assert "Items:           ConfigMap rows, key all" in lines


@pytest.mark.parametrize(
    ("items", "want"),
    [
        pytest.param(
            {"list": [{str(n): "x" for n in range(10)}]},
            "a list of 1, each with 0, 1, 2, 3, 4, 5, 6, 7 and 2 more",
            id="many",
        ),
        pytest.param(
            {"matrix": [{"name": "lr", "values": ["1", "2"]}, {"name": "seed", "values": ["1", "2", "3"]}]},
            "2 lr × 3 seed",
            id="matrix",
        ),
        pytest.param({"configMap": {"name": "rows"}}, "ConfigMap rows, key items", id="ConfigMap"),
    ],
)
def test_items_in_short(items: JSON, want: str) -> None:
    assert items_text(items) == want


@pytest.mark.parametrize(
    ("needed", "want"),
    [
        pytest.param(Dependency("c", "RUNNING"), "c (RUNNING)", id="whole"),
        pytest.param(Dependency("c", "PENDING", "N_TO_N"), "c (PENDING, N_TO_N)", id="by element"),
        pytest.param(Dependency("c", None, "N_TO_N", "Completed"), "c (no such job yet, N_TO_N, Completed)", id="all"),
        pytest.param(Dependency("c", "FAILED", None, "Failed"), "c (FAILED, Failed)", id="condition"),
        pytest.param(Dependency("", None, "SEQUENTIAL"), "each element on the one before it (SEQUENTIAL)", id="itself"),
    ],
)
def test_dependencies_tell_type_and_condition(needed: Dependency, want: str) -> None:
    assert f"Depends on:      {want}" in page(array(), needed)


@pytest.mark.parametrize(
    ("needed", "is_open"),
    [
        pytest.param(Dependency("c", "SUCCEEDED"), False, id="succeeded"),
        pytest.param(Dependency("c", "FAILED"), True, id="failed, and was to succeed"),
        pytest.param(Dependency("c", "FAILED", condition="Completed"), False, id="ended"),
        pytest.param(Dependency("c", "FAILED", condition="Failed"), False, id="was to fail"),
        pytest.param(Dependency("c", "SUCCEEDED", condition="Failed"), True, id="was to fail, and did not"),
        pytest.param(Dependency("c", None, condition="Completed"), True, id="not there"),
        pytest.param(Dependency("", None, "SEQUENTIAL"), False, id="the array itself"),
    ],
)
def test_which_dependencies_are_still_waited_for(needed: Dependency, is_open: bool) -> None:
    assert needed.is_open is is_open


def test_why_says_where_the_elements_are() -> None:
    given = array(spec={"arrayProperties": {"maxConcurrency": 4}}, state="PENDING", counts=COUNTS)
    stuck = element_pod(3, phase="Pending", state="waiting")
    stuck["status"]["containerStatuses"][0]["state"]["waiting"] = {"reason": "ErrImagePull", "message": "no such image"}
    facts = Facts(given, {}, {}, [Dependency("c", "PENDING", "N_TO_N")], pods=[stuck])
    assert explain(facts, NOON) == [
        "1 element waits for c (PENDING).",
        "2 elements wait for room in queue normal, of which at most 4 run at a time.",
        "3 elements are being started.",
        "1 element runs.",
        "Pod sim-3-0: ErrImagePull: no such image",
    ]


@pytest.mark.parametrize(
    ("given", "dependencies", "want"),
    [
        pytest.param(
            array(state="PENDING"), [Dependency("c", None)], "It waits for c (no such job yet).", id="not counted yet"
        ),
        pytest.param(
            array(state="PENDING", counts={"PENDING": 9, "RUNNING": 1}),
            [Dependency("", None, "SEQUENTIAL")],
            "9 elements wait for elements before them.",
            id="SEQUENTIAL",
        ),
        pytest.param(array(), [], "There is no queue normal", id="SUBMITTED as any job"),
        pytest.param(array(state="FAILED", isTerminated=True), [], "It was terminated.", id="over, as any job"),
    ],
)
def test_why_an_array_is_where_it_is(given: JSON, dependencies: list[Dependency], want: str) -> None:
    assert want in " ".join(explain(Facts(given, dependencies=dependencies), NOON))


def test_a_list_of_jobs_shows_how_far_arrays_are() -> None:
    rows = job_grid([array(state="PENDING", counts={**COUNTS, "SUCCEEDED": 2})], NOON, wide=True).rows
    assert (rows[0][2], rows[0][3], rows[0][6]) == ("PENDING", "3 of 10 done, 1 failed, 1 running", "-")
    said = job_grid([array(state="FAILED", statusReason="Array Child Job failed", counts={"FAILED": 10})], NOON).rows
    assert said[0][3] == "Array Child Job failed"
    assert job_grid([job(state="RUNNING")], NOON).rows[0][6] == "1"
