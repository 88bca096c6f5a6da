"""An element's state and attempts, from the job's status and from its pods; the listing of 100,000 of them."""

from __future__ import annotations

import json
import time
from collections import deque
from datetime import UTC, datetime
from typing import Any

import pytest

from batchwright.api.v1alpha1.array import ArrayItems
from batchwright.cli.describe import _objects, _pages
from batchwright.cli.element_listing import list_elements
from batchwright.cli.element_text import element_grid, element_page
from batchwright.cli.elements import build_element, parameters_of, record, select
from batchwright.cli.options import Output
from batchwright.domain.items import item_table
from batchwright.errors import BatchwrightError
from unit.cli.fakeapi import FakeApi, serve
from unit.cli.objects import DEFAULT_UID, JSON, array, element_pod, job

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
UID = DEFAULT_UID.format(1)
N_TO_N = {"dependsOn": [{"name": "c", "type": "N_TO_N"}]}
EXITED = "Essential container in task exited"
FAILED_3 = {"indexes": "3", "statusReason": EXITED, "exitCode": 7, "reason": "OutOfMemoryError"}


@pytest.mark.parametrize(
    ("given", "pods", "want"),
    [
        pytest.param(array(), [], "SUBMITTED", id="not looked at yet"),
        pytest.param(array(state="PENDING", counts={"PENDING": 10}), [], "PENDING", id="the whole job waits"),
        pytest.param(array(state="PENDING", counts={"RUNNABLE": 4}), [], "RUNNABLE", id="waits for room"),
        pytest.param(
            array(spec=N_TO_N, state="PENDING", counts={"PENDING": 4, "RUNNABLE": 4}),
            [],
            "PENDING",
            id="either, N_TO_N",
        ),
        pytest.param(array(spec=N_TO_N, state="PENDING"), [element_pod(3, gated=True)], "PENDING", id="gated, N_TO_N"),
        pytest.param(array(state="PENDING"), [element_pod(3, gated=True)], "RUNNABLE", id="gated for room"),
        pytest.param(
            array(state="PENDING"), [element_pod(3, phase="Pending", state="waiting")], "STARTING", id="released"
        ),
        pytest.param(array(state="PENDING"), [element_pod(3)], "RUNNING", id="runs"),
        pytest.param(array(state="PENDING"), [element_pod(3, exit_code=1)], "RUNNABLE", id="between attempts"),
        pytest.param(
            array(state="PENDING"), [element_pod(3, failures=1), element_pod(3, exit_code=1)], "RUNNING", id="retried"
        ),
        pytest.param(array(state="PENDING"), [element_pod(3, exit_code=0)], "SUCCEEDED", id="status behind the pod"),
        pytest.param(array(state="PENDING", succeeded="0-5"), [element_pod(3)], "SUCCEEDED", id="status ahead"),
        pytest.param(array(state="PENDING", failed="3"), [], "FAILED", id="failed, pod gone"),
        pytest.param(array(state="FAILED", succeeded="0-2"), [], "FAILED", id="ended with the whole"),
        pytest.param(array(state="SUCCEEDED"), [], "SUCCEEDED", id="succeeded with the whole"),
    ],
)
def test_states(given: JSON, pods: list[JSON], want: str) -> None:
    assert build_element(given, 3, pods).state == want


