"""What environments are asked to grow by, and what those that wait for it are told."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

import builders as b
from batchwright.names import GPU_RESOURCE, LABEL_PLACEMENT_GROUP, ZONE
from batchwright.scheduling.cycle import plan
from batchwright.scheduling.explain import explain
from batchwright.scheduling.limits import BY_KIND
from batchwright.scheduling.snapshot import Gang, Growth, Snapshot, Topology, WaitKind

LEAVES = b.growth(leaving=((b.shape(), 3),))
COMING = WaitKind.NODES_COMING
BIG, HALF = b.shape(cpu=3000), b.shape(cpu=500)
# Two of the first kind are on the large machine alone, and then one of the second fits the other.
PAIRS = Gang(((b.shape(cpu=2100), 2), (b.shape(cpu=2200), 1)), per_node=2)
WITH_GPU = b.shape(resources=(*b.shape().resources, (GPU_RESOURCE, 1)))
GPU_NODE = b.node("g", cpu=1900)
GPU_NODE = replace(GPU_NODE, allocatable={**GPU_NODE.allocatable, GPU_RESOURCE: 1})
ARM = b.shape(node_selector=(("kubernetes.io/arch", "arm64"),))
TWO = (b.environment("e1"), b.environment("e2", node_selector=(("e", "2"),)))


@dataclass(frozen=True)
class Case:
    snapshot: Snapshot
    want_demand: list[tuple[str, int, int]]  # environment, milli-CPU of a pod, pods
    want_waits: dict[str, WaitKind]


def jobs(count: int, **over: object) -> list[object]:
    return [b.candidate(f"j{n}", after=n, **over) for n in range(count)]


CASES = [
    pytest.param(
        Case(b.snapshot(b.queue(*jobs(3)), growth={"e1": b.growth()}), [("e1", 1000, 3)], {"j0": COMING, "j2": COMING}),
        id="nothing is there: all that waits",
    ),
    pytest.param(
        Case(b.snapshot(b.queue(b.candidate("a", count=5000)), growth={"e1": b.growth()}), [("e1", 1000, 75)], {}),
        id="no more than maxvCpus, by what a pod costs of an instance",
    ),
    pytest.param(Case(b.snapshot(growth={"e1": LEAVES}), [("e1", 1000, 3)], {}), id="what runs on nodes that go soon"),
    pytest.param(
        Case(b.snapshot(b.queue(), growth={"e1": LEAVES}, nodes=[b.node("n1", cpu=2000)]), [("e1", 1000, 1)], {}),
        id="what runs on nodes that go soon, as far as others have no room for it",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(b.candidate("a", count=2)),
                growth={"e1": b.growth(coming=((b.node("m", cpu=3900), 1),), leaving=((b.shape(), 3),))},
            ),
            [("e1", 1000, 2)],
            {"a": COMING},
        ),
        id="what runs on nodes that go soon has what is on its way, what waits is asked for",
    ),
    pytest.param(
        Case(
            b.snapshot(b.queue(b.candidate("a", count=2)), growth={"e1": b.growth(left=1)}),
            [("e1", 1000, 1)],
            {"a": COMING},
        ),
        id="maxvCpus may be exceeded by the last",
    ),
    pytest.param(
        Case(b.snapshot(b.queue(*jobs(2)), growth={"e1": b.growth(left=0)}), [], {"j0": WaitKind.AT_MAXIMUM}),
        id="nothing is left of maxvCpus",
    ),
    pytest.param(
        Case(
            b.snapshot(b.queue(*jobs(10)), growth={"e1": b.growth(coming=((b.node("m", cpu=3900), 2),))}),
            [("e1", 1000, 4)],
            {"j9": COMING},
        ),
        id="what is on its way is not asked for again",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(b.candidate("big", shape=BIG), *jobs(2)),
                growth={"e1": b.growth(coming=((b.node("m", cpu=4000), 1),))},
            ),
            [("e1", 1000, 1)],
            {"big": COMING, "j0": COMING},
        ),
        id="what is on its way is for the first, and what it leaves for the others",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(*jobs(1), b.candidate("big", after=9, shape=BIG)),
                growth={"e1": b.growth(coming=((b.node("m", cpu=3900), 1), (b.node("s", cpu=1900), 1)))},
            ),
            [],
            {"j0": COMING, "big": COMING},
        ),
        id="of what is on its way the first has the smallest that does, for a later one may need the large",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(*jobs(1), b.candidate("j1", after=1, shape=HALF), b.candidate("big", after=9, shape=BIG)),
                growth={"e1": b.growth(coming=((b.node("m", cpu=3900), 2),))},
            ),
            [],
            {"j1": COMING, "big": COMING},
        ),
        id="and what others are to be on already before one that is empty",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(*jobs(1), b.candidate("gpu", after=9, shape=WITH_GPU)),
                growth={"e1": b.growth(coming=((GPU_NODE, 1), (b.node("m", cpu=3900), 1)))},
            ),
            [],
            {"j0": COMING, "gpu": COMING},
        ),
        id="and GPUs last, however small the machine",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(b.candidate("g", shape=PAIRS.total, gang=PAIRS)),
                growth={"e1": b.growth(coming=((b.node("m", cpu=3900), 1), (b.node("l", cpu=7800), 1)))},
            ),
            [],
            {"g": COMING},
        ),
        id="nodes of a multi-node job that share machines have those first that take most of them",
    ),
    pytest.param(
        Case(
            b.snapshot(b.queue(*jobs(3)), nodes=(b.node(cpu=1000),), growth={"e1": b.growth()}),
            [("e1", 1000, 2)],
            {"j1": COMING},
        ),
        id="what starts on a node that is there needs no other",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(*jobs(4)),
                nodes=(b.node(cpu=4000, taints=(b.taint(),)),),
                growth={"e1": b.growth(unused=(b.node(cpu=4000),))},
            ),
            [],
            {"j0": COMING},
        ),
        id="a node that came and takes nobody is not bought again",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(*jobs(5)), nodes=(b.node(cpu=4000),), growth={"e1": b.growth(unused=(b.node(cpu=4000),))}
            ),
            [("e1", 1000, 1)],
            {"j4": COMING},
        ),
        id="one that something starts on now counts as it is",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(environments=("e1",)),
                held=(b.held("h", count=3, unbound=3),),
                growth={"e1": b.growth(coming=((b.node("m", cpu=1000), 1),))},
            ),
            [("e1", 1000, 2)],
            {},
        ),
        id="pods that were started, and lost their node, need one",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(*jobs(3), environments=("e1", "e2")),
                environments=TWO,
                growth={"e1": b.growth(left=0), "e2": b.growth()},
            ),
            [("e2", 1000, 3)],
            {"j0": COMING},
        ),
        id="the first environment that can grow",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(b.candidate("a", count=6), environments=("e1", "e2")),
                environments=TWO,
                growth={"e1": b.growth(left=4000), "e2": b.growth()},
            ),
            [("e1", 1000, 3), ("e2", 1000, 3)],
            {"a": COMING},
        ),
        id="what the first has no more room for goes to the next",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(*jobs(1), environments=("e1", "e2")),
                environments=TWO,
                growth={"e1": b.growth(none=True, barred=(b.offer(),)), "e2": b.growth()},
            ),
            [("e2", 1000, 1)],
            {"j0": COMING},
        ),
        id="sold out in the first: the next at once",
    ),
    pytest.param(
        Case(
            b.snapshot(b.queue(*jobs(1)), growth={"e1": b.growth(none=True, barred=(b.offer(),))}),
            [],
            {"j0": WaitKind.INSUFFICIENT},
        ),
        id="sold out everywhere",
    ),
    pytest.param(
        Case(
            b.snapshot(b.queue(*jobs(9), max_running=4), held=(b.held(unbound=0),), growth={"e1": b.growth()}),
            [("e1", 1000, 3)],
            {},
        ),
        id="no more than the queue may run",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(*jobs(4), b.candidate("big", after=9, shape=BIG, count=4), max_running=5),
                growth={"e1": b.growth()},
            ),
            [("e1", 1000, 4), ("e1", 3000, 1)],
            {},
        ),
        id="no more than the queue may run, of several kinds",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(*jobs(5, consumables=(("licence", 2),))),
                consumables={"licence": 7},
                growth={"e1": b.growth()},
            ),
            [("e1", 1000, 3)],
            {},
        ),
        id="no more than there are licences",
    ),
    pytest.param(
        Case(
            b.snapshot(b.queue(b.candidate("a", shape=ARM)), growth={"e1": b.growth()}),
            [],
            {"a": WaitKind.UNSUITABLE},
        ),
        id="no kind of node has the label",
    ),
    pytest.param(
        Case(
            b.snapshot(b.queue(b.candidate("a", shape=b.shape(cpu=3950))), growth={"e1": b.growth()}),
            [],
            {"a": WaitKind.NEVER_FITS},
        ),
        id="reserves count: no kind of node is big enough",
    ),
    pytest.param(
        Case(
            b.snapshot(b.queue(*jobs(1)), growth={"e1": b.growth(none=True, is_known=False)}),
            [],
            {"j0": WaitKind.NO_NODES},
        ),
        id="as long as nobody has said what there is, nothing is misconfigured",
    ),
    pytest.param(
        Case(
            b.snapshot(
                b.queue(b.candidate("a", shape=BIG)),
                environments=(b.environment(max_vcpus=2000),),
                growth={"e1": b.growth(most=2000)},
            ),
            [],
            {"a": WaitKind.OVER_MAXIMUM},
        ),
        id="more than maxvCpus",
    ),
]


@pytest.mark.parametrize("case", CASES)
def test_what_is_asked_for(case: Case) -> None:
    found = plan(case.snapshot)
    asked = [(each.environment, dict(each.shape.resources)["cpu"], each.count) for each in found.demand]
    assert asked == case.want_demand
    assert {uid: found.waits.kind_of(uid) for uid in case.want_waits} == case.want_waits


def test_the_words_for_nodes_that_come() -> None:
    found = plan(b.snapshot(b.queue(*jobs(5)), growth={"e1": b.growth(coming=((b.node("m", cpu=3900), 1),))}))
    assert explain(found.waits["j0"], b.shape(), "normal") == (
        "Next in JobQueue normal, waiting for nodes. ComputeEnvironment e1: 1 nodes of it are on their way and more "
        "are to be started for 2 pods. It asks 1 vCPU, 1024 MiB"
    )


def test_the_words_for_what_is_sold_out_are_awss() -> None:
    barred = (b.offer("m5.large/a"), b.offer("m5.large/b", labels={"node.kubernetes.io/instance-type": "m5.large"}))
    found = plan(b.snapshot(b.queue(*jobs(1)), growth={"e1": b.growth(none=True, barred=barred)}))
    assert explain(found.waits["j0"], b.shape(), "normal").startswith(
        "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance type "
        "[m5.large, m5.large/a]. It asks 1 vCPU"
    )


def test_what_is_too_big_is_compared_with_the_kinds_there_are() -> None:
    found = plan(b.snapshot(b.queue(b.candidate("a", shape=b.shape(cpu=9000))), growth={"e1": b.growth()}))
    assert "In e1 the largest of 1 kinds of node has 3.9 vCPU, 8192 MiB: short by 5.1 vCPU" in explain(
        found.waits["a"], b.shape(cpu=9000), "normal"
    )


def test_no_job_is_ended_while_its_node_comes() -> None:
    assert COMING not in BY_KIND
    assert BY_KIND[WaitKind.INSUFFICIENT] == "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"


def test_a_thousand_nodes_that_come_cost_what_one_does() -> None:
    one = b.candidate("a", count=100_000, shape=b.shape(cpu=700))
    coming = ((b.node("m", cpu=3900), 100_000),)
    found = plan(b.snapshot(b.queue(one), growth={"e1": b.growth(coming=coming, most=10**9)}))
    assert found.demand == ()


def test_a_node_that_something_is_to_come_to_is_expecting() -> None:
    nodes = (b.node("n1", cpu=1000), b.node("n2", cpu=1000), b.node("n3", cpu=1000))
    found = plan(b.snapshot(b.queue(*jobs(1)), nodes=nodes, held=(b.held(),), growth={"e1": b.growth()}))
    assert found.expecting == {"n1", "n2"}
    assert found.demand == ()


GROUPED = tuple(b.offer(f"m/{zone}", labels={LABEL_PLACEMENT_GROUP: "near", ZONE: zone}) for zone in "ba")
LOOSE = tuple(b.offer(f"m/{zone}", labels={ZONE: zone}) for zone in "ba")
BARRED_A = b.growth(GROUPED[0], barred=GROUPED[1:])
IN_GROUPS = [
    pytest.param((), b.growth(*GROUPED), ((ZONE, "a"),), id="a gang that says nothing comes to one zone"),
    pytest.param((), b.growth(*LOOSE), (), id="where there is no group it does not"),
    pytest.param((), BARRED_A, ((ZONE, "b"),), id="to that which has what is wanted"),
    pytest.param((Topology("rack"),), b.growth(*GROUPED), ((ZONE, "a"),), id="one that prefers something else too"),
    pytest.param(
        (Topology(LABEL_PLACEMENT_GROUP, is_required=True),),
        b.growth(*LOOSE, *GROUPED),
        ((LABEL_PLACEMENT_GROUP, "near"),),
        id="a topology may name the group",
    ),
]


@pytest.mark.parametrize(("topology", "growth", "want"), IN_GROUPS)
def test_the_nodes_of_a_gang_come_to_the_zone_of_a_placement_group(
    topology: tuple[Topology, ...], growth: Growth, want: tuple[tuple[str, str], ...]
) -> None:
    """EC2 User Guide, placement groups: a cluster placement group cannot span zones."""
    of = Gang(((b.shape(), 3),), topology=topology)
    decided = plan(b.snapshot(b.queue(b.candidate("g", shape=of.total, gang=of)), growth={"e1": growth}))
    assert [(each.count, each.shape.node_selector) for each in decided.demand] == [(3, want)]
