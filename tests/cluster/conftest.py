"""Every test of this directory needs a cluster; the stories need one with the operator."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from apiserver import ApiServer
from batchwright.local import cluster as local_cluster
from batchwright.local import install
from batchwright.local.ec2.switches import Switches
from cloud import DELAYS, Cloud, make_network
from operatorprocess import OperatorProcess
from stage import Stage

HERE = Path(__file__).parent
# The operator gives up on a pod that cannot start after this long; the product's default is a minute.
GRACE_SECONDS = "6"
STORY_KUBECONFIG = "BATCHWRIGHT_STORY_KUBECONFIG"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this directory `cluster` (the hook is called with the tests of the whole run).

    Files with slow tests come first: begun last, one of them would keep a single worker busy at the end.
    """
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)
    slow = {item.path for item in items if item.get_closest_marker("slow") is not None}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def story_cluster() -> Iterator[local_cluster.Cluster]:
    """The cluster of all stories: simulated nodes and a real node, with our CRDs."""
    name = f"story-{os.getpid()}"
    try:
        made = local_cluster.up(local_cluster.Options(name=name, runtime="binary", nodes=2, real_node=True, audit=True))
        install.apply_crds(made.kubeconfig)
        yield made
    finally:
        local_cluster.down(name)


@pytest.fixture(scope="session")
def operator(
    story_cluster: local_cluster.Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """The operator on the stories' cluster; a test may kill it and start it again."""
    log = tmp_path_factory.mktemp("operator") / "operator.log"
    process = OperatorProcess(story_cluster.kubeconfig, log, start_grace_seconds=GRACE_SECONDS)
    process.start()
    yield process
    process.stop()


@pytest.fixture
def stage(story_cluster: local_cluster.Cluster, operator: OperatorProcess) -> Iterator[Stage]:
    """A namespace of the test's own on the stories' cluster, with the operator running."""
    api = ApiServer(story_cluster.kubeconfig)
    namespace = f"t-{uuid.uuid4().hex[:6]}"
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    made = Stage(api, namespace)
    yield made
    made.close()
    api.delete("Namespace", namespace)


@pytest.fixture
def bare_stage(api: ApiServer) -> Iterator[Stage]:
    """A namespace of the test's own on the cluster that has no operator but the one a test starts there."""
    namespace = f"t-{uuid.uuid4().hex[:6]}"
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    made = Stage(api, namespace)
    yield made
    made.close()
    api.delete("Namespace", namespace)


@pytest.fixture
def normal(stage: Stage) -> Stage:
    """A stage with one node of 4 vCPU, an environment and a queue."""
    stage.nodes(1)
    stage.environment()
    stage.queue()
    return stage


@pytest.fixture(scope="module")
def grown() -> Iterator[local_cluster.Cluster]:
    """A cluster without a node, with an AWS endpoint whose instances join it."""
    name = f"capacity-{os.getpid()}"
    try:
        made = local_cluster.up(local_cluster.Options(name=name, runtime="binary", nodes=0, aws=True))
        install.apply_crds(made.kubeconfig)
        yield made
    finally:
        local_cluster.down(name)


@pytest.fixture(scope="module")
def cloud(grown: local_cluster.Cluster) -> Cloud:
    assert grown.aws_endpoint is not None
    return make_network(grown.aws_endpoint)


@pytest.fixture(scope="module")
def buyer(
    grown: local_cluster.Cluster, cloud: Cloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """An operator that looks at instances twice a second."""
    log = tmp_path_factory.mktemp("operator") / "operator.log"
    process = OperatorProcess(grown.kubeconfig, log, environment=local_cluster.environment(grown), **DELAYS)
    process.start()
    yield process
    process.stop()


@pytest.fixture
def scene(grown: local_cluster.Cluster, cloud: Cloud, buyer: OperatorProcess) -> Iterator[Stage]:
    """A namespace with a stage of its own; all switches of the endpoint are off after it."""
    api = ApiServer(grown.kubeconfig)
    name = f"t-{os.urandom(3).hex()}"
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    made = Stage(api, name)
    yield made
    made.close()
    api.delete("Namespace", name)
    cloud.switch(**Switches().to_wire())
