"""What is, read from the operator when somebody scrapes it (batchwright.metrics).

A scrape costs one look at each job that has not finished; those that have cost nothing. One that stands by knows no
jobs, and says only that it stands by.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from importlib.metadata import version
from typing import Final

from batchwright import metrics
from batchwright.cluster.lease import Leadership
from batchwright.controllers.operator import Operator
from batchwright.controllers.store import Store
from batchwright.domain.elements import FAILED, PENDING, RUNNABLE, RUNNING, STARTING, SUCCEEDED
from batchwright.metrics import Reading
from batchwright.names import NOT_CREATED, WAITING
from batchwright.scheduling.snapshot import WaitKind

STATES: Final = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
WAIT_REASONS: Final = (WAITING, NOT_CREATED, *(kind.reason for kind in WaitKind))
ELEMENT_STATES: Final = {
    "PENDING": PENDING,
    "RUNNABLE": RUNNABLE,
    "STARTING": STARTING,
    "RUNNING": RUNNING,
    "SUCCEEDED": SUCCEEDED,
    "FAILED": FAILED,
}


def read_gauges(operator: Operator, leadership: Leadership | None) -> Iterator[Reading]:
    """Every gauge as it is now."""
    works = operator.started.is_set()
    yield Reading(metrics.BUILD, 1, (version("batchwright"),))
    yield Reading(metrics.LEADER, works and (leadership is None or leadership.held.is_set()))
    if leadership is not None:
        yield Reading(metrics.LEASE_AGE, leadership.silence_seconds())
    if not works:
        return
    yield Reading(metrics.PASS_AGE, operator.engine.pass_age_seconds())
    for resource, age in sorted(operator.watch_ages().items()):
        yield Reading(metrics.WATCH_AGE, age, (resource,))
    yield Reading(metrics.STATUS_WRITES_PENDING, operator.engine.writer.waiting)
    yield from read_jobs(operator.store, operator.store.meters.clock())
    yield from read_nodes(operator.store)


def read_jobs(store: Store, now: datetime) -> Iterable[Reading]:
    """How many jobs and elements are in each queue and state, zeros too: a series that comes and goes is a gap."""
    known = {name for _, name in store.queues}
    jobs: Counter[tuple[str, str]] = Counter({(queue, state): 0 for queue in known for state in STATES})
    elements: Counter[tuple[str, str]] = Counter({(queue, state): 0 for queue in known for state in ELEMENT_STATES})
    waiting: Counter[tuple[str, str]] = Counter({(queue, reason): 0 for queue in known for reason in WAIT_REASONS})
    oldest = dict.fromkeys(known, now)
    for entry in store.entries.values():
        queue, state = entry.job.spec.job_queue, entry.status.state or "SUBMITTED"
        if queue not in known:
            queue = ""
        if state not in STATES:
            continue
        jobs[queue, state] += 1
        since, runs = entry.runnable_since, False
        if entry.array is not None:
            counts = entry.array.elements.counts
            for name, number in ELEMENT_STATES.items():
                elements[queue, name] += counts[number]
            runs = entry.array.elements.active > 0
            since = since and max(since, entry.array.elements.last_started_at or since)
        if since is not None:
            waiting[queue, entry.waits_reason] += not runs
            oldest[queue] = min(oldest.get(queue, now), since)
    yield from (Reading(metrics.JOBS, count, labels) for labels, count in sorted(jobs.items()))
    yield from (Reading(metrics.JOBS_WAITING, count, labels) for labels, count in sorted(waiting.items()))
    yield from (Reading(metrics.ELEMENTS, count, labels) for labels, count in sorted(elements.items()))
    for queue, since in sorted(oldest.items()):
        yield Reading(metrics.OLDEST_RUNNABLE, (now - since).total_seconds(), (queue,))


def read_nodes(store: Store) -> Iterable[Reading]:
    """Nodes, and instances of MANAGED environments."""
    ready = len(store.answering)
    yield Reading(metrics.NODES, ready, ("true",))
    yield Reading(metrics.NODES, len(store.nodes) - ready, ("false",))
    for environment, supply in sorted(store.supplies.items()):
        yield Reading(metrics.INSTANCES, len(supply.instances), (environment,))
