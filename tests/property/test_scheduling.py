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
from batchwright.scheduling.quota import QuotaShare
from batchwright.scheduling.snapshot import Candidate, Held, Plan, Queue, Snapshot, WaitKind
from batchwright.scheduling.state import State
from property import reference
from property.schedules import snapshots

ANY = snapshots() | snapshots(arrays=True) | snapshots(arrays=True, policies=True)


def by_uid(snapshot: Snapshot) -> dict[str, tuple[Queue, Candidate]]:
    return {each.uid: (queue, each) for queue in snapshot.queues for each in queue.waiting}


@given(ANY)
def test_each_job_starts_in_full_or_waits(snapshot: Snapshot) -> None:
    decided = plan(snapshot)
    started = Counter({start.uid: start.count for start in decided.starts})
    assert len(started) == len(decided.starts)
    want = {each.uid for _, each in by_uid(snapshot).values() if started[each.uid] < each.count}
    assert set(decided.waits) == want
    assert len(decided.waits) == len(want)
    assert all(0 < started[start.uid] <= by_uid(snapshot)[start.uid][1].count for start in decided.starts)


@given(snapshots() | snapshots(policies=True))
def test_no_node_is_over_what_it_has_left(snapshot: Snapshot) -> None:
    nodes = {node.name: node for node in snapshot.nodes}
    candidates = by_uid(snapshot)
    taken = {name: dict(resources) for name, resources in snapshot.occupied.items()}
    touched = set()
    for start in plan(snapshot).starts:
        queue, candidate = candidates[start.uid]
        assert start.environment in reference.open_environments(snapshot, queue, candidate)
        assert reference.suits(snapshot, start.environment, nodes[start.node], candidate.shape)
        taken[start.node] = add(taken.get(start.node, {}), dict(candidate.shape.resources))
        touched |= {(start.node, name) for name, amount in candidate.shape.resources if amount > 0}
    for node, name in touched:
        assert taken[node][name] <= nodes[node].allocatable.get(name, 0)


@given(snapshots(arrays=True, policies=True))
def test_nothing_is_over_its_limit(snapshot: Snapshot) -> None:
    """maxvCpus, maxConcurrency and consumable resources."""
    vcpus: Counter[str] = Counter()
    running: Counter[str] = Counter()
    counted: Counter[str] = Counter()
    for held in snapshot.held:
        vcpus[held.environment] += held.count * reference.cpu(held.shape)
        running[held.queue] += held.count
        for name, quantity in held.consumables:
            counted[name] += quantity * held.count
    for start in plan(snapshot).starts:
        queue, candidate = by_uid(snapshot)[start.uid]
        cpu = start.count * reference.cpu(candidate.shape)
        vcpus[start.environment] += cpu
        running[queue.name] += start.count
        limit = snapshot.environments[start.environment].max_vcpus
        assert limit is None or not cpu or vcpus[start.environment] <= limit
        assert queue.max_running is None or running[queue.name] <= queue.max_running
        for name, quantity in candidate.consumables:
            counted[name] += quantity * start.count
            assert counted[name] <= snapshot.consumables.get(name, 0)


