"""The scheduler stays fast: bounds are about three times what `batchwright bench scheduler` is to reach.

CPU time, not the clock: other work shares the machine.
"""

from __future__ import annotations

import statistics
import time

import pytest

from batchwright.bench.scheduler import Cluster, Size, snapshot
from batchwright.scheduling.cycle import plan
from batchwright.scheduling.room import cpu_of
from batchwright.scheduling.state import State

SIZE = Size()


@pytest.mark.parametrize("full", [True, False], ids=["full", "empty"])
def test_a_pass_from_scratch(full: bool) -> None:
    found = snapshot(SIZE, full=full)
    begin = time.process_time()
    decided = plan(State.of(found), found.now)
    assert time.process_time() - begin < 3
    assert (len(decided.starts) == 0) is full
    asked = {candidate.uid: cpu_of(candidate.shape) for candidate in found.queues[0].waiting}
    started = sum(asked[start.uid] for start in decided.starts)
    has = sum(node.allocatable["cpu"] for node in found.nodes)
    assert started <= has
    # As much as there is room for: what is left over is a job that is too big for the rest of a node.
    assert full or started > 0.95 * has


def test_a_pass_after_one_end() -> None:
    cluster = Cluster(snapshot(SIZE, full=True))
    plan(cluster.state, cluster.now)
    times, starts = [], 0
    for _ in range(20):
        begin = time.process_time()
        starts += len(cluster.step().starts)
        times.append(time.process_time() - begin)
    assert statistics.median(times) < 0.03
    assert starts > 0