@pytest.mark.parametrize(
    ("given", "pods", "made", "code", "reasons"),
    [
        pytest.param(array(state="PENDING"), [], 0, None, [], id="not begun"),
        pytest.param(array(state="PENDING"), [element_pod(3, gated=True, failures=2)], 2, None, [], id="gated retry"),
        pytest.param(array(state="PENDING"), [element_pod(3)], 1, None, [], id="runs"),
        pytest.param(
            array(state="PENDING"),
            [element_pod(3, exit_code=5), element_pod(3, failures=1)],
            2,
            None,
            [],
            id="second attempt runs",
        ),
        pytest.param(array(failed="3"), [element_pod(3, exit_code=5)], 1, 5, [EXITED], id="from the pod"),
        pytest.param(
            array(failed="3", failures=[FAILED_3]), [], None, 7, [EXITED, "OutOfMemoryError"], id="from the status"
        ),
        pytest.param(
            array(failed="3", failures=[{"indexes": "1-5", "statusReason": "Dependent Job failed"}]),
            [element_pod(3, gated=True, phase="Failed", state="waiting")],
            0,
            None,
            ["Dependent Job failed"],
            id="never released",
        ),
        pytest.param(
            array(failed="3", failures=[{"indexes": "1-5", "statusReason": "Dependent Job failed"}]),
            [],
            0,
            None,
            ["Dependent Job failed"],
            id="never released, pod gone",
        ),
        pytest.param(array(succeeded="3"), [], None, None, [], id="succeeded, pod gone"),
    ],
)
def test_attempts(given: JSON, pods: list[JSON], made: int | None, code: int | None, reasons: list[str]) -> None:
    element = build_element(given, 3, pods)
    assert (element.made, element.exit_code, element.reasons) == (made, code, reasons)


MATRIX = {"matrix": [{"name": "b", "values": ["x", "y"]}, {"name": "a", "values": ["1", "2", "3"]}]}
LIST = {"list": [{"seed": str(number)} for number in range(6)]}


@pytest.mark.parametrize("items", [MATRIX, LIST], ids=["matrix", "list"])
def test_parameters_are_those_that_the_operator_gives(items: dict[str, Any]) -> None:
    given = array(size=6, spec={"arrayProperties": {"items": items}})
    table = item_table(ArrayItems.model_validate(items), None)
    rows = [parameters_of(given, index) for index in range(6)]
    assert rows == [table.row(index) for index in range(6)]
    assert len({json.dumps(row) for row in rows}) == 6


def test_the_page_of_an_element() -> None:
    properties = {"items": LIST, "indexes": "1,3"}
    asked = {"terminateElements": [{"indexes": "1-3", "reason": "enough"}, {"indexes": "4", "reason": "other"}]}
    given = array(size=6, spec={"arrayProperties": properties, **asked}, failed="3", failures=[FAILED_3])
    page = element_page(build_element(given, 3, [element_pod(1, exit_code=7)]), NOON)
    assert page.splitlines() == [
        "Name:            sim:3",
        "Namespace:       lab",
        f"Job ID:          {UID}:3",
        "State:           FAILED",
        f"Why:             {EXITED}, OutOfMemoryError, exit code 7",
        "Array:           element 3 of sim, 0 to 5 (the 2nd of those this job runs)",
        "Parameters:      seed=3",
        "Started:         2026-01-01 11:00:00 UTC (60m ago)",
        "Stopped:         2026-01-01 11:01:00 UTC (59m ago)",
        "Terminate asked: enough",
        "Attempts:",
        "  ATTEMPT  STARTED                   TOOK  EXIT  NODE  POD      REASON",
        f"  1        2026-01-01T11:00:00.000Z  60s   7     n1    sim-1-0  {EXITED}",
    ]


@pytest.mark.parametrize(
    ("given", "pods", "want"),
    [
        pytest.param(array(spec=N_TO_N, state="PENDING"), [], "It waits for other elements or jobs", id="pending"),
        pytest.param(array(state="PENDING"), [], "It waits for room", id="runnable"),
        pytest.param(array(state="PENDING"), [element_pod(3, exit_code=1)], "Its 2nd attempt is about", id="again"),
        pytest.param(
            array(state="PENDING"),
            [element_pod(3, phase="Pending", state="waiting")],
            "is being started",
            id="starting",
        ),
        pytest.param(array(failed="3"), [], "its pods are gone", id="gone"),
        pytest.param(
            array(spec={"arrayProperties": {"items": {"configMap": {"name": "rows"}}}}),
            [],
            "item 3 of ConfigMap rows, key items",
            id="items elsewhere",
        ),
    ],
)
def test_the_page_says_why(given: JSON, pods: list[JSON], want: str) -> None:
    assert want in element_page(build_element(given, 3, pods), NOON)


