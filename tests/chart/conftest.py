"""Fixtures of the chart's tests: helm, and a cluster with a real node for those that need one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from apiserver import ApiServer
from batchwright.local import binaries
from batchwright.local import cluster as local_cluster
from batchwright.local.progress import silent
from helmchart import CHART, RELEASE, Helm, Manifest, new_helm, with_image
from kubecluster import Cluster


@pytest.fixture(scope="session")
def helm() -> Iterator[Helm]:
    """helm without a cluster."""
    with new_helm() as made:
        yield made


@pytest.fixture(scope="session")
def chart_cluster() -> Iterator[local_cluster.Cluster]:
    """A cluster of simulated nodes and a real one, without anything of ours, and with an audit log."""
    name = f"chart-{os.getpid()}"
    # PodGroups are off by default, and the operator has rights to them.
    options = local_cluster.Options(
        name=name,
        runtime="binary",
        nodes=10,
        real_node=os.geteuid() == 0,
        audit=True,
        feature_gates=("GenericWorkload",),
        served_apis=("scheduling.k8s.io/v1beta1",),
    )
    try:
        yield local_cluster.up(options)
    finally:
        local_cluster.down(name)


@pytest.fixture(scope="session")
def chart_api(chart_cluster: local_cluster.Cluster) -> ApiServer:
    """A client of that cluster with an administrator's rights."""
    return ApiServer(chart_cluster.kubeconfig)


@pytest.fixture(scope="session")
def chart_kubectl(chart_cluster: local_cluster.Cluster) -> Cluster:
    """kubectl on that cluster."""
    return Cluster(chart_cluster.kubeconfig, binaries.ensure(["kubectl"], silent())["kubectl"])


@pytest.fixture(scope="session")
def cluster_helm(chart_cluster: local_cluster.Cluster) -> Iterator[Helm]:
    """helm on that cluster."""
    with new_helm(chart_cluster.kubeconfig) as made:
        yield made


@pytest.fixture(scope="module")
def objects(cluster_helm: Helm, chart_kubectl: Cluster) -> Iterator[Manifest]:
    """The chart installed without a pod of the operator; what helm knows of the release."""
    cluster_helm.run(
        *("upgrade", RELEASE, str(CHART), "--install", f"--namespace={RELEASE}", "--create-namespace"),
        *("--values=-", "--wait", "--timeout=60s"),
        stdin=with_image({"replicas": 0}),
    )
    yield cluster_helm.released(RELEASE, RELEASE)
    kinds = "jobqueues,computeenvironments,schedulingpolicies,consumableresources"
    chart_kubectl.kubectl("delete", kinds, "--all")
    cluster_helm.run("uninstall", RELEASE, f"--namespace={RELEASE}", "--wait", "--timeout=60s")
