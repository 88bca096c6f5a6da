"""One large array."""

from __future__ import annotations

from functools import partial

from batchwright.bench import manifests
from batchwright.bench.scenario import BATCHWRIGHT, FLOOR, PLAIN, Scenario, Target
from batchwright.bench.workload import Submission, Workload, measure_workload
from batchwright.cluster.resources import BATCH_JOBS, JOBS

NODES = 20
# What the nodes have room for at one time: the operator starts no more, so the plain Job makes no more.
ROOM = 250 * NODES


def array(contender: str, name: str, size: int, **spec: object) -> Submission:
    """An array of so many elements; `spec` is more of the BatchJob's."""
    if contender != BATCHWRIGHT:
        body = manifests.plain_job(name, manifests.pod_template(), size, min(size, ROOM))
    else:
        body = manifests.batch_job(name, arrayProperties={"size": size}, **spec)
    return Submission(body)


def workload(contender: str, size: int) -> Workload:
    """One array of so many elements."""
    return Workload(
        resource=BATCH_JOBS if contender == BATCHWRIGHT else JOBS,
        submissions=[array(contender, "array", size)],
        units=size,
        pods=size,
        declarations=manifests.usual_declarations(),
        nodes=NODES,
        watched=contender == FLOOR,
        deadline_seconds=120 + size / 3,
    )


SCENARIO = Scenario(
    name="array",
    summary="one array, elements of one pod each",
    unit="element",
    quick=2_000,
    sizes=(10_000, 100_000),
    contenders=(PLAIN, FLOOR, BATCHWRIGHT),
    targets=(
        Target("apiServerCpuMsPerUnit", at_most=1.05, to_plain=True),
        Target("podsPerSecond", at_least=0.95, to_plain=True),
        Target("statusWritesPerSecond", at_most=1),
        Target("operatorCpuMsPerUnit", at_most=1),
    ),
    measure=partial(measure_workload, workload),
)
