"""What jobs cost, reckoned once more from outside: from the pods as the API server shows them, and their nodes' prices.

The operator is this module's own, and notes the usage of queues every second; the nodes are simulated, at Spot prices.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

import manifests
from apiserver import ApiServer
from batchwright.local import cluster as local_cluster
from batchwright.local import install
from commandline import CommandLine
from operatorprocess import OperatorProcess
from reckoning import reckoned
from stage import Stage

SETTINGS = {"capacity_interval_seconds": "0.5", "capacity_gather_seconds": "0.2", "checkpoint_seconds": "1"}
VCPUS = 1.5


@pytest.fixture(scope="module")
def market() -> Iterator[local_cluster.Cluster]:
    """A cluster without a node."""
    name = f"cost-{os.getpid()}"
    try:
        made = local_cluster.up(local_cluster.Options(name=name, runtime="binary", nodes=0))
        install.apply_crds(made.kubeconfig)
        yield made
    finally:
        local_cluster.down(name)


@pytest.fixture(scope="module")
def payer(market: local_cluster.Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    process = OperatorProcess(market.kubeconfig, tmp_path_factory.mktemp("operator") / "operator.log", **SETTINGS)
    process.start()
    yield process
    process.stop()


@pytest.fixture
def scene(market: local_cluster.Cluster, payer: OperatorProcess) -> Iterator[Stage]:
    """A namespace with a stage of its own, an environment of Spot instances, and a queue with shares."""
    api = ApiServer(market.kubeconfig)
    name = f"t-{os.urandom(3).hex()}"
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    made = Stage(api, name)
    resources = {"type": "SPOT", "maxvCpus": 64, "instanceTypes": ["m5"]}
    made.declare(
        manifests.compute_environment(f"{name}-env", type="MANAGED", provider="SIMULATED", computeResources=resources)
    )
    made.declare(manifests.scheduling_policy(f"{name}-fair", shareDecaySeconds=600))
    made.queue(schedulingPolicy=f"{name}-fair")
    yield made
    made.close()
    api.delete("Namespace", name)


def told(usage: dict[str, Any]) -> tuple[float, float]:
    return float(usage["vcpuSeconds"]), float(usage["cost"])


def queue_usage(scene: Stage) -> dict[str, dict[str, Any]]:
    queue = scene.api.find("JobQueue", f"{scene.namespace}-queue")
    assert queue is not None
    return {each.get("share", ""): each for each in queue["status"].get("usage", ())}


@pytest.mark.timeout(300)
def test_what_jobs_cost_is_what_their_pods_took_also_when_the_operator_dies(
    scene: Stage, market: local_cluster.Cluster, payer: OperatorProcess
) -> None:
    scene.simulated(cpu=f"{VCPUS * 1000:.0f}m", simulate={"seconds": "4"})
    scene.simulated("bad", cpu="1500m", simulate={"seconds": "2", "exit-code": "3"}, retryStrategy={"attempts": 2})
    sweep = scene.submit("sweep", shareIdentifier="red", arrayProperties={"size": 20, "maxConcurrency": 8})
    bad = scene.submit("bad", "bad", shareIdentifier="blue", tags={"team": "weather"})
    scene.wait("sweep", lambda status: status.get("usage", {}).get("holding") is not None, 60)
    scene.wait("sweep", lambda status: status["arrayProperties"]["statusSummary"]["SUCCEEDED"] >= 4, 60)
    payer.kill()
    # Something happens that nobody sees.
    time.sleep(5)
    payer.start()

    array, single = scene.wait_final("sweep", 120)["usage"], scene.wait_final("bad", 120)["usage"]

    assert told(array) == pytest.approx(reckoned(scene, sweep, VCPUS), rel=1e-6)
    assert told(single) == pytest.approx(reckoned(scene, bad, VCPUS), rel=1e-6)
    # The sum over elements is the whole, and what failed was for nothing.
    assert sum(float(each["cost"]) for each in array["elements"]) == pytest.approx(float(array["cost"]), abs=1e-11)
    assert [each["indexes"] for each in array["elements"]] == [f"{2 * n}-{2 * n + 1}" for n in range(10)]
    assert "lostCost" not in array
    assert single["lostCost"] == single["cost"]
    assert "holding" not in array
    # Each share of the queue has the same, and goes on having it when the job is gone.
    want = {"red": told(array), "blue": told(single)}
    deadline = time.monotonic() + 30
    while (noted := {share: told(each) for share, each in queue_usage(scene).items()}) != want:
        assert time.monotonic() < deadline, f"the queue has {noted}, jobs {want}"
        time.sleep(0.2)
    line = CommandLine(market, scene.api, scene.namespace)  # type: ignore[arg-type]
    page, _ = line.run("describe", "sweep")
    assert "Of elements:" in page
    table, _ = line.run("cost", "--by", "tag")
    assert "weather" in table
    scene.api.delete("BatchJob", "bad", scene.namespace)
    scene.wait_none("BatchJob", "bad")
    assert told(queue_usage(scene)["blue"]) == told(single)
