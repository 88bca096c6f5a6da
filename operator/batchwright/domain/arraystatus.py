"""What a status says of an array's elements (AWS: ArrayPropertiesDetail): made when written, not at each decision."""

from __future__ import annotations

from datetime import datetime

from batchwright.api.v1alpha1.array import ArrayPropertiesDetail, StatusSummary
from batchwright.api.v1alpha1.batchjob import BatchJobStatus
from batchwright.domain.elements import FAILED, PENDING, RUNNABLE, RUNNING, STARTING, SUCCEEDED, Elements
from batchwright.domain.indexes import format_runs
from batchwright.domain.texts import timestamp


def array_detail(elements: Elements, *, submitted: bool, updated_at: str) -> ArrayPropertiesDetail:
    """The record for the status; `submitted`: what is pending has not been taken in yet."""
    waiting = elements.counts[PENDING]
    return ArrayPropertiesDetail(
        size=elements.size,
        status_summary=StatusSummary(
            submitted=waiting if submitted else 0,
            pending=0 if submitted else waiting,
            runnable=elements.counts[RUNNABLE],
            starting=elements.counts[STARTING],
            running=elements.counts[RUNNING],
            succeeded=elements.counts[SUCCEEDED],
            failed=elements.counts[FAILED],
        ),
        status_summary_last_updated_at=updated_at,
        succeeded_indexes=format_runs(elements.indexes_in(SUCCEEDED)),
        failed_indexes=format_runs(elements.indexes_in(FAILED)),
        failures=elements.failures.to_status(),
    )


def with_elements(status: BatchJobStatus, elements: Elements, now: datetime) -> BatchJobStatus:
    """The status with what is known of the elements now."""
    detail = array_detail(elements, submitted=status.state == "SUBMITTED", updated_at=timestamp(now))
    return status.model_copy(update={"array_properties": detail})
