"""The documentation's YAML and commands on a cluster as README makes it, with the rights that docs/install.md lists.

The cluster is this module's own: ten simulated nodes, and an operator that is a ServiceAccount and no administrator.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import manifests
from apiserver import ApiServer
from batchwright.local import binaries, install
from batchwright.local import cluster as local_cluster
from batchwright.local.progress import silent
from batchwright.names import SIMULATE
from documentation import ROOT, Manifest, Page, pages
from kubecluster import Cluster
from operatorprocess import OperatorProcess

README = Page(ROOT / "README.md")
INSTALL = Page(ROOT / "docs/install.md")
WITH_YAML = [page for page in pages() if page.manifests()]
# Pages whose jobs run on simulated nodes; the objects of others must be right, and are not run.
STORIES = ("README.md", "docs/arrays.md", "docs/concepts.md", "docs/local.md", "docs/scheduling.md")
OURS = "batchwright.io/v1alpha1"


@pytest.fixture(scope="module")
def documented() -> Iterator[Cluster]:
    """A cluster as README makes it, with the objects of docs/install.md."""
    name = f"docs-{os.getpid()}"
    try:
        made = local_cluster.up(local_cluster.Options(name=name, runtime="binary", nodes=10))
        install.apply_crds(made.kubeconfig)
        cluster = Cluster(made.kubeconfig, binaries.ensure(["kubectl"], silent())["kubectl"])
        _apply(cluster, INSTALL.manifests())
        yield cluster
    finally:
        local_cluster.down(name)


@pytest.fixture(scope="module")
def limited_operator(documented: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """The operator with the rights of docs/install.md and no others."""
    directory = tmp_path_factory.mktemp("operator")
    token = documented.kubectl("-n", "batchwright", "create", "token", "operator", "--duration=1h").stdout
    config = yaml.safe_load(documented.kubectl("config", "view", "--raw", "--flatten", "-o", "yaml").stdout)
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    process = OperatorProcess(kubeconfig, directory / "operator.log", leader_election="true")
    process.start()
    yield process
    process.stop()


@pytest.fixture
def place(documented: Cluster) -> Iterator[str]:
    """A namespace of the test's own, the context's as long as it lasts; cluster-scoped objects of ours go with it."""
    name = f"t-{uuid.uuid4().hex[:6]}"
    documented.kubectl("create", "namespace", name)
    documented.kubectl("config", "set-context", "--current", f"--namespace={name}")
    yield name
    documented.kubectl("delete", "namespace", name, "--wait=false")
    documented.kubectl("delete", "jobqueues,computeenvironments,schedulingpolicies,consumableresources", "--all")


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in WITH_YAML])
def test_every_object_is_taken(documented: Cluster, place: str, page: Page) -> None:
    for manifest in page.manifests():
        assert manifest["apiVersion"]
        assert manifest["metadata"]["name"]
    _apply(documented, page.manifests(), "--dry-run=server")


@pytest.mark.parametrize("name", STORIES)
def test_the_jobs_of_a_page_succeed(
    documented: Cluster, limited_operator: OperatorProcess, place: str, name: str
) -> None:
    declared = Page(ROOT / name).manifests()
    assert any(manifest["kind"] == "BatchJob" for manifest in declared)
    _apply(documented, declared)
    api = ApiServer(documented.kubeconfig)
    for manifest in declared:
        kind, called = manifest["kind"], manifest["metadata"]["name"]
        if manifest["apiVersion"] != OURS:
            continue
        condition = "Complete" if kind == "BatchJob" else "Ready"
        api.wait_for(kind, called, place, lambda found, wanted=condition: _holds(found, wanted), 60)
    assert _forbidden_to(limited_operator) == []


def test_the_rights_suffice_for_what_is_rare(
    documented: Cluster, limited_operator: OperatorProcess, place: str
) -> None:
    """Timeout, terminate, retention, an IAM role, an EFS volume, a pod that a quota refuses."""
    api = ApiServer(documented.kubeconfig)
    role = "arn:aws:iam::123456789012:role/reader"
    volume = {"name": "shared", "efsVolumeConfiguration": {"fileSystemId": "fs-0123456789abcdef0"}}
    slow = {
        "metadata": {"annotations": {f"{SIMULATE}/seconds": "600"}},
        "spec": {"containers": [{"name": "main", "image": "x"}]},
    }
    for manifest in [
        manifests.compute_environment("nodes", nodeSelector={"type": "kwok"}),
        manifests.job_queue("normal"),
        manifests.job_queue(
            "brief",
            computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "nodes"}],
            retention={"podSeconds": 0, "jobSeconds": 1},
            allowedJobRoles=[role],
        ),
        manifests.job_definition(
            "aws", place, containerProperties=manifests.container(jobRoleArn=role, volumes=[volume])
        ),
        manifests.job_definition("slow", place, podTemplate=slow),
        manifests.batch_job("aws", place, jobQueue="brief", jobDefinition="aws"),
        manifests.batch_job("late", place, jobDefinition="slow", timeout={"attemptDurationSeconds": 1}),
        manifests.batch_job("ended", place, jobDefinition="slow"),
    ]:
        api.create(manifest)
    for name in ("late", "ended"):
        api.wait_for("BatchJob", name, place, lambda job: _state(job) in ("RUNNING", "FAILED"), 60)
    api.patch("BatchJob", "ended", place, {"spec": {"terminate": {"reason": "enough"}}})
    for name in ("late", "ended"):
        api.wait_for("BatchJob", name, place, lambda job: _state(job) == "FAILED", 60)
    documented.kubectl("wait", "--for=delete", "bj/aws", "--timeout=60s")

    documented.kubectl("create", "quota", "none", "--hard=pods=0")
    api.create(manifests.batch_job("refused", place, jobDefinition="slow"))
    api.wait_for("BatchJob", "refused", place, lambda job: "exceeded quota" in _reason(job), 60)
    assert _forbidden_to(limited_operator) == []


def test_the_rights_suffice_for_what_arrays_need(
    documented: Cluster, limited_operator: OperatorProcess, place: str
) -> None:
    """A ConfigMap read, parallelism raised, gates removed, elements ended alone and all together."""
    api = ApiServer(documented.kubeconfig)
    resources = {"requests": {"cpu": "32"}}
    slow = {
        "metadata": {"annotations": {f"{SIMULATE}/seconds": "600"}},
        "spec": {"containers": [{"name": "main", "image": "x", "resources": resources}]},
    }
    table = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "table", "namespace": place}}
    items = {"configMap": {"name": "table"}}
    for manifest in [
        manifests.compute_environment("nodes", nodeSelector={"type": "kwok"}),
        manifests.job_queue("normal"),
        manifests.job_definition("hello", place),
        manifests.job_definition("slow", place, podTemplate=slow),
        {**table, "data": {"items": "[a, b, c]"}},
        manifests.batch_job("rows", place, arrayProperties={"items": items}),
        manifests.batch_job(
            "pairs", place, arrayProperties={"size": 3}, dependsOn=[{"name": "rows", "type": "N_TO_N"}]
        ),
    ]:
        api.create(manifest)
    for name in ("rows", "pairs"):
        api.wait_for("BatchJob", name, place, lambda job: _state(job) == "SUCCEEDED", 60)

    # One element a node: the last one gets room when the other job ends, which takes a higher parallelism.
    api.create(manifests.batch_job("other", place, jobDefinition="slow"))
    api.wait_for("BatchJob", "other", place, lambda job: _state(job) == "RUNNING", 60)
    api.create(manifests.batch_job("sweep", place, jobDefinition="slow", arrayProperties={"size": 10}))
    api.wait_for("BatchJob", "sweep", place, lambda job: _count(job, "RUNNING") == 9, 60)
    api.patch("BatchJob", "other", place, {"spec": {"terminate": {"reason": "room is needed"}}})
    api.wait_for("BatchJob", "sweep", place, lambda job: _count(job, "RUNNING") == 10, 60)
    request = {"indexes": "0,3", "reason": "not these"}
    api.patch("BatchJob", "sweep", place, {"spec": {"terminateElements": [request]}})
    api.wait_for("BatchJob", "sweep", place, lambda job: _count(job, "FAILED") == 2, 60)
    api.patch("BatchJob", "sweep", place, {"spec": {"terminate": {"reason": "enough"}}})
    job = api.wait_for("BatchJob", "sweep", place, lambda job: _state(job) == "FAILED", 60)
    assert _reason(job) == "enough"
    assert _forbidden_to(limited_operator) == []


def test_the_rights_suffice_for_multi_node_jobs(
    documented: Cluster, limited_operator: OperatorProcess, place: str
) -> None:
    """Names and hostfile, the other nodes, and their end."""

    def node(seconds: str) -> Manifest:
        notes = {"annotations": {f"{SIMULATE}/seconds": seconds}}
        return {"metadata": notes, "spec": {"containers": [{"name": "main", "image": "x"}]}}

    ranges = [{"targetNodes": "0", "podTemplate": node("3")}, {"targetNodes": "1:", "podTemplate": node("600")}]
    properties = {"numNodes": 3, "mainNode": 0, "nodeRangeProperties": ranges}
    api = ApiServer(documented.kubeconfig)
    for manifest in [
        manifests.compute_environment("nodes", nodeSelector={"type": "kwok"}),
        manifests.job_queue("normal"),
        manifests.job_definition("train", place, type="multinode", nodeProperties=properties),
        manifests.batch_job("train-1", place, jobDefinition="train"),
    ]:
        api.create(manifest)
    job = api.wait_for("BatchJob", "train-1", place, lambda job: _state(job) in ("SUCCEEDED", "FAILED"), 60)
    assert _state(job) == "SUCCEEDED"
    assert _forbidden_to(limited_operator) == []


def test_the_rights_suffice_for_nodes_that_come_and_go(
    documented: Cluster, limited_operator: OperatorProcess, place: str
) -> None:
    declared = Page(ROOT / "docs/capacity.md").manifests()
    _apply(documented, [each for each in declared if each["metadata"]["name"] != "spot"])
    api = ApiServer(documented.kubeconfig)
    job = api.wait_for("BatchJob", "sweep", place, lambda job: _state(job) in ("SUCCEEDED", "FAILED"), 90)
    assert _state(job) == "SUCCEEDED"
    mine = "batchwright.io/compute-environment=simulated"
    assert api.list("Node", labelSelector=mine)
    api.delete("ComputeEnvironment", "simulated")
    documented.kubectl("wait", "--for=delete", "node", "-l", mine, "--timeout=90s")
    assert _forbidden_to(limited_operator) == []


def test_the_commands_of_the_readme_work(
    documented: Cluster, limited_operator: OperatorProcess, place: str, tmp_path: Path
) -> None:
    (tmp_path / "hello.yaml").write_text(yaml.safe_dump_all(README.manifests()))
    found = [line.strip() for line in README.code() if line.startswith(("kubectl ", "batchwright "))]
    lines = [line for line in found if not line.startswith(("batchwright local", "batchwright --"))]
    assert {line.split()[0] for line in lines} == {"kubectl", "batchwright"}
    for line in lines:
        program, *arguments = shlex.split(line)
        command = [str(documented.kubectl_binary)] if program == "kubectl" else [sys.executable, "-m", "batchwright"]
        done = subprocess.run(
            [*command, *arguments],
            cwd=tmp_path,
            env={**os.environ, "KUBECONFIG": str(documented.kubeconfig)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"


def _apply(cluster: Cluster, declared: list[Manifest], *arguments: str) -> None:
    text = yaml.safe_dump_all(declared)
    cluster.kubectl("apply", "--server-side", "--validate=strict", *arguments, "-f", "-", stdin=text)


def _forbidden_to(operator: OperatorProcess) -> list[str]:
    """What the operator was refused: a right that is missing may show nowhere but in its log."""
    return [line for line in operator.log.splitlines() if "cannot" in line and "serviceaccount:" in line]


def _state(job: Manifest) -> str:
    return str((job.get("status") or {}).get("state"))


def _count(job: Manifest, state: str) -> int:
    properties = (job.get("status") or {}).get("arrayProperties") or {}
    return int(properties.get("statusSummary", {}).get(state, 0))


def _reason(job: Manifest) -> str:
    return str((job.get("status") or {}).get("statusReason"))


def _holds(found: Manifest, condition: str) -> bool:
    status = found.get("status") or {}
    assert status.get("state") != "FAILED", status
    return any(each["type"] == condition and each["status"] == "True" for each in status.get("conditions", ()))
