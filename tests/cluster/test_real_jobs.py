"""Single jobs in real containers on the real node: what only a kubelet and a runtime can show."""

from __future__ import annotations

from typing import Any

import pytest

import manifests
from batchwright.local import binaries, images
from batchwright.local import cluster as local_cluster
from batchwright.local.progress import silent
from batchwright.local.realnode import import_image
from kubecluster import Cluster
from stage import Stage

pytestmark = pytest.mark.real_node

BUSYBOX = images.BUSYBOX_IMAGE


@pytest.fixture(scope="session", autouse=True)
def busybox(story_cluster: local_cluster.Cluster) -> None:
    import_image(story_cluster.name, story_cluster.directory, images.ensure_busybox())


@pytest.fixture
def real(stage: Stage) -> Stage:
    """A stage whose environment is the real node."""
    name = f"{stage.namespace}-real"
    stage.declare(manifests.compute_environment(name, nodeSelector={"batchwright.io/node": "real"}))
    stage.queue("queue", name)
    return stage


def shell(script: str, **properties: object) -> dict[str, Any]:
    """containerProperties of a shell script."""
    asked = [{"type": "VCPU", "value": "0.1"}, {"type": "MEMORY", "value": "64"}]
    return {"image": BUSYBOX, "command": ["sh", "-c", script], "resourceRequirements": asked, **properties}


def log_of(stage: Stage, cluster: local_cluster.Cluster, job_id: str) -> str:
    """The log of the job's only pod."""
    [pod] = stage.pods(job_id)
    kubectl = binaries.ensure(["kubectl"], silent())["kubectl"]
    found = Cluster(cluster.kubeconfig, kubectl).kubectl("logs", "-n", stage.namespace, pod["metadata"]["name"])
    return found.stdout


def test_the_container_sees_what_the_job_says(real: Stage, story_cluster: local_cluster.Cluster) -> None:
    real.api.create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "keys", "namespace": real.namespace},
            "stringData": {"token": "s3cr3t"},
        }
    )
    real.define(
        "look",
        parameters={"word": "default"},
        containerProperties=shell(
            "echo word=Ref::word; env | grep -E '^(AWS_BATCH|TOKEN|PLAIN)' | sort; id -u; df -m /dev/shm | tail -1; "
            "touch /forbidden 2>/dev/null || echo readonly; echo data > /scratch/f && cat /scratch/f",
            environment=[{"name": "PLAIN", "value": "text"}],
            secrets=[{"name": "TOKEN", "valueFrom": "keys/token"}],
            user="1000:1000",
            readonlyRootFilesystem=True,
            volumes=[{"name": "scratch"}],
            mountPoints=[{"sourceVolume": "scratch", "containerPath": "/scratch"}],
            linuxParameters={"sharedMemorySize": 16, "initProcessEnabled": True},
        ),
    )
    job_id = real.submit("look-1", "look", parameters={"word": "given"})
    status = real.wait_final("look-1")
    assert status["state"] == "SUCCEEDED", status
    lines = log_of(real, story_cluster, job_id).splitlines()
    assert "word=given" in lines
    assert f"AWS_BATCH_JOB_ID={job_id}" in lines
    assert "AWS_BATCH_JOB_ATTEMPT=1" in lines
    assert f"AWS_BATCH_JQ_NAME={real.namespace}-queue" in lines
    assert f"AWS_BATCH_CE_NAME={real.namespace}-real" in lines
    assert {"TOKEN=s3cr3t", "PLAIN=text", "1000", "readonly", "data"} <= set(lines)


def test_an_exit_code_comes_back(real: Stage) -> None:
    real.define("exits", containerProperties=shell("exit 42"))
    real.submit("exits-1", "exits")
    status = real.wait_final("exits-1")
    assert (status["state"], status["statusReason"]) == ("FAILED", "Essential container in task exited")
    assert status["attempts"][0]["container"]["exitCode"] == 42


def test_out_of_memory(real: Stage) -> None:
    script = "x=aaaaaaaaaaaaaaaa; while true; do x=$x$x$x$x; done"
    real.define("eats", containerProperties=shell(script))
    real.submit("eats-1", "eats")
    [attempt] = real.wait_final("eats-1")["attempts"]
    assert attempt["container"]["reason"] == "OutOfMemoryError: Container killed due to memory usage"
    assert attempt["container"]["exitCode"] == 137


