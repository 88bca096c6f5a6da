"""Thirty shares in five queues: fifteen thousand jobs of three sizes and priorities, which borrow, reclaim and preempt.

Per share 350 jobs of 1 CPU and 0.2 s, 100 of 5 CPU and 0.5 s, 50 of 20 CPU and 1 s, submitted every 0.1, 0.5 and 1.2 s;
each share has 20 CPU of its own and may borrow 100. It is the shape of Kueue's own performance test, which fakes
execution too. The nodes have more room than the quotas, so that those decide. Plain Jobs have no quotas: each runs at
once.

A smaller size has fewer jobs in each share, in the same proportions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from batchwright.bench import manifests
from batchwright.bench.scenario import BATCHWRIGHT, PLAIN, Scenario, Target
from batchwright.bench.workload import Submission, Workload, measure_workload
from batchwright.cluster.resources import BATCH_JOBS, JOBS, Resource

QUEUES, SHARES_PER_QUEUE = 5, 6
GUARANTEED_CPUS, BORROWED_CPUS = 20, 100
FULL_SIZE = 15_000
# Of Kueue's own run on two cores.
KUEUE_SECONDS = 559.0


@dataclass(frozen=True)
class Class:
    """Jobs of one kind: how many in each share, what one asks, how long it takes, its priority, seconds between two."""

    name: str
    count: int
    cpus: int
    seconds: float
    priority: int
    every: float


CLASSES = (
    Class("small", 350, 1, 0.2, 50, 0.1),
    Class("medium", 100, 5, 0.5, 100, 0.5),
    Class("large", 50, 20, 1.0, 200, 1.2),
)


def workload(contender: str, size: int) -> Workload:
    """The jobs of all shares, in the order they come."""
    jobs = sorted(_jobs(contender, size), key=lambda each: each.at or 0.0)
    return Workload(
        resource=JOBS if contender == PLAIN else BATCH_JOBS,
        submissions=jobs,
        units=len(jobs),
        pods=0,
        declarations=list(_declarations()),
        nodes=20,
        node_cpu="128",
        faked=True,
        deadline_seconds=240 + size / 5,
    )


def _jobs(contender: str, size: int) -> Iterator[Submission]:
    for queue in range(QUEUES):
        for share in range(SHARES_PER_QUEUE):
            for each in CLASSES:
                for number in range(max(1, round(each.count * size / FULL_SIZE))):
                    name = f"{each.name}-{queue}-{share}-{number}"
                    yield Submission(_job(contender, each, name, queue, share), number * each.every)


def _job(contender: str, each: Class, name: str, queue: int, share: int) -> dict[str, Any]:
    if contender == PLAIN:
        return manifests.plain_job(name, _template(each))
    return manifests.batch_job(
        name, jobQueue=f"queue-{queue}", jobDefinition=each.name, quotaShareName=f"share-{share}"
    )


def _template(each: Class) -> dict[str, Any]:
    return manifests.pod_template(each.seconds, str(each.cpus))


def _declarations() -> Iterator[tuple[Resource, dict[str, Any]]]:
    yield manifests.compute_environment()
    shares = [
        {
            "name": f"share-{share}",
            "capacityLimits": [{"capacityUnit": "vcpu", "maxCapacity": GUARANTEED_CPUS}],
            "resourceSharingConfiguration": {
                "strategy": "LEND_AND_BORROW",
                "borrowLimit": 100 * BORROWED_CPUS // GUARANTEED_CPUS,
            },
            "preemptionConfiguration": {"inSharePreemption": "ENABLED"},
        }
        for share in range(SHARES_PER_QUEUE)
    ]
    for queue in range(QUEUES):
        yield manifests.job_queue(f"queue-{queue}", quotaShares=shares)
    for each in CLASSES:
        yield manifests.job_definition(each.name, _template(each), schedulingPriority=each.priority)


SCENARIO = Scenario(
    name="shares",
    summary="jobs of three sizes and priorities in 30 quota shares of 5 queues; execution faked by the harness",
    unit="job",
    quick=1_500,
    sizes=(FULL_SIZE,),
    contenders=(PLAIN, BATCHWRIGHT),
    targets=(
        Target("makespanSeconds", at_most=KUEUE_SECONDS / 2, size=FULL_SIZE),
        Target("jobsPerSecond", at_least=0.7, to_plain=True),
        Target("operatorCpuSeconds", at_most=60, size=FULL_SIZE),
        Target("operatorPeakMiB", at_most=238, size=FULL_SIZE),
    ),
    measure=partial(measure_workload, workload),
)
