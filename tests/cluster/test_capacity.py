"""MANAGED environments grow from nothing for what waits, and shrink to nothing when it is done.

The operator is this module's own, with short delays; the nodes are simulated.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import manifests
from apiserver import ApiServer, Manifest
from batchwright.local import cluster as local_cluster
from batchwright.local import install
from operatorprocess import OperatorProcess
from stage import Stage

DELAYS = {
    "capacity_interval_seconds": "0.5",
    "capacity_idle_seconds": "2",
    "capacity_gather_seconds": "0.2",
    "explain_interval_seconds": "1",
}


@pytest.fixture(scope="module")
def grown() -> Iterator[local_cluster.Cluster]:
    """A cluster without a node."""
    name = f"capacity-{os.getpid()}"
    try:
        made = local_cluster.up(local_cluster.Options(name=name, runtime="binary", nodes=0))
        install.apply_crds(made.kubeconfig)
        yield made
    finally:
        local_cluster.down(name)


@pytest.fixture(scope="module")
def buyer(grown: local_cluster.Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """An operator that looks at instances twice a second."""
    process = OperatorProcess(grown.kubeconfig, tmp_path_factory.mktemp("operator") / "operator.log", **DELAYS)
    process.start()
    yield process
    process.stop()


@pytest.fixture
def scene(grown: local_cluster.Cluster, buyer: OperatorProcess) -> Iterator[Stage]:
    """A namespace with a stage of its own."""
    api = ApiServer(grown.kubeconfig)
    name = f"t-{os.urandom(3).hex()}"
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    made = Stage(api, name)
    yield made
    made.close()
    api.delete("Namespace", name)


def managed(scene: Stage, name: str = "env", **resources: object) -> str:
    """A MANAGED environment of simulated nodes; its full name."""
    full = f"{scene.namespace}-{name}"
    found = {"type": "EC2", "maxvCpus": 64, "instanceTypes": ["m5"], **resources}
    scene.declare(manifests.compute_environment(full, type="MANAGED", provider="SIMULATED", computeResources=found))
    return full


def nodes_of(scene: Stage, environment: str) -> list[Manifest]:
    return scene.api.list("Node", labelSelector=f"batchwright.io/compute-environment={environment}")


def until(holds: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, what
        time.sleep(0.2)
    return found


def status_of(scene: Stage, environment: str) -> dict[str, Any]:
    found = scene.api.find("ComputeEnvironment", environment)
    assert found is not None
    return dict(found.get("status") or {})


def test_from_zero_to_what_waits_and_back(scene: Stage) -> None:
    environment = managed(scene)
    scene.queue()
    scene.simulated(cpu="1500m", simulate={"seconds": "3"})
    scene.submit("sweep", arrayProperties={"size": 20})

    scene.wait("sweep", lambda status: "waiting for nodes" in str(status.get("statusReason")), 30)
    status = scene.wait_final("sweep", 90)

    assert status["state"] == "SUCCEEDED"
    until(lambda: not nodes_of(scene, environment), "nodes stay though nothing runs")
    shown = until(
        lambda: (found := status_of(scene, environment)).get("instanceCount") == 0 and found, "instances stay in status"
    )
    assert (shown["status"], shown["statusReason"]) == ("VALID", "ComputeEnvironment Healthy")
    assert shown["desiredvCpus"] == 0
    assert "pendingLaunch" not in shown
    launched = scene.wait_cluster_event(environment, "Launched")
    assert "instances launched: m5." in launched
