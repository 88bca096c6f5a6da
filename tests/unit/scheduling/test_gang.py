"""Where the nodes of a multi-node job go: all of them, or none."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

import builders as b
from batchwright.domain.observations import Node
from batchwright.scheduling.cycle import plan
from batchwright.scheduling.explain import explain
from batchwright.scheduling.gang import reserved
from batchwright.scheduling.snapshot import Candidate, Gang, Held, Shape, Start, Topology, WaitKind

ONE = b.shape(cpu=1000)
TWO = b.shape(cpu=2000)


def gang(count: int = 3, of: Shape = ONE, **over: Any) -> Gang:
    return replace(Gang(((of, count),)), **over)


def job(uid: str = "g", of: Gang | None = None, **over: Any) -> Candidate:
    of = of or gang()
    return b.candidate(uid, shape=of.total, gang=of, **over)


def nodes(count: int, cpu: int = 2000, **labels: list[str]) -> list[Node]:
    """So many nodes; of each label the value of each."""
    return [b.node(f"n{n}", cpu=cpu, labels={key: values[n] for key, values in labels.items()}) for n in range(count)]


def holding(uid: str, of: Gang, machines: tuple[str, ...], **over: Any) -> Held:
    """A multi-node job that has started, all of its nodes on their machines."""
    found: dict[str, Counter[str]] = {}
    for machine, shape, _ in reserved(machines, of):
        found.setdefault(machine, Counter()).update(dict(shape.resources))
    amounts = tuple((machine, tuple(sorted(taken.items()))) for machine, taken in sorted(found.items()))
    there = tuple((machine, 1) for machine, _ in amounts)
    held = b.held(uid, of=of.total, count=1, unbound=0, nodes=there, amounts=amounts)
    return replace(held, **over)


def occupied(*held: Held) -> dict[str, dict[str, int]]:
    """What multi-node jobs take of each machine."""
    found: dict[str, Counter[str]] = {}
    for each in held:
        for machine, amounts in each.amounts:
            found.setdefault(machine, Counter()).update(dict(amounts))
    return {machine: dict(taken) for machine, taken in found.items()}


def machines_of(*starts: Start) -> dict[str, tuple[str, ...]]:
    return {start.uid: start.machines for start in starts}


PLACED = [
    pytest.param(gang(3), nodes(4), ("n0", "n1", "n2"), id="one a machine"),
    pytest.param(gang(3), nodes(2), None, id="not as many machines as nodes"),
    pytest.param(gang(3, per_node=2), nodes(2), ("n0", "n0", "n1"), id="two a machine"),
    pytest.param(gang(4, per_node=4), [*nodes(2), b.node("n9", cpu=4000)], ("n9",) * 4, id="as few machines as may be"),
    pytest.param(gang(5, per_node=3), nodes(2), None, id="no room for as many as may share"),
    pytest.param(
        Gang(((TWO, 1), (ONE, 2))),
        [b.node("n0", cpu=1000), b.node("n1", cpu=3000), b.node("n2", cpu=1000)],
        ("n1", "n0", "n2"),
        id="the large one gets the large machine, whatever the order",
    ),
    pytest.param(
        Gang(((ONE, 2), (TWO, 1))),
        [b.node("n0", cpu=3000), b.node("n1", cpu=1000), b.node("n2", cpu=1000)],
        ("n1", "n2", "n0"),
        id="also where it comes last",
    ),
    pytest.param(
        gang(2, topology=(Topology("rack", is_required=True),)),
        nodes(3, rack=["a", "b", "b"]),
        ("n1", "n2"),
        id="one rack",
    ),
    pytest.param(
        gang(3, topology=(Topology("rack", is_required=True),)), nodes(4, rack=["a", "a", "b", "b"]), None, id="no rack"
    ),
    pytest.param(
        gang(3, topology=(Topology("rack"),)),
        nodes(4, rack=["a", "b", "b", ""]),
        ("n1", "n2", "n0"),
        id="racks are preferred: as few as may be",
    ),
    pytest.param(
        gang(2, topology=(Topology("rack", is_required=True),)),
        nodes(5, rack=["a", "a", "a", "b", "b"]),
        ("n3", "n4"),
        id="the smallest rack that will do",
    ),
    pytest.param(
        gang(2, topology=(Topology("zone", is_required=True), Topology("rack"))),
        nodes(4, zone=["x", "y", "x", "y"], rack=["a", "b", "c", "b"]),
        ("n1", "n3"),
        id="one zone, and if possible one rack",
    ),
    pytest.param(
        gang(2, topology=(Topology("rack", is_required=True),)), nodes(2, rack=["", ""]), None, id="machines of no rack"
    ),
    pytest.param(
        gang(2, b.shape(cpu=1000, node_selector=(("disk", "ssd"),))),
        nodes(3, disk=["ssd", "hdd", "ssd"]),
        ("n0", "n2"),
        id="only machines that suit",
    ),
]


@pytest.mark.parametrize(("of", "there", "want"), PLACED)
def test_place(of: Gang, there: list[Node], want: tuple[str, ...] | None) -> None:
    decided = plan(b.snapshot(b.queue(job(of=of)), nodes=there))
    assert machines_of(*decided.starts) == ({} if want is None else {"g": want})


def test_several_shapes_keep_their_ranks() -> None:
    of = Gang(((ONE, 1), (TWO, 1), (ONE, 1)))
    [start] = plan(b.snapshot(b.queue(job(of=of)), nodes=[b.node("big", cpu=2000), *nodes(2, cpu=1000)])).starts
    assert start.machines == ("n0", "big", "n1")


def test_two_that_each_need_all_start_one_after_the_other() -> None:
    there = nodes(3)
    jobs = [job("a", gang(3, TWO)), job("b", gang(3, TWO), after=1)]
    decided = plan(b.snapshot(b.queue(*jobs), nodes=there))
    assert [start.uid for start in decided.starts] == ["a"]
    assert decided.heads == {"normal": "b"}
    begun = holding("a", gang(3, TWO), decided.starts[0].machines)
    later = plan(b.snapshot(b.queue(jobs[1]), nodes=there, held=(begun,), occupied=occupied(begun)))
    assert later.starts == ()
    assert plan(b.snapshot(b.queue(jobs[1]), nodes=there)).starts[0].uid == "b"


def test_what_has_no_pod_yet_holds_its_machines() -> None:
    """Between the start and the pods, nobody else gets the room."""
    of = gang(2, TWO)
    sent = holding("a", of, ("n0", "n1"), reserved=reserved(("n0", "n1"), of))
    decided = plan(b.snapshot(b.queue(b.candidate("s", count=9)), nodes=nodes(3), held=(sent,), occupied={}))
    [start] = decided.starts
    assert (start.node, start.count) == ("n2", 2)


def test_the_first_that_waits_keeps_what_gets_free() -> None:
    begun = b.running("x", "n0", TWO)
    jobs = [job("g", gang(3, TWO)), b.candidate("small", after=1)]
    decided = plan(b.snapshot(b.queue(*jobs), nodes=nodes(3), held=(begun,)))
    assert decided.starts == ()
    assert decided.heads == {"normal": "g"}
    wait = decided.waits["g"]
    assert wait.kind is WaitKind.NO_ROOM
    text = explain(wait, jobs[0].shape, "normal")
    assert "It asks 3 nodes at once: 3 of 2 vCPU, 1024 MiB, one a machine. Now e1 has room for 2 of them" in text


def test_where_ends_are_known_only_the_machines_that_get_free_first_are_kept() -> None:
    """What ends in time may use them, and what does not goes elsewhere."""
    ends = {"n0": 100.0, "n1": 50.0, "n2": 500.0, "n3": 900.0}
    begun = [b.running(f"x-{name}", name, TWO, ends_at=end) for name, end in ends.items()]
    there = [b.node(name, cpu=3000) for name in ends]
    jobs = [
        job("g", gang(2, TWO)),
        b.candidate("long", after=1, count=4),
        b.candidate("short", after=2, count=4, seconds=60.0),
    ]
    decided = plan(b.snapshot(b.queue(*jobs), nodes=there, held=begun))
    started = {start.uid: (start.node, start.count) for start in decided.starts}
    assert started == {"long": ("n2", 2), "short": ("n0", 2)}
    assert decided.heads == {"normal": "g"}


def test_what_never_fits_holds_up_nobody() -> None:
    jobs = [job("g", gang(4)), b.candidate("small", after=1)]
    decided = plan(b.snapshot(b.queue(*jobs), nodes=nodes(3)))
    assert [start.uid for start in decided.starts] == ["small"]
    wait = decided.waits["g"]
    assert wait.kind is WaitKind.TOO_FEW
    assert "With nothing else running e1 has room for 3 of them" in explain(wait, jobs[0].shape, "normal")


def test_limits_count_all_nodes() -> None:
    small = b.environment(max_vcpus=2000)
    decided = plan(b.snapshot(b.queue(job(of=gang(3))), nodes=nodes(3), environments=(small,)))
    assert decided.starts == ()
    assert decided.waits["g"].kind is WaitKind.OVER_MAXIMUM
    licences = job(of=gang(3), consumables=(("licence", 2),))
    decided = plan(b.snapshot(b.queue(licences), nodes=nodes(3), consumables={"licence": 2}))
    assert len(decided.starts) == 1, "a job counts once, whatever its nodes"


def test_a_gang_is_preempted_as_a_whole() -> None:
    of = gang(3, TWO)
    low = holding("low", of, ("n0", "n1", "n2"), queue="low")
    queues = [
        b.queue(b.candidate("s", shape=TWO), name="high", priority=9, preempts=True),
        b.queue(name="low", priority=1),
    ]
    decided = plan(b.snapshot(*queues, nodes=nodes(3), held=(low,), occupied=occupied(low)))
    assert [(each.uid, each.count) for each in decided.preempts] == [("low", 1)]


def test_others_are_preempted_for_all_nodes_of_a_gang() -> None:
    lower = [b.running(f"s{n}", f"n{n}", TWO, queue="low", started=float(n)) for n in range(4)]
    queues = [b.queue(job(of=gang(2, TWO)), name="high", priority=9, preempts=True), b.queue(name="low", priority=1)]
    decided = plan(b.snapshot(*queues, nodes=nodes(5), held=lower))
    # One machine is free; the work that started last makes room on another.
    assert [(each.uid, each.node) for each in decided.preempts] == [("s3", "n3")]
    assert decided.starts == ()


def test_nobody_is_preempted_for_a_gang_that_would_not_fit_even_then() -> None:
    lower = [b.running(f"s{n}", f"n{n}", TWO, queue="low") for n in range(2)]
    fixed = b.running("f", "n2", TWO, queue="low", is_fixed=True)
    queues = [b.queue(job(of=gang(3, TWO)), name="high", priority=9, preempts=True), b.queue(name="low", priority=1)]
    decided = plan(b.snapshot(*queues, nodes=nodes(3), held=[*lower, fixed]))
    assert decided.preempts == ()


def test_an_environment_grows_by_all_nodes_or_not_at_all() -> None:
    grown = plan(b.snapshot(b.queue(job(of=gang(3))), growth={"e1": b.growth()}))
    assert [(each.count, each.shape.apart) for each in grown.demand] == [(3, 1)]
    assert grown.waits["g"].kind is WaitKind.NODES_COMING
    short = b.snapshot(b.queue(job(of=gang(3))), growth={"e1": b.growth(most=8000)})
    assert plan(short).demand == (), "two machines of 4 vCPU are no use"


def test_an_environment_grows_by_what_is_lacking() -> None:
    decided = plan(b.snapshot(b.queue(job(of=gang(4))), nodes=nodes(1), growth={"e1": b.growth()}))
    assert [each.count for each in decided.demand] == [3]


def test_what_is_coming_is_not_asked_for_again_and_not_shared() -> None:
    coming = b.growth(coming=((b.node("m", cpu=3900), 2),))
    decided = plan(b.snapshot(b.queue(job(of=gang(3))), growth={"e1": coming}))
    assert [each.count for each in decided.demand] == [1]


def test_machines_that_wait_for_the_rest_of_a_gang_are_not_idle() -> None:
    fresh = b.node("fresh", cpu=3900)
    grown = b.growth(unused=(fresh,), coming=((b.node("m", cpu=3900), 1),))
    decided = plan(b.snapshot(b.queue(job(of=gang(3))), nodes=[fresh, *nodes(1)], growth={"e1": grown}))
    assert decided.demand == ()
    assert decided.expecting >= {"fresh", "n0"}


def test_machines_do_not_wait_for_a_gang_that_will_not_have_the_rest() -> None:
    grown = b.growth(unused=(b.node("fresh", cpu=3900),), left=0)
    there = [b.node("fresh", cpu=3900), *nodes(1)]
    decided = plan(b.snapshot(b.queue(job(of=gang(3))), nodes=there, growth={"e1": grown}))
    assert decided.waits["g"].kind is WaitKind.AT_MAXIMUM
    assert decided.expecting == frozenset()


ZONES = tuple(b.offer(f"m/{zone}", labels={"zone": zone}) for zone in "ba")
ZONE, RACK, PREFERS = Topology("zone", is_required=True), Topology("rack", is_required=True), Topology("zone")
SMALL = b.offer("s/a", cpu=1000, labels={"zone": "a"})
GROWS_TOGETHER = [
    pytest.param((ZONE,), b.growth(*ZONES), [(3, (("zone", "a"),))], WaitKind.NODES_COMING, id="one zone"),
    pytest.param((RACK,), b.growth(*ZONES), [], WaitKind.UNSUITABLE, id="what no offer has is not bought in vain"),
    pytest.param((ZONE, RACK), b.growth(*ZONES), [], WaitKind.UNSUITABLE, id="nor where the wider label is had"),
    pytest.param(
        (RACK,),
        b.growth(*ZONES, unused=tuple(b.node(f"u{n}", cpu=3900) for n in range(3))),
        [],
        WaitKind.UNSUITABLE,
        id="what was bought before in vain",
    ),
    pytest.param(
        (ZONE,), b.growth(none=True, barred=ZONES), [], WaitKind.INSUFFICIENT, id="sold out is no want of a label"
    ),
    pytest.param(
        (ZONE,),
        b.growth(b.offer("m"), barred=ZONES),
        [],
        WaitKind.INSUFFICIENT,
        id="what has the label is sold out, what has not is no use",
    ),
    pytest.param(
        (ZONE,), b.growth(none=True, is_known=False), [], WaitKind.NO_NODES, id="nobody has said yet what there is"
    ),
    pytest.param((ZONE,), b.growth(SMALL, *ZONES), [(3, (("zone", "a"),))], WaitKind.NODES_COMING, id="small ones too"),
    pytest.param(
        (ZONE,),
        b.growth(SMALL, ZONES[0]),
        [(3, (("zone", "b"),))],
        WaitKind.NODES_COMING,
        id="where they are big enough",
    ),
    pytest.param((PREFERS,), b.growth(*ZONES), [(3, (("zone", "a"),))], WaitKind.NODES_COMING, id="one if possible"),
    pytest.param((Topology("rack"),), b.growth(), [(3, ())], WaitKind.NODES_COMING, id="preferred, and not to be had"),
    pytest.param(
        (PREFERS,),
        b.growth(*ZONES, coming=((b.node("m", cpu=3900, labels={"zone": "b"}), 2),)),
        [(1, (("zone", "b"),))],
        WaitKind.NODES_COMING,
        id="preferred: what is coming counts, and the rest comes there",
    ),
    pytest.param(
        (PREFERS,),
        b.growth(ZONES[1], coming=((b.node("m", cpu=3900, labels={"zone": "b"}), 2),)),
        [(1, (("zone", "a"),))],
        WaitKind.NODES_COMING,
        id="preferred: what is coming counts wherever it is",
    ),
    pytest.param(
        (PREFERS,),
        b.growth(b.offer("m/a", cpu=16_000, labels={"zone": "a"}), ZONES[0], most=12_000),
        [(3, (("zone", "b"),))],
        WaitKind.NODES_COMING,
        id="where maxvCpus would not do, the next",
    ),
]


@pytest.mark.parametrize(("topology", "growth", "want", "kind"), GROWS_TOGETHER)
def test_an_environment_grows_by_what_topology_asks_for(
    topology: tuple[Topology, ...], growth: Any, want: list[tuple[int, tuple[tuple[str, str], ...]]], kind: WaitKind
) -> None:
    there = [replace(node, labels={}) for node in growth.unused]
    decided = plan(b.snapshot(b.queue(job(of=gang(3, TWO, topology=topology))), nodes=there, growth={"e1": growth}))
    assert [(each.count, each.shape.node_selector) for each in decided.demand] == want
    assert decided.waits["g"].kind is kind
    assert not decided.expecting & {node.name for node in there}, "what cannot be of use is not kept"


def test_machines_that_are_there_say_which_zone_is_preferred() -> None:
    there = nodes(1, zone=["b"])
    decided = plan(
        b.snapshot(b.queue(job(of=gang(3, topology=(PREFERS,)))), nodes=there, growth={"e1": b.growth(*ZONES)})
    )
    assert [(each.count, each.shape.node_selector) for each in decided.demand] == [(2, (("zone", "b"),))]


def test_nodes_of_different_sizes_come_to_one_zone() -> None:
    big = b.offer("l/b", cpu=9000, labels={"zone": "b"})
    of = Gang(((b.shape(cpu=8000), 1), (ONE, 2)), topology=(ZONE,))
    decided = plan(b.snapshot(b.queue(job(of=of)), growth={"e1": b.growth(*ZONES, big)}))
    found = {each.count: each.shape.node_selector for each in decided.demand}
    assert found == {1: (("zone", "b"),), 2: (("zone", "b"),)}


def test_where_no_offer_has_the_label_the_reason_says_so_and_what_to_do() -> None:
    asked = job(of=gang(3, topology=(RACK,)))
    wait = plan(b.snapshot(b.queue(asked), growth={"e1": b.growth(*ZONES)})).waits["g"]
    assert explain(wait, asked.shape, "normal") == (
        "No nodes of JobQueue normal take the job. It asks 3 nodes at once: 3 of 1 vCPU, 1024 MiB. "
        "ComputeEnvironment e1 may start no nodes that share the label rack, which nodeProperties.topology requires. "
        "Ask there for a label that they have, such as topology.kubernetes.io/zone, or set its mode to Preferred"
    )


def test_another_environment_that_has_the_label_grows() -> None:
    environments = (b.environment("e1"), b.environment("e2", node_selector=(("e", "2"),)))
    racks = b.growth(b.offer("m", labels={"rack": "r"}))
    queue = b.queue(job(of=gang(3, topology=(RACK,))), environments=("e1", "e2"))
    known = {"e1": b.growth(*ZONES), "e2": racks}
    decided = plan(b.snapshot(queue, environments=environments, growth=known))
    assert [(each.environment, each.count) for each in decided.demand] == [("e2", 3)]
    full = plan(b.snapshot(queue, environments=environments, growth=known | {"e2": replace(racks, left=0)}))
    assert full.waits["g"].kind is WaitKind.AT_MAXIMUM, "what may pass is said first"


def test_gpus_whole_machines() -> None:
    """Two nodes of eight GPUs each go to machines that have all of theirs."""
    asks = b.shape(cpu=1000)
    asks = replace(asks, resources=tuple(sorted((*asks.resources, ("nvidia.com/gpu", 8)))))
    there = [
        b.node(f"g{n}", allocatable=b.resources(64_000, 64 * b.GIB, 110, **{"nvidia.com/gpu": 8})) for n in range(3)
    ]
    used = {"g0": b.resources(**{"nvidia.com/gpu": 1})}
    [start] = plan(b.snapshot(b.queue(job(of=gang(2, asks))), nodes=there, occupied=used)).starts
    assert start.machines == ("g1", "g2")


def with_gpus(shape: Shape, count: int) -> Shape:
    return replace(shape, resources=tuple(sorted((*shape.resources, ("nvidia.com/gpu", count)))))


GPUS_TAKEN = [
    pytest.param(
        gang(2, with_gpus(ONE, 2)), (0, 6, 0, 5), ("g1", "g3"), id="those that are in part taken, the fullest"
    ),
    pytest.param(gang(2, with_gpus(ONE, 3)), (0, 6, 0, 5), ("g3", "g0"), id="as far as they do"),
    pytest.param(gang(2, with_gpus(ONE, 2)), (0, 0, 0, 0), ("g0", "g1"), id="all alike: by name"),
    pytest.param(gang(1), (0, 8, 0, 5), ("g1",), id="who asks for none takes where none are left"),
    pytest.param(gang(4, with_gpus(ONE, 2), per_node=4), (0, 6, 4, 0), ("g0",) * 4, id="as few machines first"),
    pytest.param(gang(2, with_gpus(ONE, 2), per_node=2), (0, 6, 4, 0), ("g2",) * 2, id="and of these the fullest"),
    pytest.param(
        Gang(((with_gpus(ONE, 4), 1), (with_gpus(ONE, 1), 1))), (0, 7, 4, 0), ("g2", "g1"), id="nodes of several sizes"
    ),
]


@pytest.mark.parametrize(("of", "taken", "want"), GPUS_TAKEN)
def test_machines_with_all_of_their_gpus_are_kept_whole(
    of: Gang, taken: tuple[int, ...], want: tuple[str, ...]
) -> None:
    has = b.resources(64_000, 64 * b.GIB, 110, **{"nvidia.com/gpu": 8})
    there = [b.node(f"g{n}", allocatable=has) for n in range(len(taken))]
    used = {f"g{n}": b.resources(**{"nvidia.com/gpu": count}) for n, count in enumerate(taken) if count}
    [start] = plan(b.snapshot(b.queue(job(of=of)), nodes=there, occupied=used)).starts
    assert start.machines == want


def test_a_thousand_nodes_are_placed_in_a_moment() -> None:
    of = gang(1000, TWO)
    there = [b.node(f"n{n:04}", cpu=2000) for n in range(1000)]
    [start] = plan(b.snapshot(b.queue(job(of=of)), nodes=there)).starts
    assert len(set(start.machines)) == 1000
