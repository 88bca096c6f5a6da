"""Single jobs in a flood."""

from __future__ import annotations

from functools import partial

from batchwright.bench import manifests
from batchwright.bench.scenario import BATCHWRIGHT, FLOOR, PLAIN, Scenario, Target
from batchwright.bench.workload import Submission, Workload, measure_workload
from batchwright.cluster.resources import BATCH_JOBS, JOBS


def workload(contender: str, size: int) -> Workload:
    """So many jobs of one pod."""
    numbers = range(size)
    if contender in (PLAIN, FLOOR):
        jobs = [manifests.plain_job(f"single-{number}", manifests.pod_template()) for number in numbers]
    else:
        jobs = [manifests.batch_job(f"single-{number}") for number in numbers]
    return Workload(
        resource=BATCH_JOBS if contender == BATCHWRIGHT else JOBS,
        submissions=[Submission(job) for job in jobs],
        units=size,
        pods=size,
        declarations=manifests.usual_declarations(),
        recorded=contender == FLOOR,
        watched=contender == FLOOR,
        deadline_seconds=120 + size,
    )


SCENARIO = Scenario(
    name="single",
    summary="single jobs of one pod, as fast as they are taken",
    unit="job",
    quick=1_000,
    sizes=(1_000, 5_000),
    contenders=(PLAIN, FLOOR, BATCHWRIGHT),
    targets=(
        Target("operatorWritesPerUnit", at_most=3),
        Target("apiServerCpuMsPerUnit", at_most=1.2, to_plain=True),
        Target("jobsPerSecond", at_least=0.9, to_plain=True),
        Target("operatorCpuMsPerUnit", at_most=5),
    ),
    measure=partial(measure_workload, workload),
    rounds=5,
)
