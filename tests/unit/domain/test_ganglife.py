"""The life of a multi-node job: when the main node may start, when the others do, and when all go back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pytest

import builders as b
from batchwright import names
from batchwright.domain.actions import (
    EndAttempt,
    GiveBack,
    MakeNodes,
    ReleasePod,
    StopNodes,
    SuspendWork,
)
from batchwright.domain.ganglife import GangView, decide_gang
from batchwright.domain.gangnames import Published
from batchwright.domain.lifecycle import View
from batchwright.domain.observations import Pod
from batchwright.domain.texts import timestamp

MACHINES = ("m0", "m1", "m2")
EXITED = "Essential container in task exited"
MAIN = b.running_pod(address="10.0.0.1")
RUNNING = {"work": b.work(placement="m0,m1,m2"), "started": True, "job": b.job(status=b.status("RUNNING"))}


def node(index: int, main: str = "pod-0", **over: Any) -> Pod:
    """The pod of a node that is not the main one; it runs."""
    defaults: dict[str, Any] = {
        "uid": f"{main}-node-{index}",
        "name": f"hello-{index}",
        "owner": "",
        "main": main,
        "index": index,
        "phase": "Running",
        "node": f"m{index}",
        "started_at": b.at(1),
    }
    return b.pod(0, **(defaults | over))


def failed(index: int, **over: Any) -> Pod:
    return node(index, phase="Failed", exit_code=3, stopped_at=b.at(2), **over)


def gang(*nodes: Pod, **over: Any) -> GangView:
    """What is seen of a gang, whose main node has its name."""
    published = Published.of((MAIN,), b.at(1))
    return replace(GangView(3, 0, MACHINES, nodes, frozenset(MACHINES), 600, published=published), **over)


def view(*pods: Pod, **over: Any) -> View:
    return b.view(**{**RUNNING, "pods": pods, **over})


@dataclass(frozen=True)
class Case:
    view: View
    gang: GangView
    want_state: str
    want_actions: tuple[type, ...] = ()
    want_reason: str | None = None
    now: datetime = field(default_factory=lambda: b.at(5))
    want_runnable: bool = False


BOTH = (node(1), node(2))
FINISHED = {"work": b.work(placement="m0,m1,m2", complete=True, succeeded=1)}
SUSPENDED = {"work": b.work(placement="m0,m1,m2", suspended=True)}

CASES = [
    pytest.param(Case(b.view(), gang(machines=()), "RUNNABLE", want_runnable=True), id="ready"),
    pytest.param(Case(view(b.pod(gated=True)), gang(), "STARTING", (ReleasePod,)), id="the main node is let start"),
    pytest.param(
        Case(view(b.pod(gated=True)), gang(usable={"m0", "m2"}), "STARTING", (GiveBack,)),
        id="a machine is gone before the start",
    ),
    pytest.param(Case(view(b.pod(node="m0")), gang(), "STARTING"), id="the others wait for the main node"),
    pytest.param(
        Case(view(MAIN), gang(), "RUNNING", (MakeNodes,), "2 of 3 nodes have yet to start"),
        id="the main node runs: the others are made",
    ),
    pytest.param(
        Case(view(replace(MAIN, address="")), gang(), "RUNNING", (), "2 of 3 nodes have yet to start"),
        id="its address is not known yet",
    ),
    pytest.param(
        Case(view(MAIN), gang(making=True), "RUNNING", (), "2 of 3 nodes have yet to start"), id="they are being made"
    ),
    pytest.param(
        Case(view(MAIN), gang(made=frozenset({"x", "y"})), "RUNNING", (), "2 of 3 nodes have yet to start"),
        id="they were made, and the watch is behind",
    ),
    pytest.param(
        Case(view(MAIN), gang(node(1)), "RUNNING", (MakeNodes,), "1 of 3 nodes have yet to start"),
        id="killed between the creations: the rest is made",
    ),
    pytest.param(Case(view(MAIN), gang(*BOTH), "RUNNING"), id="all run"),
    pytest.param(Case(view(MAIN), gang(node(1), failed(2)), "RUNNING"), id="another node's failure does nothing"),
    pytest.param(
        Case(view(MAIN, noted={"hello-0"}), gang(node(1), failed(2), fails_with_any=True), "RUNNING", (EndAttempt,)),
        id="AnyNode: it ends the attempt",
    ),
    pytest.param(
        Case(view(MAIN), gang(node(1), failed(2), fails_with_any=True), "RUNNING", (), "Node 2 failed, exit code 3"),
        id="AnyNode: once it is on record",
    ),
    pytest.param(
        Case(view(MAIN), gang(node(1), node(2, deleting=True)), "RUNNING", (GiveBack,)), id="somebody deletes a node"
    ),
    pytest.param(
        Case(
            view(MAIN, instances={"m2": "i-0abc"}),
            gang(node(1), failed(2, disruption="DeletionByTaintManager")),
            "RUNNING",
            (GiveBack,),
            "Node 2: Host EC2 (instance i-0abc) terminated.",
        ),
        id="a node's machine is lost",
    ),
    pytest.param(
        Case(view(MAIN), gang(node(1), lost=node(2)), "RUNNING", (GiveBack,), "Node 2: its pod hello-2 is gone"),
        id="a node vanishes",
    ),
    pytest.param(
        Case(view(MAIN), gang(*BOTH, lost=node(2, "earlier")), "RUNNING"),
        id="one of an attempt before had vanished",
    ),
    pytest.param(
        Case(
            view(MAIN),
            gang(node(1), node(2, phase="Pending", started_at=None, unschedulable="no room")),
            "RUNNING",
            (GiveBack,),
            "Not all of 3 nodes ran within 600 s. Node 2: no room",
            now=b.at(600),
        ),
        id="not all run in time",
    ),
    pytest.param(
        Case(view(MAIN), gang(node(1), node(2, unready=True)), "RUNNING", (), "1 of 3 nodes have yet to start"),
        id="one runs and is not ready",
    ),
    pytest.param(
        Case(
            view(MAIN),
            gang(node(1), node(2, unready=True)),
            "RUNNING",
            (GiveBack,),
            "Not all of 3 nodes ran within 600 s. Node 2: it runs, and does not become ready",
            now=b.at(600),
        ),
        id="one does not become ready in time",
    ),
    pytest.param(
        Case(view(replace(MAIN, unready=True)), gang(*BOTH), "RUNNING", (), "1 of 3 nodes have yet to start"),
        id="the main node runs and is not ready",
    ),
    pytest.param(
        Case(
            view(replace(MAIN, unready=True)),
            gang(node(1), node(2, phase="Pending", started_at=None)),
            "RUNNING",
            (GiveBack,),
            "Not all of 3 nodes ran within 600 s. Node 2: it has not started",
            now=b.at(600),
        ),
        id="one that has not started is told rather than one that is not ready",
    ),
    pytest.param(
        Case(view(MAIN), gang(node(1), failed(2, unready=True)), "RUNNING"), id="one that has ended need not be ready"
    ),
    pytest.param(
        Case(
            view(MAIN, job=b.job(status=b.status("RUNNING", startedAt=timestamp(b.at(0))))),
            gang(node(1), node(2, unready=True)),
            "RUNNING",
            now=b.at(601),
        ),
        id="all have been ready, and one is so no more",
    ),
    pytest.param(
        Case(view(b.pod(node="m0")), gang(), "STARTING", (GiveBack,), now=b.at(601)),
        id="the main node does not run in time",
    ),
    pytest.param(
        Case(view(MAIN, preempting=True), gang(*BOTH), "RUNNING", (SuspendWork, StopNodes)), id="it is to make room"
    ),
    pytest.param(
        Case(view(**SUSPENDED), gang(*BOTH), "RUNNABLE", (StopNodes,)), id="it has made room, and the others go"
    ),
    pytest.param(Case(view(**SUSPENDED), gang(node(1, deleting=True)), "RUNNABLE"), id="it waits for the last of them"),
    pytest.param(Case(view(**SUSPENDED), gang(), "RUNNABLE", want_runnable=True), id="and is a candidate again"),
    pytest.param(
        Case(
            view(b.ended_pod(exit_code=1), b.pod(1, gated=True), rules=b.rules(2)),
            gang(*BOTH),
            "STARTING",
            (StopNodes,),
            "2 nodes of the attempt before are being stopped",
        ),
        id="a retry waits for the nodes of the attempt before",
    ),
    pytest.param(
        Case(
            view(b.ended_pod(exit_code=1), b.pod(1, gated=True), rules=b.rules(2)),
            gang(failed(1), failed(2)),
            "STARTING",
            (ReleasePod,),
        ),
        id="a retry starts where it was",
    ),
    pytest.param(
        Case(view(b.ended_pod(), **FINISHED), gang(*BOTH), "RUNNING", (StopNodes,), "Stopping the other nodes"),
        id="the main node has ended: the others are stopped first",
    ),
    pytest.param(
        Case(view(b.ended_pod(), **FINISHED), gang(making=True), "RUNNING", (), "Stopping the other nodes"),
        id="the main node has ended while the others are made",
    ),
    pytest.param(
        Case(view(b.ended_pod(), **FINISHED), gang(node(1, deleting=True), failed(2)), "SUCCEEDED", (), EXITED),
        id="the end is told when none is left",
    ),
    pytest.param(
        Case(
            view(
                b.ended_pod(exit_code=None, disruption="DeletionByPodGC", pod_reason="NodeLost"),
                b.pod(0, uid="next", name="next", gated=True, created_at=b.at(9)),
                spares_lost=True,
            ),
            gang(usable={"m1", "m2"}),
            "STARTING",
            (GiveBack,),
            "The nodes go back: m0 is not to be had",
        ),
        id="the main node's machine is lost: no attempt, and all go back",
    ),
]


def check(case: Case) -> None:
    """The decision is what the case wants, and a second look gives the same."""
    decision = decide_gang(case.view, case.gang, case.now)
    assert decision.status.state == case.want_state
    assert tuple(type(action) for action in decision.actions) == case.want_actions
    assert decision.runnable == case.want_runnable
    if case.want_reason is not None:
        assert decision.status.status_reason == case.want_reason
    detail = decision.status.node_properties
    assert detail is not None
    assert detail.num_nodes == 3
    again = decide_gang(b.with_status(case.view, decision.status), case.gang, case.now)
    assert again.status == decision.status


@pytest.mark.parametrize("case", CASES)
def test_decide(case: Case) -> None:
    check(case)


def test_a_lost_machine_costs_the_main_node_no_attempt() -> None:
    lost = b.ended_pod(exit_code=None, disruption="DeletionByTaintManager")
    free = decide_gang(view(lost, spares_lost=True), gang(), b.at(5))
    charged = decide_gang(view(lost), gang(), b.at(5))
    assert (len(free.status.attempts), len(charged.status.attempts)) == (0, 1)


def test_the_main_node_is_released_to_its_machine() -> None:
    [release] = decide_gang(view(b.pod(gated=True)), gang(), b.NOW).actions
    assert isinstance(release, ReleasePod)
    assert release.machine == "m0"


def test_only_the_nodes_of_other_main_pods_are_stopped() -> None:
    [stop] = decide_gang(view(MAIN), gang(*BOTH, node(1, "older")), b.at(5)).actions
    assert stop == StopNodes(("older",))


def test_a_node_failed_names_its_condition() -> None:
    decision = decide_gang(view(MAIN, noted={"hello-0"}), gang(failed(1), node(2), fails_with_any=True), b.at(5))
    [action] = decision.actions
    assert isinstance(action, EndAttempt)
    assert (action.mark, action.message) == (names.POD_CONDITION_NODE_FAILED, "Node 1 failed, exit code 3")
