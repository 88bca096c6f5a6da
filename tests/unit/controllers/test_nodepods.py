"""What is kept of a multi-node job's nodes when their pods go, and what room is kept for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import builders as b
from batchwright.api.v1alpha1 import JobDefinitionSpec
from batchwright.controllers.entries import Entry
from batchwright.controllers.gangroom import gang_held
from batchwright.controllers.gather import pin
from batchwright.controllers.nodepods import Nodes
from batchwright.controllers.store import Store
from batchwright.domain.observations import Pod
from batchwright.domain.texts import timestamp

MAIN = replace(b.running_pod(), node="m0")
RAN = b.status("RUNNING", startedAt=timestamp(b.at(0)))


def node(index: int = 1, **over: Any) -> Pod:
    """The pod of another node, which has ended by itself."""
    names = {"uid": f"node-{index}", "name": f"n-{index}", "main": MAIN.uid, "node": f"m{index}"}
    return replace(b.ended_pod(exit_code=3), **{**names, "index": index, **over})


def known(*pods: Pod) -> tuple[Store, Nodes]:
    """A store that has seen the main node's pod, and these."""
    store = Store()
    store.put_job(b.UID, b.job())
    for pod in (MAIN, *pods):
        store.put_pod(pod.uid, pod)
    store.dirty.clear()
    nodes = store.entries[b.UID].nodes
    assert nodes is not None
    return store, nodes


def test_a_node_that_has_ended_is_known_when_its_pod_is_gone() -> None:
    store, nodes = known(node())
    store.put_pod("node-1", replace(node(), deleting=True))
    store.put_pod("node-1", None)
    assert nodes.pods == {"node-1": node()}
    assert nodes.lost is None
    assert store.dirty == set()


@pytest.mark.parametrize("end", [None, b.ended_pod(uid=MAIN.uid)], ids=["is gone", "has ended"])
def test_until_its_main_node_does_not_run(end: Pod | None) -> None:
    store, nodes = known(node(1), node(2))
    store.put_pod("node-1", None)
    store.put_pod(MAIN.uid, end)
    assert set(nodes.pods) == {"node-2"}
    store.put_pod("node-2", None)
    assert (nodes.pods, nodes.removed) == ({}, set())


def test_a_node_that_vanishes_is_lost() -> None:
    running = replace(node(), phase="Running")
    store, nodes = known(running)
    store.put_pod("node-1", None)
    assert (nodes.pods, nodes.lost) == ({}, running)
    assert store.dirty == {b.UID}


@pytest.mark.parametrize(
    ("end", "want"),
    [
        pytest.param({"phase": "Failed"}, True, id="stopped"),
        pytest.param({"phase": "Succeeded"}, False, id="it ended well meanwhile"),
    ],
)
def test_a_node_whose_whole_end_comes_at_once_is_lost(end: dict[str, Any], want: bool) -> None:
    """Evicted, stopped and gone before anything was decided in between."""
    running = replace(node(), phase="Running")
    gone = replace(node(), **end, deleting=True)
    store, nodes = known(running)
    for record in (replace(running, deleting=True), gone, None):
        store.put_pod("node-1", record)
    assert (nodes.pods, nodes.lost) == ({}, gone if want else None)


def test_a_node_that_is_killed_has_not_ended_by_itself() -> None:
    killed = replace(node(), deleting=True)
    store, nodes = known(replace(node(), phase="Running", deleting=True))
    store.put_pod("node-1", killed)
    assert nodes.pods == {"node-1": killed}


CONTAINER = {"image": "x", "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}]}
DEFINITION = {
    "type": "multinode",
    "nodeProperties": {
        "numNodes": 3,
        "mainNode": 0,
        "nodeRangeProperties": [{"targetNodes": "0:", "container": CONTAINER}],
    },
}


@pytest.mark.parametrize(
    ("attempts", "status", "nodes", "want"),
    [
        pytest.param(1, b.status("RUNNING"), (), {"m1", "m2"}, id="they have yet to be made"),
        pytest.param(1, b.status("RUNNING"), (node(1),), {"m2"}, id="one has ended"),
        pytest.param(1, RAN, (), set(), id="all had run when the operator started"),
        pytest.param(2, RAN, (), {"m1", "m2"}, id="another attempt would be there again"),
    ],
)
def test_the_room_of_nodes_that_have_ended(attempts: int, status: Any, nodes: tuple[Pod, ...], want: set[str]) -> None:
    definition = JobDefinitionSpec.model_validate({**DEFINITION, "retryStrategy": {"attempts": attempts}})
    job = b.job(status=status)
    entry = Entry(job, status, {}, work=b.work(placement="m0,m1,m2"), pods={MAIN.uid: MAIN})
    entry.nodes = Nodes(pods={pod.uid: pod for pod in nodes})
    held = gang_held(b.UID, entry, pin("d:1", definition, job.spec), "", None)
    assert held is not None
    assert {machine for machine, _, _ in held.reserved} == want
