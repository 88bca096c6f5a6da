"""Waiting for arrays: a bar each on a terminal, counts at a pace elsewhere."""

from __future__ import annotations

import asyncio
import io
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from rich.console import Console

from batchwright.cli import exits
from batchwright.cli.bars import array_line, bars, total_of
from batchwright.cli.pace import Pace
from batchwright.cli.tracking import Goal, Outcome, Tracker, Transition, outcome
from batchwright.cli.waiting import conclude, picture, wait_for
from unit.cli.fakeapi import FakeApi, Watch, event, serve
from unit.cli.objects import JSON, array, job

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HALF = {"SUCCEEDED": 4, "FAILED": 1, "RUNNING": 2, "STARTING": 1, "RUNNABLE": 2}


def drawn(renderable: object, *, colour: bool = False) -> str:
    """What a terminal of 140 columns shows."""
    file = io.StringIO()
    screen = Console(file=file, width=140, force_terminal=colour, color_system="standard" if colour else None)
    screen.print(renderable)
    return file.getvalue()


def at(state: str, **counts: int) -> JSON:
    """The array in a state."""
    return array(state=state, counts=counts)


def test_a_bar_tells_what_is_done_runs_waits_and_failed() -> None:
    line = " ".join(drawn(bars([at("PENDING", **HALF)], [], NOON)).split())
    assert line.startswith("sim PENDING ━")
    assert line.endswith("5/10 3 running 2 waiting 1 failed 12h")


def test_failures_are_red_and_absent_while_there_are_none() -> None:
    assert "\x1b[31m1 failed" in drawn(bars([at("PENDING", **HALF)], [], NOON), colour=True)
    assert "failed" not in drawn(bars([at("PENDING", RUNNING=10)], [], NOON))


@pytest.mark.parametrize(
    ("given", "total", "shown"),
    [
        pytest.param(array(size=10_000), 10_000, "0/10,000", id="not begun"),
        pytest.param(array(spec={"arrayProperties": {"indexes": "3,7-9"}}), 4, "0/4", id="a retry of some"),
        pytest.param(array(state="PENDING", counts={"SUCCEEDED": 3, "RUNNING": 1}), 4, "3/4", id="as counted"),
        pytest.param(
            array(size=None, spec={"arrayProperties": {"items": {"configMap": {"name": "rows"}}}}),
            None,
            "0/?",
            id="not known yet",
        ),
    ],
)
def test_the_whole_of_a_bar_is_what_runs(given: JSON, total: int | None, shown: str) -> None:
    assert total_of(given) == total
    assert f" {shown} " in drawn(bars([given], [], NOON))


def test_arrays_have_bars_and_other_jobs_lines_all_at_once() -> None:
    single, first, second = job("prep", number=1, state="RUNNING"), at("PENDING", RUNNING=10), array("next")
    first["metadata"]["uid"], second["metadata"]["uid"] = "u1", "u2"
    tracker = Tracker([single, first, second])
    tracker.deleted.add("u2")
    lines = drawn(picture(tracker, NOON)).splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["NAME", "STATE"],
        ["prep", "RUNNING"],
        ["sim", "PENDING"],
        ["next", "DELETED"],
    ]


@pytest.mark.parametrize(
    ("given", "want"),
    [
        pytest.param(array(), "sim SUBMITTED", id="not begun"),
        pytest.param(
            at("PENDING", **HALF), "sim PENDING 5/10: 4 succeeded, 1 failed, 3 running, 2 waiting", id="under way"
        ),
        pytest.param(
            array(state="FAILED", statusReason="Array Child Job failed", counts={"SUCCEEDED": 9, "FAILED": 1}),
            "sim FAILED 10/10: 9 succeeded, 1 failed: Array Child Job failed",
            id="over",
        ),
    ],
)
def test_lines(given: JSON, want: str) -> None:
    assert array_line(given) == want


@pytest.mark.parametrize(
    ("given", "want"),
    [
        pytest.param(at("PENDING", RUNNABLE=10), Outcome.open, id="nothing runs yet"),
        pytest.param(at("PENDING", RUNNING=1, RUNNABLE=9), Outcome.reached, id="an element runs"),
        pytest.param(at("PENDING", SUCCEEDED=1, RUNNABLE=9), Outcome.reached, id="one ran unseen"),
        pytest.param(at("FAILED", FAILED=10), Outcome.missed, id="will not run"),
    ],
)
def test_an_array_runs_with_its_first_element(given: JSON, want: Outcome) -> None:
    assert outcome(given, Goal.RUNNING) is want


async def lines_of(seen: Sequence[Sequence[Transition]], seconds: float, due: int = 0) -> list[str]:
    """What is printed of transitions that come at once, until `due` lines came of themselves, and then by the end."""
    written: list[str] = []
    enough = asyncio.Event()

    def write(line: str) -> None:
        written.append(line)
        if len(written) >= due:
            enough.set()

    pace = Pace(write, seconds)
    for each in seen:
        pace.show(each)
    if due:
        async with asyncio.timeout(10):
            await enough.wait()
        assert len(written) == due
    pace.close()
    return written


RISING = [[Transition(at("PENDING", SUCCEEDED=done, RUNNABLE=9 - done), "PENDING")] for done in range(1, 6)]
FIRST = [Transition(array(), None)]


async def test_counts_are_printed_at_a_pace_and_the_last_of_them_at_the_end() -> None:
    lines = await lines_of([FIRST, *RISING], 60)
    assert [line.partition(":")[0] for line in lines] == ["sim SUBMITTED", "sim PENDING 5/9"]


async def test_counts_that_were_held_back_come_when_their_time_has_come() -> None:
    lines = await lines_of([FIRST, *RISING], 0.2, due=2)
    assert [line.partition(":")[0] for line in lines] == ["sim SUBMITTED", "sim PENDING 5/9"]


async def test_a_new_state_is_printed_at_once_in_place_of_what_was_held_back() -> None:
    over = [Transition(at("SUCCEEDED", SUCCEEDED=9), "PENDING")]
    lines = await lines_of([FIRST, *RISING, over], 60)
    assert [line.partition(":")[0] for line in lines] == ["sim SUBMITTED", "sim SUCCEEDED 9/9"]


async def test_a_wait_for_an_array_ends_with_it_and_fails_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    fake = FakeApi()
    fake.lists["batchjobs"] = deque([[array()]])
    changes = [at("PENDING", RUNNING=10), at("PENDING", **HALF), at("FAILED", SUCCEEDED=9, FAILED=1)]
    fake.watches["batchjobs"] = deque([Watch([event("MODIFIED", each) for each in changes], "hang")])
    async with serve(fake) as session:
        tracker = await wait_for(session, [array()], Goal.finished, seconds=20)
    with pytest.raises(exits.Failed) as failed:
        conclude(tracker, Goal.finished)
    assert failed.value.code == exits.ERROR
    lines = [line.split(" ", 1)[1] for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "sim SUBMITTED",
        "sim PENDING 0/10: 0 succeeded, 0 failed, 10 running, 0 waiting",
        "sim FAILED 10/10: 9 succeeded, 1 failed",
    ]
