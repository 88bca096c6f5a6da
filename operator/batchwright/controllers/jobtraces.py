"""A job's life as spans: from its submission to its end, with its wait and its attempts within. Pure.

Its trace has the number of its jobId, and each span one that follows from it: who knows the jobId finds the trace, and
an operator that tells of a job again says the same.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b

from batchwright.api.v1alpha1 import BatchJobStatus
from batchwright.api.v1alpha1.batchjob import Attempt
from batchwright.domain.observations import Job
from batchwright.domain.texts import moment

Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class JobSpan:
    """One span. `error` is why it failed; empty if it did not. `needs` are the traces it waited for."""

    name: str
    trace_id: int
    span_id: int
    parent_id: int | None
    start: datetime
    end: datetime
    attributes: dict[str, Value] = field(default_factory=dict)
    error: str = ""
    needs: tuple[tuple[int, int], ...] = ()


def spans_of(job: Job, status: BatchJobStatus) -> tuple[JobSpan, ...]:
    """The spans of a job that has ended, the whole first."""
    created = job.created_at
    stopped = moment(status.stopped_at) if status.stopped_at else created
    trace, root = trace_of(job.uid), span_of(job.uid, "job")
    parts = [
        _attempt(job.uid, trace, root, number, attempt, stopped) for number, attempt in enumerate(status.attempts, 1)
    ]
    started = min(
        [part.start for part in parts] + ([moment(status.started_at)] if status.started_at else []), default=None
    )
    if not parts and started is not None:
        # Elements of arrays have no attempts in the status.
        parts.append(JobSpan("run", trace, span_of(job.uid, "run"), root, started, max(started, stopped)))
    waited = max(created, stopped if started is None else started)
    wait = JobSpan("wait", trace, span_of(job.uid, "wait"), root, created, waited)
    end = max([stopped, created, *(part.end for part in parts)])
    failed = (status.status_reason or "failed") if status.state == "FAILED" else ""
    needs = tuple((trace_of(each.job_id), span_of(each.job_id, "job")) for each in status.depends_on)
    whole = JobSpan("job", trace, root, None, created, end, _about(job, status), failed, needs)
    return whole, wait, *parts


def trace_of(job_id: str) -> int:
    """The trace's number, 128 bits: the jobId itself, which is a UUID."""
    try:
        return uuid.UUID(job_id).int
    except ValueError:
        return int.from_bytes(blake2b(job_id.encode(), digest_size=16).digest(), "big")


def span_of(job_id: str, part: str) -> int:
    """The span's number, 64 bits and not 0."""
    return int.from_bytes(blake2b(f"{job_id}/{part}".encode(), digest_size=8).digest(), "big") or 1


def _attempt(job_id: str, trace: int, root: int, number: int, attempt: Attempt, stopped: datetime) -> JobSpan:
    end = moment(attempt.stopped_at) if attempt.stopped_at else stopped
    # One that never started (no image, no node) has its end alone.
    start = moment(attempt.started_at) if attempt.started_at else end
    container = attempt.container
    said: dict[str, Value | None] = {
        "batchwright.attempt": number,
        "k8s.pod.name": container.pod_name,
        "k8s.node.name": container.node_name,
        "process.exit.code": container.exit_code,
        "batchwright.reason": container.reason,
    }
    failed = container.exit_code != 0
    error = (attempt.status_reason or container.reason or "failed") if failed else ""
    attributes = {key: value for key, value in said.items() if value is not None}
    span = span_of(job_id, f"attempt-{number}")
    return JobSpan("attempt", trace, span, root, start, max(start, end), attributes, error)


def _about(job: Job, status: BatchJobStatus) -> dict[str, Value]:
    spec, detail = job.spec, status.array_properties
    said: dict[str, Value | None] = {
        "batchwright.job.id": job.uid,
        "batchwright.job.name": job.name,
        "k8s.namespace.name": job.namespace,
        "batchwright.queue": spec.job_queue,
        "batchwright.share": spec.share_identifier or spec.quota_share_name,
        "batchwright.job.definition": status.job_definition or spec.job_definition,
        "batchwright.environment": status.compute_environment,
        "batchwright.state": status.state,
        "batchwright.reason": status.status_reason,
        "batchwright.preemptions": status.preemptions,
        "batchwright.array.size": detail.size if detail else None,
        "batchwright.array.failed": detail.status_summary.failed if detail else None,
    }
    return {key: value for key, value in said.items() if value is not None}
