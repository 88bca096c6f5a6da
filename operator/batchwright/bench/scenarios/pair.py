"""Two arrays, each element of the second after the same element of the first; beside two that know nothing of each
other, which is the least that as many pods can take."""

from __future__ import annotations

from functools import partial

from batchwright.bench import manifests
from batchwright.bench.scenario import BATCHWRIGHT, PLAIN, Scenario, Target
from batchwright.bench.scenarios.array import NODES, array
from batchwright.bench.workload import Workload, measure_workload
from batchwright.cluster.resources import BATCH_JOBS, JOBS


def workload(contender: str, size: int) -> Workload:
    """Two arrays of so many elements each."""
    after = {"dependsOn": [{"name": "first", "type": "N_TO_N"}]} if contender == BATCHWRIGHT else {}
    return Workload(
        resource=JOBS if contender == PLAIN else BATCH_JOBS,
        submissions=[array(contender, "first", size), array(contender, "second", size, **after)],
        units=2 * size,
        pods=2 * size,
        declarations=manifests.usual_declarations(),
        nodes=NODES,
        deadline_seconds=120 + 2 * size / 3,
    )


SCENARIO = Scenario(
    name="pair",
    summary="an N_TO_N pair of arrays; plain: two arrays at once, with no dependency",
    unit="element",
    quick=1_000,
    sizes=(10_000,),
    contenders=(PLAIN, BATCHWRIGHT),
    targets=(Target("makespanSeconds", at_most=1.15, to_plain=True),),
    measure=partial(measure_workload, workload),
)
