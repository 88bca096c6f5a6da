"""Invariants of a pass of the scheduler over snapshots of any kind."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

import builders as b
from batchwright.domain.quantities import add
from batchwright.scheduling.cycle import plan
from batchwright.scheduling.explain import explain
from batchwright.scheduling.snapshot import Queue, Shape, Snapshot, Unbound, WaitKind
from property import reference

ZONES = st.sampled_from(["a", "b", "c"])
TAINTS = st.sampled_from([(), (), (b.taint(),), (b.taint(effect="PreferNoSchedule"),)])
TOLERATIONS = st.sampled_from([(), (), (b.toleration(),)])
SELECTORS = st.sampled_from([(), (), (("zone", "a"),), (("zone", "b"),)])
NAMES = ("e1", "e2", "e3")


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    asked = b.resources(draw(st.integers(0, 6)) * 500, draw(st.integers(0, 6)) * b.GIB, 1)
    if draw(st.integers(0, 5)) == 0:
        asked["nvidia.com/gpu"] = draw(st.integers(0, 2))
    return Shape(tuple(sorted(asked.items())), draw(SELECTORS), draw(TOLERATIONS))


@st.composite
def snapshots(draw: st.DrawFn, *, arrays: bool = False) -> Snapshot:
    """With `arrays`, some candidates stand for several pods, and some of those are bound to one environment."""
    counts = st.sampled_from([1, 1, 2, 3, 7]) if arrays else st.just(1)
    fixed = st.none() | st.sampled_from(NAMES) if arrays else st.none()
    nodes = [
        b.node(
            f"n{number}",
            labels={"zone": draw(ZONES)},
            taints=draw(TAINTS),
            allocatable=b.resources(
                draw(st.integers(0, 8)) * 500, draw(st.integers(0, 8)) * b.GIB, draw(st.integers(0, 5))
            ),
            ready=draw(st.integers(0, 6)) > 0,
            schedulable=draw(st.integers(0, 6)) > 0,
        )
        for number in range(draw(st.integers(0, 5)))
    ]
    occupied = {
        node.name: b.resources(draw(st.integers(0, 5)) * 500, draw(st.integers(0, 5)) * b.GIB, draw(st.integers(0, 3)))
        for node in nodes
        if draw(st.booleans())
    }
    environments = {
        name: b.environment(
            name,
            is_open=draw(st.integers(0, 6)) > 0,
            node_selector=draw(SELECTORS),
            tolerations=draw(TOLERATIONS),
        )
        for name in NAMES
        if draw(st.integers(0, 6)) > 0
    }
    few = draw(st.lists(shapes(), min_size=1, max_size=4))
    queues: list[Queue] = []
    for number in range(draw(st.integers(0, 3))):
        count = draw(st.integers(0, 6))
        waiting = [
            b.candidate(
                f"{number}-{each}",
                after=draw(st.integers(0, 4)),
                shape=draw(st.sampled_from(few)),
                count=draw(counts),
                environment=draw(fixed),
            )
            for each in range(count)
        ]
        order = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
        queues.append(b.queue(*waiting, name=f"q{number}", priority=draw(st.integers(0, 2)), environments=order))
    unbound = draw(st.lists(st.builds(Unbound, st.sampled_from(NAMES), st.sampled_from(few), counts), max_size=3))
    return Snapshot(tuple(nodes), occupied, environments, tuple(queues), tuple(unbound))


@given(snapshots())
def test_each_job_starts_or_waits_exactly_once(snapshot: Snapshot) -> None:
    decided = plan(snapshot)
    jobs = [candidate.uid for queue in snapshot.queues for candidate in queue.waiting]
    told = [start.uid for start in decided.starts] + list(decided.waits)
    assert Counter(told) == Counter(jobs)


@given(snapshots())
def test_no_node_is_over_what_it_has_left(snapshot: Snapshot) -> None:
    nodes = {node.name: node for node in snapshot.nodes}
    candidates = {each.uid: (queue, each) for queue in snapshot.queues for each in queue.waiting}
    taken = {name: dict(resources) for name, resources in snapshot.occupied.items()}
    touched = set()
    for start in plan(snapshot).starts:
        queue, candidate = candidates[start.uid]
        assert start.environment in queue.environments
        assert snapshot.environments[start.environment].is_open
        assert reference.suits(snapshot, start.environment, nodes[start.node], candidate.shape)
        taken[start.node] = add(taken.get(start.node, {}), dict(candidate.shape.resources))
        touched |= {(start.node, name) for name, amount in candidate.shape.resources if amount > 0}
    for node, name in touched:
        assert taken[node][name] <= nodes[node].allocatable.get(name, 0)


@given(snapshots() | snapshots(arrays=True))
def test_a_slow_and_obvious_scheduler_starts_the_same(snapshot: Snapshot) -> None:
    found = [(each.uid, each.environment, each.node, each.count) for each in plan(snapshot).starts]
    assert found == reference.starts(snapshot)


@given(snapshots(arrays=True))
def test_of_an_array_as_many_start_as_have_room_and_the_rest_waits(snapshot: Snapshot) -> None:
    decided = plan(snapshot)
    candidates = {each.uid: (queue, each) for queue in snapshot.queues for each in queue.waiting}
    started = {start.uid: start for start in decided.starts}
    assert len(started) == len(decided.starts)
    for uid, (queue, candidate) in candidates.items():
        start = started.get(uid)
        assert (uid in decided.waits) == (start is None or start.count < candidate.count)
        if start is not None:
            assert 1 <= start.count <= candidate.count
            assert start.environment in reference.open_environments(snapshot, queue, candidate)
            assert uid not in decided.waits or decided.waits[uid].kind in (WaitKind.NO_ROOM, WaitKind.BEHIND)


@given(snapshots() | snapshots(arrays=True))
def test_nothing_that_could_fit_is_overtaken_in_its_queue(snapshot: Snapshot) -> None:
    decided = plan(snapshot)
    started = {start.uid: start.count for start in decided.starts}
    for queue in snapshot.queues:
        blocked = False
        for candidate in queue.waiting:
            usable = reference.open_environments(snapshot, queue, candidate)
            assert not (blocked and candidate.uid in started)
            fits = any(reference.could_fit(snapshot, name, candidate.shape) for name in usable)
            blocked = blocked or (fits and started.get(candidate.uid, 0) < candidate.count)


@given(snapshots())
def test_a_claim_keeps_queues_of_lower_or_equal_priority_away(snapshot: Snapshot) -> None:
    decided = plan(snapshot)
    where = {start.uid: start.node for start in decided.starts}
    claimed: set[str] = set()
    blocked: set[str] = set()
    for queue, candidate in reference.in_order(snapshot.queues):
        if candidate.uid in where:
            assert where[candidate.uid] not in claimed
        elif queue.name not in blocked:
            usable = [n for n in queue.environments if n in snapshot.environments and snapshot.environments[n].is_open]
            possible = reference.possible_nodes(snapshot, usable, candidate.shape)
            claimed |= possible
            blocked |= {queue.name} if possible else set()


@given(snapshots(arrays=True), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(snapshot: Snapshot, random: object) -> None:
    shuffled = replace(
        snapshot,
        nodes=_shuffled(snapshot.nodes, random),
        queues=_shuffled(snapshot.queues, random),
        unbound=_shuffled(snapshot.unbound, random),
        environments=dict(_shuffled(tuple(snapshot.environments.items()), random)),
    )
    assert plan(shuffled) == plan(snapshot)


def _shuffled(things: tuple, random: object) -> tuple:  # type: ignore[type-arg]
    return tuple(random.sample(things, len(things)))  # type: ignore[attr-defined]


@given(snapshots() | snapshots(arrays=True))
def test_every_wait_says_why_and_the_arithmetic_is_right(snapshot: Snapshot) -> None:
    candidates = {each.uid: (queue, each) for queue in snapshot.queues for each in queue.waiting}
    for uid, wait in plan(snapshot).waits.items():
        queue, candidate = candidates[uid]
        assert queue.name in explain(wait, candidate.shape, queue.name) or wait.kind is WaitKind.NEVER_FITS
        asked = dict(candidate.shape.resources)
        for shortfall in wait.shortfalls:
            best = shortfall.best or {}
            for name, amount in shortfall.missing.items():
                assert best.get(name, 0) + amount == asked[name]
            if shortfall.best is not None:
                rest = set(asked) - set(shortfall.missing)
                assert all(asked[name] <= 0 or best.get(name, 0) >= asked[name] for name in rest)


@given(snapshots())
def test_starting_what_was_planned_leaves_nothing_to_start(snapshot: Snapshot) -> None:
    """A second pass, with the first one's starts bound, starts nobody that the first one made wait."""
    decided = plan(snapshot)
    shape_of = {each.uid: each.shape for queue in snapshot.queues for each in queue.waiting}
    occupied = {name: dict(resources) for name, resources in snapshot.occupied.items()}
    for start in decided.starts:
        occupied[start.node] = add(occupied.get(start.node, {}), dict(shape_of[start.uid].resources))
    left = tuple(
        replace(queue, waiting=tuple(each for each in queue.waiting if each.uid in decided.waits))
        for queue in snapshot.queues
    )
    if not snapshot.unbound:
        assert plan(replace(snapshot, occupied=occupied, queues=left)).starts == ()
