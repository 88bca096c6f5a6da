"""The health, the actions and the examples for Argo CD, on objects that the operator looks after."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from apiserver import ApiServer, Manifest
from argolua import act, actions_of, health_of, merge_patch
from argosync import Done, SyncFailed, differences, read_application, sync
from batchwright.local import binaries
from batchwright.local import cluster as local_cluster
from batchwright.local.progress import silent
from documentation import ROOT
from kubecluster import Cluster
from stage import Stage

APPS: Final = ROOT / "examples/argocd/apps"
EXAMPLES: Final = sorted(path.name for path in APPS.iterdir())


@pytest.fixture
def kube(story_cluster: local_cluster.Cluster) -> Cluster:
    """kubectl on the stories' cluster."""
    return Cluster(story_cluster.kubeconfig, binaries.ensure(["kubectl"], silent())["kubectl"])


@pytest.fixture
def platform(stage: Stage, kube: Cluster) -> Iterator[list[Done]]:
    """The first of the example's Applications, synced, with a node for its environment; gone afterwards."""
    [node] = stage.nodes(1)
    stage.api.patch("Node", node, None, {"metadata": {"labels": {"workload": "batch"}}})
    manifests = read_application(APPS / "platform", "batch-platform", stage.namespace)
    yield sync(kube, manifests)
    for each in manifests:
        stage.api.delete(each["kind"], each["metadata"]["name"], each["metadata"].get("namespace"))


def test_the_example_is_synced_wave_by_wave(stage: Stage, kube: Cluster, platform: list[Done]) -> None:
    assert [(each.phase, each.wave, each.kind) for each in platform] == [
        ("Sync", -1, "ComputeEnvironment"),
        ("Sync", 0, "JobDefinition"),
        ("Sync", 0, "JobQueue"),
    ]
    reports = read_application(APPS / "reports", "batch-reports", stage.namespace)
    done = sync(kube, reports)
    assert [(each.phase, each.wave, each.kind, each.name) for each in done] == [
        ("PreSync", 0, "BatchJob", "check-input"),
        ("Sync", 0, "JobDefinition", "report"),
        ("Sync", 1, "BatchJob", "report"),
        ("PostSync", 0, "BatchJob", "smoke"),
    ]
    assert stage.status("report")["state"] == "SUCCEEDED"
    check = stage.job("check-input")["metadata"]["uid"]
    # And again, as after a commit: the hook is made anew, the rest is as it was.
    report = stage.job("report")
    sync(kube, reports)
    assert stage.job("check-input")["metadata"]["uid"] != check
    assert stage.job("report")["metadata"]["uid"] == report["metadata"]["uid"]


def test_nothing_of_the_example_differs_once_its_jobs_have_run(
    stage: Stage, kube: Cluster, platform: list[Done]
) -> None:
    for name in EXAMPLES:
        manifests = read_application(APPS / name, f"batch-{name}", stage.namespace)
        sync(kube, manifests)
        for each in manifests:
            assert differences(stage.api, each) == []


