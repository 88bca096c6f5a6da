"""The attempt under way: state, reason, and when to end it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pytest

import builders as b
from batchwright import names
from batchwright.api.v1alpha1.batchjob import Attempt, AttemptContainer
from batchwright.domain.actions import EndAttempt, ReleasePod
from batchwright.domain.observations import Pod
from batchwright.domain.podwatch import RunningView, Step, watch_pod

NEVER_STARTED = Attempt(
    container=AttemptContainer(reason="CannotPullContainerError: no such image", pod_name="hello-0"),
    status_reason="Task failed to start",
)
EXIT_ON_3 = (b.exit_rule(onExitCode="3"),)
PULL = "Back-off pulling image"


def rules(
    *recorded: Attempt, attempts: int = 1, timeout: int | None = None, evaluate: tuple[object, ...] = ()
) -> RunningView:
    return RunningView(attempts, evaluate, timeout, recorded)  # type: ignore[arg-type]


def waiting(reason: str, message: str = "", **over: object) -> Pod:
    return b.pod(waiting_reason=reason, waiting_message=message, node="n1", **over)


ONE_ATTEMPT = rules()


@dataclass(frozen=True)
class Case:
    pods: tuple[Pod, ...]
    want_state: str
    want_reason: str = ""
    rules: RunningView = ONE_ATTEMPT
    now: datetime = b.NOW
    want_actions: tuple[tuple[str, str], ...] = ()
    want_wake: datetime | None = None
    want_notices: tuple[str, ...] = ()
    want_started: datetime | None = None


STATES = [
    pytest.param(Case((), "STARTING"), id="no pod yet"),
    pytest.param(Case((b.pod(),), "STARTING"), id="pod pending"),
    pytest.param(
        Case((b.pod(unschedulable="0/3 nodes are available"),), "STARTING", "0/3 nodes are available"),
        id="kube-scheduler finds no node",
    ),
    pytest.param(Case((b.running_pod(),), "RUNNING", want_started=b.NOW), id="running"),
    pytest.param(
        Case((b.running_pod(deleting=True),), "RUNNING", "The pod is being stopped", want_started=b.NOW),
        id="running pod being deleted",
    ),
    pytest.param(Case((b.pod(deleting=True),), "STARTING", "The pod is being stopped"), id="pending pod deleted"),
    pytest.param(
        Case((b.ended_pod(0, exit_code=1), b.running_pod(1, started=30)), "RUNNING", want_started=b.at(30)),
        id="second attempt counts, not the first",
    ),
    pytest.param(
        Case((b.running_pod(1, started=30), b.pod(0)), "RUNNING", want_started=b.at(30)),
        id="later attempt wins over a stale earlier pod",
    ),
]

RETRIES = [
    pytest.param(
        Case(
            (),
            "RUNNABLE",
            "Attempt 2 of 3 follows: Essential container in task exited, exit code 1",
            rules(b.attempt(), attempts=3),
            want_notices=("Retrying",),
        ),
        id="between attempts",
    ),
    pytest.param(
        Case(
            (b.ended_pod(0, exit_code=1),),
            "RUNNABLE",
            "Attempt 3 of 3 follows: Essential container in task exited, exit code 9",
            rules(b.attempt(), b.attempt(1, exit_code=9), attempts=3),
            want_notices=("Retrying",),
        ),
        id="before the last attempt",
    ),
    pytest.param(
        Case((), "RUNNING", "Essential container in task exited", rules(b.attempt(), attempts=1)),
        id="the last attempt failed, the Job controller has not said so yet",
    ),
    pytest.param(
        Case((), "RUNNING", "Essential container in task exited", rules(b.attempt(exit_code=0), attempts=3)),
        id="succeeded, the Job controller has not said so yet",
    ),
    pytest.param(
        Case(
            (),
            "RUNNING",
            "Job attempt duration exceeded timeout",
            rules(b.attempt(status_reason="Job attempt duration exceeded timeout"), attempts=3),
        ),
        id="a timed-out attempt is not retried",
    ),
    pytest.param(
        Case((), "STARTING", "Task failed to start", rules(NEVER_STARTED)),
        id="the only attempt never started",
    ),
    pytest.param(
        Case(
            (),
            "RUNNABLE",
            "Attempt 2 of 2 follows: Host EC2 (instance i-1) terminated.",
            rules(
                Attempt(container=AttemptContainer(), status_reason="Host EC2 (instance i-1) terminated."), attempts=2
            ),
            want_notices=("Retrying",),
        ),
        id="after a lost host, without an exit code",
    ),
]

STARTS = [
    pytest.param(
        Case((waiting("ErrImagePull", PULL),), "STARTING", f"CannotPullContainerError: {PULL}", want_wake=b.at(60)),
        id="image cannot be pulled, within the grace period",
    ),
    pytest.param(
        Case(
            (waiting("ImagePullBackOff", PULL, accepted_at=b.at(5)),),
            "STARTING",
            f"CannotPullContainerError: {PULL}",
            now=b.at(64.9),
            want_wake=b.at(65),
        ),
        id="grace counts from the kubelet's acceptance",
    ),
    pytest.param(
        Case(
            (waiting("ImagePullBackOff", PULL),),
            "STARTING",
            f"CannotPullContainerError: {PULL}",
            now=b.at(60),
            want_actions=(("EndAttempt", names.POD_CONDITION_START_FAILED),),
            want_notices=("StartFailed",),
        ),
        id="image cannot be pulled, grace is over",
    ),
    pytest.param(
        Case(
            (waiting("InvalidImageName"),),
            "STARTING",
            "CannotPullContainerError: InvalidImageName",
            want_actions=(("EndAttempt", names.POD_CONDITION_START_FAILED),),
            want_notices=("StartFailed",),
        ),
        id="hopeless image name ends at once",
    ),
    pytest.param(
        Case(
            (waiting("CreateContainerConfigError", 'secret "x" not found'),),
            "STARTING",
            'CannotStartContainerError: secret "x" not found',
            want_wake=b.at(60),
        ),
        id="missing Secret waits",
    ),
    pytest.param(
        Case(
            (waiting("RunContainerError", "no such file"),),
            "STARTING",
            "CannotStartContainerError: no such file",
            now=b.at(61),
            want_actions=(("EndAttempt", names.POD_CONDITION_START_FAILED),),
            want_notices=("StartFailed",),
        ),
        id="container cannot be made, grace is over",
    ),
    pytest.param(Case((waiting("ContainerCreating"),), "STARTING", now=b.at(9999)), id="slow creation is no failure"),
]

TIMEOUTS = [
    pytest.param(
        Case(
            (b.running_pod(started=10),),
            "RUNNING",
            rules=rules(timeout=60),
            now=b.at(69.9),
            want_wake=b.at(70),
            want_started=b.at(10),
        ),
        id="before the deadline",
    ),
    pytest.param(
        Case(
            (b.running_pod(started=10),),
            "RUNNING",
            "Job attempt duration exceeded timeout (60 s)",
            rules(timeout=60),
            b.at(70),
            (("EndAttempt", names.POD_CONDITION_TIMEOUT),),
            want_notices=("TimedOut",),
            want_started=b.at(10),
        ),
        id="at the deadline",
    ),
    pytest.param(
        Case((waiting("ContainerCreating"),), "STARTING", rules=rules(timeout=60), now=b.at(9999)),
        id="a pod that has not started has no deadline",
    ),
    pytest.param(
        Case(
            (b.running_pod(1, started=100),),
            "RUNNING",
            rules=rules(b.attempt(), attempts=2, timeout=60),
            now=b.at(130),
            want_wake=b.at(160),
            want_started=b.at(100),
        ),
        id="the deadline starts anew with each attempt",
    ),
    pytest.param(
        Case(
            (b.running_pod(mark=b.mark(names.POD_CONDITION_TIMEOUT, "late")),),
            "RUNNING",
            "late",
            want_actions=(("EndAttempt", names.POD_CONDITION_TIMEOUT),),
            want_started=b.NOW,
        ),
        id="marked but not deleted: the end is resumed",
    ),
    pytest.param(
        Case(
            (b.running_pod(mark=b.mark(names.POD_CONDITION_TIMEOUT, "late"), deleting=True),),
            "RUNNING",
            "The pod is being stopped",
            want_started=b.NOW,
        ),
        id="marked and being deleted: nothing more",
    ),
]

GATES = [
    pytest.param(
        Case((b.pod(gated=True),), "STARTING", want_actions=(("ReleasePod", ""),)), id="first attempt is released"
    ),
    pytest.param(
        Case(
            (b.pod(1, gated=True),),
            "STARTING",
            rules=rules(b.attempt(exit_code=1), attempts=3, evaluate=EXIT_ON_3),
            want_actions=(("ReleasePod", ""),),
        ),
        id="retry that no rule refuses is released",
    ),
    pytest.param(
        Case(
            (b.pod(1, gated=True),),
            "RUNNING",
            "evaluateOnExit says EXIT",
            rules(b.attempt(exit_code=3), attempts=3, evaluate=EXIT_ON_3),
            want_actions=(("EndAttempt", names.POD_CONDITION_NO_RETRY),),
        ),
        id="retry that a rule refuses is ended",
    ),
    pytest.param(
        Case(
            (b.pod(1, gated=True),),
            "STARTING",
            "evaluateOnExit says EXIT",
            rules(NEVER_STARTED, attempts=3, evaluate=(b.exit_rule(onReason="CannotPull*"),)),
            want_actions=(("EndAttempt", names.POD_CONDITION_NO_RETRY),),
        ),
        id="retry refused after an attempt that never started",
    ),
    pytest.param(
        Case(
            (b.pod(1, phase="Failed", gated=True, mark=b.mark(names.POD_CONDITION_NO_RETRY)),),
            "RUNNING",
            "Essential container in task exited",
            rules(b.attempt(exit_code=3), attempts=3, evaluate=EXIT_ON_3),
        ),
        id="refused already",
    ),
    pytest.param(
        Case(
            (b.pod(2, gated=True),),
            "STARTING",
            rules=rules(b.attempt(exit_code=3), b.attempt(1, exit_code=1), attempts=3, evaluate=EXIT_ON_3),
            want_actions=(("ReleasePod", ""),),
        ),
        id="only the latest attempt is judged",
    ),
]


@pytest.mark.parametrize("case", STATES + RETRIES + STARTS + TIMEOUTS + GATES)
def test_step(case: Case) -> None:
    step = watch_pod(case.rules, case.pods, b.GRACE_SECONDS, case.now)
    assert step.state == case.want_state
    assert step.reason == case.want_reason
    assert _marks(step) == case.want_actions
    assert step.wake_at == case.want_wake
    assert tuple(notice.reason for notice in step.notices) == case.want_notices
    assert step.started_at == case.want_started


def _marks(step: Step) -> tuple[tuple[str, str], ...]:
    return tuple(
        (type(action).__name__, action.mark if isinstance(action, EndAttempt) else "")
        for action in step.actions
        if isinstance(action, EndAttempt | ReleasePod)
    )


LOST = b.attempt(exit_code=None, status_reason="Host EC2 (instance i-1) terminated.", uncharged=True)


def test_an_attempt_that_was_lost_with_its_instance_is_not_counted() -> None:
    step = watch_pod(rules(LOST, LOST, attempts=1), (), 60, b.NOW)
    assert (step.state, step.reason) == ("RUNNABLE", "Attempt 1 of 1 follows: Host EC2 (instance i-1) terminated.")
    failed = b.attempt(1, exit_code=1)
    assert watch_pod(rules(LOST, failed, attempts=1), (), 60, b.NOW).state == "RUNNING"


def test_messages_of_the_runtime_are_bounded() -> None:
    pod = waiting("ImagePullBackOff", "x" * 5000)
    step = watch_pod(rules(), (pod,), b.GRACE_SECONDS, b.at(61))
    assert len(step.reason) == 1024
    assert step.reason.endswith("…")
    (action,) = step.actions
    assert isinstance(action, EndAttempt)
    assert len(action.message) == 1024


def test_pods_in_any_order_give_the_same_step() -> None:
    pods = (b.ended_pod(0, exit_code=1), b.ended_pod(1, exit_code=1), b.running_pod(2, started=50))
    forward = watch_pod(rules(), pods, b.GRACE_SECONDS, b.NOW)
    assert watch_pod(rules(), pods[::-1], b.GRACE_SECONDS, b.NOW) == forward
