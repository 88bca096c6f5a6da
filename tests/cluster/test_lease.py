"""Two operators and one Lease: one writes; the other follows when it is killed, stopped, frozen or robbed of the Lease.

That nothing ran twice is known from an outside watch of the pods.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from apiserver import ApiServer, Manifest
from kubecluster import Cluster
from operatorprocess import OperatorProcess
from stage import Stage
from watches import PodObserver, until

FAILOVER_SECONDS = 15
# About one, on a machine that has nothing else to do.
HANDOVER_SECONDS = 5
NAMESPACE = "kube-system"
JOBS = 40


class Pair:
    """Two operators that contend for a Lease of the test's own."""

    def __init__(self, kubeconfig: Path, api: ApiServer, directory: Path, name: str) -> None:
        self.api, self.lease = api, name
        self.leader, self.other = (
            OperatorProcess(kubeconfig, directory / f"{each}.log", leader_election="true", lease_name=name)
            for each in ("first", "second")
        )

    def start(self) -> None:
        """Starts both: the first leads."""
        self.leader.start()
        self.other.start()
        assert self.leader.probes()["leads"] is True
        assert self.other.probes()["leads"] is False

    @property
    def found(self) -> Manifest:
        """The Lease."""
        found = self.api.find("Lease", self.lease, NAMESPACE)
        assert found is not None
        return found

    @property
    def holder(self) -> str:
        """Who holds it, as it says."""
        found = self.api.find("Lease", self.lease, NAMESPACE)
        return str(found["spec"]["holderIdentity"]) if found is not None else ""

    def steal(self, seconds: int) -> None:
        """Somebody who is no operator takes the Lease, for so long."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": "thief", "leaseDurationSeconds": seconds, "acquireTime": now, "renewTime": now}
        self.api.patch("Lease", self.lease, NAMESPACE, {"spec": spec})

    def wait_for_other(self, seconds: float) -> float:
        """How long it took until the other one leads."""
        began = time.monotonic()
        until(lambda: f"identity={self.holder}" in self.other.log, f"the Lease is still {self.holder}'s", seconds)
        return time.monotonic() - began

    def close(self) -> None:
        """Ends both."""
        for each in (self.leader, self.other):
            each.kill()
        self.api.delete("Lease", self.lease, NAMESPACE)


@pytest.fixture
def mine(bare_stage: Stage) -> Stage:
    """A stage on the cluster on which no operator runs but the test's own, with jobs that last a second."""
    bare_stage.nodes(1, cpu=4)
    bare_stage.environment()
    bare_stage.queue()
    bare_stage.nodes(1, group="free")
    bare_stage.queue("free", bare_stage.environment("free", group="free"))
    bare_stage.simulated("hello", cpu="500m", simulate={"seconds": "1"})
    flaky = {"seconds": "0.5", "exit-code": "5", "fail-attempts": "1"}
    bare_stage.simulated("flaky", cpu="500m", simulate=flaky, retryStrategy={"attempts": 2})
    return bare_stage


@pytest.fixture
def pair(cluster: Cluster, api: ApiServer, mine: Stage, tmp_path: Path) -> Iterator[Pair]:
    made = Pair(cluster.kubeconfig, api, tmp_path, f"batchwright-{mine.namespace}")
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture
def pods(mine: Stage) -> Iterator[PodObserver]:
    made = PodObserver(mine.api, mine.namespace)
    yield made
    made.stop()


def submit(stage: Stage) -> dict[str, tuple[str, int]]:
    """Single jobs, every fifth with a second attempt, and an array; by name the jobId and the attempts it must have."""
    wanted = {}
    for number in range(JOBS):
        definition, attempts = ("flaky", 2) if number % 5 == 0 else ("hello", 1)
        wanted[f"j{number}"] = stage.submit(f"j{number}", definition), attempts
    wanted["array"] = stage.submit("array", arrayProperties={"size": 10}), 1
    return wanted


def check(stage: Stage, pods: PodObserver, wanted: dict[str, tuple[str, int]]) -> None:
    """Every job ends well, each element after as many pods as it has attempts, and as its status says."""
    statuses = stage.wait_all_final(len(wanted), seconds=120)
    assert pods.gaps == 0
    for name, (job_id, attempts) in wanted.items():
        status, ran = statuses[name], pods.ran(job_id)
        assert status["state"] == "SUCCEEDED", f"{name}: {status}"
        assert set(ran.values()) == {attempts}, f"{name} ran {ran}"
        if name == "array":
            assert status["arrayProperties"]["statusSummary"]["SUCCEEDED"] == len(ran) == 10
        else:
            assert len(status["attempts"]) == attempts, f"{name}: {status}"


