"""A pass over multi-node jobs: each starts whole or not at all, within what machines have, and none waits for ever."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

import builders as b
from batchwright.domain.observations import Node
from batchwright.domain.quantities import add
from batchwright.scheduling.cycle import plan
from batchwright.scheduling.gang import reserved
from batchwright.scheduling.snapshot import Candidate, Gang, Held, Snapshot, Start, Topology

SHAPES = [b.shape(cpu=cpu) for cpu in (500, 1000, 2000)]
ZONES = ["", "x", "y"]


@dataclass(frozen=True)
class World:
    nodes: tuple[Node, ...]
    jobs: tuple[Candidate, ...]


@st.composite
def gangs(draw: st.DrawFn) -> Gang:
    parts = draw(st.lists(st.tuples(st.sampled_from(SHAPES), st.integers(1, 4)), min_size=1, max_size=3))
    levels = draw(st.lists(st.sampled_from(["zone", "rack"]), unique=True, max_size=2))
    topology = tuple(Topology(key, draw(st.booleans())) for key in levels)
    return Gang(tuple(parts), draw(st.integers(1, 3)), topology)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    nodes = tuple(
        b.node(
            f"n{number}",
            cpu=1000 * draw(st.integers(1, 4)),
            labels={"zone": draw(st.sampled_from(ZONES)), "rack": draw(st.sampled_from(ZONES))},
        )
        for number in range(draw(st.integers(1, 6)))
    )
    jobs = []
    for number in range(draw(st.integers(1, 5))):
        if draw(st.integers(0, 3)):
            of = draw(gangs())
            jobs.append(b.candidate(f"g{number}", after=number, shape=of.total, gang=of))
        else:
            jobs.append(b.candidate(f"s{number}", after=number, shape=draw(st.sampled_from(SHAPES))))
    return World(nodes, tuple(jobs))


def places(start: Start, job: Candidate) -> list[tuple[str, tuple[tuple[str, int], ...]]]:
    """The machine and the request of each pod of what starts."""
    if job.gang is None:
        return [(start.node, job.shape.resources)]
    return [(machine, shape.resources) for machine, shape, _ in reserved(start.machines, job.gang)]


def taken(found: list[tuple[str, tuple[tuple[str, int], ...]]]) -> dict[str, dict[str, int]]:
    """What these take of each machine."""
    amounts: dict[str, dict[str, int]] = {}
    for machine, resources in found:
        amounts[machine] = add(amounts.get(machine, {}), dict(resources))
    return amounts


def snapshot(world: World, waiting: list[Candidate], held: list[Held]) -> Snapshot:
    occupied: dict[str, dict[str, int]] = {}
    for each in held:
        for machine, amounts in each.amounts:
            occupied[machine] = add(occupied.get(machine, {}), dict(amounts))
    return b.snapshot(b.queue(*waiting), nodes=world.nodes, held=held, occupied=occupied)


def holding(start: Start, job: Candidate) -> Held:
    amounts = tuple((machine, tuple(sorted(of.items()))) for machine, of in sorted(taken(places(start, job)).items()))
    nodes = tuple((machine, 1) for machine, _ in amounts)
    return b.held(start.uid, of=job.shape, count=1, unbound=0, nodes=nodes, amounts=amounts)


def check(world: World, jobs: dict[str, Candidate], starts: tuple[Start, ...], held: list[Held]) -> None:
    free = {node.name: dict(node.allocatable) for node in world.nodes}
    labels = {node.name: node.labels for node in world.nodes}
    for each in held:
        for machine, amounts in each.amounts:
            free[machine] = {name: free[machine][name] - dict(amounts).get(name, 0) for name in free[machine]}
    for start in starts:
        job = jobs[start.uid]
        for machine, amounts in taken(places(start, job)).items():
            for name, amount in amounts.items():
                free[machine][name] -= amount
                assert free[machine][name] >= 0, "no machine over its room"
        gang = job.gang
        if gang is None:
            continue
        assert len(start.machines) == gang.size, "whole or not at all"
        assert max(Counter(start.machines).values()) <= gang.per_node
        for level in gang.topology:
            values = {labels[machine].get(level.key, "") for machine in start.machines}
            assert not level.is_required or (len(values) == 1 and "" not in values)


@given(worlds())
def test_each_starts_whole_and_within_what_there_is(world: World) -> None:
    jobs = {job.uid: job for job in world.jobs}
    check(world, jobs, plan(snapshot(world, list(world.jobs), [])).starts, [])


@given(worlds(), st.randoms(use_true_random=False))
def test_what_would_start_alone_starts_in_the_end(world: World, random: object) -> None:
    """Whatever runs ends, in any order; nobody waits for ever, and two that need everything take turns."""
    jobs = {job.uid: job for job in world.jobs}
    able = {uid for uid, job in jobs.items() if plan(snapshot(world, [job], [])).starts}
    waiting, held, begun = dict(jobs), list[Held](), set[str]()
    for _ in range(4 * len(jobs) + 4):
        decided = plan(snapshot(world, list(waiting.values()), held))
        check(world, jobs, decided.starts, held)
        for start in decided.starts:
            held.append(holding(start, jobs[start.uid]))
            begun.add(start.uid)
            del waiting[start.uid]
        if held:
            held.pop(random.randrange(len(held)))  # type: ignore[attr-defined]
    assert begun == able


@given(worlds())
def test_the_first_that_fits_an_empty_cluster_is_never_overtaken_for_good(world: World) -> None:
    """The head keeps its claim: with it alone in front, what ends is not given to those behind it."""
    first, *rest = world.jobs
    if first.gang is None or not plan(snapshot(world, [first], [])).starts:
        return
    other = replace(first, uid="before", gang=first.gang)
    [start] = plan(snapshot(world, [other], [])).starts
    held = [holding(start, other)]
    decided = plan(snapshot(world, [first, *rest], held))
    if first.uid in {each.uid for each in decided.starts}:
        return
    assert decided.heads == {"normal": first.uid}
    # Once what is in its way has gone, it starts, whoever else had come meanwhile.
    later = [holding(each, next(job for job in rest if job.uid == each.uid)) for each in decided.starts]
    assert first.uid in {each.uid for each in plan(snapshot(world, [first], later)).starts}
