"""What sends a multi-node job back, or ends its attempt: nodes that are lost or have gone, and a main node that cannot
start."""

from __future__ import annotations

from dataclasses import replace

import pytest

import builders as b
from batchwright import names
from batchwright.domain.actions import DeleteWork, EndAttempt, GiveBack, MakeNodes, ReadObstacle, ReleasePod, StopNodes
from batchwright.domain.ganglife import decide_gang
from batchwright.domain.texts import timestamp
from unit.domain.test_ganglife import BOTH, MAIN, Case, check, failed, gang, node, view

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

CASES = [
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
]


@pytest.mark.parametrize("case", CASES)
def test_decide(case: Case) -> None:
    check(case)


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
