"""The benchmarks at a tiny size: every figure is there and plausible, and one that is out of its range is told."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from batchwright.bench.scenario import BATCHWRIGHT, FLOOR, PLAIN, all_scenarios
from batchwright.cli.main import app
from batchwright.local import paths

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

OF_EVERYBODY = {
    "makespanSeconds",
    "submitSeconds",
    "submitToRunningP50Seconds",
    "submitToRunningP99Seconds",
    "writesPerUnit",
    "apiServerCpuMsPerUnit",
    "clusterCpuMsPerUnit",
    "apiServerPeakMiB",
    "clientCpuSeconds",
}
OF_THE_OPERATOR = {
    "operatorWritesPerUnit",
    "operatorReadsPerUnit",
    "operatorCpuMsPerUnit",
    "operatorCpuSeconds",
    "operatorPeakMiB",
    "startUpSeconds",
    "firstPassMs",
    "passP50Ms",
    "passP99Ms",
    "passWorstMs",
}


def bench(*arguments: str) -> Result:
    done = CliRunner().invoke(app, ["bench", *arguments, "--rounds", "1", "--json"])
    assert not paths.cluster_directory(f"bench-{os.getpid()}").exists(), "it left its cluster behind"
    return done


def medians(run: dict[str, Any], contender: str) -> dict[str, float]:
    """The figures of a run, looked at for what must hold of any."""
    figures = {key: spread["median"] for key, spread in run["contenders"][contender]["figures"].items()}
    wanted = OF_EVERYBODY | (OF_THE_OPERATOR if contender == BATCHWRIGHT else set())
    assert wanted <= set(figures)
    assert 0 < figures["submitToRunningP50Seconds"] <= figures["submitToRunningP99Seconds"] < figures["makespanSeconds"]
    assert figures["submitSeconds"] <= figures["makespanSeconds"]
    assert 0 < figures["apiServerCpuMsPerUnit"] < figures["clusterCpuMsPerUnit"]
    assert 50 < figures["apiServerPeakMiB"] < 4000
    if contender == BATCHWRIGHT:
        assert 30 < figures["operatorPeakMiB"] < 400
        assert 0 < figures["operatorCpuMsPerUnit"] < figures["clusterCpuMsPerUnit"]
        assert 0 < figures["passP50Ms"] <= figures["passP99Ms"] <= figures["passWorstMs"]
        assert 0.5 < figures["startUpSeconds"] < 60
    return figures


@pytest.fixture
def ranges(tmp_path: Path) -> Path:
    """Ranges for tiny runs: of single jobs one that nothing can be in."""
    path = tmp_path / "ranges.json"
    known = {
        "single": {"sizes": [1, 100], "figures": {"operatorWritesPerUnit": [0, 0.5], "makespanSeconds": [0, 400]}},
        "array": {"sizes": [1, 100], "ratiosToPlain": {"writesPerUnit": [0.2, 5]}},
    }
    path.write_text(json.dumps({"scenarios": known}))
    return path


def test_single_jobs_and_a_range_that_they_are_not_in(ranges: Path) -> None:
    done = bench("single", "--size", "40", "--check", "--ranges", str(ranges))
    assert done.exit_code == 1, done.output
    [complaint] = [line for line in done.stderr.splitlines() if line.startswith("out of range")]
    assert complaint.startswith("out of range: single 40: operatorWritesPerUnit is ")
    report = json.loads(done.stdout)
    assert report["machine"]["cores"] >= 1
    [run] = report["runs"]
    plain, ours = medians(run, PLAIN), medians(run, BATCHWRIGHT)
    for figures in (plain, ours):
        assert figures["jobsPerSecond"] == pytest.approx(40 / figures["makespanSeconds"])
        assert 8 <= figures["writesPerUnit"] <= 25
    # Each makes its Job, and ends as one status at least.
    assert 2 <= ours["operatorWritesPerUnit"] <= 5
    assert run["contenders"][BATCHWRIGHT]["operatorWritesPerUnit"]["create jobs"] == 1
    assert run["contenders"][PLAIN]["writesPerUnit"]["create jobs"] == 1
    assert run["contenders"][PLAIN]["operatorWritesPerUnit"] == {}
    # What every operator of this kind has to do, and nothing else.
    floor = medians(run, FLOOR)
    writes = run["contenders"][FLOOR]["writesPerUnit"]
    assert (writes["create batchjobs"], writes["create jobs"], writes["patch batchjobs/status"]) == (1, 1, 1)
    assert floor["writesPerUnit"] == pytest.approx(plain["writesPerUnit"] + 2, abs=2)
    verdicts = {(each["figure"], each["target"]) for each in run["targets"]}
    assert verdicts == {(each.figure, each.words) for each in all_scenarios()["single"].targets}
    assert all(isinstance(each["met"], bool) for each in run["targets"])


def test_an_array_within_its_ranges(ranges: Path) -> None:
    done = bench("array", "--size", "100", "--check", "--ranges", str(ranges))
    assert done.exit_code == 0, done.output
    [run] = json.loads(done.stdout)["runs"]
    plain, ours = medians(run, PLAIN), medians(run, BATCHWRIGHT)
    assert run["contenders"][BATCHWRIGHT]["operatorWritesPerUnit"]["create jobs"] == pytest.approx(0.01)
    # An array without followers has no gates, and so hardly a write of its own.
    assert ours["operatorWritesPerUnit"] < 0.5
    assert ours["podsPerSecond"] > 0 < plain["podsPerSecond"]
    assert 0 < ours["statusWritesPerSecond"] < 3


def test_a_pair_of_arrays() -> None:
    done = bench("pair", "--size", "100", "--only", BATCHWRIGHT)
    assert done.exit_code == 0, done.output
    [run] = json.loads(done.stdout)["runs"]
    ours = medians(run, BATCHWRIGHT)
    assert run["contenders"][BATCHWRIGHT]["writesPerUnit"]["create pods"] == pytest.approx(1)
    # Of two elements one has a gate, which is lifted.
    assert 0.4 < ours["operatorWritesPerUnit"] < 1.5


def test_shares_run_without_pods() -> None:
    done = bench("shares", "--size", "90", "--only", BATCHWRIGHT)
    assert done.exit_code == 0, done.output
    [run] = json.loads(done.stdout)["runs"]
    assert list(run["contenders"]) == [BATCHWRIGHT]
    medians(run, BATCHWRIGHT)
    writes = run["contenders"][BATCHWRIGHT]["writesPerUnit"]
    assert writes["create jobs"] == 1
    # Running and complete; more for each time that one was suspended.
    assert writes["patch jobs/status"] >= 2
    assert not any("pods" in what for what in writes)


def test_gangs_all_of_whose_nodes_run() -> None:
    done = bench("gang", "--size", "2", "--only", BATCHWRIGHT)
    assert done.exit_code == 0, done.output
    [run] = json.loads(done.stdout)["runs"]
    ours = medians(run, BATCHWRIGHT)
    assert ours["podsPerSecond"] == pytest.approx(40 / ours["makespanSeconds"])
    assert run["contenders"][BATCHWRIGHT]["operatorWritesPerUnit"]["create pods"] == 19


def test_an_operator_among_many_that_have_finished() -> None:
    done = bench("backlog", "--size", "20")
    assert done.exit_code == 0, done.output
    [run] = json.loads(done.stdout)["runs"]
    figures = {key: spread["median"] for key, spread in run["contenders"][BATCHWRIGHT]["figures"].items()}
    assert 0.5 < figures["startUpSeconds"] < 60
    assert 30 < figures["operatorPeakMiB"] < 400
    assert 0 < figures["passP50Ms"] <= figures["passP99Ms"]
