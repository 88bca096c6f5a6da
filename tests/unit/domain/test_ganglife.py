"""The life of a multi-node job: when the main node may start, when the others do, and when all go back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pytest

import builders as b
from batchwright import names
from batchwright.domain.actions import (
    DeleteWork,
    EndAttempt,
    GiveBack,
    MakeNodes,
    ReadObstacle,
    ReleasePod,
    StopNodes,
    SuspendWork,
)
from batchwright.domain.ganglife import GangView, decide_gang
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
    return replace(GangView(3, 0, MACHINES, nodes, frozenset(MACHINES), 600), **over)


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
QUOTA = "exceeded quota"
ON_HOST = b.rules(2, b.exit_rule(onStatusReason="Host EC2*"))
ON_RECORD = b.status(
    "RUNNING",
    statusReason="said",
    attempts=[
        {
            "container": {"podName": "hello-0", "reason": "Node 2"},
            "statusReason": "Host EC2 (instance i-0abc) terminated.",
        }
    ],
)
ENDING = b.job(status=b.status("RUNNING"), spec=b.spec(terminate={"reason": "enough"}))
RAN = b.status("RUNNING", startedAt=timestamp(b.at(0)))
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
        Case(
            view(MAIN, instances={"m2": "i-0abc"}, rules=ON_HOST, noted={"hello-0"}),
            gang(node(1), failed(2, disruption="DeletionByTaintManager")),
            "RUNNING",
            (EndAttempt,),
            "Node 2: Host EC2 (instance i-0abc) terminated.",
        ),
        id="a node's machine is lost, of which evaluateOnExit says something",
    ),
    pytest.param(
        Case(
            view(MAIN, rules=ON_HOST),
            gang(node(1), node(2), gone=frozenset({"m2"})),
            "RUNNING",
            (),
            "Node 2: Host EC2 (instance m2) terminated.",
        ),
        id="evaluateOnExit decides once it is on record",
    ),
    pytest.param(
        Case(
            view(MAIN, rules=ON_HOST, noted={"hello-0"}),
            gang(*BOTH, gone=frozenset({"n1"})),
            "RUNNING",
            (EndAttempt,),
            "Node 0: Host EC2 (instance i-0abc) terminated.",
        ),
        id="evaluateOnExit decides of the main node's machine",
    ),
    pytest.param(
        Case(
            view(MAIN, rules=ON_HOST, noted={"hello-0"}),
            gang(node(1), lost=node(2), gone=frozenset({"m2"})),
            "RUNNING",
            (EndAttempt,),
        ),
        id="and of one that vanished with its machine",
    ),
    pytest.param(
        Case(view(MAIN, rules=ON_HOST), gang(node(1), node(2, deleting=True)), "RUNNING", (GiveBack,)),
        id="that somebody deletes a node is none of its business",
    ),
    pytest.param(
        Case(
            view(MAIN, rules=b.rules(2, b.exit_rule(onStatusReason="Task*"))),
            gang(*BOTH, gone=frozenset({"m2"})),
            "RUNNING",
            (GiveBack,),
        ),
        id="evaluateOnExit is about something else",
    ),
    pytest.param(
        Case(
            view(MAIN, rules=ON_HOST, noted={"hello-0"}, job=b.job(status=ON_RECORD)),
            gang(node(1)),
            "RUNNING",
            (EndAttempt,),
            "Node 2: Host EC2 (instance i-0abc) terminated.",
        ),
        id="killed between record and end, with the lost node's pod gone",
    ),
    pytest.param(
        Case(view(MAIN), gang(node(1), lost=node(2)), "RUNNING", (GiveBack,), "Node 2: its pod hello-2 is gone"),
        id="a node vanishes",
    ),
    pytest.param(
        Case(view(MAIN, job=b.job(status=RAN)), gang(node(1)), "RUNNING", now=b.at(5)),
        id="a node that ran has ended, and its pod was gone before the operator started",
    ),
    pytest.param(
        Case(view(MAIN, job=b.job(status=RAN)), gang(node(1)), "RUNNING", now=b.at(601)),
        id="and so it is once the time to start is over",
    ),
    pytest.param(
        Case(
            view(replace(MAIN, started_at=b.at(2)), job=b.job(status=RAN)),
            gang(node(1)),
            "RUNNING",
            (MakeNodes,),
            "1 of 3 nodes have yet to start",
        ),
        id="all had run in an attempt before this one",
    ),
    pytest.param(
        Case(view(MAIN, job=b.job(status=RAN)), gang(node(1), lost=node(2)), "RUNNING", (GiveBack,)),
        id="a node vanishes that ran",
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
        Case(view(b.pod(node="m0")), gang(), "STARTING", (GiveBack,), now=b.at(601)),
        id="the main node does not run in time",
    ),
    pytest.param(
        Case(view(b.pod(node="m0")), gang(released=("pod-0", b.at(500))), "STARTING", now=b.at(1099)),
        id="the main node's time begins when it is let start",
    ),
    pytest.param(
        Case(view(b.pod(node="m0")), gang(released=("pod-0", b.at(500))), "STARTING", (GiveBack,), now=b.at(1100)),
        id="and then it is over",
    ),
    pytest.param(
        Case(
            view(b.pod(node="m0", accepted_at=b.at(500))), gang(released=("other", b.at(0))), "STARTING", now=b.at(1099)
        ),
        id="it begins when the kubelet took it, to an operator that has started since",
    ),
    pytest.param(
        Case(
            view(b.pod(gated=True), obstacle=QUOTA),
            gang(released=("pod-0", b.at(500))),
            "STARTING",
            (ReleasePod,),
            QUOTA,
            now=b.at(1099),
        ),
        id="something keeps the main node from being let start",
    ),
    pytest.param(
        Case(
            view(b.pod(gated=True), obstacle=QUOTA),
            gang(released=("pod-0", b.at(500))),
            "STARTING",
            (GiveBack,),
            f"The main node was not let start within 600 s. {QUOTA}",
            now=b.at(1100),
        ),
        id="for too long",
    ),
    pytest.param(
        Case(
            view(b.ended_pod(exit_code=1), b.pod(1, gated=True), rules=b.rules(2)),
            gang(node(1), released=("pod-0", b.at(0))),
            "STARTING",
            (StopNodes,),
            now=b.at(9999),
        ),
        id="a retry may wait for the nodes of the attempt before for as long as they take",
    ),
    pytest.param(
        Case(
            view(b.ended_pod(exit_code=1), b.pod(1, gated=True), rules=b.rules(2)),
            gang(failed(1), failed(2), released=("pod-0", b.at(0))),
            "STARTING",
            (ReleasePod,),
            now=b.at(9999),
        ),
        id="and is let start however long it has waited",
    ),
    pytest.param(
        Case(view(obstacle=QUOTA), gang(vacant_since=b.at(5)), "STARTING", (ReadObstacle,), QUOTA, now=b.at(604)),
        id="the main node has no pod",
    ),
    pytest.param(
        Case(
            view(obstacle=QUOTA),
            gang(vacant_since=b.at(5)),
            "STARTING",
            (GiveBack,),
            f"The main node had no pod for 600 s. {QUOTA}",
            now=b.at(605),
        ),
        id="the main node has had no pod for too long",
    ),
    pytest.param(
        Case(view(job=ENDING), gang(vacant_since=b.at(5)), "RUNNING", (DeleteWork,), now=b.at(605)),
        id="it is terminated meanwhile",
    ),
    pytest.param(
        Case(view(b.ended_pod(exit_code=1), rules=b.rules(2)), gang(vacant_since=b.at(5)), "RUNNABLE", now=b.at(612)),
        id="a retry's pod is waited for longer",
    ),
    pytest.param(
        Case(
            view(b.ended_pod(exit_code=1), rules=b.rules(2)),
            gang(vacant_since=b.at(5)),
            "RUNNABLE",
            (ReadObstacle,),
            now=b.at(613),
        ),
        id="then it is asked why there is none",
    ),
    pytest.param(
        Case(
            view(b.ended_pod(exit_code=1), rules=b.rules(2)),
            gang(vacant_since=b.at(5)),
            "RUNNABLE",
            (GiveBack,),
            "The main node had no pod for 600 s",
            now=b.at(1205),
        ),
        id="and not for ever",
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


@pytest.mark.parametrize("case", CASES)
def test_decide(case: Case) -> None:
    decision = decide_gang(case.view, case.gang, case.now)
    assert decision.status.state == case.want_state
    assert tuple(type(action) for action in decision.actions) == case.want_actions
    assert decision.runnable == case.want_runnable
    if case.want_reason is not None:
        assert decision.status.status_reason == case.want_reason
    detail = decision.status.node_properties
    assert detail is not None
    assert detail.num_nodes == 3


@pytest.mark.parametrize("case", CASES)
def test_a_second_look_gives_the_same(case: Case) -> None:
    first = decide_gang(case.view, case.gang, case.now)
    again = decide_gang(b.with_status(case.view, first.status), case.gang, case.now)
    assert again.status == first.status


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


@pytest.mark.parametrize("exit_code", [0, 143], ids=["it answers its stop with 0", "it is killed"])
def test_a_lost_node_ends_the_attempt_as_a_lost_host_does(exit_code: int) -> None:
    """Whatever the main node made of its stop."""
    text = "Node 2: Host EC2 (instance i-0abc) terminated."
    ended = replace(b.ended_pod(exit_code=exit_code), mark=b.mark(names.POD_CONDITION_NODE_FAILED, text))
    done = {"complete": True, "succeeded": 1} if exit_code == 0 else {"failed": 1, "failure": "it failed"}
    work = b.work(placement="m0,m1,m2", **done)
    decision = decide_gang(view(ended, work=work, rules=ON_HOST), gang(), b.at(20))
    assert (decision.status.state, decision.status.status_reason) == ("FAILED", text.removeprefix("Node 2: "))
    [attempt] = decision.status.attempts
    assert (attempt.container.exit_code, attempt.container.reason) == (None, "Node 2")


def test_a_retry_after_a_lost_node_is_refused_as_evaluate_on_exit_says() -> None:
    text = "Node 2: Host EC2 (instance i-0abc) terminated."
    ended = replace(b.ended_pod(exit_code=143), mark=b.mark(names.POD_CONDITION_NODE_FAILED, text))
    decision = decide_gang(view(ended, b.pod(1, gated=True), rules=ON_HOST), gang(), b.at(20))
    [action] = decision.actions
    assert isinstance(action, EndAttempt)
    assert action.mark == names.POD_CONDITION_NO_RETRY
