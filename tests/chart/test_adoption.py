"""An operator that was installed without Helm: its kinds and policies are taken over, and the objects stay."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import manifests
from apiserver import ApiServer
from batchwright.cluster.admissionpolicies import ActingPolicies, install_admission_policies
from batchwright.cluster.client import ApiClient
from batchwright.local import cluster as local_cluster
from batchwright.local import install
from helmchart import CHART, RELEASE, Helm, HelmFailed, with_image
from kubecluster import Cluster

INSTALL = ("upgrade", RELEASE, str(CHART), "--install", f"--namespace={RELEASE}", "--create-namespace", "--values=-")
OURS = "crd,mutatingadmissionpolicy,mutatingadmissionpolicybinding"


def ours(kubectl: Cluster) -> list[str]:
    """What a release leaves, or an operator without one."""
    left = kubectl.kubectl("get", OURS, "-o", "name").stdout.split()
    return [name for name in left if name.endswith(".batchwright.io")]


def delete_all(kubectl: Cluster) -> None:
    """Takes all of ours away: whoever made it owns its fields."""
    for name in ours(kubectl):
        kubectl.kubectl("delete", name, "--wait=false")
    deadline = time.monotonic() + 60
    for asked in itertools.count():
        left = ours(kubectl)
        if not left:
            return
        assert time.monotonic() < deadline, f"{left} did not go"
        # The finalizer of a CRD can overlook it for the five minutes of its resync: a try that fails (the storage of
        # the kind begins anew) writes the status, the next one meets a conflict because it has not seen that yet, and
        # the update that it then waits for is taken for its own (crd_finalizer.go of v1.37). Any change makes it look.
        kubectl.kubectl("annotate", "--overwrite", *left, f"asked={asked}", check=False)


@pytest.fixture
def without_helm(chart_cluster: local_cluster.Cluster, chart_kubectl: Cluster) -> Iterator[None]:
    """Kinds and policies as `batchwright local up --operator` leaves them."""
    delete_all(chart_kubectl)
    install.apply_crds(chart_cluster.kubeconfig)

    async def apply() -> ActingPolicies:
        async with await ApiClient.connect(kubeconfig=str(chart_cluster.kubeconfig)) as client:
            return await install_admission_policies(client)

    assert asyncio.run(apply()) == ActingPolicies(attempt=True, elements=True)
    yield
    delete_all(chart_kubectl)


def test_what_was_there_before_is_taken_over(
    without_helm: None, cluster_helm: Helm, chart_api: ApiServer, chart_kubectl: Cluster
) -> None:
    before = chart_api.create(manifests.job_queue("before"))
    values = with_image({"replicas": 0})
    with pytest.raises(HelmFailed, match="invalid ownership metadata"):
        cluster_helm.run(*INSTALL, stdin=values)
    try:
        cluster_helm.run(*INSTALL, "--take-ownership", "--force-conflicts", "--wait", "--timeout=60s", stdin=values)
        owned = chart_kubectl.kubectl(
            *("get", OURS, "-l", "app.kubernetes.io/managed-by=Helm,app.kubernetes.io/part-of=batchwright"),
            *("-o", "name"),
        )
        assert len(owned.stdout.split()) == len(list((Path(CHART) / "templates/crds").iterdir())) + 4
        after = chart_api.find("JobQueue", "before")
        assert after is not None
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
    finally:
        chart_api.delete("JobQueue", "before")
        cluster_helm.run("uninstall", RELEASE, f"--namespace={RELEASE}", "--ignore-not-found", "--wait")
