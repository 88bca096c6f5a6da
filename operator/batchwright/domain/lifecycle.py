"""The life of a BatchJob, decided from what is seen and nothing else.

      SUBMITTED ──▶ PENDING ──▶ RUNNABLE ──▶ STARTING ──▶ RUNNING ──▶ SUCCEEDED
          │            │           │ ▲          │            │
          │            │           │ └──────────┴─(retry)────┤
          └────────────┴───────────┴─────────────────────────┴─────▶ FAILED

Level-triggered: `decide` looks at the job, its Kubernetes Job and pods, and gives the status it should have and what
to do now. It keeps no memory, so a restart at any point leads on; calling it twice with the same view gives the same
answer. Final states never change (AWS Batch User Guide, job states).
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from batchwright.api.v1alpha1.batchjob import Attempt, BatchJobStatus, JobState
from batchwright.api.v1alpha1.common import Condition, EvaluateOnExit
from batchwright.domain import reasons
from batchwright.domain.actions import Action, DeleteWork, EndAttempt, Notice, ReadObstacle, ReadPods, SuspendWork
from batchwright.domain.attempts import attempt, charged, ending, is_of_another_node, merge, was_lost
from batchwright.domain.conditions import unscheduled
from batchwright.domain.dependencies import Resolution
from batchwright.domain.observations import FINAL_STATES, Job, Pod, Work
from batchwright.domain.podwatch import RunningView, watch_pod
from batchwright.domain.texts import bounded, timestamp
from batchwright.names import CONDITION_COMPLETE, CONDITION_FAILED

# The Job controller makes a pod within a second or two; after this long something keeps it from doing so.
_OF_ENDINGS = (reasons.ATTEMPT_TIMED_OUT, reasons.NODE_FAILED_PREFIX)
POD_DUE_SECONDS = 8.0
OBSTACLE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Rules:
    """What the pinned definition and the job say about ending: attempts, retry rules, seconds per attempt."""

    attempts: int = 1
    evaluate_on_exit: tuple[EvaluateOnExit, ...] = ()
    timeout_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class View:
    """All that a decision about one job looks at.

    `definition` is the pinned "name:revision", `unready` why the job cannot be considered yet, `refused` why it never
    can be made, `started` whether its Kubernetes Job is known to have been made (it may be gone since), `waits` the
    scheduler's words and `waits_reason` the same in one, `expired` why its time in the queue is over, `preempting`
    whether it is to make room, `obstacle` why Kubernetes makes no pod for it, `cycle` a dependency cycle this job
    closes, `noted` the pods whose attempts the API server has on record, `spares_lost` whether an attempt whose machine
    was lost is none.
    """

    job: Job
    definition: str | None
    rules: Rules
    dependencies: Resolution
    instances: Mapping[str, str]
    start_grace_seconds: float
    work: Work | None = None
    pods: tuple[Pod, ...] = ()
    pods_complete: bool = False
    started: bool = False
    unready: str | None = None
    refused: str | None = None
    cycle: str | None = None
    waits: str = ""
    waits_reason: str = ""
    expired: str | None = None
    preempting: bool = False
    obstacle: str = ""
    answering: Container[str] | None = None
    noted: Container[str] = frozenset()
    spares_lost: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """The status the job should have, whether the scheduler may start it, and what to do now."""

    status: BatchJobStatus
    runnable: bool = False
    actions: tuple[Action, ...] = ()
    notices: tuple[Notice, ...] = ()
    wake_at: datetime | None = None

    @property
    def is_final(self) -> bool:
        """Whether the job is done."""
        return self.status.state in FINAL_STATES


def decide(view: View, now: datetime) -> Decision:
    """What to do about one job. Total: every view has an answer."""
    status = view.job.status
    if status.state in FINAL_STATES:
        return Decision(status)
    if view.work is not None:
        return _with_work(view, view.work, now)
    if view.started or status.job_name:
        return _work_gone(view, now)
    return _before_start(view, now)


def _before_start(view: View, now: datetime) -> Decision:
    spec = view.job.spec
    if spec.terminate is not None:
        return _fail(view, now, spec.terminate.reason, Notice("Terminated", spec.terminate.reason), terminated=True)
    if spec.cancel is not None:
        return _fail(view, now, spec.cancel.reason, Notice("Cancelled", spec.cancel.reason), cancelled=True)
    if view.cycle is not None:
        text = f"Dependency cycle: {view.cycle}. Take one dependsOn out and submit again"
        return _fail(view, now, text, Notice("DependencyCycle", text, warning=True))
    if view.dependencies.failed is not None:
        notice = Notice("DependencyFailed", view.dependencies.failed, warning=True)
        decision = _fail(view, now, view.dependencies.reason, notice)
        if view.dependencies.reason == view.dependencies.failed:
            return decision
        # AWS's text is the reason that clients match; which dependency it was stands in the condition.
        [condition] = decision.status.conditions
        said = condition.model_copy(update={"message": bounded(f"{condition.message}: {view.dependencies.failed}")})
        return replace(decision, status=decision.status.model_copy(update={"conditions": (said,)}))
    if view.expired is not None:
        notice = Notice("TimeLimit", view.expired, warning=True)
        return _fail(view, now, view.expired, notice, cancelled=True)
    if view.refused is not None:
        text = bounded(view.refused)
        return _fail(view, now, text, Notice("JobRefused", text, warning=True))
    if view.unready is not None:
        notice = Notice("Waiting", view.unready)
        # A queue that goes away does not take back what was said: states only go forward before the start.
        return Decision(present_status(view, view.job.status.state or "SUBMITTED", view.unready), notices=(notice,))
    if view.dependencies.waiting:
        text = "Waiting for " + ", ".join(view.dependencies.waiting)
        return Decision(present_status(view, "PENDING", text))
    return Decision(waiting_status(view, "RUNNABLE", now), runnable=True)


def _with_work(view: View, work: Work, now: datetime) -> Decision:
    recorded = _attempts(view)
    if work.is_finished:
        # The pod watch may be behind the Job watch; one read settles it.
        live_pods = {pod.name for pod in view.pods if not pod.is_finished}
        ended = charged(entry for entry in recorded if entry.container.pod_name not in live_pods)
        if ended < work.failed + work.succeeded and not view.pods_complete:
            return Decision(
                present_status(view, _current(view), view.job.status.status_reason), actions=(ReadPods(work),)
            )
        return _finish(view, work, recorded, now)
    terminate = view.job.spec.terminate
    if terminate is not None:
        status = present_status(view, _current(view), f"Terminating: {terminate.reason}")
        return Decision(status, actions=() if work.deleting else (DeleteWork(work),))
    if work.deleting:
        return Decision(present_status(view, _current(view), f"The Kubernetes Job {work.name} is being deleted"))
    live = tuple(pod for pod in view.pods if not pod.is_finished)
    if work.suspended:
        return _suspended(view, work, live, now)
    notices: tuple[Notice, ...] = ()
    if view.job.spec.cancel is not None:
        text = "cancel came after the job had started, so it goes on; set terminate to end it"
        notices = (Notice("CancelIgnored", text),)
    if view.preempting or any(pod.is_preempted for pod in live):
        # Marked, and not yet suspended. The Job first: it would make another pod at once.
        status = present_status(view, _current(view), view.job.status.status_reason)
        return Decision(status, actions=(SuspendWork(work),))
    rules = view.rules
    running = RunningView(rules.attempts, rules.evaluate_on_exit, rules.timeout_seconds, recorded, view.answering)
    if not view.pods and not recorded:
        return _without_pod(view, work, notices, now)
    step = watch_pod(running, view.pods, view.start_grace_seconds, now)
    status = present_status(view, step.state, step.reason, started_at=step.started_at)
    actions = step.actions
    for action in step.actions:
        if isinstance(action, EndAttempt) and not action.pod.gated:
            # Noted first: its pod goes with the attempt, and an operator that starts after that finds no other trace.
            noted = merge(status.attempts, (ending(action, view.instances),))
            status = status.model_copy(update={"attempts": noted})
            actions = step.actions if action.pod.name in view.noted else ()
    return Decision(status, actions=actions, notices=notices + step.notices, wake_at=step.wake_at)


def _suspended(view: View, work: Work, live: tuple[Pod, ...], now: datetime) -> Decision:
    """It was preempted: RUNNABLE, and a candidate again once its pods have gone."""
    if view.expired is not None and not live:
        return Decision(present_status(view, "RUNNABLE", view.expired), actions=(DeleteWork(work),))
    if view.job.spec.cancel is not None and not live:
        status = present_status(view, "RUNNABLE", f"Cancelling: {view.job.spec.cancel.reason}")
        return Decision(status, actions=(DeleteWork(work),))
    if view.waits:
        return Decision(waiting_status(view, "RUNNABLE", now), runnable=not live)
    told = next((pod.mark.message for pod in live if pod.mark is not None), "") or view.job.status.status_reason
    return Decision(present_status(view, "RUNNABLE", told), runnable=not live)


def _without_pod(view: View, work: Work, notices: tuple[Notice, ...], now: datetime) -> Decision:
    status = present_status(view, "STARTING", view.obstacle)
    if view.obstacle:
        notices += (Notice("NoPod", view.obstacle, warning=True),)
    due = work.created_at + timedelta(seconds=POD_DUE_SECONDS)
    if now < due:
        return Decision(status, notices=notices, wake_at=due)
    again = now + timedelta(seconds=OBSTACLE_SECONDS)
    return Decision(status, actions=(ReadObstacle(work),), notices=notices, wake_at=again)


def _finish(view: View, work: Work, recorded: tuple[Attempt, ...], now: datetime) -> Decision:
    last = recorded[-1] if recorded else None
    terminate = view.job.spec.terminate
    if terminate is not None and work.deleting:
        # The Job controller may count the pod that was stopped, and end the Job, before the Job goes.
        return _fail(view, now, terminate.reason, Notice("Terminated", terminate.reason), terminated=True)
    # Ended by us, whatever the process made of its SIGTERM.
    was_ended = last is not None and ((last.status_reason or "").startswith(_OF_ENDINGS) or is_of_another_node(last))
    if work.complete and not was_ended:
        return Decision(final_status(view, now, "SUCCEEDED", reasons.ESSENTIAL_CONTAINER_EXITED))
    reason = (last.status_reason if last else None) or bounded(work.failure or "The Kubernetes Job failed")
    detail = last.container if last else None
    parts = [reason]
    if detail is not None and detail.exit_code is not None:
        parts.append(f"exit code {detail.exit_code}")
    if detail is not None and detail.reason:
        parts.append(detail.reason)
    notice = Notice("Failed", f"after {charged(recorded)} of {view.rules.attempts} attempts: " + ", ".join(parts), True)
    return Decision(final_status(view, now, "FAILED", reason), notices=(notice,))


def _work_gone(view: View, now: datetime) -> Decision:
    terminate = view.job.spec.terminate
    if terminate is not None:
        return _fail(view, now, terminate.reason, Notice("Terminated", terminate.reason), terminated=True)
    if view.expired is not None:
        return _fail(view, now, view.expired, Notice("TimeLimit", view.expired, warning=True), terminated=True)
    cancel = view.job.spec.cancel
    if cancel is not None and view.job.status.state == "RUNNABLE":
        return _fail(view, now, cancel.reason, Notice("Cancelled", cancel.reason), cancelled=True)
    # Making it again could run a finished job a second time: nobody can tell how far it had come.
    name = f"The Kubernetes Job {view.job.status.job_name}" if view.job.status.job_name else "The Kubernetes Job"
    text = f"{name} was deleted by somebody else before it finished"
    return _fail(view, now, text, Notice("JobDeleted", text, warning=True))


def _fail(
    view: View, now: datetime, reason: str, notice: Notice, *, cancelled: bool = False, terminated: bool = False
) -> Decision:
    status = final_status(view, now, "FAILED", reason)
    if cancelled or terminated:
        status = status.model_copy(update={"is_cancelled": cancelled or None, "is_terminated": terminated or None})
    return Decision(status, notices=(notice,))


def _attempts(view: View) -> tuple[Attempt, ...]:
    finished = sorted((pod for pod in view.pods if pod.is_finished), key=lambda pod: (pod.failures, pod.created_at))
    ended = tuple(attempt(pod, view.instances) for pod in finished if _is_attempt(view, pod))
    recorded = merge(view.job.status.attempts, ended)
    uncounted = _uncounted(view, recorded)
    return tuple(entry for entry in recorded if entry not in uncounted)


def _is_attempt(view: View, pod: Pod) -> bool:
    """Whether a finished pod was an attempt. A gated pod that we failed to refuse a retry never ran, and one that was
    preempted is not charged, unless it succeeded before it could be stopped."""
    if pod.phase == "Succeeded":
        return not _answered_its_stop(view, pod)
    return not (pod.gated or pod.is_preempted or (view.spares_lost and was_lost(pod)) or _made_room(view, pod))


def _was_preempted(view: View) -> bool:
    work = view.work
    return bool(view.preempting or _preemptions(view) or (work is not None and (work.suspended or work.given_back)))


def _made_room(view: View, pod: Pod) -> bool:
    """Whether the pod of a preempted job ended by the suspension although it bears no mark: made in the instant before,
    it was not seen in time. What the Job controller has not counted is no attempt."""
    work = view.work
    if not _was_preempted(view) or pod.phase != "Failed" or not pod.deleting or pod.mark is not None or pod.disruption:
        return False
    if work is None or work.deleting or any(other.failures > pod.failures for other in view.pods):
        return False
    return work.failed <= pod.failures


def _answered_its_stop(view: View, pod: Pod) -> bool:
    """Whether a pod that was to make room exited with 0 when it was stopped. The Job controller takes a pod out of its
    books before it deletes it for a suspension (`deleteJobPods`): such a success is none, and the job runs again."""
    work = view.work
    if work is None or work.complete or work.succeeded or not pod.deleting:
        return False
    return pod.is_preempted or view.preempting or work.suspended


def _uncounted(view: View, recorded: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """The successes of a preempted job that another pod follows: they came in the instant of the stop, the Job
    controller did not count them, and the job runs again. What else is followed, it has counted as failed."""
    if view.work is None or not _was_preempted(view):
        return ()
    known = {entry.container.pod_name for entry in recorded}
    follows = any(not pod.is_finished and not pod.main and pod.name not in known for pod in view.pods)
    earlier = recorded if follows else recorded[:-1]
    if charged(earlier) <= view.work.failed:
        return ()
    succeeded = (0, reasons.ESSENTIAL_CONTAINER_EXITED)
    return tuple(entry for entry in earlier if (entry.container.exit_code, entry.status_reason) == succeeded)


def _preemptions(view: View) -> int | None:
    """How often the job was preempted: its Kubernetes Job bears the count, so that it is lost with no operator."""
    held = view.job.status.preemptions
    counted = view.work.preemptions if view.work is not None else 0
    return max(held or 0, counted) or held


def _current(view: View) -> JobState:
    return view.job.status.state or "STARTING"


def present_status(
    view: View, state: JobState, reason: str | None, started_at: datetime | None = None
) -> BatchJobStatus:
    """The status of a job in this state, with all that is known of it."""
    recorded = _attempts(view)
    started = timestamp(started_at) if started_at else view.job.status.started_at
    if started is None and recorded:
        started = recorded[-1].started_at
    work = view.work
    return view.job.status.model_copy(
        update={
            "observed_generation": view.job.generation,
            "state": state,
            "status_reason": bounded(reason) if reason else None,
            "job_definition": view.definition,
            "compute_environment": work.environment if work else view.job.status.compute_environment,
            "job_name": work.name if work else view.job.status.job_name,
            "created_at": timestamp(view.job.created_at),
            "started_at": started,
            "attempts": recorded,
            "preemptions": _preemptions(view),
            "depends_on": view.dependencies.found,
            "conditions": (),
        }
    )


def waiting_status(view: View, state: JobState, now: datetime, started_at: datetime | None = None) -> BatchJobStatus:
    """The status of a job that the scheduler has wait, in its words."""
    status = present_status(view, state, None, started_at)
    return unscheduled(status, view.waits_reason, view.waits, now, view.job.status.conditions)


def final_status(view: View, now: datetime, state: JobState, reason: str) -> BatchJobStatus:
    """The status of a job that ends in this state."""
    status = present_status(view, state, reason)
    stopped = (status.attempts[-1].stopped_at if status.attempts else None) or timestamp(now)
    started = status.attempts[-1].started_at if status.attempts else status.started_at
    condition = Condition(
        type=CONDITION_COMPLETE if state == "SUCCEEDED" else CONDITION_FAILED,
        status="True",
        reason="Succeeded" if state == "SUCCEEDED" else "Failed",
        message=bounded(reason),
        last_transition_time=timestamp(now),
        observed_generation=view.job.generation,
    )
    return status.model_copy(update={"stopped_at": stopped, "started_at": started, "conditions": (condition,)})
