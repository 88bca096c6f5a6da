"""What is launched for what waits: tables, and what must hold whatever waits."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import builders as b
from batchwright.api.v1alpha1.computeresources import AllocationStrategy
from batchwright.capacity.launching import Choice, plan_floor, plan_launches
from batchwright.capacity.port import Kind
from batchwright.scheduling.offers import room_for
from batchwright.scheduling.snapshot import Shape, Toleration
from capacityparts import choices, kind

LARGE, XLARGE, DOUBLE = kind("m5.large", 2, 8), kind(), kind("m5.2xlarge", 8, 32)
MEMORY = kind("r5.xlarge", 4, 32)
ARM = kind("m6g.xlarge", 4, 16, architecture="arm64")
GPU = kind("g4dn.xlarge", 4, 16, gpus=1)
ENVIRONMENT = b.environment(
    tolerations=(Toleration("batchwright.io/compute-environment", "Equal", "env"),), node_selector=()
)
ONE, BIG = b.shape(cpu=1000), b.shape(cpu=3500)
HUNGRY = b.shape(cpu=1000, memory=24 * b.GIB)
ON_ARM = b.shape(node_selector=(("kubernetes.io/arch", "arm64"),))
IN_B = b.shape(node_selector=(("topology.kubernetes.io/zone", "b"),))
NODE, BIG_NODE, PAIR = b.shape(apart=1), b.shape(cpu=3500, apart=1), b.shape(apart=2)
# The price of Spot: twice as much of it costs less.
CHEAP = kind("m5.cheap", 8, 32, price=0.01)


@dataclass(frozen=True)
class Case:
    asked: list[tuple[Shape, int]]
    kinds: list[Kind]
    want: list[tuple[int, str]]  # count, and the type of the preferred kind
    strategy: AllocationStrategy = "BEST_FIT_PROGRESSIVE"
    left: int = 1_000_000
    want_others: list[set[str]] = field(default_factory=list)


CASES = [
    pytest.param(Case([], [LARGE], []), id="nothing waits"),
    pytest.param(Case([(ONE, 1)], [LARGE, XLARGE, DOUBLE], [(1, "m5.large")]), id="one pod: the smallest"),
    pytest.param(Case([(BIG, 3)], [LARGE, XLARGE, DOUBLE], [(3, "m5.xlarge")]), id="by size, with reserves taken off"),
    pytest.param(Case([(b.shape(cpu=3950), 1)], [LARGE, XLARGE, DOUBLE], [(1, "m5.2xlarge")]), id="reserves count"),
    pytest.param(Case([(ONE, 300)], [LARGE, XLARGE, DOUBLE], [(42, "m5.2xlarge"), (2, "m5.xlarge")]), id="full nodes"),
    pytest.param(Case([(HUNGRY, 4)], [XLARGE, MEMORY], [(4, "r5.xlarge")]), id="memory decides"),
    pytest.param(Case([(ON_ARM, 2)], [XLARGE, ARM], [(1, "m6g.xlarge")]), id="architecture"),
    pytest.param(Case([(ONE, 1), (b.shape(cpu=1000, memory=b.GIB), 1)], [XLARGE], [(1, "m5.xlarge")]), id="together"),
    pytest.param(Case([(ONE, 8)], [XLARGE], [(1, "m5.xlarge")], left=1), id="maxvCpus: the last may exceed it"),
    pytest.param(Case([(ONE, 8)], [XLARGE], [], strategy="BEST_FIT", left=3999), id="BEST_FIT never exceeds it"),
    pytest.param(Case([(ONE, 8)], [XLARGE], [], left=0), id="nothing is left"),
    pytest.param(Case([(b.shape(cpu=90_000), 1)], [XLARGE], []), id="nothing is big enough"),
    pytest.param(
        Case([(b.shape(cpu=90_000), 1), (ONE, 1)], [XLARGE], [(1, "m5.xlarge")]), id="what fits nowhere stops nobody"
    ),
    pytest.param(Case([(IN_B, 1)], [LARGE, kind("m5.large", 2, 8, zone="b")], [(1, "m5.large")]), id="zone"),
    pytest.param(
        Case([(ONE, 2)], [DOUBLE, XLARGE], [(1, "m5.2xlarge")], strategy="BEST_FIT_PROGRESSIVE_ORDERED"),
        id="in the order of instanceTypes",
    ),
    pytest.param(
        Case([(ONE, 1)], [LARGE, XLARGE, DOUBLE], [(1, "m5.large")], want_others=[{"m5.large", "m5.xlarge"}]),
        id="alternatives cost and hold at most twice as much",
    ),
    pytest.param(
        Case([(ONE, 1)], [LARGE, XLARGE], [(1, "m5.large")], strategy="BEST_FIT", want_others=[{"m5.large"}]),
        id="BEST_FIT waits for its type",
    ),
    pytest.param(
        Case([(BIG, 3)], [XLARGE, DOUBLE], [(3, "m5.xlarge")], left=12_000, want_others=[{"m5.xlarge"}]),
        id="no alternative that would go beyond maxvCpus",
    ),
    pytest.param(Case([(NODE, 4)], [CHEAP, LARGE], [(4, "m5.cheap")]), id="a machine for each node, the cheapest"),
    pytest.param(
        Case([(NODE, 4)], [CHEAP, LARGE], [(4, "m5.large")], left=8_000), id="nodes: the kind of which all fit"
    ),
    pytest.param(Case([(NODE, 4)], [CHEAP], [(4, "m5.cheap")], left=24_001), id="nodes: the last may exceed maxvCpus"),
    pytest.param(Case([(NODE, 4)], [CHEAP, LARGE], [], left=6_000), id="not all nodes within maxvCpus: none"),
    pytest.param(
        Case([(NODE, 4)], [CHEAP, LARGE], [], left=7_999, strategy="BEST_FIT"), id="nodes: BEST_FIT never exceeds it"
    ),
    pytest.param(
        Case([(BIG_NODE, 1), (NODE, 3)], [CHEAP, LARGE, XLARGE], [(1, "m5.xlarge"), (3, "m5.large")], left=10_000),
        id="the first of several sizes leaves enough for the others",
    ),
    pytest.param(
        Case([(ONE, 40), (NODE, 2)], [LARGE], [(2, "m5.large")], left=4_000), id="what runs alone takes nothing of it"
    ),
    pytest.param(
        Case([(NODE, 4)], [LARGE, XLARGE], [(4, "m5.large")], left=12_000, want_others=[{"m5.large"}]),
        id="no alternative that leaves too little",
    ),
    pytest.param(Case([(PAIR, 3)], [XLARGE], [(2, "m5.xlarge")]), id="two of its nodes on a machine"),
    pytest.param(Case([(b.shape(cpu=90_000, apart=1), 2), (NODE, 1)], [LARGE], [(1, "m5.large")]), id="another job's"),
    pytest.param(Case([(ONE, 1)], [GPU, XLARGE], [(1, "m5.xlarge")]), id="no GPU where none is asked for"),
]


@pytest.mark.parametrize("case", CASES)
def test_what_is_launched(case: Case) -> None:
    found = plan_launches(case.asked, choices(*case.kinds), ENVIRONMENT, case.strategy, case.left)
    assert [(batch.count, batch.kinds[0].type.name) for batch in found] == case.want
    if case.want_others:
        assert [{each.type.name for each in batch.kinds} for batch in found] == case.want_others


def test_a_zone_that_is_asked_for_is_the_only_one() -> None:
    found = plan_launches([(IN_B, 1)], choices(LARGE, kind("m5.large", 2, 8, zone="b")), ENVIRONMENT, "BEST_FIT", 9000)
    assert [[each.zone for each in batch.kinds] for batch in found] == [["b"]]


def test_the_cheaper_way_to_the_same_work_wins() -> None:
    cheap, dear = kind("m5.xlarge", 4, 16, price=0.05), kind("m5a.xlarge", 4, 16, price=0.2)
    found = plan_launches([(ONE, 9)], choices(dear, cheap), ENVIRONMENT, "BEST_FIT_PROGRESSIVE", 10**6)
    assert [{each.type.name for each in batch.kinds} for batch in found] == [{"m5.xlarge"}]


def test_many_that_wait_make_few_requests() -> None:
    asked = [(b.shape(cpu=100 * n), 50) for n in range(1, 30)]
    assert len(plan_launches(asked, choices(LARGE, XLARGE, DOUBLE), ENVIRONMENT, "BEST_FIT_PROGRESSIVE", 10**9)) <= 20


@pytest.mark.parametrize(
    ("vcpus", "left", "want"),
    [
        pytest.param(0, 10**6, [], id="none"),
        pytest.param(2000, 10**6, [(1, 2000)], id="exactly"),
        pytest.param(7000, 10**6, [(4, 2000)], id="rounded up"),
    ],
)
def test_minvcpus(vcpus: int, left: int, want: list[tuple[int, int]]) -> None:
    found = plan_floor(vcpus, choices(LARGE), left)
    assert [(batch.count, batch.vcpus) for batch in found] == want


ASKED = st.lists(
    st.tuples(
        st.builds(
            lambda cpu, memory: b.shape(cpu=cpu, memory=memory << 20),
            st.integers(50, 9000),
            st.integers(32, 60_000),
        ),
        st.integers(1, 400),
    ),
    max_size=6,
)
KINDS = st.lists(
    st.builds(
        lambda name, vcpus, gib, zone, price: kind(f"t{name}.x", vcpus, gib, zone=zone, price=price),
        st.integers(0, 5),
        st.sampled_from([1, 2, 4, 8, 16]),
        st.sampled_from([2, 8, 32, 64]),
        st.sampled_from("ab"),
        st.sampled_from([None, 0.01, 0.1, 1.0]),
    ),
    max_size=6,
    unique_by=lambda each: each.type.name,
)
STRATEGIES = st.sampled_from(
    ["BEST_FIT", "BEST_FIT_PROGRESSIVE", "BEST_FIT_PROGRESSIVE_ORDERED", "SPOT_PRICE_CAPACITY_OPTIMIZED"]
)


def fits(choice: Choice, shape: Shape) -> bool:
    return room_for(choice.node.allocatable, shape) > 0


@settings(max_examples=200, deadline=None)
@given(ASKED, KINDS, STRATEGIES, st.integers(0, 200_000))
def test_whatever_waits(
    asked: list[tuple[Shape, int]], kinds: list[Kind], strategy: AllocationStrategy, left: int
) -> None:
    known = choices(*kinds)
    found = plan_launches(asked, known, ENVIRONMENT, strategy, left)

    assert found == plan_launches(list(asked), known, ENVIRONMENT, strategy, left), "the same asks, the same plan"
    pods = sum(count for shape, count in asked if any(fits(choice, shape) for choice in known))
    assert sum(batch.count for batch in found) <= pods, "more nodes than pods"
    worst = sum(batch.count * max(each.type.vcpus for each in batch.kinds) for batch in found)
    biggest = max((each.type.vcpus for each in kinds), default=0)
    assert worst <= left + (0 if strategy == "BEST_FIT" else biggest), "beyond maxvCpus by more than an instance"
    for batch in found:
        assert batch.count > 0
        assert all(each in kinds for each in batch.kinds)
        assert any(fits(choice, shape) for choice in known for shape, _ in asked if choice.kind in batch.kinds)


@settings(max_examples=100, deadline=None)
@given(ASKED, KINDS)
def test_with_room_enough_all_that_fits_is_served(asked: list[tuple[Shape, int]], kinds: list[Kind]) -> None:
    known = choices(*kinds)
    found = plan_launches(asked, known, ENVIRONMENT, "BEST_FIT_PROGRESSIVE", 10**12)
    wanted = Counter({shape: 0 for shape, _ in asked})
    for shape, count in asked:
        wanted[shape] += count
    served = any(count and any(fits(choice, shape) for choice in known) for shape, count in wanted.items())
    assert bool(found) == served