@given(snapshots(arrays=True, policies=True))
def test_no_quota_share_starts_beyond_its_ceiling_or_what_the_others_lend(snapshot: Snapshot) -> None:
    decided = plan(snapshot)
    started = {start.uid: start.count for start in decided.starts}
    for queue in snapshot.queues:
        held: Counter[str] = Counter()
        new: Counter[str] = Counter()
        for each in snapshot.held:
            if each.queue == queue.name:
                held[each.share] += each.count * reference.cpu(each.shape)
        for candidate in queue.waiting:
            new[candidate.share] += started.get(candidate.uid, 0) * reference.cpu(candidate.shape)
            assert not queue.quota_shares or candidate.share in ("x", "y") or candidate.uid not in started
        pool = sum(lent(share) for share in queue.quota_shares)
        pooled = sum(max(0, held[s.name] + new[s.name] - limit(s) + lent(s)) for s in queue.quota_shares)
        for share in queue.quota_shares:
            if not new[share.name]:
                continue
            used = held[share.name] + new[share.name]
            borrows = share.strategy == "LEND_AND_BORROW"
            if not borrows or share.borrow_percent >= 0:
                assert used <= limit(share) + (limit(share) * share.borrow_percent // 100 if borrows else 0)
            assert used <= limit(share) - lent(share) or pooled <= pool


def limit(share: QuotaShare) -> int:
    return dict(share.limits)["cpu"]


def lent(share: QuotaShare) -> int:
    return 0 if share.strategy == "RESERVE" else limit(share) * share.lend_percent // 100


@given(snapshots() | snapshots(arrays=True) | snapshots(arrays=True, policies=True, preemption=False))
def test_a_slow_and_obvious_scheduler_does_the_same(snapshot: Snapshot) -> None:
    state = State.of(snapshot)
    decided = plan(state, snapshot.now)
    want = reference.scheduled(snapshot)
    assert {each.uid: (each.environment, each.node, each.count) for each in decided.starts} == want.starts
    assert decided.heads == want.heads
    assert state.reservations == want.reserved


@given(snapshots() | snapshots(arrays=True))
def test_a_claim_keeps_queues_of_lower_or_equal_priority_away(snapshot: Snapshot) -> None:
    """Where no end is known, what the first that waits could run on is for nobody behind it."""
    decided = plan(snapshot)
    where = {start.uid: start for start in decided.starts}
    claimed: set[str] = set()
    blocked: set[str] = set()
    pairs = [(queue, candidate) for queue in snapshot.queues for candidate in queue.waiting]
    for queue, candidate in sorted(pairs, key=lambda pair: (-pair[0].priority, pair[1].arrival)):
        start = where.get(candidate.uid)
        if start is not None:
            assert start.node not in claimed
        if (start is None or start.count < candidate.count) and queue.name not in blocked:
            usable = reference.open_environments(snapshot, queue, candidate) if start is None else [start.environment]
            possible = reference.possible_nodes(snapshot, usable, candidate.shape)
            claimed |= possible
            blocked |= {queue.name} if possible else set()


@given(snapshots(arrays=True, policies=True), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(snapshot: Snapshot, random: object) -> None:
    shuffled = replace(
        snapshot,
        nodes=_shuffled(snapshot.nodes, random),
        queues=tuple(
            replace(queue, waiting=_shuffled(queue.waiting, random)) for queue in _shuffled(snapshot.queues, random)
        ),
        held=_shuffled(snapshot.held, random),
        environments=dict(_shuffled(tuple(snapshot.environments.items()), random)),
    )
    assert plan(shuffled) == plan(snapshot)
    assert plan(snapshot) == plan(snapshot)


def _shuffled(things: tuple, random: object) -> tuple:  # type: ignore[type-arg]
    return tuple(random.sample(things, len(things)))  # type: ignore[attr-defined]


@given(ANY)
def test_every_wait_says_why_and_the_arithmetic_is_right(snapshot: Snapshot) -> None:
    candidates = by_uid(snapshot)
    for uid, wait in plan(snapshot).waits.items():
        queue, candidate = candidates[uid]
        assert explain(wait, candidate.shape, queue.name)
        asked = dict(candidate.shape.resources)
        if wait.kind in (WaitKind.QUEUE_FULL, WaitKind.CONSUMABLE, WaitKind.QUOTA, WaitKind.RESERVED):
            assert wait.detail
        for shortfall in wait.shortfalls:
            best = shortfall.best or {}
            for name, amount in shortfall.missing.items():
                assert best.get(name, 0) + amount == asked[name]
            if shortfall.best is not None:
                rest = set(asked) - set(shortfall.missing)
                assert all(asked[name] <= 0 or best.get(name, 0) >= asked[name] for name in rest)


@given(snapshots(arrays=True, policies=True))
def test_nothing_is_preempted_twice_or_for_somebody_who_has_no_right_to_it(snapshot: Snapshot) -> None:
    decided = plan(snapshot)
    held = {each.uid: each for each in snapshot.held}
    taken: Counter[str] = Counter()
    for each in decided.preempts:
        taken[each.uid] += each.count
        victim, (queue, candidate) = held[each.uid], by_uid(snapshot)[each.by]
        assert each.count > 0
        assert each.by in decided.waits
        priorities = {known.name: known.priority for known in snapshot.queues}
        if queue.quota_shares and victim.queue == queue.name:
            assert victim.share != candidate.share or victim.priority < candidate.priority
        else:
            assert queue.preempts
            assert priorities.get(victim.queue, 0) < queue.priority
    for uid, count in taken.items():
        assert count <= held[uid].count


@given(snapshots() | snapshots(policies=True))
def test_starting_what_was_planned_leaves_nothing_to_start(snapshot: Snapshot) -> None:
    """A second pass, with the first one's starts bound, starts nobody that the first one made wait."""
    if any(held.unbound for held in snapshot.held) or any(queue.quota_shares for queue in snapshot.queues):
        return
    decided = plan(snapshot)
    assert plan(_carried_out(snapshot, decided)).starts == ()


def _carried_out(snapshot: Snapshot, decided: Plan) -> Snapshot:
    """The snapshot when what was planned is bound where the pass counted it, and nothing else has happened."""
    occupied = {name: dict(resources) for name, resources in snapshot.occupied.items()}
    held = list(snapshot.held)
    for start in decided.starts:
        queue, candidate = by_uid(snapshot)[start.uid]
        occupied[start.node] = add(occupied.get(start.node, {}), dict(candidate.shape.resources))
        held.append(_held(start.uid, start.environment, start.node, queue, candidate))
    left = tuple(
        replace(queue, waiting=tuple(each for each in queue.waiting if each.uid in decided.waits))
        for queue in snapshot.queues
    )
    return replace(snapshot, occupied=occupied, queues=left, held=tuple(held))


def _held(uid: str, environment: str, node: str, queue: Queue, candidate: Candidate) -> Held:
    return b.running(
        uid,
        node,
        candidate.shape,
        environment=environment,
        queue=queue.name,
        share=candidate.share,
        consumables=candidate.consumables,
    )
