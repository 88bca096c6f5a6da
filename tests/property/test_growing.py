"""Growth, whatever waits: nothing is asked for twice, nothing that nobody needs, and it comes to an end.

The scheduler's demand and what is launched for it are played against each other until nothing more is asked for.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

import builders as b
from batchwright.capacity.launching import Choice, plan_launches
from batchwright.capacity.port import InstanceType, Kind
from batchwright.domain.observations import Node
from batchwright.scheduling.cycle import plan
from batchwright.scheduling.offers import room_for
from batchwright.scheduling.snapshot import Candidate, Gang, Growth, Offer, Plan

ENVIRONMENT = b.environment("e1")
AMPLE = 10**9


def kinds_of(sizes: list[int], gib: int) -> list[Choice]:
    """Kinds of node of so many vCPUs, and so many GiB for each of them, of which a tenth is kept back."""
    return [
        Choice(
            Kind(InstanceType(f"t.{size}", 1000 * size, size * gib * b.GIB), "a", "ON_DEMAND"),
            b.node(f"t.{size}/a", cpu=900 * size, memory=size * gib * b.GIB * 9 // 10, pods=50),
        )
        for size in sizes
    ]


@st.composite
def choices(draw: st.DrawFn) -> list[Choice]:
    """Kinds of node of several sizes, of which the larger has more of everything."""
    sizes = draw(st.lists(st.sampled_from([1, 2, 4, 8, 16, 32]), min_size=1, max_size=4, unique=True))
    return kinds_of(sizes, draw(st.sampled_from([2, 4, 8])))


# The small one comes first, and has the large node if it is given any that does.
SMALL_THEN_LARGE = [
    b.candidate(f"j{number}", after=number, shape=b.shape(cpu=cpu, memory=256 << 20))
    for number, cpu in enumerate([250, 7000])
]


@st.composite
def candidates(draw: st.DrawFn) -> list[Candidate]:
    """Jobs and arrays of a few shapes, one after the other."""
    shapes = draw(
        st.lists(
            st.builds(
                lambda cpu, memory: b.shape(cpu=cpu, memory=memory << 20),
                st.integers(1, 30).map(lambda n: 250 * n),
                st.integers(1, 64).map(lambda n: 256 * n),
            ),
            min_size=1,
            max_size=4,
        )
    )
    counts = draw(st.lists(st.tuples(st.integers(0, len(shapes) - 1), st.integers(1, 60)), max_size=8))
    return [
        b.candidate(f"j{number}", after=number, shape=shapes[shape], count=count)
        for number, (shape, count) in enumerate(counts)
    ]


def growth_of(known: list[Choice], coming: list[tuple[Node, int]], most: int, spent: int, version: int) -> Growth:
    offers = tuple(Offer(each.node, each.kind.type.vcpus) for each in known)
    return Growth(most, most - spent, offers, coming=tuple(coming), version=version)


@settings(max_examples=150, deadline=None)
@given(candidates(), choices(), st.sampled_from([AMPLE, 64_000, 7_000, 0]))
@example(SMALL_THEN_LARGE, kinds_of([1, 2, 8], 2), AMPLE)
def test_demand_and_launches_come_to_an_end(waiting: list[Candidate], known: list[Choice], most: int) -> None:
    nodes = {each.kind.key: each.node for each in known}
    coming: list[tuple[Node, int]] = []
    spent = made = 0
    pods = sum(each.count for each in waiting if any(room_for(c.node.allocatable, each.shape) for c in known))
    biggest = max(each.kind.type.vcpus for each in known)
    for version in range(pods + 2):
        growth = growth_of(known, coming, most, spent, version)
        found = plan(b.snapshot(b.queue(*waiting), environments=(ENVIRONMENT,), growth={"e1": growth}))
        assert {each.version for each in found.demand} <= {version}
        assert sum(each.count for each in found.demand) <= pods, "more is asked for than waits"
        asked = [(each.shape, each.count) for each in found.demand]
        batches = plan_launches(asked, known, ENVIRONMENT, "BEST_FIT_PROGRESSIVE", most - spent)
        if not batches:
            assert not found.demand or spent >= most, "what could be served is not"
            break
        for batch in batches:
            coming.append((nodes[batch.kinds[0].key], batch.count))
            spent += batch.count * batch.kinds[0].type.vcpus
            made += batch.count
    else:
        raise AssertionError("it does not come to an end")
    assert made <= pods, "more nodes than pods"
    assert spent <= most + (biggest if pods else 0), "beyond maxvCpus by more than an instance"


@st.composite
def gangs(draw: st.DrawFn) -> list[Candidate]:
    """Multi-node jobs, of one or two sizes of nodes; or one job some nodes of which share a machine, which with several
    jobs may be one of both, and then another is asked for."""
    part = st.tuples(st.integers(1, 30).map(lambda n: b.shape(cpu=250 * n)), st.integers(1, 6))
    found = draw(st.lists(st.tuples(st.lists(part, min_size=1, max_size=2), st.integers(1, 3)), min_size=1, max_size=4))
    of = [Gang(tuple(parts), per_node if len(found) == 1 else 1) for parts, per_node in found]
    return [b.candidate(f"g{n}", after=n, shape=each.total, gang=each) for n, each in enumerate(of)]


@settings(max_examples=200, deadline=None)
@given(gangs(), choices(), st.data(), st.integers(0, 100_000))
def test_machines_for_all_nodes_of_a_job_or_for_none(
    waiting: list[Candidate], known: list[Choice], data: st.DataObject, most: int
) -> None:
    """Whatever the kinds cost, and whichever of them are to be had."""
    prices = st.sampled_from([0.01, 0.1, 1.0])
    known = [replace(each, kind=replace(each.kind, price=data.draw(prices))) for each in known]
    nodes = {each.kind.key: each.node for each in known}
    environment = b.environment("e1")

    def decided(coming: list[tuple[Node, int]], spent: int, version: int) -> Plan:
        growth = growth_of(known, coming, most, spent, version)
        return plan(b.snapshot(b.queue(*waiting), environments=(environment,), growth={"e1": growth}))

    first = decided([], 0, 0)
    asked = [(each.shape, each.count) for each in first.demand]
    coming: list[tuple[Node, int]] = []
    spent = 0
    for batch in plan_launches(asked, known, environment, "SPOT_PRICE_CAPACITY_OPTIMIZED", most):
        chosen = data.draw(st.sampled_from(batch.kinds))
        coming.append((nodes[chosen.key], batch.count))
        spent += batch.count * chosen.type.vcpus
    assert bool(coming) == bool(asked)
    assert spent <= most + max(each.kind.type.vcpus for each in known)
    again = decided(coming, spent, 1)
    assert again.demand == (), "what was launched is not enough for those that it was for"
    assert not coming or again.expecting, "what was launched is kept for nobody"


@settings(max_examples=100, deadline=None)
@given(candidates(), choices())
def test_what_comes_is_counted_whoever_launched_it(waiting: list[Candidate], known: list[Choice]) -> None:
    """Nodes for all that waits are on their way: nothing is asked for."""
    pods = sum(each.count for each in waiting)
    coming = [(known[-1].node, pods)] if pods else []
    fits = [each for each in waiting if room_for(known[-1].node.allocatable, each.shape)]
    growth = growth_of(known, coming, AMPLE, 0, 1)
    found = plan(b.snapshot(b.queue(*fits), environments=(ENVIRONMENT,), growth={"e1": growth}))
    assert found.demand == ()
