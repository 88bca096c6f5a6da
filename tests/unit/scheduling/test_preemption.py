"""Whom a queue that preempts takes the room of."""

from __future__ import annotations

from typing import Any

import pytest

import builders as b
from batchwright.scheduling.cycle import plan
from batchwright.scheduling.snapshot import Held, Snapshot
from batchwright.scheduling.state import State

GPU = b.resources(4000, 8 * b.GIB, 110, **{"nvidia.com/gpu": 1})
WITH_GPU = b.shape(resources=(("cpu", 500), ("nvidia.com/gpu", 1), ("pods", 1)))


def low(uid: str, node: str = "n1", cpu: int = 1000, **over: Any) -> Held:
    return b.running(uid, node, b.shape(cpu=cpu), queue="low", **over)


def waits(*held: Held, cpu: int = 2000, preempts: bool = True, **over: Any) -> Snapshot:
    """A job of a queue of high priority on full nodes."""
    candidate = b.candidate("urgent", shape=over.pop("shape", b.shape(cpu=cpu)))
    return b.snapshot(
        b.queue(candidate, name="high", priority=5, preempts=preempts),
        b.queue(name="low", priority=1),
        b.queue(name="equal", priority=5),
        held=held,
        **over,
    )


@pytest.mark.parametrize(
    ("snapshot", "want"),
    [
        pytest.param(waits(low("a", cpu=4000)), {"a": 1}, id="one of a queue of lower priority"),
        pytest.param(waits(low("a", cpu=4000), preempts=False), {}, id="only if the queue asks for it"),
        pytest.param(waits(b.running("a", of=b.shape(cpu=4000), queue="equal")), {}, id="nobody of the same priority"),
        pytest.param(waits(low("a", cpu=3000, is_fixed=True)), {}, id="nothing that cannot be preempted"),
        pytest.param(waits(low("a", cpu=1000, count=4)), {"a": 2}, id="of an array as many as it takes"),
        pytest.param(
            waits(low("old", cpu=2000, started=1), low("new", cpu=2000, started=2)), {"new": 1}, id="the last to start"
        ),
        pytest.param(
            waits(
                low("a", cpu=2000, started=9),
                low("b", cpu=2000, started=1),
                low("c", "n2", cpu=4000, started=2),
                cpu=4000,
                nodes=(b.node("n1"), b.node("n2")),
            ),
            {"c": 1},
            id="on the node where it costs fewest",
        ),
        pytest.param(waits(low("a", cpu=1000)), {}, id="nobody while there is room"),
        pytest.param(waits(low("a", cpu=1000), cpu=9000), {}, id="nobody for what never fits"),
        pytest.param(
            waits(low("a", cpu=1000), b.running("x", of=b.shape(cpu=2000), queue="equal")),
            {"a": 1},
            id="when all of it together is enough",
        ),
        pytest.param(
            waits(low("a", cpu=1000), b.running("x", of=b.shape(cpu=3000), queue="equal")),
            {},
            id="nobody when all of it is not enough",
        ),
        pytest.param(
            waits(
                low("plain", started=9),
                b.running("gpu", of=WITH_GPU, queue="low", started=1),
                nodes=(b.node(allocatable=GPU),),
                shape=WITH_GPU,
            ),
            {"gpu": 1},
            id="nobody who has nothing of what is lacking",
        ),
        pytest.param(
            waits(low("small", cpu=1000, started=9), low("large", cpu=3000, started=1), cpu=3000),
            {"large": 1},
            id="nobody whom a later choice makes needless",
        ),
        pytest.param(
            waits(
                low("a", cpu=4000, count=0, leaving=(("n1", 1),), nodes=(("n1", 1),)),
                occupied={"n1": b.resources(4000)},
            ),
            {},
            id="nobody more while what was preempted has not gone",
        ),
    ],
)
def test_by_priority(snapshot: Snapshot, want: dict[str, int]) -> None:
    decided = plan(snapshot)
    assert {each.uid: each.count for each in decided.preempts} == want
    assert all(each.by == "urgent" for each in decided.preempts)


def test_two_queues_do_not_take_the_same_pod() -> None:
    snapshot = b.snapshot(
        b.queue(b.candidate("a", shape=b.shape(cpu=4000)), name="first", priority=9, preempts=True),
        b.queue(b.candidate("b", shape=b.shape(cpu=4000)), name="second", priority=5, preempts=True),
        b.queue(name="low"),
        nodes=(b.node("n1"), b.node("n2")),
        held=(low("h1", cpu=4000), low("h2", "n2", cpu=4000)),
    )
    assert [(each.uid, each.count, each.by) for each in plan(snapshot).preempts] == [("h1", 1, "a"), ("h2", 1, "b")]


def test_the_room_of_what_was_preempted_is_for_nobody_else() -> None:
    """Two have to go, and one goes first: what it leaves is not given away."""
    held = (low("a", cpu=2000), low("b", cpu=2000))
    snapshot = waits(*held, cpu=4000)
    state = State.of(snapshot)
    assert {each.uid for each in plan(state, 0).preempts} == {"a", "b"}
    state.put_held("a", None, 1)
    state.put_held("b", low("b", cpu=2000, count=0, leaving=(("n1", 1),), nodes=(("n1", 1),)), 1)
    state.occupy("n1", b.resources(2000, b.GIB, 1))
    state.put_waiting("small", "low", b.candidate("small", after=1, seconds=1))
    decided = plan(state, 1)
    assert (decided.starts, decided.preempts) == ((), ())
    state.put_held("b", None, 2)
    state.occupy("n1", {})
    assert [start.uid for start in plan(state, 2).starts] == ["urgent"]
