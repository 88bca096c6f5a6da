"""Growth, whatever waits: nothing is asked for twice, nothing that nobody needs, and it comes to an end.

The scheduler's demand and what is launched for it are played against each other until nothing more is asked for.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

import builders as b
from batchwright.capacity.launching import Choice, plan_launches
from batchwright.capacity.port import InstanceType, Kind
from batchwright.domain.observations import Node
from batchwright.scheduling.cycle import plan
from batchwright.scheduling.offers import room_for
from batchwright.scheduling.snapshot import Candidate, Growth, Offer

ENVIRONMENT = b.environment("e1")
AMPLE = 10**9


@st.composite
def choices(draw: st.DrawFn) -> list[Choice]:
    """Kinds of node of several sizes, of which a tenth is kept back."""
    sizes = draw(st.lists(st.sampled_from([1, 2, 4, 8, 16, 32]), min_size=1, max_size=4, unique=True))
    gib = draw(st.sampled_from([2, 4, 8]))
    return [
        Choice(
            Kind(InstanceType(f"t.{size}", 1000 * size, size * gib * b.GIB), "a", "ON_DEMAND"),
            b.node(f"t.{size}/a", cpu=900 * size, memory=size * gib * b.GIB * 9 // 10, pods=50),
        )
        for size in sizes
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
