"""The documentation's YAML and commands on a cluster as README makes it, with the rights that the Helm chart gives.

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

from apiserver import ApiServer
from batchwright.local import binaries, install
from batchwright.local import cluster as local_cluster
from batchwright.local.progress import silent
from documentation import ROOT, Manifest, Page, pages
from helmchart import new_helm
from kubecluster import Cluster
from operatorprocess import OperatorProcess

# What the chart brings beside the operator itself and its kinds.
RIGHTS = ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "ServiceAccount")
POLICIES = ("MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding")
WITH_YAML = [page for page in pages() if page.manifests()]
# Pages whose jobs run on simulated nodes; the objects of others must be right, and are not run.
STORIES = (
    "README.md",
    "docs/arrays.md",
    "docs/concepts.md",
    "docs/howto/aws-batch.md",
    "docs/howto/kueue.md",
    "docs/howto/mpi.md",
    "docs/howto/slurm.md",
    "docs/local.md",
    "docs/scheduling.md",
    "docs/start.md",
)
OURS = "batchwright.io/v1alpha1"
DECLARED = ("ComputeEnvironment", "JobQueue", "JobDefinition")


@pytest.fixture(scope="module")
def documented() -> Iterator[Cluster]:
    """A cluster as README makes it, with what the chart brings for an operator."""
    name = f"docs-{os.getpid()}"
    try:
        made = local_cluster.up(local_cluster.Options(name=name, runtime="binary", nodes=10))
        install.apply_crds(made.kubeconfig)
        cluster = Cluster(made.kubeconfig, binaries.ensure(["kubectl"], silent())["kubectl"])
        cluster.kubectl("create", "namespace", "batchwright")
        with new_helm() as helm:
            rendered = helm.template()
        _apply(cluster, [each for each in rendered if each["kind"] in (*RIGHTS, *POLICIES)])
        yield cluster
    finally:
        local_cluster.down(name)


@pytest.fixture(scope="module")
def limited_operator(documented: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """The operator with the rights of the chart and no others."""
    directory = tmp_path_factory.mktemp("operator")
    token = documented.kubectl("-n", "batchwright", "create", "token", "test-batchwright", "--duration=1h").stdout
    config = yaml.safe_load(documented.kubectl("config", "view", "--raw", "--flatten", "-o", "yaml").stdout)
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    process = OperatorProcess(
        kubeconfig, directory / "operator.log", leader_election="true", admission_policies="expect"
    )
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


def test_the_nodes_of_a_page_come_and_go(documented: Cluster, limited_operator: OperatorProcess, place: str) -> None:
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


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        pytest.param("README.md", {"hello.yaml": (*DECLARED, "BatchJob")}, id="README.md"),
        pytest.param("docs/start.md", {"start.yaml": DECLARED, "jobs.yaml": ("BatchJob",)}, id="docs/start.md"),
    ],
)
def test_the_commands_of_a_page_work(
    documented: Cluster,
    limited_operator: OperatorProcess,
    place: str,
    tmp_path: Path,
    name: str,
    saved: dict[str, tuple[str, ...]],
) -> None:
    page = Page(ROOT / name)
    for file, kinds in saved.items():
        declared = [each for each in page.manifests() if each["kind"] in kinds]
        assert declared
        assert file in page.path.read_text()
        (tmp_path / file).write_text(yaml.safe_dump_all(declared))
    found = [line.strip() for line in page.code() if line.startswith(("kubectl ", "batchwright "))]
    lines = [line for line in found if not line.startswith(("batchwright local", "batchwright --"))]
    # Simulated nodes run nothing that could have a log, as the pages say.
    lines = [line for line in lines if line.split()[1] != "logs"]
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


def _holds(found: Manifest, condition: str) -> bool:
    status = found.get("status") or {}
    assert status.get("state") != "FAILED", status
    return any(each["type"] == condition and each["status"] == "True" for each in status.get("conditions", ()))
