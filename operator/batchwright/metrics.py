"""Every metric of the operator, by Prometheus conventions."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

PASS_SECONDS: Final = Histogram(
    "batchwright_pass_duration_seconds",
    "Time one pass of the scheduler took.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
RUNNABLE: Final = Gauge("batchwright_jobs_runnable", "BatchJobs that wait for capacity.")
DECISION_ERRORS: Final = Counter(
    "batchwright_decision_errors_total", "Decisions about a job that failed by a defect of the operator."
)
JOBS_FINISHED: Final = Counter("batchwright_jobs_finished_total", "BatchJobs that have finished.", ["state"])
