"""Multi-node jobs beside plain Indexed Jobs of the same size: many small ones, or a few large ones."""

from __future__ import annotations

from functools import partial
from typing import Final

from batchwright.bench import manifests
from batchwright.bench.scenario import BATCHWRIGHT, PLAIN, Scenario, Target
from batchwright.bench.workload import Submission, Workload, measure_workload
from batchwright.cluster.resources import BATCH_JOBS, JOBS

MACHINES: Final = 20
# Both contenders pack pods: one to a machine, gangs would wait for machines, and plain Jobs would not.
NODES_PER_HOST: Final = 250
# So long that all nodes of a job run at once.
NODE_SECONDS: Final = 20.0
# The main node starts first, and waits for the others as its program would: when it ends, they are stopped.
MAIN_SECONDS: Final = 25.0
# 500 jobs of 20 nodes, or 20 of 500: ten thousand pods either way.
FEW, LARGE, SMALL = 20, 500, 20


def nodes_of(size: int) -> int:
    """How many nodes each of so many jobs has."""
    return LARGE if size == FEW else SMALL


def workload(contender: str, size: int) -> Workload:
    """So many multi-node jobs."""
    nodes, template = nodes_of(size), manifests.pod_template(NODE_SECONDS)
    if contender == PLAIN:
        jobs = [manifests.plain_job(f"gang-{number}", template, nodes, nodes) for number in range(size)]
    else:
        jobs = [manifests.batch_job(f"gang-{number}") for number in range(size)]
    properties = {
        "numNodes": nodes,
        "mainNode": 0,
        "nodesPerHost": NODES_PER_HOST,
        "nodeRangeProperties": [
            {"targetNodes": "0", "podTemplate": manifests.pod_template(MAIN_SECONDS)},
            {"targetNodes": "1:", "podTemplate": template},
        ],
    }
    definition = manifests.multinode_definition(nodeProperties=properties)
    return Workload(
        resource=JOBS if contender == PLAIN else BATCH_JOBS,
        submissions=[Submission(job) for job in jobs],
        units=size,
        pods=size * nodes,
        declarations=(manifests.compute_environment(), manifests.job_queue(), definition),
        nodes=MACHINES,
        deadline_seconds=180 + size * nodes / 10,
    )


SCENARIO = Scenario(
    name="gang",
    summary=f"multi-node jobs of {SMALL} nodes each; {FEW} of them have {LARGE}",
    unit="job",
    quick=10,
    sizes=(500, 20),
    contenders=(PLAIN, BATCHWRIGHT),
    targets=(Target("podsPerSecond", at_least=0.9, to_plain=True),),
    measure=partial(measure_workload, workload),
)
