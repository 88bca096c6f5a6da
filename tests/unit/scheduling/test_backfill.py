"""What the first that waits keeps, and who may run past it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

import builders as b
from batchwright.scheduling.cycle import plan
from batchwright.scheduling.snapshot import Candidate, Held, Snapshot, WaitKind
from batchwright.scheduling.state import State

NO_ROOM, BEHIND = WaitKind.NO_ROOM, WaitKind.BEHIND
BIG = b.shape(cpu=4000)
TWO = (b.node("n1"), b.node("n2", cpu=2000))


@dataclass(frozen=True)
class Case:
    snapshot: Snapshot
    want_starts: dict[str, str]  # uid → node
    want_waits: dict[str, WaitKind]
    want_reserved: dict[str, tuple[str, str, float]] = field(default_factory=dict)


def until(end: float | None, node: str = "n1", uid: str = "h", cpu: int = 1000) -> Held:
    return b.running(uid, node, b.shape(cpu=cpu), ends_at=end)


def behind(*after: Candidate, held: tuple[Held, ...], **over: Any) -> Snapshot:
    """A job of 4 vCPU that has no room, and these behind it."""
    return b.snapshot(b.queue(b.candidate("head", shape=BIG), *after), held=held, **over)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            Case(behind(b.candidate("x", after=1), held=(until(None),)), {}, {"head": NO_ROOM, "x": BEHIND}),
            id="no end known: nobody on a node that could take the head",
        ),
        pytest.param(
            Case(behind(b.candidate("x", after=1), held=(until(None),), nodes=TWO), {"x": "n2"}, {"head": NO_ROOM}),
            id="no end known: on a node that is too small for it, anybody",
        ),
        pytest.param(
            Case(
                behind(b.candidate("x", after=1, seconds=50), held=(until(50),)),
                {"x": "n1"},
                {"head": NO_ROOM},
                {"normal": ("head", "n1", 50)},
            ),
            id="an end known: who ends by then",
        ),
        pytest.param(
            Case(
                behind(b.candidate("x", after=1, seconds=51), held=(until(50),)),
                {},
                {"head": NO_ROOM, "x": BEHIND},
                {"normal": ("head", "n1", 50)},
            ),
            id="an end known: not who ends later",
        ),
        pytest.param(
            Case(
                behind(b.candidate("x", after=1), held=(until(50),)),
                {},
                {"head": NO_ROOM, "x": BEHIND},
                {"normal": ("head", "n1", 50)},
            ),
            id="an end known: not who may never end",
        ),
        pytest.param(
            Case(
                behind(
                    b.candidate("x", after=1),
                    held=(until(50), until(40, "n2", "h2")),
                    nodes=(b.node("n1"), b.node("n2")),
                ),
                {"x": "n1"},
                {"head": NO_ROOM},
                {"normal": ("head", "n2", 40)},
            ),
            id="one node is kept, the first to get free; the others are open to all",
        ),
        pytest.param(
            Case(
                behind(
                    b.candidate("x", after=1, seconds=5), held=(until(10), until(20, uid="h2"), until(None, uid="h3"))
                ),
                {},
                {"head": NO_ROOM, "x": BEHIND},
            ),
            id="one end of three not known",
        ),
        pytest.param(
            Case(
                behind(b.candidate("x", after=1, seconds=5), held=(until(-5),)),
                {},
                {"head": NO_ROOM, "x": BEHIND},
            ),
            id="overdue: nobody knows when",
        ),
        pytest.param(
            Case(
                b.snapshot(
                    b.queue(
                        b.candidate("head", shape=BIG),
                        b.candidate("x", after=1),
                        b.candidate("y", after=2),
                        max_running=3,
                    ),
                    held=(until(None),),
                    nodes=TWO,
                ),
                {"x": "n2"},
                {"head": NO_ROOM, "y": BEHIND},
            ),
            id="the last place of maxConcurrency is the head's",
        ),
        pytest.param(
            Case(
                b.snapshot(
                    b.queue(
                        b.candidate("head", shape=BIG, consumables=(("licence", 1),)),
                        b.candidate("x", after=1, consumables=(("licence", 1),)),
                    ),
                    held=(until(None),),
                    nodes=TWO,
                    consumables={"licence": 1},
                ),
                {},
                {"head": NO_ROOM, "x": WaitKind.CONSUMABLE},
            ),
            id="the last licence is the head's",
        ),
        pytest.param(
            Case(
                b.snapshot(
                    b.queue(b.candidate("head", shape=BIG), b.candidate("x", after=1)),
                    held=(until(None),),
                    nodes=TWO,
                    environments=(b.environment(max_vcpus=5000),),
                ),
                {},
                {"head": NO_ROOM, "x": WaitKind.AT_MAXIMUM},
            ),
            id="the last vCPUs of maxvCpus are the head's",
        ),
    ],
)
def test_backfill(case: Case) -> None:
    state = State.of(case.snapshot)
    decided = plan(state, 0)
    assert {start.uid: start.node for start in decided.starts} == case.want_starts
    assert {uid: wait.kind for uid, wait in decided.waits.items()} == case.want_waits
    assert state.reservations == case.want_reserved


def test_a_promise_is_kept_from_pass_to_pass() -> None:
    state = State.of(behind(held=(until(50),), nodes=(b.node("n1"), b.node("n2", cpu=1000))))
    plan(state, 0)
    # A node that would be free sooner comes; the promise stands, and the head takes what gets free first anyway.
    state.put_node("n3", b.node("n3"))
    state.put_held("h3", b.running("h3", "n3", ends_at=20.0), 0)
    state.occupy("n3", b.resources(1000, 0, 1))
    plan(state, 1)
    assert state.reservations == {"normal": ("head", "n1", 50)}
    state.put_waiting("head", "normal", None)
    plan(state, 2)
    assert state.reservations == {}


def test_a_promise_that_has_passed_is_made_anew() -> None:
    state = State.of(behind(held=(until(50),)))
    plan(state, 0)
    state.put_held("h", b.running(of=b.shape(cpu=1000), ends_at=70.0), 50)
    plan(state, 50)
    assert state.reservations == {"normal": ("head", "n1", 70)}
