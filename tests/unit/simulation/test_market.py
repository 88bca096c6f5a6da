"""The same trace On-Demand and as Spot: what instances cost, by hand for one job and by comparison for many."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from batchwright.capacity.fleet import SETTLE_SECONDS
from batchwright.capacity.simulated import catalogue
from batchwright.cli.main import app
from batchwright.errors import SimulationError
from batchwright.simulation.elastic import Market
from batchwright.simulation.market import Purchase, buy, choose, compare
from batchwright.simulation.policy import Policy, parse
from batchwright.simulation.workload import Job

OFFERS = choose(["m5"], catalogue(), 0.35)
TRACE = Path(__file__).parents[3] / "examples/traces/synthetic.swf"


def job(number: int = 1, *, submit: float = 0, runtime: float = 3600, cpus: int = 2, share: str = "a") -> Job:
    return Job(number, submit, runtime, cpus, share, "all")


def market(**over: object) -> Market:
    return replace(Market("ON_DEMAND", OFFERS.kinds("ON_DEMAND"), 64), **over)  # type: ignore[arg-type]


def bought(*jobs: Job, **over: object) -> Purchase:
    return buy(jobs, Policy(), market(**over))


def test_one_job_pays_for_its_part_and_its_environment_for_the_instance() -> None:
    found = bought(job())
    # An m5.xlarge at 0.192 $ an hour, which has 3,920 milli-vCPUs for pods: from its launch until it has been idle.
    seconds = 60 + 3600 + 60 + SETTLE_SECONDS
    assert (found.bill.instances, found.bill.seconds) == (1, seconds)
    assert found.bill.cost == pytest.approx(0.192 * seconds / 3600)
    assert found.bill.of_jobs == pytest.approx(0.192 * 2000 / 3920, rel=1e-6)
    assert found.waits.mean == 60


def test_an_instance_is_kept_for_what_comes_while_it_is_idle() -> None:
    within, after = bought(job(1), job(2, submit=3700)), bought(job(1), job(2, submit=3800))
    assert (within.bill.instances, after.bill.instances) == (1, 2)


def test_no_more_vcpus_are_bought_than_there_may_be() -> None:
    found = bought(*(job(number, cpus=3) for number in range(8)), max_vcpus=8)
    # Two m5.xlarge with a job of three each, four times one after the other.
    assert found.waits.jobs == 8
    assert found.end == pytest.approx(60 + 4 * 3600)
    assert found.bill.seconds <= 2 * (found.end + 120)


def test_an_instance_that_is_taken_back_loses_its_jobs_and_is_paid_for_until_then() -> None:
    calm, rough = bought(job(), taken_percent=0.1), bought(job(), taken_percent=60.0, seed=3)
    assert (calm.bill.taken, calm.lost) == (0, 0.0)
    assert rough.waits.jobs == 1
    assert rough.bill.instances == rough.bill.taken + 1
    assert rough.lost > 0
    assert rough.bill.seconds > calm.bill.seconds


def test_without_interruptions_spot_differs_by_its_price_alone() -> None:
    jobs = [job(number, submit=60 * number, runtime=600 + 37 * number, cpus=1 + number % 7) for number in range(60)]
    plain, spot = compare(jobs, Policy(), OFFERS, market(taken_percent=0.0))
    assert spot.bill.cost == pytest.approx(0.35 * plain.bill.cost, rel=1e-4)
    assert spot.bill.seconds == plain.bill.seconds
    assert 0 < plain.bill.of_jobs < plain.bill.cost


def test_the_same_trace_on_demand_and_as_spot() -> None:
    jobs = [job(number, submit=20 * number, runtime=1800, cpus=1 + number % 7) for number in range(120)]
    plain, spot = compare(jobs, Policy(), OFFERS, market(taken_percent=20.0))
    assert plain.bill.taken == 0
    assert spot.bill.taken > 0
    assert plain.waits.jobs == spot.waits.jobs == len(jobs)
    # Work is done again, and it is cheaper all the same.
    assert spot.lost > 0
    assert spot.bill.of_jobs > 0.35 * plain.bill.of_jobs
    assert spot.end > plain.end
    assert spot.bill.cost < plain.bill.cost
    again = compare(jobs, Policy(), OFFERS, market(taken_percent=20.0))
    assert [each.json() for each in again] == [plain.json(), spot.json()]


def test_a_policy_decides_who_waits() -> None:
    queue = """
apiVersion: batchwright.io/v1alpha1
kind: JobQueue
metadata: {name: all}
spec:
  maxConcurrency: 1
  computeEnvironmentOrder: [{order: 1, computeEnvironment: env}]
"""
    found = buy([job(1), job(2)], parse("test", queue), market())
    assert found.end == pytest.approx(60 + 2 * 3600)


def test_a_policy_of_several_environments_is_refused() -> None:
    queue = """
apiVersion: batchwright.io/v1alpha1
kind: JobQueue
metadata: {name: all}
spec:
  computeEnvironmentOrder: [{order: 1, computeEnvironment: one}, {order: 2, computeEnvironment: two}]
"""
    with pytest.raises(SimulationError, match="name one, two: instances are bought for one ComputeEnvironment"):
        buy([job()], parse("test", queue), market())


def run(*arguments: str, want: int = 0) -> str:
    done = CliRunner().invoke(app, ["simulate", str(TRACE), *arguments], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert done.exit_code == want, done.output
    return done.output


def test_the_command_compares() -> None:
    shown = run("--instances", "m5", "--taken-back", "5")
    assert "ON_DEMAND" in shown
    assert "Spot costs" in shown
    told = json.loads(run("--instances", "m5", "--taken-back", "5", "-o", "json"))
    plain, spot = told["purchases"]
    assert (plain["capacity"], spot["capacity"]) == ("ON_DEMAND", "SPOT")
    assert spot["cost"] < plain["cost"]
    assert sum(told["jobs"]["leftOut"].values()) + told["jobs"]["replayed"] == 500


@pytest.mark.parametrize(
    ("arguments", "want"),
    [
        pytest.param(["--instances", "m99"], "there are c5, c6g, g4dn, m5, m6g, r5", id="no such type"),
        pytest.param(["--instances", "m5", "--nodes", "4"], "not together with --nodes", id="machines too"),
    ],
)
def test_what_the_command_refuses(arguments: list[str], want: str) -> None:
    done = CliRunner().invoke(app, ["simulate", str(TRACE), *arguments], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert done.exit_code != 0
    assert want in done.output + str(done.stderr)
