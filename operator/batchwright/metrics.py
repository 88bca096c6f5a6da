"""Every metric of the operator, by Prometheus conventions (docs/operations.md has their table).

Two kinds: what happens is counted when it happens; what is, is read when somebody scrapes (`Gauges`), so that it costs
nothing in between. Invariant: no label grows with jobs. Labels are names of kinds that administrators make (queues,
environments), of resources and states, and of shares, of which the first of each queue have their own series and the
rest one in common.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from prometheus_client import Counter, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
# Batch jobs take from seconds to days.
_LONG: Final = (
    *(1.0, 5.0, 15.0, 30.0),
    *(_MINUTE, 3 * _MINUTE, 10 * _MINUTE, 30 * _MINUTE),
    *(_HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR),
    *(_DAY, 3 * _DAY, 7 * _DAY),
)

# Of the operator itself.
PASS_SECONDS: Final = Histogram(
    "batchwright_pass_duration_seconds",
    "Time one pass of the scheduler took.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
DECISION_ERRORS: Final = Counter(
    "batchwright_decision_errors_total", "Decisions about a job that failed by a defect of the operator."
)
RECONCILE_ERRORS: Final = Counter(
    "batchwright_reconcile_errors_total",
    "Looks at an object other than a job that failed by a defect of the operator.",
    ["kind"],
)
API_WRITES: Final = Counter(
    "batchwright_api_writes_total",
    "Writes sent to the API server, by HTTP method and resource; each try is one, a dry run is none.",
    ["method", "resource"],
)
API_WRITE_ERRORS: Final = Counter(
    "batchwright_api_write_errors_total",
    "Writes that the API server refused or did not answer, by HTTP status; 0 without an answer.",
    ["method", "resource", "code"],
)


# Of jobs. The queue is empty where a job names one that is not there.
class FailureCause(StrEnum):
    """Why a BatchJob FAILED, in one word."""

    TERMINATED = "Terminated"
    CANCELLED = "Cancelled"  # also by a time limit of its queue
    DEPENDENCY = "DependencyFailed"
    ELEMENT = "ElementFailed"
    TIMED_OUT = "TimedOut"
    OUT_OF_MEMORY = "OutOfMemory"
    CANNOT_PULL = "CannotPull"
    NOT_STARTED = "FailedToStart"
    HOST = "HostTerminated"
    NODE = "NodeFailed"  # of a multi-node job, another one than the main node
    EXITED = "Exited"
    OTHER = "Other"  # refused, a cycle of dependencies, its Kubernetes Job deleted


JOBS_FINISHED: Final = Counter(
    "batchwright_jobs_finished_total",
    "BatchJobs that have finished, by final state; of those that FAILED, by cause.",
    ["queue", "state", "cause"],
)
WAIT_SECONDS: Final = Histogram(
    "batchwright_job_wait_seconds",
    "Time from the submission of a BatchJob to its first start; of an array, to that of its first element.",
    ["queue"],
    buckets=_LONG,
)
RUN_SECONDS: Final = Histogram(
    "batchwright_job_run_seconds",
    "Time from the first start of a BatchJob to its end, pauses between attempts included.",
    ["queue"],
    buckets=_LONG,
)
PREEMPTIONS: Final = Counter(
    "batchwright_preemptions_total", "BatchJobs, and elements of arrays, that were preempted.", ["queue"]
)

# Of the instances of MANAGED environments.
LAUNCHED: Final = Counter(
    "batchwright_instances_launched_total", "Instances launched, or asked of a group.", ["environment"]
)
TERMINATED: Final = Counter(
    "batchwright_instances_terminated_total", "Instances that the operator ended.", ["environment"]
)
WARNED: Final = Counter(
    "batchwright_instances_warned_total",
    "Instances that are to go by the provider's word: interrupted, maintenance, rebalance.",
    ["environment", "warning"],
)
LAUNCHES_REFUSED: Final = Counter(
    "batchwright_launches_refused_total",
    "Launches that the provider refused: for want of capacity, or by an error that somebody has to mend.",
    ["environment", "cause"],
)
PROVIDER_ERRORS: Final = Counter(
    "batchwright_provider_errors_total",
    "Looks at an environment that an error of its provider of nodes broke off.",
    ["environment"],
)

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
# Users name shares, so their number is bounded here.
MOST_SHARES: Final = 100
OTHER_SHARES: Final = "(others)"


def count_write(method: str, resource: str, failed: int | None) -> None:
    """A write was tried; `failed` is the status of its error, if there was one."""
    API_WRITES.labels(method, resource).inc()
    if failed is not None:
        API_WRITE_ERRORS.labels(method, resource, failed).inc()


def begin_queue(queue: str) -> None:
    """Shows the queue's counters from zero on: an increase from nothing to one is none to Prometheus."""
    JOBS_FINISHED.labels(queue, "SUCCEEDED", "")
    for cause in FailureCause:
        JOBS_FINISHED.labels(queue, "FAILED", cause)
    for metric in (WAIT_SECONDS, RUN_SECONDS, PREEMPTIONS):
        metric.labels(queue)