def test_the_table_of_elements() -> None:
    given = array(failed="3", state="PENDING", failures=[FAILED_3])
    shown = [build_element(given, 3, []), build_element(given, 4, [element_pod(4)]), build_element(given, 5, [])]
    grid = element_grid(shown, NOON)
    assert grid.titles == ["INDEX", "STATE", "ATTEMPTS", "EXIT", "REASON", "NODE", "STARTED", "DURATION"]
    assert grid.rows == [
        ["3", "FAILED", "-", "7", "Essential container in task exited; Out…", "-", "-", "-"],
        ["4", "RUNNING", "1", "-", "", "n1", "2026-01-01T11:00:00Z", "60m"],
        ["5", "RUNNABLE", "0", "-", "", "-", "-", "-"],
    ]
    wide = element_grid(shown, NOON, wide=True)
    assert (wide.rows[0][4], wide.rows[1][-1]) == (f"{EXITED}; OutOfMemoryError", "sim-4-0")


def test_the_record_of_an_element_speaks_as_a_job_does() -> None:
    given = array(size=6, spec={"arrayProperties": {"items": LIST}}, failed="3", failures=[FAILED_3])
    assert record(build_element(given, 3, [element_pod(3, exit_code=7)])) == {
        "jobName": "sim",
        "namespace": "lab",
        "jobId": f"{UID}:3",
        "arrayProperties": {"index": 3, "size": 6},
        "state": "FAILED",
        "statusReason": EXITED,
        "exitCode": 7,
        "parameters": {"seed": "3"},
        "attemptsMade": 1,
        "attempts": [
            {
                "attempt": 1,
                "container": {"exitCode": 7, "podName": "sim-3-0", "nodeName": "n1"},
                "startedAt": "2026-01-01T11:00:00.000Z",
                "stoppedAt": "2026-01-01T11:01:00.000Z",
                "statusReason": EXITED,
            }
        ],
    }


def test_an_attempt_under_way_has_no_end() -> None:
    [attempt] = record(build_element(array(state="PENDING"), 4, [element_pod(4)]))["attempts"]
    assert attempt == {
        "attempt": 1,
        "container": {"podName": "sim-4-0", "nodeName": "n1"},
        "startedAt": "2026-01-01T11:00:00.000Z",
    }


SOME = array(state="PENDING", jobName="sim-1", succeeded="0-1", failed="3", counts={"RUNNABLE": 6, "RUNNING": 1})


@pytest.mark.parametrize(
    ("wanted", "want"),
    [
        pytest.param([], list(range(10)), id="all"),
        pytest.param(["FAILED"], [3], id="failed"),
        pytest.param(["SUCCEEDED", "FAILED"], [0, 1, 3], id="ended, in order of index"),
        pytest.param(["RUNNING"], [5], id="live"),
        pytest.param(["RUNNABLE"], [2, 4, 6, 7, 8, 9], id="idle"),
        pytest.param(["STARTING"], [], id="none"),
    ],
)
def test_elements_are_chosen_by_state(wanted: list[str], want: list[int]) -> None:
    assert [index for index, _ in select(SOME, {5: element_pod(5)}, wanted)] == want


def test_100_000_elements_are_chosen_at_once() -> None:
    every_other = ",".join(str(number) for number in range(0, 100_000, 2))
    given = array(size=100_000, state="PENDING", failed=every_other)
    began = time.perf_counter()
    assert len(select(given, {}, [])) == 100_000
    assert time.perf_counter() - began < 5


async def listed(fake: FakeApi, given: JSON, states: list[str], output: Output, limit: int = 1000) -> None:
    """Runs `list --array sim`."""
    fake.objects["batchjobs/sim"] = deque([given])
    async with serve(fake) as session:
        await list_elements(session, "sim", states, output, limit)


