"""Views of one BatchJob, and what is to be decided: before its Kubernetes Job is made, and while that is under way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pytest

import builders as b
from batchwright.domain.actions import DeleteWork, EndAttempt, ReleasePod
from batchwright.domain.dependencies import Resolution
from batchwright.domain.lifecycle import View

EXITED = "Essential container in task exited"
STARTED = {"work": b.work(), "started": True}
TERMINATE = b.job(spec=b.spec(terminate={"reason": "no longer needed"}))
CANCEL = b.job(spec=b.spec(cancel={"reason": "changed my mind"}))
RUNNING = b.status("RUNNING", jobName="hello-1-11111111", computeEnvironment="nodes", jobDefinition="hello:1")
WAITS = "Next in JobQueue normal, waiting for room"


def waiting_for(*texts: str) -> Resolution:
    return Resolution((), texts, None)


def dependency_failed(text: str) -> Resolution:
    return Resolution((), (), text)


def running(**over: object) -> View:
    return b.view(**{**STARTED, "job": b.job(status=RUNNING), **over})


def with_spec(**wire: object) -> object:
    return b.job(spec=b.spec(**wire), status=RUNNING)


@dataclass(frozen=True)
class Case:
    view: View
    want_state: str
    want_reason: str | None = None
    now: datetime = b.NOW
    want_runnable: bool = False
    want_actions: tuple[type, ...] = ()
    want_notices: tuple[str, ...] = ()
    want_exits: tuple[int | None, ...] = ()
    want_cancelled: bool | None = None
    want_terminated: bool | None = None


BEFORE_START = [
    pytest.param(
        Case(
            b.view(definition=None, unready="JobQueue normal not found; the job waits for it"),
            "SUBMITTED",
            "JobQueue normal not found; the job waits for it",
            want_notices=("Waiting",),
        ),
        id="queue missing",
    ),
    pytest.param(
        Case(
            b.view(definition=None, unready="JobDefinition hello is being validated"),
            "SUBMITTED",
            "JobDefinition hello is being validated",
            want_notices=("Waiting",),
        ),
        id="definition not ready",
    ),
    pytest.param(
        Case(
            b.view(job=b.job(status=b.status("RUNNABLE")), unready="JobQueue normal not found"),
            "RUNNABLE",
            "JobQueue normal not found",
            want_notices=("Waiting",),
        ),
        id="queue deleted under a RUNNABLE job: no way back, and not to be started",
    ),
    pytest.param(
        Case(
            b.view(dependencies=waiting_for("a (RUNNING)", "b (not there yet)")),
            "PENDING",
            "Waiting for a (RUNNING), b (not there yet)",
        ),
        id="dependencies",
    ),
    pytest.param(Case(b.view(), "RUNNABLE", want_runnable=True), id="ready"),
    pytest.param(Case(b.view(waits=WAITS), "RUNNABLE", WAITS, want_runnable=True), id="ready, the scheduler says why"),
    pytest.param(
        Case(
            b.view(dependencies=dependency_failed("BatchJob a failed")),
            "FAILED",
            "Dependent Job failed",
            want_notices=("DependencyFailed",),
        ),
        id="dependency failed",
    ),
    pytest.param(
        Case(
            b.view(cycle="a → b → a", dependencies=waiting_for("b (PENDING)")),
            "FAILED",
            "Dependency cycle: a → b → a. Take one dependsOn out and submit again",
            want_notices=("DependencyCycle",),
        ),
        id="cycle",
    ),
    pytest.param(
        Case(
            b.view(refused="spec.template: Invalid value"),
            "FAILED",
            "spec.template: Invalid value",
            want_notices=("JobRefused",),
        ),
        id="refused by the API server",
    ),
    pytest.param(
        Case(b.view(job=TERMINATE), "FAILED", "no longer needed", want_notices=("Terminated",), want_terminated=True),
        id="terminate before start",
    ),
    pytest.param(
        Case(b.view(job=CANCEL), "FAILED", "changed my mind", want_notices=("Cancelled",), want_cancelled=True),
        id="cancel before start",
    ),
    pytest.param(
        Case(
            b.view(job=CANCEL, unready="no queue", dependencies=waiting_for("a (PENDING)")),
            "FAILED",
            "changed my mind",
            want_notices=("Cancelled",),
            want_cancelled=True,
        ),
        id="cancel while it waits for everything",
    ),
    pytest.param(
        Case(
            b.view(
                job=b.job(spec=b.spec(cancel={"reason": "c"}, terminate={"reason": "t"})),
            ),
            "FAILED",
            "t",
            want_notices=("Terminated",),
            want_terminated=True,
        ),
        id="terminate outranks cancel",
    ),
]

UNDER_WAY = [
    pytest.param(Case(b.view(**STARTED), "STARTING"), id="Job made, no pod yet"),
    pytest.param(Case(b.view(**STARTED, pods=(b.pod(),)), "STARTING"), id="pod pending"),
    pytest.param(
        Case(b.view(**STARTED, pods=(b.pod(gated=True),)), "STARTING", want_actions=(ReleasePod,)), id="gated pod"
    ),
    pytest.param(Case(b.view(**STARTED, pods=(b.running_pod(),)), "RUNNING"), id="container runs"),
    pytest.param(
        Case(
            running(pods=(b.ended_pod(exit_code=1),), rules=b.rules(3)),
            "RUNNABLE",
            f"Attempt 2 of 3 follows: {EXITED}, exit code 1",
            want_notices=("Retrying",),
            want_exits=(1,),
        ),
        id="between attempts",
    ),
    pytest.param(
        Case(
            running(pods=(b.ended_pod(exit_code=1), b.pod(1)), rules=b.rules(3)),
            "STARTING",
            want_exits=(1,),
        ),
        id="second attempt starts",
    ),
    pytest.param(
        Case(
            running(pods=(b.running_pod(),), rules=b.rules(timeout=60)),
            "RUNNING",
            "Job attempt duration exceeded timeout (60 s)",
            now=b.at(60),
            want_notices=("TimedOut",),
            want_exits=(None,),
        ),
        id="timeout: the attempt is noted before it is ended",
    ),
    pytest.param(
        Case(
            running(pods=(b.running_pod(),), rules=b.rules(timeout=60), noted={"hello-0"}),
            "RUNNING",
            "Job attempt duration exceeded timeout (60 s)",
            now=b.at(60),
            want_actions=(EndAttempt,),
            want_notices=("TimedOut",),
            want_exits=(None,),
        ),
        id="timeout: ended once it is on record",
    ),
    pytest.param(
        Case(
            running(job=with_spec(terminate={"reason": "stop"}), pods=(b.running_pod(),)),
            "RUNNING",
            "Terminating: stop",
            want_actions=(DeleteWork,),
        ),
        id="terminate while running",
    ),
    pytest.param(
        Case(
            running(job=with_spec(terminate={"reason": "stop"}), pods=(b.running_pod(),), work=b.work(deleting=True)),
            "RUNNING",
            "Terminating: stop",
        ),
        id="terminate under way: the Job is deleted once",
    ),
    pytest.param(
        Case(
            running(job=with_spec(cancel={"reason": "late"}), pods=(b.running_pod(),)),
            "RUNNING",
            want_notices=("CancelIgnored",),
        ),
        id="cancel after the start is ignored, and said",
    ),
    pytest.param(
        Case(
            running(pods=(b.running_pod(),), work=b.work(deleting=True)),
            "RUNNING",
            "The Kubernetes Job hello-1-11111111 is being deleted",
        ),
        id="Job being deleted by somebody",
    ),
    pytest.param(
        Case(
            running(pods=(b.running_pod(),), unready="JobQueue normal not found", refused="x", cycle="a → a"),
            "RUNNING",
        ),
        id="what matters before the start does not matter after",
    ),
]