def wait_for_some(stage: Stage) -> None:
    """Returns while the work is half done."""

    def some() -> bool:
        states = [job.get("status", {}).get("state") for job in stage.api.list("BatchJob", stage.namespace)]
        return states.count("SUCCEEDED") >= 5

    until(some, "nothing was done", 60)


@pytest.mark.timeout(240)
def test_the_leader_is_killed_and_the_other_goes_on(mine: Stage, pair: Pair, pods: PodObserver) -> None:
    wanted = submit(mine)
    wait_for_some(mine)
    pair.leader.kill()
    wanted["late"] = mine.submit("late", queue="free"), 1
    assert pair.wait_for_other(3 * FAILOVER_SECONDS) < FAILOVER_SECONDS
    mine.wait("late", lambda status: bool(status.get("state")))
    check(mine, pods, wanted)
    assert pair.found["spec"]["leaseTransitions"] == 1


@pytest.mark.timeout(240)
def test_the_leader_is_asked_to_end_and_hands_over(mine: Stage, pair: Pair, pods: PodObserver) -> None:
    wanted = submit(mine)
    wait_for_some(mine)
    os.kill(pair.leader.pid, signal.SIGTERM)
    assert pair.wait_for_other(10) < HANDOVER_SECONDS
    assert pair.leader.wait_end(30) == 0
    assert "lease given back" in pair.leader.log
    check(mine, pods, wanted)


@pytest.mark.timeout(240)
def test_a_lease_that_is_taken_away_ends_the_leader(mine: Stage, pair: Pair, pods: PodObserver) -> None:
    """The thief's second is over before the leader looks: for a moment both write, and still nothing runs twice."""
    wanted = submit(mine)
    wait_for_some(mine)
    pair.steal(seconds=1)
    assert pair.wait_for_other(FAILOVER_SECONDS) < FAILOVER_SECONDS
    assert pair.leader.wait_end(30) == 1
    assert f"the Lease {NAMESPACE}/{pair.lease} is " in pair.leader.log
    check(mine, pods, wanted)


@pytest.mark.timeout(240)
def test_a_leader_that_was_frozen_writes_nothing_when_it_wakes(mine: Stage, pair: Pair, pods: PodObserver) -> None:
    wanted = submit(mine)
    wait_for_some(mine)
    os.kill(pair.leader.pid, signal.SIGSTOP)
    pair.wait_for_other(FAILOVER_SECONDS)
    os.kill(pair.leader.pid, signal.SIGCONT)
    assert pair.leader.wait_end(30) == 1
    assert "could not be renewed for 7 s" in pair.leader.log
    check(mine, pods, wanted)


@pytest.mark.timeout(120)
def test_a_lease_that_is_deleted_stays_its_holders(mine: Stage, pair: Pair) -> None:
    holder = pair.holder
    pair.api.delete("Lease", pair.lease, NAMESPACE)
    until(lambda: pair.holder == holder, "the lease was not made again", 10)
    mine.submit("after")
    mine.wait_final("after")
    assert pair.leader.probes()["leads"] is True
    assert pair.other.probes()["leads"] is False
    assert "making it again" in pair.leader.log


@pytest.mark.timeout(120)
def test_one_that_stands_by_is_healthy_and_writes_nothing(mine: Stage, pair: Pair) -> None:
    pair.leader.kill()
    # It knows nothing of the leader's end yet, and makes nothing of the job that comes meanwhile.
    mine.submit("early")
    probes = pair.other.probes()
    assert probes["leads"] is False
    assert probes["lease_age_seconds"] < 5
    assert mine.api.list("Job", mine.namespace) == []
    scrape = pair.other.metrics()
    assert scrape.value("batchwright_leader") == 0
    assert scrape.total("batchwright_api_writes_total") == 0
    assert not [name for name, _ in scrape.samples if name == "batchwright_jobs"]
    mine.wait_final("early")
    scrape = pair.other.metrics()
    assert scrape.value("batchwright_leader") == 1
    assert scrape.total("batchwright_api_writes_total", method="PATCH", resource="leases") > 0
    assert "standing by" in pair.other.log
