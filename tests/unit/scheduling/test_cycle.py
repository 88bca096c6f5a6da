"""One pass of the scheduler: who starts where, and who waits why."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

import builders as b
from batchwright.scheduling.cycle import plan
from batchwright.scheduling.snapshot import Plan, Snapshot, WaitKind

NO_ROOM, BEHIND, NEVER, NO_NODES = WaitKind.NO_ROOM, WaitKind.BEHIND, WaitKind.NEVER_FITS, WaitKind.NO_NODES
BIG = b.shape(cpu=3000)
HUGE = b.shape(cpu=5000)
ARM = b.shape(node_selector=(("arch", "arm"),))


@dataclass(frozen=True)
class Case:
    snapshot: Snapshot
    want_starts: dict[str, str]  # uid → environment
    want_waits: dict[str, WaitKind]


def two_environments(*queues: object, small: int = 1000, large: int = 4000) -> Snapshot:
    """`e1` has one small node, `e2` a large one."""
    return b.snapshot(
        *queues,  # type: ignore[arg-type]
        nodes=(b.node("a", cpu=small, labels={"e": "1"}), b.node("b", cpu=large, labels={"e": "2"})),
        environments=(
            b.environment("e1", node_selector=(("e", "1"),)),
            b.environment("e2", node_selector=(("e", "2"),)),
        ),
    )


CASES = [
    pytest.param(Case(b.snapshot(), {}, {}), id="nothing waits"),
    pytest.param(
        Case(b.snapshot(b.queue(b.candidate("a"), b.candidate("b", after=1))), {"a": "e1", "b": "e1"}, {}),
        id="all fit",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(
                    b.candidate("big", shape=BIG),
                    b.candidate("head", after=1, shape=BIG),
                    b.candidate("small", after=2),
                )
            ),
            {"big": "e1"},
            {"head": NO_ROOM, "small": BEHIND},
        ),
        id="first in, first out: nothing passes a blocked head",
    ),
    pytest.param(
        Case(
            b.snapshot(b.queue(b.candidate("b", after=0), b.candidate("a", after=0)), nodes=(b.node(cpu=1000),)),
            {"a": "e1"},
            {"b": NO_ROOM},
        ),
        id="same time: by uid",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(b.candidate("low"), name="low", priority=1),
                b.queue(b.candidate("high", after=9), name="high", priority=2),
                nodes=(b.node(cpu=1000),),
            ),
            {"high": "e1"},
            {"low": NO_ROOM},
        ),
        id="priority before arrival",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(b.candidate("y", after=2), name="a", priority=1),
                b.queue(b.candidate("x", after=1), name="b", priority=1),
                nodes=(b.node(cpu=1000),),
            ),
            {"x": "e1"},
            {"y": NO_ROOM},
        ),
        id="queues of one priority share by arrival",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(b.candidate("high", shape=BIG), name="high", priority=2),
                b.queue(b.candidate("low"), name="low", priority=1),
                occupied={"n1": b.resources(2000)},
            ),
            {},
            {"high": NO_ROOM, "low": BEHIND},
        ),
        id="a blocked head has a claim: a queue of lower priority takes nothing",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(b.candidate("first", shape=BIG), name="a", priority=1),
                b.queue(b.candidate("second", after=1), name="b", priority=1),
                occupied={"n1": b.resources(2000)},
            ),
            {},
            {"first": NO_ROOM, "second": BEHIND},
        ),
        id="a blocked head has a claim against its equals too",
    ),
    pytest.param(
        Case(
            two_environments(
                b.queue(b.candidate("high", shape=BIG), name="high", priority=2, environments=("e2",)),
                b.queue(b.candidate("low"), name="low", priority=1, environments=("e2", "e1")),
                large=2999,
            ),
            {"low": "e2"},
            {"high": NEVER},
        ),
        id="what never fits has no claim",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(b.candidate("high", shape=BIG), name="high", priority=2, environments=("e2",)),
                b.queue(b.candidate("low"), name="low", priority=1, environments=("e2", "e1")),
                nodes=(b.node("a", labels={"e": "1"}), b.node("b", labels={"e": "2"})),
                environments=(
                    b.environment("e1", node_selector=(("e", "1"),)),
                    b.environment("e2", node_selector=(("e", "2"),)),
                ),
                occupied={"b": b.resources(2000)},
            ),
            {"low": "e1"},
            {"high": NO_ROOM},
        ),
        id="past a claimed environment to the next",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(b.candidate("high", shape=BIG), name="high", priority=2, environments=("part",)),
                b.queue(b.candidate("low"), name="low", priority=1, environments=("whole",)),
                nodes=(b.node("a", labels={"e": "1"}),),
                environments=(b.environment("part", node_selector=(("e", "1"),)), b.environment("whole")),
                occupied={"a": b.resources(2000)},
            ),
            {},
            {"high": NO_ROOM, "low": BEHIND},
        ),
        id="a claim holds on a node that two environments share",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(b.candidate("high", shape=BIG), name="high", priority=2),
                b.queue(b.candidate("low"), name="low", priority=1),
                nodes=(b.node("large"), b.node("small", cpu=1000)),
                occupied={"large": b.resources(2000)},
            ),
            {"low": "e1"},
            {"high": NO_ROOM},
        ),
        id="a node too small for the head is open to others",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(b.candidate("big", shape=BIG), b.candidate("small", after=1)),
                nodes=(b.node("large", ready=False), b.node("small", cpu=1000)),
            ),
            {"small": "e1"},
            {"big": WaitKind.NODES_AWAY},
        ),
        id="only a node that is not ready is big enough: no misconfiguration, and nobody is held up",
    ),
    pytest.param(
        Case(
            two_environments(
                b.queue(
                    b.candidate("a"), b.candidate("b", after=1), b.candidate("c", after=2), environments=("e1", "e2")
                )
            ),
            {"a": "e1", "b": "e2", "c": "e2"},
            {},
        ),
        id="falls back to the second environment",
    ),
    pytest.param(
        Case(
            two_environments(b.queue(b.candidate("a"), environments=("e2", "e1"))),
            {"a": "e2"},
            {},
        ),
        id="environments in the queue's order",
    ),
    pytest.param(
        Case(
            b.snapshot(b.queue(b.candidate("huge", shape=HUGE), b.candidate("small", after=1))),
            {"small": "e1"},
            {"huge": NEVER},
        ),
        id="what never fits does not block",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(
                    b.candidate("arm", shape=ARM), b.candidate("huge", after=1, shape=HUGE), b.candidate("x", after=2)
                )
            ),
            {"x": "e1"},
            {"arm": WaitKind.UNSUITABLE, "huge": NEVER},
        ),
        id="no suitable node does not block either",
    ),
    pytest.param(
        Case(
            b.snapshot(b.queue(b.candidate("a")), environments=(b.environment(is_open=False),)),
            {},
            {"a": NO_NODES},
        ),
        id="environment disabled",
    ),
    pytest.param(
        Case(b.snapshot(b.queue(b.candidate("a"), environments=("gone",))), {}, {"a": NO_NODES}),
        id="environment missing",
    ),
    pytest.param(
        Case(b.snapshot(b.queue(b.candidate("a"), environments=("gone", "e1"))), {"a": "e1"}, {}),
        id="first environment missing, second serves",
    ),
    pytest.param(
        Case(b.snapshot(b.queue(b.candidate("a")), nodes=(b.node(ready=False),)), {}, {"a": NO_NODES}),
        id="no ready node",
    ),
    pytest.param(
        Case(
            b.snapshot(b.queue(b.candidate("a")), nodes=(b.node(cpu=1000),), held=(b.held(),)),
            {},
            {"a": NO_ROOM},
        ),
        id="what was sent and is not bound holds its room",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(b.candidate("a")),
                nodes=(b.node(cpu=1000),),
                held=(b.held("x", "elsewhere"), b.held("y", of=HUGE)),
            ),
            {"a": "e1"},
            {},
        ),
        id="unbound pods that have no place here hold none",
    ),
]


@pytest.mark.parametrize("case", CASES)
def test_plan(case: Case) -> None:
    decided = plan(case.snapshot)
    assert {start.uid: start.environment for start in decided.starts} == case.want_starts
    assert {uid: wait.kind for uid, wait in decided.waits.items()} == case.want_waits


def test_waits_carry_the_arithmetic_of_every_environment() -> None:
    decided = plan(two_environments(b.queue(b.candidate("a", shape=b.shape(cpu=9000)), environments=("e1", "e2"))))
    shortfalls = decided.waits["a"].shortfalls
    assert [(each.environment, each.missing) for each in shortfalls] == [("e1", {"cpu": 8000}), ("e2", {"cpu": 5000})]


def many(count: int, nodes: int, *, shapes: int, cpu: int = 1000) -> Snapshot:
    """`count` jobs in order of arrival, of `shapes` different shapes, and as many nodes of 16 vCPU."""
    waiting = [
        b.candidate(f"{number:06d}", after=number, shape=b.shape(cpu=cpu + number % shapes)) for number in range(count)
    ]
    return b.snapshot(
        b.queue(*waiting), nodes=[b.node(f"n{n:04d}", cpu=16000, memory=64 * b.GIB) for n in range(nodes)]
    )


def timed(snapshot: Snapshot) -> tuple[Plan, float]:
    began = time.process_time()
    decided = plan(snapshot)
    return decided, time.process_time() - began


# Bounds are generous, for a machine that does other things: they catch a plan that has become quadratic.
@pytest.mark.parametrize(
    ("snapshot", "want_starts", "seconds"),
    [
        pytest.param(many(10_000, 500, shapes=1), 8000, 1.0, id="equal jobs"),
        pytest.param(many(10_000, 500, shapes=1, cpu=99_000), 0, 1.0, id="equal jobs that never fit"),
        pytest.param(many(10_000, 500, shapes=100), None, 2.0, id="a hundred shapes"),
        pytest.param(many(10_000, 500, shapes=10_000, cpu=1), None, 5.0, id="all different"),
        pytest.param(many(10_000, 500, shapes=10_000, cpu=20_000), 0, 5.0, id="all different, none fits"),
    ],
)
def test_a_plan_over_ten_thousand_jobs_is_quick(snapshot: Snapshot, want_starts: int | None, seconds: float) -> None:
    decided, took = timed(snapshot)
    print(f"plan over 10,000 jobs and 500 nodes: {took:.3f} s")
    assert len(decided.starts) + len(decided.waits) == 10_000
    if want_starts is not None:
        assert len(decided.starts) == want_starts
    assert took < seconds


@dataclass(frozen=True)
class Several:
    """Candidates that stand for several pods."""

    snapshot: Snapshot
    want_starts: list[tuple[str, str, int]]  # uid, environment, how many
    want_waits: dict[str, WaitKind]


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(Several(b.snapshot(b.queue(b.candidate("a", count=4))), [("a", "e1", 4)], {}), id="all of them"),
        pytest.param(
            Several(b.snapshot(b.queue(b.candidate("a", count=6))), [("a", "e1", 4)], {"a": NO_ROOM}),
            id="as many as have room",
        ),
        pytest.param(
            Several(
                b.snapshot(b.queue(b.candidate("a", count=7)), nodes=(b.node("n1"), b.node("n2", cpu=2500))),
                [("a", "e1", 6)],
                {"a": NO_ROOM},
            ),
            id="over several nodes",
        ),
        pytest.param(
            Several(
                b.snapshot(b.queue(b.candidate("a", count=6), b.candidate("b", after=1, shape=b.shape(cpu=1)))),
                [("a", "e1", 4)],
                {"a": NO_ROOM, "b": BEHIND},
            ),
            id="nothing passes what is left of it",
        ),
        pytest.param(
            Several(
                b.snapshot(
                    b.queue(b.candidate("a", count=6), name="high", priority=1),
                    b.queue(b.candidate("b", shape=b.shape(cpu=1)), name="low"),
                    nodes=(b.node(cpu=4500),),
                ),
                [("a", "e1", 4)],
                {"a": NO_ROOM, "b": BEHIND},
            ),
            id="what is left of it keeps the node from a lower queue",
        ),
        pytest.param(
            Several(
                two_environments(b.queue(b.candidate("a", count=3), environments=("e1", "e2"))),
                [("a", "e1", 1)],
                {"a": NO_ROOM},
            ),
            id="together, where the first of them are",
        ),
        pytest.param(
            Several(
                two_environments(b.queue(b.candidate("a", count=3), environments=("e1", "e2")), small=500),
                [("a", "e2", 3)],
                {},
            ),
            id="the first environment with room",
        ),
        pytest.param(
            Several(
                two_environments(b.queue(b.candidate("a", count=3, environment="e1"), environments=("e2", "e1"))),
                [("a", "e1", 1)],
                {"a": NO_ROOM},
            ),
            id="an array under way stays where it is",
        ),
        pytest.param(
            Several(
                two_environments(
                    b.queue(
                        b.candidate("a", count=2, environment="e1", shape=BIG),
                        b.candidate("b", after=1, shape=BIG),
                        environments=("e1", "e2"),
                    )
                ),
                [("b", "e2", 1)],
                {"a": NEVER},
            ),
            id="what cannot start where it is does not stop others elsewhere",
        ),
        pytest.param(
            Several(
                b.snapshot(
                    b.queue(b.candidate("a", count=9)),
                    held=(b.held(count=3),),
                    nodes=(b.node(cpu=5000),),
                ),
                [("a", "e1", 2)],
                {"a": NO_ROOM},
            ),
            id="what was sent holds room for each",
        ),
        pytest.param(
            Several(
                b.snapshot(
                    b.queue(b.candidate("a", count=2), name="one"),
                    b.queue(b.candidate("b", count=9, after=1), name="two"),
                ),
                [("a", "e1", 2), ("b", "e1", 2)],
                {"b": NO_ROOM},
            ),
            id="the next one gets what is left",
        ),
    ],
)
def test_several_pods_of_one_candidate(case: Several) -> None:
    decided = plan(case.snapshot)
    assert [(start.uid, start.environment, start.count) for start in decided.starts] == case.want_starts
    assert {uid: wait.kind for uid, wait in decided.waits.items()} == case.want_waits
