"""An MPI program as the example has it: Open MPI over sshd, by the names of the hostfile, in pods of the real node."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from batchwright.cli.main import app
from batchwright.local import cluster as local_cluster
from batchwright.local import images
from batchwright.local.realnode import import_image
from stage import Stage

pytestmark = [
    pytest.mark.real_node,
    pytest.mark.skipif(os.geteuid() != 0, reason="a real node needs root"),
    pytest.mark.timeout(600),
]
EXAMPLE = Path(__file__).parents[2] / "examples/multinode/mpi.yaml"
CONTEXT = EXAMPLE.with_suffix("")
IMAGE = "batchwright.local/mpi:v1"
NODES, SLOTS = 3, 2
RANKS = NODES * SLOTS


@pytest.fixture(scope="module", autouse=True)
def image(story_cluster: local_cluster.Cluster) -> None:
    """What the example's Dockerfile makes; it takes about a minute, and again when that changes and each month."""
    archive = images.build_image(CONTEXT, CONTEXT / "Dockerfile", IMAGE, images.ensure_python())
    import_image(story_cluster.name, story_cluster.directory, archive)


def example() -> dict[str, Any]:
    """The example's definition, on one small machine that is in no zone."""
    spec: dict[str, Any] = next(yaml.safe_load_all(EXAMPLE.read_text()))["spec"]
    properties = spec["nodeProperties"]
    del properties["topology"]
    properties |= {"numNodes": NODES, "nodesPerHost": NODES}
    for each in properties["nodeRangeProperties"]:
        each["slots"] = SLOTS
        asked = [{"type": "VCPU", "value": "0.1"}, {"type": "MEMORY", "value": "256"}]
        each["container"] |= {"image": IMAGE, "resourceRequirements": asked}
    return spec


def test_an_allreduce_and_a_ring_of_mpi_over_all_nodes(stage: Stage, story_cluster: local_cluster.Cluster) -> None:
    stage.real_environment()
    stage.define("mpi", **example())
    stage.submit("sum", "mpi")
    status = stage.wait_final("sum", seconds=240)
    words = ["logs", "sum", "-n", stage.namespace, "--kubeconfig", str(story_cluster.kubeconfig)]
    log = CliRunner().invoke(app, words).stdout
    assert status["state"] == "SUCCEEDED", (status, log)
    assert [each["container"]["exitCode"] for each in status["attempts"]] == [0], log
    said = sorted(line for line in log.splitlines() if line.startswith("rank "))
    # A pod's host name is its own: each node has run as many ranks as it has slots.
    hosts = [f"{status['jobName']}-{rank // SLOTS}" for rank in range(RANKS)]
    total = RANKS * (RANKS + 1) // 2
    assert said == [f"rank {rank} of {RANKS} on {host}: {total}" for rank, host in enumerate(hosts)], log
