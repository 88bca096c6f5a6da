"""The life of a BatchJob: every state, what leads out of it, and what must never happen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import pytest

import builders as b
from batchwright import names
from batchwright.api.v1alpha1.batchjob import ResolvedDependency
from batchwright.domain.actions import DeleteWork, EndAttempt, ReadPods, ReleasePod
from batchwright.domain.dependencies import Resolution
from batchwright.domain.lifecycle import View, decide

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
            "The API server refused the job: spec.template: Invalid value",
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
            want_actions=(EndAttempt,),
            want_notices=("TimedOut",),
        ),
        id="timeout",
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

ENDED = [
    pytest.param(
        Case(
            running(work=b.work(succeeded=1, complete=True), pods=(b.ended_pod(exit_code=0),)),
            "SUCCEEDED",
            EXITED,
            want_exits=(0,),
        ),
        id="success",
    ),
    pytest.param(
        Case(
            running(work=b.work(failed=1, failure="FailedIndexes"), pods=(b.ended_pod(exit_code=42),)),
            "FAILED",
            EXITED,
            want_notices=("Failed",),
            want_exits=(42,),
        ),
        id="failure",
    ),
    pytest.param(
        Case(
            running(
                work=b.work(failed=2, failure="FailedIndexes"),
                rules=b.rules(2),
                pods=(b.ended_pod(0, exit_code=1), b.ended_pod(1, exit_code=2)),
            ),
            "FAILED",
            EXITED,
            want_notices=("Failed",),
            want_exits=(1, 2),
        ),
        id="all attempts failed",
    ),
    pytest.param(
        Case(
            running(
                work=b.work(failed=1, succeeded=1, complete=True),
                rules=b.rules(2),
                pods=(b.ended_pod(1, exit_code=0), b.ended_pod(0, exit_code=1)),
            ),
            "SUCCEEDED",
            EXITED,
            want_exits=(1, 0),
        ),
        id="success at the second attempt, in order whatever the watch showed first",
    ),
    pytest.param(
        Case(
            running(work=b.work(failed=1, failure="x"), pods=(b.ended_pod(exit_code=143, disruption="Evicted"),)),
            "FAILED",
            "Host EC2 (instance i-0abc) terminated.",
            want_notices=("Failed",),
            want_exits=(None,),
        ),
        id="lost node",
    ),
    pytest.param(
        Case(
            running(
                work=b.work(failed=1, failure="x"),
                pods=(b.ended_pod(exit_code=None, mark=b.mark(names.POD_CONDITION_START_FAILED, "CannotPull")),),
            ),
            "FAILED",
            "Task failed to start",
            want_notices=("Failed",),
            want_exits=(None,),
        ),
        id="never started",
    ),
    pytest.param(
        Case(
            running(
                work=b.work(failed=1, failure="x"),
                pods=(b.ended_pod(exit_code=137, mark=b.mark(names.POD_CONDITION_TIMEOUT)),),
            ),
            "FAILED",
            "Job attempt duration exceeded timeout",
            want_notices=("Failed",),
            want_exits=(137,),
        ),
        id="timed out",
    ),
    pytest.param(
        Case(
            running(
                work=b.work(succeeded=1, complete=True),
                pods=(b.ended_pod(exit_code=0, mark=b.mark(names.POD_CONDITION_TIMEOUT)),),
            ),
            "SUCCEEDED",
            EXITED,
            want_exits=(0,),
        ),
        id="success that races with the timeout's mark",
    ),
    pytest.param(
        Case(running(work=b.work(failed=1, failure="x")), "RUNNING", want_actions=(ReadPods,)),
        id="finished, pods not seen: they are read first",
    ),
    pytest.param(
        Case(
            running(work=b.work(failed=1, failure="Job has failed indexes"), pods_complete=True),
            "FAILED",
            "Job has failed indexes",
            want_notices=("Failed",),
        ),
        id="finished, pods are gone: the Job's own words",
    ),
    pytest.param(
        Case(
            running(work=b.work(failed=1, failure=""), pods_complete=True),
            "FAILED",
            "The Kubernetes Job failed",
            want_notices=("Failed",),
        ),
        id="finished without a word",
    ),
    pytest.param(
        Case(
            running(
                work=b.work(failed=2, failure="x"),
                rules=b.rules(3),
                pods=(
                    b.ended_pod(0, exit_code=3),
                    b.pod(1, phase="Failed", gated=True, mark=b.mark(names.POD_CONDITION_NO_RETRY)),
                ),
                pods_complete=True,
            ),
            "FAILED",
            EXITED,
            want_notices=("Failed",),
            want_exits=(3,),
        ),
        id="a refused retry is no attempt",
    ),
    pytest.param(
        Case(
            running(work=None, job=with_spec(terminate={"reason": "stop"}), pods=(b.ended_pod(exit_code=143),)),
            "FAILED",
            "stop",
            want_notices=("Terminated",),
            want_exits=(143,),
            want_terminated=True,
        ),
        id="terminated: the Job is gone",
    ),
    pytest.param(
        Case(
            running(
                work=b.work(deleting=True, failed=1, failure="Job has failed indexes"),
                job=with_spec(terminate={"reason": "stop"}),
                pods=(b.ended_pod(exit_code=143),),
            ),
            "FAILED",
            "stop",
            want_notices=("Terminated",),
            want_exits=(143,),
            want_terminated=True,
        ),
        id="terminated: the Job controller counts the stopped pod before the Job goes",
    ),
    pytest.param(
        Case(
            running(
                work=b.work(deleting=True, succeeded=1, complete=True),
                job=with_spec(terminate={"reason": "stop"}),
                pods=(b.ended_pod(exit_code=0),),
            ),
            "SUCCEEDED",
            EXITED,
            want_exits=(0,),
        ),
        id="terminate that comes after the success changes nothing",
    ),
    pytest.param(
        Case(
            running(
                work=b.work(failed=1, failure="x"),
                job=with_spec(terminate={"reason": "stop"}),
                pods=(b.ended_pod(exit_code=7),),
            ),
            "FAILED",
            EXITED,
            want_notices=("Failed",),
            want_exits=(7,),
        ),
        id="terminate that comes after the failure changes nothing",
    ),
    pytest.param(
        Case(
            running(work=None),
            "FAILED",
            "The Kubernetes Job hello-1-11111111 was deleted by somebody else before it finished",
            want_notices=("JobDeleted",),
        ),
        id="Job deleted by somebody",
    ),
    pytest.param(
        Case(
            b.view(job=b.job(status=b.status("RUNNABLE")), started=True),
            "FAILED",
            "The Kubernetes Job was deleted by somebody else before it finished",
            want_notices=("JobDeleted",),
        ),
        id="Job deleted before its name was recorded",
    ),
    pytest.param(
        Case(
            b.view(job=b.job(status=RUNNING)),
            "FAILED",
            "The Kubernetes Job hello-1-11111111 was deleted by somebody else before it finished",
            want_notices=("JobDeleted",),
        ),
        id="Job deleted while the operator was down: not run again",
    ),
]
EVERY = BEFORE_START + UNDER_WAY + ENDED


@pytest.mark.parametrize("case", EVERY)
def test_decide(case: Case) -> None:
    decision = decide(case.view, case.now)
    status = decision.status
    assert status.state == case.want_state
    assert status.status_reason == case.want_reason
    assert decision.runnable == case.want_runnable
    assert tuple(type(action) for action in decision.actions) == case.want_actions
    assert tuple(notice.reason for notice in decision.notices) == case.want_notices
    assert tuple(each.container.exit_code for each in status.attempts) == case.want_exits
    assert status.is_cancelled == case.want_cancelled
    assert status.is_terminated == case.want_terminated


@pytest.mark.parametrize("case", EVERY)
def test_a_second_look_gives_the_same_status(case: Case) -> None:
    first = decide(case.view, case.now)
    again = decide(b.with_status(case.view, first.status), case.now)
    assert again.status == first.status
    if not first.is_final:
        assert again.actions == first.actions
        assert again.runnable == first.runnable
        assert again.wake_at == first.wake_at


@pytest.mark.parametrize("case", EVERY)
def test_what_is_decided_fits_the_schema(case: Case) -> None:
    status = decide(case.view, case.now).status
    assert type(status).model_validate(status.to_wire()) == status
    assert status.observed_generation == case.view.job.generation


@pytest.mark.parametrize("case", ENDED)
def test_a_final_status_is_whole(case: Case) -> None:
    status = decide(case.view, b.at(100)).status
    if status.state not in ("SUCCEEDED", "FAILED"):
        return
    (condition,) = status.conditions
    assert condition.type == ("Complete" if status.state == "SUCCEEDED" else "Failed")
    assert (condition.status, condition.message) == ("True", status.status_reason)
    assert status.stopped_at is not None


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED"])
@pytest.mark.parametrize("case", EVERY)
def test_final_states_never_change(case: Case, state: str) -> None:
    final = b.status(state, statusReason="done", stoppedAt="2026-03-01T11:00:00.000Z")
    decision = decide(b.with_status(case.view, final), b.at(9999))
    assert decision.status == final
    assert decision.actions == ()
    assert decision.notices == ()
    assert not decision.runnable


def test_wakes_for_the_timeout() -> None:
    view = running(pods=(b.running_pod(started=10),), rules=b.rules(timeout=60))
    assert decide(view, b.at(20)).wake_at == b.at(70)


def test_started_at_follows_the_last_attempt() -> None:
    first = decide(running(pods=(b.running_pod(started=10),)), b.at(11)).status
    assert first.started_at == "2026-03-01T12:00:10.000Z"
    view = running(
        job=b.job(status=first), rules=b.rules(2), pods=(b.ended_pod(0, exit_code=1), b.running_pod(1, started=50))
    )
    assert decide(view, b.at(51)).status.started_at == "2026-03-01T12:00:50.000Z"


def test_stopped_at_is_when_the_container_ended_not_when_we_heard_of_it() -> None:
    view = running(work=b.work(succeeded=1, complete=True), pods=(b.ended_pod(exit_code=0),))
    status = decide(view, b.at(500)).status
    assert status.started_at == "2026-03-01T12:00:00.000Z"
    assert status.stopped_at == "2026-03-01T12:00:05.000Z"


def test_the_status_names_what_runs_where() -> None:
    found = (ResolvedDependency(name="a", job_id="uid-a", state="SUCCEEDED"),)
    status = decide(b.view(**STARTED, dependencies=Resolution(found, (), None)), b.NOW).status
    assert status.job_name == "hello-1-11111111"
    assert status.compute_environment == "nodes"
    assert status.job_definition == "hello:1"
    assert status.created_at == "2026-03-01T12:00:00.000Z"
    assert status.depends_on == found


def test_attempts_outlive_their_pods() -> None:
    first = decide(running(pods=(b.ended_pod(0, exit_code=1),), rules=b.rules(2)), b.NOW).status
    later = running(
        job=b.job(status=first), rules=b.rules(2), work=b.work(failed=1, succeeded=1, complete=True), pods=()
    )
    assert [type(action) for action in decide(later, b.NOW).actions] == [ReadPods]
    done = decide(replace(later, pods=(b.ended_pod(1),), pods_complete=True), b.NOW).status
    assert [each.container.exit_code for each in done.attempts] == [1, 0]


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(b.view(unready="x" * 3000), id="unready"),
        pytest.param(b.view(refused="x" * 3000), id="refused"),
        pytest.param(b.view(cycle="x" * 3000), id="cycle"),
        pytest.param(b.view(waits="x" * 3000), id="waits"),
        pytest.param(b.view(dependencies=waiting_for(*["y" * 100] * 100)), id="dependencies"),
        pytest.param(b.view(job=b.job(spec=b.spec(terminate={"reason": "z" * 1024}))), id="terminate"),
        pytest.param(running(job=with_spec(terminate={"reason": "z" * 1024})), id="terminating"),
        pytest.param(running(work=b.work(failure="x" * 3000), pods_complete=True), id="Job failure"),
        pytest.param(running(pods=(b.pod(unschedulable="x" * 3000),)), id="unschedulable"),
        pytest.param(running(pods=(b.running_pod(mark=b.mark("m", "x" * 3000)),)), id="mark"),
    ],
)
def test_texts_are_bounded(view: View) -> None:
    status = decide(view, b.at(5)).status
    assert status.status_reason is not None
    assert len(status.status_reason) == 1024
    assert type(status).model_validate(status.to_wire()) == status
