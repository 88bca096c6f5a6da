"""Multi-node jobs in real containers: the nodes find each other by name, and exchange what they have."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from allreduce import GOES_LAST, OTHERS_HAVE_ENDED, PROGRAM
from batchwright.cli.main import app
from batchwright.local import cluster as local_cluster
from batchwright.local import images
from batchwright.local.realnode import import_image
from batchwright.names import LABEL_MAIN_POD, LABEL_NODE_INDEX
from stage import Stage, sharing
from watches import until

pytestmark = [pytest.mark.real_node, pytest.mark.skipif(os.geteuid() != 0, reason="a real node needs root")]


@pytest.fixture(scope="module", autouse=True)
def python(story_cluster: local_cluster.Cluster) -> None:
    import_image(story_cluster.name, story_cluster.directory, images.ensure_python())


@pytest.fixture
def real(stage: Stage) -> Stage:
    stage.real_environment()
    return stage


def exchange(
    shared: Path, *, nodes: int, main: int, ranges: tuple[str, ...] = ("0:",), program: str = PROGRAM + GOES_LAST
) -> dict[str, Any]:
    """A definition of nodes that all run the program on one machine, and have its directory `shared`."""
    asked = [{"type": "VCPU", "value": "0.05"}, {"type": "MEMORY", "value": "48"}]
    command = ["python3", "-c", program]
    container = {"image": images.PYTHON_IMAGE, "command": command, "resourceRequirements": asked, **sharing(shared)}
    return {
        "type": "multinode",
        "nodeProperties": {
            "numNodes": nodes,
            "mainNode": main,
            "nodesPerHost": nodes,
            "rendezvous": {"port": 5000},
            "nodeRangeProperties": [{"targetNodes": target, "container": container} for target in ranges],
        },
    }


def let_the_main_node_end(stage: Stage, job_id: str, shared: Path, *, nodes: int, main: int) -> None:
    """Returns once the other nodes of the attempt under way have ended; then the main node does."""

    def is_last() -> bool:
        pods = stage.pods(job_id)
        running = [pod for pod in pods if pod["status"].get("phase") == "Running"]
        mains = {
            pod["metadata"]["uid"] for pod in running if pod["metadata"]["labels"].get(LABEL_NODE_INDEX) == str(main)
        }
        ended = [pod for pod in pods if pod["status"].get("phase") == "Succeeded"]
        return sum(pod["metadata"]["labels"].get(LABEL_MAIN_POD) in mains for pod in ended) == nodes - 1

    until(is_last, "the other nodes have not ended", 120)
    (shared / OTHERS_HAVE_ENDED).touch()


def test_a_node_that_does_not_become_ready_gives_all_back(real: Stage) -> None:
    """Its container runs, and what it is to serve never answers."""

    def template(**more: Any) -> dict[str, Any]:
        asked = {"requests": {"cpu": "50m", "memory": "48Mi"}}
        command = ["python3", "-c", "import time; time.sleep(600)"]
        container = {"name": "main", "image": images.PYTHON_IMAGE, "command": command, "resources": asked, **more}
        return {"spec": {"containers": [container], "terminationGracePeriodSeconds": 0}}

    probe = {"readinessProbe": {"tcpSocket": {"port": 9}, "periodSeconds": 1}}
    ranges = [{"targetNodes": "0:1", "podTemplate": template()}, {"targetNodes": "2", "podTemplate": template(**probe)}]
    given = {"numNodes": 3, "mainNode": 0, "nodesPerHost": 3, "startTimeoutSeconds": 15, "nodeRangeProperties": ranges}
    real.define("serve", type="multinode", nodeProperties=given)
    real.submit("never", "serve")
    text = real.wait_event("never", "GaveBack", seconds=90)
    assert "Not all of 3 nodes ran within 15 s. Node 2: it runs, and does not become ready" in text
    real.terminate("never", "seen")
    assert real.wait_final("never")["statusReason"] == "seen"


def batchwright(cluster: local_cluster.Cluster, *words: str) -> str:
    done = CliRunner().invoke(app, [*words, "--kubeconfig", str(cluster.kubeconfig)])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize(("main", "ranges"), [(0, ("0:",)), (2, ("0:1", "2:"))], ids=["the first", "one in the middle"])
def test_an_all_reduce_by_the_names_of_the_hostfile(
    real: Stage, story_cluster: local_cluster.Cluster, tmp_path: Path, main: int, ranges: tuple[str, ...]
) -> None:
    real.define("reduce", **exchange(tmp_path, nodes=4, main=main, ranges=ranges))
    job_id = real.submit("sum", "reduce")
    let_the_main_node_end(real, job_id, tmp_path, nodes=4, main=main)
    status = real.wait_final("sum", seconds=120)
    assert status["state"] == "SUCCEEDED", status
    assert status["nodeProperties"] == {"numNodes": 4, "mainNode": main}
    where = ("-n", real.namespace)
    for number in range(4):
        assert batchwright(story_cluster, "logs", f"sum#{number}", *where) == f"node {number} of 4: 10\n"
    assert batchwright(story_cluster, "logs", "sum", *where) == f"node {main} of 4: 10\n"
    listed = batchwright(story_cluster, "list", "--nodes", "sum", *where).splitlines()
    assert [line.split()[0] for line in listed] == ["NODE", "0", "1", "2", "3"]
    assert f"{main} (main)" in listed[main + 1]
    page = batchwright(story_cluster, "describe", f"sum#{3}", *where)
    assert f"{job_id}#3" in page
    assert "SUCCEEDED" in page


def test_the_second_attempt_finds_its_nodes_by_the_same_names(
    real: Stage, story_cluster: local_cluster.Cluster, tmp_path: Path
) -> None:
    fails = "if os.environ['AWS_BATCH_JOB_ATTEMPT'] == '1' and rank == 0:\n    raise SystemExit(9)\n"
    fails_once = exchange(tmp_path, nodes=3, main=0, program=PROGRAM + fails + GOES_LAST)
    real.define("again", **fails_once, retryStrategy={"attempts": 2})
    job_id = real.submit("twice", "again")
    real.wait("twice", lambda status: bool(status.get("attempts")), 120)
    let_the_main_node_end(real, job_id, tmp_path, nodes=3, main=0)
    status = real.wait_final("twice", seconds=150)
    assert status["state"] == "SUCCEEDED", status
    assert [each["container"]["exitCode"] for each in status["attempts"]] == [9, 0]
    for number in range(3):
        logs = batchwright(story_cluster, "logs", f"twice#{number}", "-n", real.namespace)
        assert logs == f"node {number} of 3: 6\n"
