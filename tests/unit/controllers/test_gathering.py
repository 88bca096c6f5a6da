"""What is seen of an environment's instances: when things began, why nodes are cordoned, what real nodes teach."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import builders as b
from batchwright.api.v1alpha1 import ComputeEnvironmentSpec, JobDefinitionSpec
from batchwright.capacity.fleet import Seen, retire
from batchwright.capacity.port import Warned
from batchwright.controllers.entries import Pinned
from batchwright.controllers.gather import pin
from batchwright.controllers.gathering import Memory, bounds_of, instance_status, learn, leaving, see, supply_of
from batchwright.controllers.nodepods import Nodes
from batchwright.controllers.store import Store
from batchwright.domain.observations import Node, Occupant
from batchwright.settings import Settings
from capacityparts import blueprint, instance, kind, seen, starting


def look(store: Store, memory: Memory, node: Node | None, now: float, **over: Any) -> Seen:
    nodes = {"i-1": node} if node is not None else {}
    if node is not None:
        store.put_node("uid", node)
    (found,) = see([instance(**over)], nodes, store, {"m5.xlarge": 4000}, memory, now)
    return found


NODE = b.node("n1", instance="i-1")


def test_instances_of_before_a_change_are_counted() -> None:
    """Those of nobody knows what are not, nor those that their group would only start anew, nor what has ended."""
    fleet = [
        seen(of=instance(digest=digest, state=state, spare=spare))
        for digest, state, spare in (
            ("old", "running", None),
            ("old", "pending", 1),
            ("old", "running", 0),
            ("old", "terminated", None),
            ("new", "running", None),
            ("", "running", None),
        )
    ]
    assert supply_of(fleet, None, None, is_known=True, digest="new").outdated == 2


def test_idle_counts_from_when_it_was_first_seen_idle() -> None:
    store, memory = Store(), Memory()
    assert look(store, memory, NODE, 10.0).idle_since == 10.0
    assert look(store, memory, NODE, 20.0).idle_since == 10.0
    store.tenants.put("pod", "n1")
    assert look(store, memory, NODE, 30.0).idle_since is None
    store.tenants.put("pod", "")
    again = look(store, memory, NODE, 40.0)
    assert (again.idle_since, again.was_used) == (40.0, True)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda store: store.tenants.put_other("o", Occupant("o", "n1", {})), id="somebody else is there"),
        pytest.param(lambda store: setattr(store, "expecting", frozenset({"n1"})), id="somebody is to come"),
    ],
)
def test_not_idle(change: Any) -> None:
    store = Store()
    change(store)
    assert look(store, Memory(), NODE, 10.0).idle_since is None


def test_daemons_keep_no_node() -> None:
    store = Store()
    store.tenants.put_other("d", Occupant("d", "n1", {"cpu": 100}, is_daemon=True))
    assert look(store, Memory(), NODE, 10.0).idle_since == 10.0


def test_a_persons_cordon_is_not_ours() -> None:
    found = look(Store(), Memory(), replace(NODE, schedulable=False), 10.0)
    assert (found.cordoned, found.idle_since) == (None, None)


def test_our_cordon_says_why_and_since_when() -> None:
    node = replace(NODE, schedulable=False, cordoned="update 2026-03-01T12:00:00.000Z")
    found = look(Store(), Memory(), node, 10.0)
    assert (found.cordoned, found.cordoned_at) == ("update", b.NOW.timestamp())


def test_what_was_warned_of_is_known_from_the_node_too() -> None:
    """Its message is gone by then, and the operator perhaps another."""
    node = replace(NODE, schedulable=False, cordoned="maintenance 2026-03-01T12:00:00.000Z 2026-03-01T13:00:00.000Z")
    found = look(Store(), Memory(), node, 10.0)
    assert (found.cordoned, found.warned, found.leaves_at) == ("maintenance", "maintenance", b.NOW.timestamp() + 3600)


def test_the_most_urgent_warning_counts_and_of_two_the_first_end() -> None:
    store, memory = Store(), Memory()
    for said, leaves_at in (("REBALANCE", None), ("SPOT_INTERRUPTION", 150.0), ("SPOT_INTERRUPTION", 160.0)):
        memory.warn(Warned("i-1", said, leaves_at=leaves_at), 10.0)  # type: ignore[arg-type]
    memory.warn(Warned("i-1", "MAINTENANCE", leaves_at=20.0), 10.0)
    found = look(store, memory, NODE, 10.0)
    assert (found.warned, found.leaves_at) == ("interrupted", 150.0)


def test_a_warning_without_a_time_is_of_two_minutes() -> None:
    memory = Memory()
    memory.warn(Warned("i-1", "SPOT_INTERRUPTION"), 10.0)
    assert look(Store(), memory, None, 10.0).leaves_at == 130.0


def test_of_an_instance_that_has_ended_the_node_is_known_though_it_is_gone() -> None:
    store, memory = Store(), Memory()
    look(store, memory, NODE, 10.0)
    assert look(store, memory, None, 20.0).node == ""
    assert look(store, memory, None, 30.0, state="terminated").node == "n1"


def test_pods_on_instances_that_end_soon() -> None:
    store = Store()
    store.put_job("u1", b.job(uid="u1"))
    entry = store.entries["u1"]
    entry.pinned = Pinned("hello:1", None, b.rules(), b.shape())  # type: ignore[arg-type]
    entry.pods = {"p1": replace(b.running_pod(0), node="node-i-1"), "p2": b.ended_pod(1, node="node-i-1")}
    taken = seen(warned="interrupted", leaves_at=1120.0)
    assert leaving([taken, seen("i-2")], store, 1000.0) == ((b.shape(), 1),)
    assert leaving([seen()], store, 1000.0) == ()


NODES = {
    "numNodes": 3,
    "mainNode": 1,
    "nodeRangeProperties": [
        {"targetNodes": target, "container": {"image": "i", "resourceRequirements": [
            {"type": "VCPU", "value": str(vcpus)}, {"type": "MEMORY", "value": "1024"}]}}
        for target, vcpus in (("0", 4), ("1", 1), ("2", 2))
    ],
}  # fmt: skip
ON_ZONE = (("topology.kubernetes.io/zone", "a"),)


@pytest.mark.parametrize(
    ("where", "over", "want"),
    [
        pytest.param({1: "i-1"}, {}, [(1000, ())], id="main alone, and its own size"),
        pytest.param({0: "i-1"}, {}, [(4000, ())], id="another node"),
        pytest.param({0: "i-1", 1: "i-2", 2: "i-1"}, {}, [(2000, ()), (4000, ())], id="two on the machine that leaves"),
        pytest.param({0: "i-2", 1: "i-2", 2: "i-2"}, {}, [], id="none on it"),
        pytest.param(
            {2: "i-1"},
            {"topology": [{"key": "topology.kubernetes.io/zone", "mode": "Required"}]},
            [(2000, ON_ZONE)],
            id="one in the place where the others stay",
        ),
    ],
)
def test_nodes_of_a_job_on_instances_that_end_soon(
    where: dict[int, str], over: dict[str, Any], want: list[tuple[int, tuple[tuple[str, str], ...]]]
) -> None:
    """Of each its own machine is replaced: those of the others stay."""
    store = Store()
    store.put_node("n1", b.node("node-i-1", labels=dict(ON_ZONE)))
    store.put_job("u1", b.job(uid="u1"))
    entry = store.entries["u1"]
    definition = JobDefinitionSpec.model_validate({"type": "multinode", "nodeProperties": NODES | over})
    entry.pinned, entry.nodes = pin("train:1", definition, b.spec()), Nodes()
    for index, instance_id in where.items():
        pod = replace(b.running_pod(uid=f"p{index}", index=index), node=f"node-{instance_id}")
        (entry.pods if index == 1 else entry.nodes.pods)[pod.uid] = pod
    found = leaving([seen(warned="interrupted", leaves_at=1120.0), seen("i-2")], store, 1000.0)
    assert [(dict(shape.resources)["cpu"], shape.node_selector) for shape, _ in found] == want
    assert all((shape.apart, count) == (1, 1) for shape, count in found)


def test_a_node_that_was_ready_and_is_not_is_lost_since_then() -> None:
    store, memory = Store(), Memory()
    assert look(store, memory, replace(NODE, ready=False), 5.0).lost_since is None
    look(store, memory, NODE, 10.0)
    assert look(store, memory, replace(NODE, ready=False), 20.0).lost_since == 20.0
    assert look(store, memory, None, 30.0).lost_since == 20.0
    assert look(store, memory, NODE, 40.0).lost_since is None


def test_a_node_that_was_lost_before_the_operator_began_is_lost_since_then() -> None:
    """Pods of ours are there, so it was ready once: nothing else would ever end it."""
    store, memory = Store(), Memory()
    store.tenants.put("pod", "n1")
    assert look(store, memory, replace(NODE, ready=False), 5.0).lost_since == 5.0
    assert look(store, memory, None, 30.0).lost_since == 5.0


def test_a_node_under_pressure_is_not_lost() -> None:
    store, memory, pressed = Store(), Memory(), replace(NODE, pressed=True)
    assert not look(store, memory, pressed, 5.0).is_ready
    look(store, memory, NODE, 10.0)
    found = look(store, memory, pressed, 20.0)
    assert (found.is_ready, found.lost_since, found.idle_since) == (True, None, 10.0)
    used = Store()
    used.tenants.put("pod", "n1")
    found = look(used, Memory(), pressed, 20.0)
    assert (found.is_ready, found.lost_since) == (True, None)


def test_what_nodes_teach() -> None:
    store = Store()
    store.put_node("u1", b.node("node-i-1", cpu=3900))
    store.put_node("u2", b.node("node-i-2", cpu=3800))
    store.tenants.put_other("d", Occupant("d", "node-i-2", {"cpu": 150}, is_daemon=True))
    memory = Memory()
    found = learn([seen("i-1"), seen("i-2"), starting("i-3")], store, memory)
    assert found.allocatable["m5.xlarge"]["cpu"] == 3800
    assert found.daemons == {"cpu": 150}
    assert learn([], store, memory) == found


def test_a_node_whose_gpus_are_not_known_yet_teaches_only_while_it_is_there() -> None:
    store, memory, kinds = Store(), Memory(), [kind(gpus=1)]
    store.put_node("u1", b.node("node-i-1", cpu=3900))
    assert learn([seen("i-1")], store, memory, kinds).allocatable["m5.xlarge"]["cpu"] == 3900
    assert learn([], store, memory, kinds).allocatable == {}


@pytest.mark.parametrize(
    ("shown", "want"),
    [
        (starting(), "STARTING"),
        (seen(), "READY"),
        (seen(cordoned="idle"), "DRAINING"),
        (seen(warned="interrupted"), "DRAINING"),
        (seen(of=instance(state="shutting-down")), "TERMINATING"),
    ],
)
def test_the_state_of_an_instance(shown: Seen, want: str) -> None:
    assert instance_status(shown).state == want


@pytest.mark.parametrize(
    ("policy", "want"),
    [
        pytest.param(None, 60.0, id="nothing said: the operator's own delay"),
        pytest.param({}, 60.0, id="an empty policy"),
        pytest.param({"minScaleDownDelayMinutes": 0}, 60.0, id="zero"),
        pytest.param({"minScaleDownDelayMinutes": 20}, 1200.0, id="the least"),
        pytest.param({"minScaleDownDelayMinutes": 10080}, 604800.0, id="the most"),
    ],
)
def test_an_instance_stays_idle_for_as_long_as_the_environment_says(policy: Any, want: float) -> None:
    resources = {"type": "EC2", "maxvCpus": 16, **({} if policy is None else {"scalingPolicy": policy})}
    spec = ComputeEnvironmentSpec.model_validate({"type": "MANAGED", "computeResources": resources})
    limits = bounds_of(spec, blueprint(), Settings(capacity_idle_seconds=60))
    assert limits.idle_seconds == want
    used = seen(of=instance(digest=blueprint().digest), idle_since=0.0)
    # First cordoned; ended when it has been looked at again.
    assert [bool(retire([used], limits, when).cordon) for when in (want - 1, want)] == [False, True]
