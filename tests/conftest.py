"""Fixtures of every test that needs a cluster.

The cluster is one for the whole run: the one of $BATCHWRIGHT_TEST_KUBECONFIG, which is left as it is but for our CRDs,
or else an embedded cluster with simulated nodes, brought up for the run and taken down after it.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from apiserver import ApiServer
from batchwright.local import binaries
from batchwright.local import cluster as local_cluster
from batchwright.local.progress import silent
from kubecluster import Cluster

ROOT = Path(__file__).parent.parent
KUBECONFIG = "BATCHWRIGHT_TEST_KUBECONFIG"


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster of the run, with our CRDs established."""
    kubectl = binaries.ensure(["kubectl"], silent())["kubectl"]
    given = os.environ.get(KUBECONFIG)
    if given:
        yield _with_crds(Cluster(Path(given), kubectl))
        return
    name = f"test-{os.getpid()}"
    try:
        made = local_cluster.up(local_cluster.Options(name=name, runtime="binary"))
        yield _with_crds(Cluster(made.kubeconfig, kubectl))
    finally:
        local_cluster.down(name)


@pytest.fixture(scope="session")
def api(cluster: Cluster) -> ApiServer:
    """A client of the cluster with an administrator's rights."""
    return ApiServer(cluster.kubeconfig)


@pytest.fixture
def namespace(api: ApiServer) -> Iterator[str]:
    """A namespace of the test's own; its deletion is not waited for."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    api.delete("Namespace", name)


def _with_crds(cluster: Cluster) -> Cluster:
    directory = ROOT / "crds"
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(directory))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(directory))
    return cluster