def begin_share(queue: str, share: str) -> None:
    """Shows the counters of a queue's share from zero on, before there is anything to count."""
    if share not in _shares_of.get(queue, ()):
        label = share_label(queue, share)
        for metric in _OF_SHARES:
            metric.labels(queue, label)


def forget_queue(queue: str) -> None:
    """The queue is gone, and its series with it."""
    _shares_of.pop(queue, None)
    for metric in _OF_QUEUES:
        metric.remove_by_labels({"queue": queue})


def begin_environment(environment: str) -> None:
    """Shows the counters of a MANAGED environment from zero on."""
    for metric in (LAUNCHED, TERMINATED, PROVIDER_ERRORS):
        metric.labels(environment)
    for cause in ("capacity", "error"):
        LAUNCHES_REFUSED.labels(environment, cause)
    for warning in ("interrupted", "maintenance", "rebalance"):
        WARNED.labels(environment, warning)


def forget_environment(environment: str) -> None:
    """The environment is gone, and its series with it."""
    for metric in _OF_ENVIRONMENTS:
        metric.remove_by_labels({"environment": environment})


def share_label(queue: str, share: str) -> str:
    """The label of a share of a queue: its name, or the common one of those that came after `MOST_SHARES`."""
    known = _shares_of.setdefault(queue, set())
    if share not in known and len(known) >= MOST_SHARES:
        return OTHER_SHARES
    known.add(share)
    return share


_shares_of: dict[str, set[str]] = {}
_OF_SHARES: Final = (VCPU_SECONDS, MEMORY_SECONDS, GPU_SECONDS, COST, LOST_COST)
_OF_QUEUES: Final = (JOBS_FINISHED, WAIT_SECONDS, RUN_SECONDS, PREEMPTIONS, *_OF_SHARES)
_OF_ENVIRONMENTS: Final = (LAUNCHED, TERMINATED, PROVIDER_ERRORS, LAUNCHES_REFUSED, WARNED)


@dataclass(frozen=True)
class Gauge:
    """A metric that is read when it is scraped."""

    name: str
    text: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """A gauge's value for one set of labels."""

    gauge: Gauge = field(repr=False)
    value: float
    labels: tuple[str, ...] = ()


BUILD: Final = Gauge("batchwright_build_info", "1; its label is the version.", ("version",))
LEADER: Final = Gauge("batchwright_leader", "1 for the operator that works, 0 for one that stands by.")
LEASE_AGE: Final = Gauge("batchwright_lease_age_seconds", "Time since the Lease was last read or written.")
PASS_AGE: Final = Gauge("batchwright_pass_age_seconds", "Time since the scheduler last looked at all jobs.")
WATCH_AGE: Final = Gauge(
    "batchwright_watch_age_seconds", "Time since anything, a bookmark too, was heard of a watch.", ("resource",)
)
STATUS_WRITES_PENDING: Final = Gauge(
    "batchwright_status_writes_pending", "Statuses of jobs that have changed and are not written yet."
)
JOBS: Final = Gauge("batchwright_jobs", "BatchJobs that have not finished, by state.", ("queue", "state"))
ELEMENTS: Final = Gauge(
    "batchwright_array_elements", "Elements, by state, of array jobs that have not finished.", ("queue", "state")
)
JOBS_WAITING: Final = Gauge(
    "batchwright_jobs_waiting",
    "BatchJobs that could start and wait for capacity, by why; arrays of which nothing starts or runs among them.",
    ("queue", "reason"),
)
OLDEST_RUNNABLE: Final = Gauge(
    "batchwright_oldest_runnable_job_age_seconds",
    "Longest time that a BatchJob has waited for capacity since it could start, or since an element of the array last "
    "did; 0 if none waits.",
    ("queue",),
)
NODES: Final = Gauge("batchwright_nodes", "Nodes of the cluster, by whether they are ready.", ("ready",))
INSTANCES: Final = Gauge("batchwright_instances", "Instances of MANAGED environments.", ("environment",))
GAUGES: Final = (
    *(BUILD, LEADER, LEASE_AGE, PASS_AGE, WATCH_AGE, STATUS_WRITES_PENDING),
    *(JOBS, JOBS_WAITING, ELEMENTS, OLDEST_RUNNABLE, NODES, INSTANCES),
)


class Gauges(Collector):
    """Asks `read` at every scrape."""

    def __init__(self, read: Callable[[], Iterable[Reading]]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """Names alone: registration asks for them, and must not read anything."""
        return [GaugeMetricFamily(gauge.name, gauge.text, labels=gauge.labels) for gauge in GAUGES]

    def collect(self) -> Iterator[Metric]:
        """Every gauge, with as many values as it has now."""
        families = {gauge.name: GaugeMetricFamily(gauge.name, gauge.text, labels=gauge.labels) for gauge in GAUGES}
        for reading in self._read():
            families[reading.gauge.name].add_metric(reading.labels, reading.value)
        yield from families.values()
