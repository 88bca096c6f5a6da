"""The attempt under way: what its pod says of the job's state, and when to end it.

A pod that cannot start (no such image, a missing Secret) would wait for ever in Kubernetes; AWS Batch fails the
attempt, and so do we, after a grace period. A timeout counts from the container's start (AWS Batch User Guide, job
timeouts), which activeDeadlineSeconds of a pod does not, and is not retried, which it would be.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from batchwright import names
from batchwright.api.v1alpha1.batchjob import Attempt, JobState
from batchwright.api.v1alpha1.common import EvaluateOnExit
from batchwright.domain import reasons
from batchwright.domain.actions import Action, EndAttempt, Notice, ReleasePod
from batchwright.domain.attempts import charged
from batchwright.domain.observations import Pod
from batchwright.domain.retry import Outcome, evaluate
from batchwright.domain.texts import bounded

# Waiting reasons of the kubelet that no waiting will mend.
HOPELESS = frozenset({"InvalidImageName", "ErrImageNeverPull", "ImageInspectError"})
PULLING = frozenset({"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "SignatureValidationFailed"})
CREATING = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PostStartHookError"})


@dataclass(frozen=True, slots=True)
class RunningView:
    """The rules of the job, the attempts it has behind it, and the nodes that answer."""

    attempts: int
    evaluate_on_exit: tuple[EvaluateOnExit, ...]
    timeout_seconds: int | None
    recorded: tuple[Attempt, ...]
    answering: Container[str] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """The job's state by its present pod, and what to do."""

    state: JobState
    reason: str = ""
    started_at: datetime | None = None
    actions: tuple[Action, ...] = ()
    notices: tuple[Notice, ...] = ()
    wake_at: datetime | None = None


def watch_pod(view: RunningView, pods: Sequence[Pod], grace_seconds: float, now: datetime) -> Step:
    """The step for the pod of the latest attempt. `grace_seconds` is how long a pod may fail to start."""
    live = [pod for pod in pods if not pod.is_finished]
    if not live:
        return _between_attempts(view)
    pod = max(live, key=lambda each: (each.failures, each.created_at))
    if pod.gated:
        return _gated(view, pod)
    if pod.deleting:
        text = "The pod is being stopped"
        if pod.node and view.answering is not None and pod.node not in view.answering:
            text = (
                f"Node {pod.node} does not answer, so nobody knows whether its pod still runs; "
                "delete the Node object once its machine is gone, and the attempt counts as lost"
            )
        return Step("RUNNING" if pod.started_at else "STARTING", text, pod.started_at)
    if pod.mark is not None:
        # Marked and not yet deleted: a stop between the two writes.
        state: JobState = "RUNNING" if pod.started_at else "STARTING"
        again = EndAttempt(pod, pod.mark.type, "Resumed", pod.mark.message)
        return Step(state, pod.mark.message, pod.started_at, (again,))
    if pod.started_at is not None:
        return _running(view, pod, pod.started_at, now)
    return _starting(pod, grace_seconds, now)


def _between_attempts(view: RunningView) -> Step:
    if not view.recorded:
        return Step("STARTING")
    last = view.recorded[-1]
    if not _is_retried(view, last):
        # The Job controller will say so in a moment; until then nothing new can be said.
        return Step(_state_of(last), last.status_reason or "")
    why = ", ".join(
        part
        for part in (
            last.status_reason,
            f"exit code {last.container.exit_code}" if last.container.exit_code is not None else None,
            last.container.reason,
        )
        if part
    )
    text = bounded(f"Attempt {charged(view.recorded) + 1} of {view.attempts} follows: {why}")
    return Step("RUNNABLE", text, notices=(Notice("Retrying", text),))


def _state_of(last: Attempt) -> JobState:
    """The state an attempt had at its end: one that never started was never RUNNING."""
    return "RUNNING" if last.started_at else "STARTING"


def _is_retried(view: RunningView, last: Attempt) -> bool:
    if last.uncharged:
        return True
    if charged(view.recorded) >= view.attempts or last.container.exit_code == 0:
        return False
    # AWS Batch User Guide, job timeouts: a timed-out attempt is not retried.
    return last.status_reason != reasons.ATTEMPT_TIMED_OUT and not _says_exit(view, last)


def _says_exit(view: RunningView, last: Attempt) -> bool:
    ended = Outcome(last.container.exit_code, last.container.reason or "", last.status_reason or "")
    return evaluate(view.evaluate_on_exit, ended) == "EXIT"


def _gated(view: RunningView, pod: Pod) -> Step:
    if pod.failures and view.recorded:
        text = "evaluateOnExit says EXIT"
        if _says_exit(view, view.recorded[-1]):
            refuse = EndAttempt(pod, names.POD_CONDITION_NO_RETRY, "Exit", text)
            return Step(_state_of(view.recorded[-1]), text, actions=(refuse,))
    return Step("STARTING", actions=(ReleasePod(pod),))


def _running(view: RunningView, pod: Pod, started_at: datetime, now: datetime) -> Step:
    if view.timeout_seconds is None:
        return Step("RUNNING", started_at=started_at)
    deadline = started_at + timedelta(seconds=view.timeout_seconds)
    if now < deadline:
        return Step("RUNNING", started_at=started_at, wake_at=deadline)
    text = f"{reasons.ATTEMPT_TIMED_OUT} ({view.timeout_seconds} s)"
    action = EndAttempt(pod, names.POD_CONDITION_TIMEOUT, "TimedOut", text)
    notice = Notice("TimedOut", text, warning=True)
    return Step("RUNNING", text, started_at, (action,), (notice,))


def _starting(pod: Pod, grace_seconds: float, now: datetime) -> Step:
    waiting = pod.waiting_reason
    if waiting in HOPELESS or waiting in PULLING:
        text = reasons.cannot_pull(pod.waiting_message or waiting)
    elif waiting in CREATING:
        text = reasons.cannot_start(pod.waiting_message or waiting)
    else:
        return Step("STARTING", bounded(pod.unschedulable))
    deadline = (pod.accepted_at or pod.created_at) + timedelta(seconds=grace_seconds)
    if waiting not in HOPELESS and now < deadline:
        return Step("STARTING", bounded(text), wake_at=deadline)
    action = EndAttempt(pod, names.POD_CONDITION_START_FAILED, "StartFailed", bounded(text))
    notice = Notice("StartFailed", bounded(text), warning=True)
    return Step("STARTING", bounded(text), None, (action,), (notice,))