async def test_listing_reads_live_pods_and_those_of_the_rows_alone(capsys: pytest.CaptureFixture[str]) -> None:
    fake = FakeApi()
    given = array(
        spec={"arrayProperties": {"indexes": "2,4,6,8"}}, state="PENDING", jobName="sim-1", failed="2", failures=[]
    )
    # Positions 1 and 2 are the indexes 4 and 6.
    fake.lists["pods"] = deque([[element_pod(1), element_pod(2, phase="Pending", state="waiting")], [element_pod(1)]])
    await listed(fake, given, ["RUNNING", "STARTING"], Output.table, limit=1)
    shown = capsys.readouterr()
    assert [line.split()[:2] for line in shown.out.splitlines()] == [["INDEX", "STATE"], ["4", "RUNNING"]]
    assert shown.err == "1 more: --limit 2 shows them too\n"
    live, rows = (query for query in fake.queries if query["path"].endswith("/pods"))
    assert live["fieldSelector"] == "status.phase!=Succeeded,status.phase!=Failed"
    assert rows["labelSelector"] == f"batchwright.io/job-id={UID},batch.kubernetes.io/job-completion-index in (1)"


async def test_listing_what_failed_reads_no_live_pods(capsys: pytest.CaptureFixture[str]) -> None:
    fake = FakeApi()
    fake.lists["pods"] = deque([[element_pod(3, exit_code=7)]])
    await listed(fake, SOME, ["FAILED"], Output.json)
    shown = json.loads(capsys.readouterr().out)
    assert (shown["jobName"], shown["size"], shown["more"]) == ("sim", 10, 0)
    assert [(each["jobId"], each["exitCode"]) for each in shown["elements"]] == [(f"{UID}:3", 7)]
    assert len([query for query in fake.queries if query["path"].endswith("/pods")]) == 1


async def test_names_of_elements_need_no_pods(capsys: pytest.CaptureFixture[str]) -> None:
    await listed(FakeApi(), SOME, ["FAILED", "SUCCEEDED"], Output.name)
    assert capsys.readouterr().out == "sim:0\nsim:1\nsim:3\n"


async def test_a_thousand_rows_are_asked_for_in_parts() -> None:
    fake = FakeApi()
    fake.lists["pods"] = deque([[], []])
    await listed(fake, array(size=2000, state="SUCCEEDED", jobName="sim-1", succeeded="0-1999"), [], Output.table)
    asked = [query["labelSelector"] for query in fake.queries if "labelSelector" in query]
    assert [selector.count(",") for selector in asked] == [500, 500]


async def test_listing_elements_of_what_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BatchwrightError, match="--array sim: job sim is no array"):
        await listed(FakeApi(), job(), [], Output.table)
    unread = array(size=None, spec={"arrayProperties": {"items": {"configMap": {"name": "rows"}}}})
    await listed(FakeApi(), unread, [], Output.table)
    assert "read from a ConfigMap when it starts" in capsys.readouterr().err
    fake = FakeApi()
    fake.lists["pods"] = deque([[]])
    await listed(fake, SOME, ["STARTING"], Output.name)
    assert capsys.readouterr().out == ""


async def test_describe_takes_jobs_and_elements_together(capsys: pytest.CaptureFixture[str]) -> None:
    fake = FakeApi()
    fake.objects["batchjobs/sim"] = deque([SOME])
    fake.lists["pods"] = deque([[element_pod(3, exit_code=7)], [element_pod(5)]])
    async with serve(fake) as session:
        await _objects(session, ["sim:3", "sim", "sim:3"][:2], Output.json)
        await _pages(session, ["sim:5"])
    shown = capsys.readouterr().out
    whole, _, page = shown.partition("\nName:")
    items = json.loads(whole)["items"]
    assert [item.get("kind", item.get("jobId")) for item in items] == [f"{UID}:3", "BatchJob"]
    assert "State:           RUNNING" in page


async def test_describe_refuses_more_elements_than_anybody_reads() -> None:
    fake = FakeApi()
    fake.objects["batchjobs/sim"] = deque([array(size=1000)])
    async with serve(fake) as session:
        with pytest.raises(BatchwrightError, match="101 elements of sim: describe takes 100 at a time"):
            await _objects(session, ["sim:0-100"], Output.json)
