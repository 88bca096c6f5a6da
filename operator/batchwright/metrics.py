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

# What jobs used and what it cost, counted up now and then (settings.checkpoint_seconds) by this process.
_SHARE: Final = ["queue", "share"]
VCPU_SECONDS: Final = Counter("batchwright_vcpu_seconds_total", "vCPU-seconds that jobs held.", _SHARE)
MEMORY_SECONDS: Final = Counter("batchwright_memory_gibibyte_seconds_total", "GiB-seconds that jobs held.", _SHARE)
GPU_SECONDS: Final = Counter("batchwright_gpu_seconds_total", "GPU-seconds that jobs held.", _SHARE)
COST: Final = Counter(
    "batchwright_cost_dollars_total", "Cost of jobs in US dollars: their parts of nodes at the price of launch.", _SHARE
)
LOST_COST: Final = Counter(
    "batchwright_lost_cost_dollars_total", "Cost of attempts that failed, were preempted or interrupted.", _SHARE
)
