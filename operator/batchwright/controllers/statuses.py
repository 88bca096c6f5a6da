"""A job's status as it is written, and what is kept of the job once the last one is."""

from __future__ import annotations

from datetime import datetime

from batchwright.cluster.client import JSON
from batchwright.cluster.resources import BATCH_JOBS
from batchwright.cluster.writes import StatusWrite
from batchwright.controllers.entries import Entry
from batchwright.controllers.meters import Meters
from batchwright.domain.arraystatus import with_elements
from batchwright.domain.observations import FinishedArray, FinishedJob, Job
from batchwright.domain.texts import moment


def is_news(wanted: JSON, held: JSON) -> bool:
    """Whether a status says more than how much was used meanwhile, for which alone none is written."""
    return {**wanted, "usage": None} != {**held, "usage": None}


def compose(entry: Entry, meters: Meters, now: datetime) -> StatusWrite | None:
    """The status to be written; None when there is nothing to say yet. That of an array is made here, not earlier, and
    so is what was used."""
    if entry.job.deleting:
        return None
    if entry.creating and entry.status.state == "RUNNABLE":
        # It is being started: what comes of that is offered again.
        return None
    job, status = entry.job, entry.status
    # The final one has them already: as they were when it was decided.
    if entry.array is not None and not entry.is_final:
        status = with_elements(status, entry.array.elements, now)
    usage = meters.job_usage(job.uid, is_final=entry.is_final) or status.usage
    wanted = status.model_copy(update={"usage": usage}).to_wire()
    if not is_news(wanted, entry.held):
        return None
    return StatusWrite(BATCH_JOBS, job.namespace, job.name, job.uid, wanted, entry.held)


def finished(job: Job, wire: JSON) -> FinishedJob:
    """What is kept of a job whose final status, as `wire` has it, is written."""
    stopped = wire.get("stoppedAt")
    return FinishedJob(
        job.uid,
        job.namespace,
        job.name,
        wire["state"],
        job.spec.job_queue,
        moment(stopped) if stopped else None,
        FinishedArray.of(wire.get("arrayProperties")),
        job.spec.share_identifier or job.spec.quota_share_name or "",
    )