def test_an_image_that_cannot_be_pulled(real: Stage) -> None:
    real.define("nowhere", containerProperties=shell("true") | {"image": "nowhere.invalid/no/such:image"})
    real.submit("nowhere-1", "nowhere")
    status = real.wait_final("nowhere-1", seconds=90)
    assert (status["state"], status["statusReason"]) == ("FAILED", "Task failed to start")
    [attempt] = status["attempts"]
    assert attempt["container"]["reason"].startswith("CannotPullContainerError: ")
    assert "exitCode" not in attempt["container"]


def test_a_command_that_does_not_exist(real: Stage) -> None:
    template = {"spec": {"containers": [{"name": "main", "image": BUSYBOX, "command": ["/no/such/program"]}]}}
    real.define("wrong", podTemplate=template)
    real.submit("wrong-1", "wrong")
    status = real.wait_final("wrong-1")
    assert (status["state"], status["statusReason"]) == ("FAILED", "Task failed to start")
    [attempt] = status["attempts"]
    assert "CannotStartContainerError" in attempt["container"]["reason"]
    assert "no such file" in attempt["container"]["reason"]


def test_a_timeout_sends_sigterm_first(real: Stage, story_cluster: local_cluster.Cluster) -> None:
    script = "trap 'echo caught; exit 9' TERM; while true; do sleep 0.2; done"
    real.define("stays", containerProperties=shell(script), timeout={"attemptDurationSeconds": 3})
    real.submit("stays-1", "stays", retryStrategy={"attempts": 2})
    status = real.wait_final("stays-1", seconds=90)
    assert (status["state"], status["statusReason"]) == ("FAILED", "Job attempt duration exceeded timeout")
    [attempt] = status["attempts"]
    assert attempt["container"]["exitCode"] == 9, "the script caught SIGTERM and chose its own exit code"


def test_a_timeout_is_a_failure_even_if_the_process_leaves_with_success(real: Stage) -> None:
    script = "trap 'exit 0' TERM; while true; do sleep 0.2; done"
    real.define("polite", containerProperties=shell(script), timeout={"attemptDurationSeconds": 2})
    real.submit("polite-1", "polite")
    status = real.wait_final("polite-1", seconds=90)
    assert (status["state"], status["statusReason"]) == ("FAILED", "Job attempt duration exceeded timeout")


def test_an_eviction_reads_as_a_terminated_host_and_is_retried_where_the_rules_say_so(real: Stage) -> None:
    real.define("works", containerProperties=shell("sleep 600"))
    rules = [{"action": "RETRY", "onStatusReason": "Host EC2*"}, {"action": "EXIT", "onReason": "*"}]
    job_id = real.submit("works-1", "works", retryStrategy={"attempts": 2, "evaluateOnExit": rules})
    real.wait("works-1", "RUNNING")
    [pod] = real.pods(job_id)
    name = pod["metadata"]["name"]
    real.api.request(
        "POST",
        f"/api/v1/namespaces/{real.namespace}/pods/{name}/eviction",
        {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": real.namespace},
            "deleteOptions": {"gracePeriodSeconds": 1},
        },
    )
    status = real.wait("works-1", lambda s: s.get("state") == "RUNNING" and len(s.get("attempts", ())) == 1, seconds=90)
    [attempt] = status["attempts"]
    assert attempt["statusReason"].startswith("Host EC2 (instance ")
    assert "exitCode" not in attempt["container"]
    real.api.patch("BatchJob", "works-1", real.namespace, {"spec": {"terminate": {"reason": "seen"}}})
    final = real.wait_final("works-1", seconds=90)
    assert (final["state"], final["statusReason"], len(final["attempts"])) == ("FAILED", "seen", 2)


def test_the_attempt_number_is_in_the_container(real: Stage, story_cluster: local_cluster.Cluster) -> None:
    real.define(
        "counts", containerProperties=shell('echo "attempt $AWS_BATCH_JOB_ATTEMPT"; [ "$AWS_BATCH_JOB_ATTEMPT" = 2 ]')
    )
    job_id = real.submit("counts-1", "counts", retryStrategy={"attempts": 3})
    status = real.wait_final("counts-1", seconds=90)
    assert status["state"] == "SUCCEEDED"
    assert [attempt["container"]["exitCode"] for attempt in status["attempts"]] == [1, 0]
    assert len(real.pods(job_id)) == 2
