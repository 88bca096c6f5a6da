"""Multi-node jobs on a cluster with Kubernetes' own PodGroups, which is one of its own: the gate is off by default."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from apiserver import ApiServer, Manifest
from batchwright.local import cluster as local_cluster
from batchwright.local import install
from batchwright.names import LABEL_MAIN_POD, LABEL_NODE_INDEX, SIMULATE_SECONDS
from operatorprocess import OperatorProcess
from stage import Stage
from watches import until

pytestmark = pytest.mark.timeout(300)

SERVED = "scheduling.k8s.io/v1beta1"
LATER = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "later", "namespace": "default"},
    "spec": {"containers": [{"name": "main", "image": "x"}]},
}


@pytest.fixture(scope="module")
def native() -> Iterator[local_cluster.Cluster]:
    """A cluster whose API server, scheduler and controller manager know groups of pods."""
    name = f"groups-{os.getpid()}"
    try:
        options = local_cluster.Options(
            name=name, runtime="binary", nodes=0, feature_gates=("GenericWorkload",), served_apis=(SERVED,)
        )
        made = local_cluster.up(options)
        install.apply_crds(made.kubeconfig)
        yield made
    finally:
        local_cluster.down(name)


@pytest.fixture(scope="module")
def worker(native: local_cluster.Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    log = tmp_path_factory.mktemp("operator") / "operator.log"
    process = OperatorProcess(native.kubeconfig, log)
    process.start()
    yield process
    process.stop()


@pytest.fixture
def four(native: local_cluster.Cluster, worker: OperatorProcess) -> Iterator[Stage]:
    """A stage with four nodes of 2 vCPU."""
    api = ApiServer(native.kubeconfig)
    namespace = f"t-{os.urandom(3).hex()}"
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    made = Stage(api, namespace)
    made.nodes(4, cpu=2)
    made.environment()
    made.queue()
    yield made
    made.close()
    api.delete("Namespace", namespace)


def others(stage: Stage, job_id: str) -> list[Manifest]:
    """The pods of the nodes that are not the main one, by number."""
    found = [pod for pod in stage.pods(job_id) if LABEL_MAIN_POD in pod["metadata"]["labels"]]
    return sorted(found, key=lambda pod: int(pod["metadata"]["labels"][LABEL_NODE_INDEX]))


def group_of(pod: Manifest) -> str | None:
    named = pod["spec"].get("schedulingGroup")
    return None if named is None else str(named["podGroupName"])


def was_bound(group: Manifest) -> bool:
    conditions = (group.get("status") or {}).get("conditions", ())
    return ("PodGroupInitiallyScheduled", "True") in [(each["type"], each["status"]) for each in conditions]


def test_the_other_nodes_are_a_group_that_goes_with_the_main_nodes_pod(four: Stage) -> None:
    four.gang(nodes=4, cpu="2", main={"seconds": "5"})
    job_id = four.submit("train", "gang")
    status = four.wait_final("train")
    assert (status["state"], len(status["attempts"])) == ("SUCCEEDED", 1)
    [main] = [pod for pod in four.pods(job_id) if LABEL_MAIN_POD not in pod["metadata"]["labels"]]
    assert group_of(main) is None, "it runs before the group is made"
    [group] = four.api.list("PodGroup", four.namespace)
    assert group["spec"]["schedulingPolicy"] == {"gang": {"minCount": 3}}
    assert group["metadata"]["name"] == main["metadata"]["name"]
    [owner] = group["metadata"]["ownerReferences"]
    assert owner["uid"] == main["metadata"]["uid"]
    assert was_bound(group)
    four.api.delete("BatchJob", "train", four.namespace)
    until(lambda: not four.api.list("PodGroup", four.namespace), "its group stays", 60)


def test_none_is_bound_before_all_are_there_also_after_a_crash(four: Stage, worker: OperatorProcess) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "two", "namespace": four.namespace}}
    four.api.create({**quota, "spec": {"hard": {"pods": "3"}}})
    until(lambda: "hard" in four.api.list("ResourceQuota", four.namespace)[0].get("status", {}), "no quota")
    four.gang(nodes=4, cpu="2", main={"seconds": "600"})
    job_id = four.submit("train", "gang")
    until(lambda: len(others(four, job_id)) == 2, "no other nodes", 40)
    worker.kill()
    # A pod that came after them is bound: the scheduler has seen them by then, and let them wait.
    four.api.create(LATER)
    four.api.wait_for("Pod", "later", "default", lambda pod: "nodeName" in pod["spec"], 30)
    assert [pod["spec"].get("nodeName") for pod in others(four, job_id)] == [None, None]
    worker.start()
    four.api.patch("ResourceQuota", "two", four.namespace, {"spec": {"hard": {"pods": "9"}}})
    until(
        lambda: [pod["status"].get("phase") for pod in others(four, job_id)] == ["Running"] * 3,
        "not all of the nodes run",
        60,
    )
    [group] = four.api.list("PodGroup", four.namespace)
    assert {group_of(pod) for pod in others(four, job_id)} == {group["metadata"]["name"]}
    four.terminate("train", "seen")
    assert four.wait_final("train")["statusReason"] == "seen"
    four.api.delete("Pod", "later", "default")


def test_a_retry_has_a_group_of_its_own(four: Stage) -> None:
    four.gang(main={"seconds": "5", "exit-code": "7", "fail-attempts": "1"}, retryStrategy={"attempts": 2})
    four.submit("train", "gang")
    assert four.wait_final("train", seconds=90)["state"] == "SUCCEEDED"
    groups = four.api.list("PodGroup", four.namespace)
    assert len({group["metadata"]["ownerReferences"][0]["uid"] for group in groups}) == 2
    assert [was_bound(group) for group in groups] == [True, True]


def test_priorities(four: Stage) -> None:
    """The group has that of its pods, without which the scheduler would bind none; where they differ there is none."""
    four.api.create(
        {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 1000}
    )
    try:
        for name, classes in (("same", ("", "high", "high")), ("mixed", ("", "", "high"))):
            ranges = [
                {
                    "targetNodes": str(number),
                    "podTemplate": {
                        "metadata": {"annotations": {SIMULATE_SECONDS: "600" if number else "5"}},
                        "spec": {
                            "priorityClassName": of_node,
                            "containers": [
                                {"name": "main", "image": "x", "resources": {"requests": {"cpu": "1"}}},
                            ],
                        },
                    },
                }
                for number, of_node in enumerate(classes)
            ]
            properties = {"numNodes": 3, "mainNode": 0, "nodeRangeProperties": ranges}
            four.define(name, type="multinode", nodeProperties=properties)
            four.submit(name, name)
            assert four.wait_final(name)["state"] == "SUCCEEDED"
        [group] = four.api.list("PodGroup", four.namespace)
        assert (group["spec"]["priority"], was_bound(group)) == (1000, True)
    finally:
        four.api.delete("PriorityClass", "high")
