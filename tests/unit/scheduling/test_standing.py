"""The line in front of a queue, as a person sees it."""

from __future__ import annotations

import pytest

import builders as b
from batchwright.scheduling.cycle import plan
from batchwright.scheduling.fairshare import FairShare
from batchwright.scheduling.quota import QuotaShare
from batchwright.scheduling.snapshot import Queue
from batchwright.scheduling.standing import standings
from batchwright.scheduling.state import State

EQUAL = FairShare()
QUOTA = (
    QuotaShare("x", limits=(("cpu", 1000),), strategy="LEND_AND_BORROW", borrow_percent=100),
    QuotaShare("y", limits=(("cpu", 2000),), strategy="LEND_AND_BORROW", borrow_percent=100),
)


def line(queue: Queue, *held: object) -> list[tuple[str, int, int]]:
    state = State.of(b.snapshot(queue, held=held))  # type: ignore[arg-type]
    return [(each.candidate.uid, each.position, each.ahead) for each in standings(state, queue.name, 0.0)]


def of(share: str, *names: str, after: float = 0, count: int = 1) -> list[object]:
    return [b.candidate(name, after=after + n, share=share, count=count) for n, name in enumerate(names)]


@pytest.mark.parametrize(
    ("queue", "held", "want"),
    [
        pytest.param(b.queue(), [], [], id="nothing waits"),
        pytest.param(
            b.queue(
                b.candidate("late", after=9),
                b.candidate("early", after=1, shape=b.shape(cpu=9000)),
                b.candidate("urgent", after=8, priority=3),
                b.candidate("back", after=7, returning=True),
            ),
            [],
            [("back", 1, 0), ("urgent", 2, 1), ("early", 3, 2), ("late", 4, 3)],
            id="by turn, whatever they ask",
        ),
        pytest.param(
            b.queue(*of("x", "x1", "x2", "x3"), *of("y", "y1", "y2", after=5), fair_share=EQUAL),  # type: ignore[arg-type]
            [],
            [("x1", 1, 0), ("y1", 2, 0), ("x2", 3, 1), ("y2", 4, 1), ("x3", 5, 2)],
            id="shares take turns",
        ),
        pytest.param(
            b.queue(*of("x", "x1"), *of("y", "y1", "y2", "y3", after=5), fair_share=EQUAL),  # type: ignore[arg-type]
            [b.running("h", of=b.shape(cpu=1500), share="x")],
            [("y1", 1, 0), ("y2", 2, 1), ("x1", 3, 0), ("y3", 4, 2)],
            id="what a share holds counts against it",
        ),
        pytest.param(
            b.queue(*of("x", "x1", "x2", count=9), *of("y", "y1", after=5), fair_share=EQUAL),  # type: ignore[arg-type]
            [],
            [("x1", 1, 0), ("y1", 2, 0), ("x2", 3, 1)],
            id="an array gives way after its first element",
        ),
        pytest.param(
            b.queue(*of("x", "x1", "x2"), *of("y", "y1", after=5), quota_shares=QUOTA),  # type: ignore[arg-type]
            [],
            [("x1", 1, 0), ("y1", 2, 0), ("x2", 3, 1)],
            id="who would borrow comes after those within their quota",
        ),
        pytest.param(
            b.queue(*of("z", "z1"), *of("y", "y1", after=5), quota_shares=QUOTA),  # type: ignore[arg-type]
            [],
            [("z1", 1, 0), ("y1", 2, 0)],
            id="a share that is no more keeps its place",
        ),
    ],
)
def test_the_line(queue: Queue, held: list[object], want: list[tuple[str, int, int]]) -> None:
    assert line(queue, *held) == want


def test_there_is_no_line_of_a_queue_that_does_not_exist() -> None:
    assert list(standings(State(), "normal", 0.0)) == []


@pytest.mark.parametrize("fair_share", [None, EQUAL], ids=["no policy", "fair share"])
def test_a_pass_starts_from_the_head_and_the_line_changes_nothing(fair_share: FairShare | None) -> None:
    waiting = [b.candidate(f"j{n}", after=n, share="xyz"[n * n % 3]) for n in range(9)]
    state = State.of(b.snapshot(b.queue(*waiting, fair_share=fair_share)))
    before = state.changes
    order = [each.candidate.uid for each in standings(state, "normal", 0.0)]
    assert len(order) == 9
    assert state.changes == before
    assert {start.uid for start in plan(state, 0.0).starts} == set(order[:4])
    assert [each.candidate.uid for each in standings(state, "normal", 0.0)] == order
