"""Counts how jobs get on, from one status to the next (batchwright.metrics)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from batchwright import metrics
from batchwright.api.v1alpha1 import BatchJobStatus
from batchwright.controllers.entries import Entry
from batchwright.controllers.store import Store
from batchwright.domain import reasons
from batchwright.domain.observations import FINAL_STATES
from batchwright.domain.texts import moment
from batchwright.metrics import FailureCause

_BY_REASON: Final = {
    reasons.DEPENDENT_JOB_FAILED: FailureCause.DEPENDENCY,
    reasons.DEPENDENT_JOB_SUCCEEDED: FailureCause.DEPENDENCY,
    reasons.ARRAY_CHILD_FAILED: FailureCause.ELEMENT,
}
_BY_ATTEMPT: Final = {
    reasons.ATTEMPT_TIMED_OUT: FailureCause.TIMED_OUT,
    reasons.HOST_TERMINATED_PREFIX: FailureCause.HOST,
    reasons.NODE_FAILED_PREFIX: FailureCause.NODE,
    reasons.TASK_FAILED_TO_START: FailureCause.NOT_STARTED,
    reasons.ESSENTIAL_CONTAINER_EXITED: FailureCause.EXITED,
}


@dataclass(frozen=True, slots=True)
class Progress:
    """What a change of a status means: how long the job waited for its first start, if this is it; how it ended, and
    how long after its first start, if it has."""

    waited_seconds: float | None = None
    ended: str = ""
    ran_seconds: float | None = None


def progress(before: BatchJobStatus, after: BatchJobStatus) -> Progress:
    """What has changed. A job that is preempted, retried or looked at by another operator does not start anew."""
    waited = ran = None
    started = _first_start(after)
    if started is not None and _first_start(before) is None and after.created_at is not None:
        waited = _seconds(after.created_at, started)
    ended = after.state if after.state in FINAL_STATES and before.state != after.state else None
    if ended and started is not None and after.stopped_at is not None:
        ran = _seconds(started, after.stopped_at)
    return Progress(waited, ended or "", ran)


def failure_cause(status: BatchJobStatus) -> FailureCause | None:
    """Why a job has FAILED; None of one that has not. People word some reasons, and requests go before words."""
    if status.state != "FAILED":
        return None
    if status.is_terminated or status.is_cancelled:
        return FailureCause.TERMINATED if status.is_terminated else FailureCause.CANCELLED
    last = status.attempts[-1] if status.attempts else None
    if last is None or last.status_reason != status.status_reason:
        return _BY_REASON.get(status.status_reason or "", FailureCause.OTHER)
    detail = last.container.reason or ""
    if detail.startswith(reasons.CANNOT_PULL_PREFIX):
        return FailureCause.CANNOT_PULL
    if detail == reasons.OUT_OF_MEMORY:
        return FailureCause.OUT_OF_MEMORY
    found = (cause for prefix, cause in _BY_ATTEMPT.items() if (last.status_reason or "").startswith(prefix))
    return next(found, FailureCause.OTHER)


def _first_start(status: BatchJobStatus) -> str | None:
    first = next((each.started_at for each in status.attempts if each.started_at is not None), None)
    return first or status.started_at


def _seconds(since: str, until: str) -> float:
    # Clocks of nodes and of the API server differ.
    return max(0.0, (moment(until) - moment(since)).total_seconds())


def count_progress(store: Store, entry: Entry, before: BatchJobStatus, after: BatchJobStatus) -> None:
    """Counts what a decision changed."""
    if before.state == after.state and (before.started_at is None) == (after.started_at is None):
        return
    found = progress(before, after)
    name = entry.job.spec.job_queue
    queue = name if ("", name) in store.queues else ""
    if found.waited_seconds is not None:
        metrics.WAIT_SECONDS.labels(queue).observe(found.waited_seconds)
    if found.ended:
        metrics.JOBS_FINISHED.labels(queue, found.ended, failure_cause(after) or "").inc()
    if found.ran_seconds is not None:
        metrics.RUN_SECONDS.labels(queue).observe(found.ran_seconds)
