"""The trace that ships: made by this code, the same every time, and hard enough to tell schedulers apart."""

from __future__ import annotations

import subprocess
import sys

from batchwright.simulation.baseline import FirstComeFirstServed
from batchwright.simulation.metrics import measure
from batchwright.simulation.replay import replay
from batchwright.simulation.synthetic import JOBS, build_trace
from batchwright.simulation.trace import parse, text
from batchwright.simulation.workload import Machines, build_machines, build_workload
from documentation import ROOT

FILE = ROOT / "examples/traces/synthetic.swf"


def test_the_file_is_what_the_code_makes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "batchwright.simulation.synthetic"], capture_output=True, timeout=60, check=True
    )
    assert done.stdout == FILE.read_bytes()


def test_another_size_and_seed_can_be_asked_for() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "batchwright.simulation.synthetic", "50", "7"],
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == text(build_trace(50, 7)).encode()
    assert build_trace(50, 7) != build_trace(50, 8)


def test_it_has_the_size_it_says() -> None:
    trace = parse("synthetic", FILE.read_bytes())
    assert trace == build_trace()
    assert len(trace.records) == JOBS == trace.number("MaxJobs")
    assert {record.user for record in trace.records} == {1, 2, 3, 4, 5}


def test_nobody_runs_longer_than_asked_nor_wider_than_the_machines() -> None:
    trace = build_trace()
    assert all((record.run or 0) <= (record.requested_time or 0) for record in trace.records)
    machines = build_machines(trace)
    assert machines == Machines(16, 8)
    assert build_workload(trace, machines).left_out == {}


def test_there_is_contention_to_settle() -> None:
    trace = build_trace()
    machines = build_machines(trace)
    result = replay(build_workload(trace, machines).jobs, FirstComeFirstServed(machines), machines)
    found = measure(result, machines)
    # First come, first served leaves machines idle behind wide jobs, and serves shares as they come.
    assert found.utilisation < 0.7
    assert found.fairness.contended > 3600
    assert (found.fairness.by_entitlement or 1) < 0.95