def test_a_job_that_changes_in_git_is_made_anew(stage: Stage, kube: Cluster, platform: list[Done]) -> None:
    reports = read_application(APPS / "reports", "batch-reports", stage.namespace)
    sync(kube, reports)
    first = stage.job("report")["metadata"]["uid"]
    for each in reports:
        if each["metadata"]["name"] == "report" and each["kind"] == "BatchJob":
            each["spec"]["arrayProperties"] = {"size": 5}
    sync(kube, reports)
    again = stage.job("report")
    assert again["metadata"]["uid"] != first
    assert again["status"]["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 5


def test_a_hook_that_fails_fails_the_sync(stage: Stage, kube: Cluster, platform: list[Done]) -> None:
    stage.simulated("broken", simulate={"exit-code": "3"})
    [hook, *rest] = read_application(APPS / "reports", "batch-reports", stage.namespace)
    hook = {**hook, "spec": {**hook["spec"], "jobDefinition": "broken"}}
    with pytest.raises(SyncFailed, match="BatchJob check-input: FAILED: Essential container in task exited"):
        sync(kube, [hook, *rest])
    assert stage.api.find("BatchJob", "report", stage.namespace) is None


def test_a_hook_waits_for_a_queue_that_comes_later(normal: Stage, kube: Cluster) -> None:
    normal.simulated()
    normal.submit("early", queue="later")
    waiting = normal.api.wait_for("BatchJob", "early", normal.namespace, lambda job: "status" in job)
    assert health_of(waiting)["status"] == "Progressing"
    normal.queue("later")
    normal.wait_final("early")
    assert health_of(normal.job("early"))["status"] == "Healthy"


def test_an_environment_is_healthy_and_a_queue_without_one_degraded(normal: Stage) -> None:
    name = f"{normal.namespace}-lost"
    normal.queue("lost", "nowhere")
    lost = normal.api.wait_for("JobQueue", name, None, _is_seen)
    assert health_of(lost) == {"status": "Degraded", "message": "ComputeEnvironment nowhere not found"}
    # Its first status may be from before its node was there.
    healthy = {"status": "Healthy", "message": "1 ready nodes"}
    environment = f"{normal.namespace}-env"
    normal.api.wait_for(
        "ComputeEnvironment", environment, None, lambda found: _is_seen(found) and health_of(found) == healthy
    )


def test_disable_and_enable(normal: Stage) -> None:
    name = f"{normal.namespace}-queue"
    live = normal.api.wait_for("JobQueue", name, None, _is_seen)
    for action, health in (("disable", "Suspended"), ("enable", "Healthy")):
        assert not actions_of(live)[action]["disabled"]
        _patch(normal.api, live, action)
        live = normal.api.wait_for(
            "JobQueue", name, None, lambda found, want=health: health_of(found)["status"] == want
        )
        assert actions_of(live)[action]["disabled"]


def test_terminate(normal: Stage) -> None:
    normal.simulated(simulate={"seconds": "600"})
    normal.submit("long")
    normal.wait("long", "RUNNING")
    _patch(normal.api, normal.job("long"), "terminate")
    assert normal.wait_final("long")["statusReason"] == "Terminated in Argo CD"
    ended = normal.job("long")
    assert health_of(ended) == {"status": "Degraded", "message": "FAILED: Terminated in Argo CD"}
    assert actions_of(ended)["terminate"]["disabled"]


def test_retry_runs_what_failed_again(normal: Stage) -> None:
    normal.simulated(simulate={"fail-indexes": "1,3", "exit-code": "3"})
    normal.submit("sweep", arrayProperties={"size": 4}, parameters={"a": "b"}, tags={}, containerOverrides={})
    assert normal.wait_final("sweep")["state"] == "FAILED"
    failed = normal.job("sweep")
    assert not actions_of(failed)["retry"]["disabled"]
    [impact] = act(failed, "retry")
    assert impact.operation == "create"
    made = normal.api.create(impact.resource)
    assert made["spec"]["arrayProperties"] == {"size": 4, "indexes": "1,3"}
    # Those elements fail again: the definition has it so. No other one ran.
    again = normal.wait_final(made["metadata"]["name"])
    assert again["arrayProperties"]["failedIndexes"] == "1,3"
    assert again["arrayProperties"]["succeededIndexes"] == ""
    # It belongs to the job it retries, which Argo CD shows, and goes with it.
    normal.api.delete("BatchJob", "sweep", normal.namespace)
    normal.wait_none("BatchJob", made["metadata"]["name"])


def _is_seen(found: Manifest) -> bool:
    return bool((found.get("status") or {}).get("conditions"))


def _patch(api: ApiServer, live: Manifest, action: str) -> None:
    """What Argo CD does for an action that returns the object it was given."""
    [impact] = act(live, action)
    assert impact.operation == "patch"
    metadata = live["metadata"]
    change = merge_patch(live, impact.resource)
    assert change.keys() == {"spec"}
    api.patch(live["kind"], metadata["name"], metadata.get("namespace"), change)
