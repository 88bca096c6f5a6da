"""Simulated pods against a real control plane: what a kubelet would report, the Job controller must believe."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from batchwright import names
from batchwright.errors import NotFound
from batchwright.local.api import Api
from batchwright.local.cluster import Options, down, up
from batchwright.local.waiting import wait_until

pytestmark = pytest.mark.timeout(600)

CLUSTER = "test-simulated"
JOBS = "/apis/batch/v1/namespaces/default/jobs"
PODS = "/api/v1/namespaces/default/pods"
_numbers = itertools.count()


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    cluster = up(Options(name=CLUSTER, runtime="binary", nodes=3))
    try:
        with Api(cluster.kubeconfig) as connection:
            yield connection
    finally:
        down(CLUSTER)


def build_job(
    notes: dict[str, str], completions: int = 1, containers: tuple[str, ...] = ("main",), **spec: Any
) -> dict[str, Any]:
    pod = {
        "restartPolicy": "Never",
        "containers": [{"name": name, "image": "busybox"} for name in containers],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"job-{next(_numbers)}"},
        "spec": {
            "completionMode": "Indexed",
            "completions": completions,
            "parallelism": completions,
            "backoffLimit": 0,
            "template": {"metadata": {"annotations": notes}, "spec": pod},
        }
        | spec,
    }


def submit(api: Api, job: dict[str, Any]) -> str:
    return str(api.request("POST", JOBS, job)["metadata"]["name"])


def ended(api: Api, name: str, seconds: float = 30) -> dict[str, Any]:
    """The Job once it is Complete or Failed."""
    found: dict[str, Any] = {}

    def is_ended() -> bool:
        found.update(api.request("GET", f"{JOBS}/{name}"))
        conditions = found.get("status", {}).get("conditions", [])
        return any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in conditions)

    wait_until(is_ended, seconds, lambda: f"{name} did not end: {found.get('status')}; {pods_of(api, name)}")
    return found


def pods_of(api: Api, job: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = api.request("GET", f"{PODS}?labelSelector=job-name%3D{job}")["items"]
    return items


def pod_when(api: Api, job: str, holds: Callable[[dict[str, Any]], bool], seconds: float = 20) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    def is_there() -> bool:
        found[:] = [pod for pod in pods_of(api, job) if holds(pod)]
        return bool(found)

    wait_until(is_there, seconds, lambda: f"no pod of {job} came to be so: {pods_of(api, job)}")
    return found[0]


def condition(pod: dict[str, Any], kind: str) -> dict[str, Any]:
    return next((c for c in pod["status"].get("conditions", []) if c["type"] == kind), {})


def is_running(pod: dict[str, Any]) -> bool:
    return bool(pod["status"]["phase"] == "Running")


def terminated(pod: dict[str, Any], container: str = "main") -> dict[str, Any]:
    status = next(c for c in pod["status"]["containerStatuses"] if c["name"] == container)
    state: dict[str, Any] = status["state"]["terminated"]
    return state


@pytest.mark.parametrize(
    ("notes", "want_failed", "want_exit_code", "want_reason"),
    [
        pytest.param({}, False, 0, "Completed", id="a Job's pod ends at once and well"),
        pytest.param({names.SIMULATE_EXIT_CODE: "42"}, True, 42, "Error", id="exit code"),
        pytest.param({names.SIMULATE_EXIT_CODE: "0"}, False, 0, "Completed", id="exit code 0"),
        pytest.param({names.SIMULATE_REASON: "OOMKilled"}, True, 137, "OOMKilled", id="out of memory"),
        pytest.param(
            {names.SIMULATE_REASON: "OOMKilled", names.SIMULATE_EXIT_CODE: "9"}, True, 9, "OOMKilled", id="both"
        ),
        pytest.param({names.SIMULATE_REASON: "StartError"}, True, 128, "StartError", id="start error"),
    ],
)
def test_end_of_a_single_pod(
    api: Api, notes: dict[str, str], want_failed: bool, want_exit_code: int, want_reason: str
) -> None:
    name = submit(api, build_job(notes))
    job = ended(api, name)
    pod = pods_of(api, name)[0]
    state = terminated(pod)
    assert job["status"].get("failed", 0) == int(want_failed)
    assert pod["status"]["phase"] == ("Failed" if want_failed else "Succeeded")
    assert (state["exitCode"], state["reason"]) == (want_exit_code, want_reason)
    assert state["startedAt"] <= state["finishedAt"]
    assert condition(pod, "Ready")["reason"] == ("PodFailed" if want_failed else "PodCompleted")
    assert condition(pod, "Ready")["status"] == "False"


def test_a_running_pod_looks_like_a_kubelets(api: Api) -> None:
    name = submit(api, build_job({names.SIMULATE_SECONDS: "600"}, containers=("main", "helper")))
    pod = pod_when(api, name, is_running)
    status = pod["status"]
    assert status["podIP"].startswith("10.")
    assert status["podIPs"] == [{"ip": status["podIP"]}]
    assert status["hostIP"].startswith("10.32.")
    assert status["hostIPs"] == [{"ip": status["hostIP"]}]
    assert status["startTime"] >= pod["metadata"]["creationTimestamp"]
    assert [c["name"] for c in status["containerStatuses"]] == ["main", "helper"]
    assert all(c["ready"] and c["started"] and "running" in c["state"] for c in status["containerStatuses"])
    for kind in ("PodScheduled", "PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready"):
        assert condition(pod, kind)["status"] == "True", kind
    wait_until(
        lambda: api.request("GET", f"{JOBS}/{name}")["status"].get("ready") == 1,
        10,
        lambda: "the Job counts none ready",
    )


@pytest.mark.parametrize("seconds", [pytest.param("0.4", id="part of a second"), pytest.param("2.5", id="seconds")])
def test_seconds_are_kept_although_the_pod_is_updated_meanwhile(api: Api, seconds: str) -> None:
    began = time.monotonic()
    name = submit(api, build_job({names.SIMULATE_SECONDS: seconds}))
    pod = pod_when(api, name, lambda pod: pod["status"]["phase"] in ("Running", "Succeeded"))
    path = f"{PODS}/{pod['metadata']['name']}"
    while pods_of(api, name)[0]["status"]["phase"] == "Running":
        label = {"metadata": {"labels": {"touched": str(time.monotonic_ns())}}}
        api.request("PATCH", path, label, content_type="application/merge-patch+json")
    took = time.monotonic() - began
    assert float(seconds) - 0.05 <= took < float(seconds) + 3
    assert terminated(api.request("GET", path))["exitCode"] == 0


def test_fail_indexes_and_exit_code(api: Api) -> None:
    notes = {names.SIMULATE_FAIL_INDEXES: "0-2, 7", names.SIMULATE_EXIT_CODE: "3"}
    name = submit(api, build_job(notes, completions=10, backoffLimit=None, backoffLimitPerIndex=0))
    job = ended(api, name)
    assert job["status"]["failedIndexes"] == "0-2,7"
    assert job["status"]["completedIndexes"] == "3-6,8,9"
    codes = {int(p["metadata"]["annotations"][names.POD_INDEX]): terminated(p)["exitCode"] for p in pods_of(api, name)}
    assert codes == {index: 3 if index in (0, 1, 2, 7) else 0 for index in range(10)}


def test_fail_attempts_then_succeed(api: Api) -> None:
    notes = {names.SIMULATE_FAIL_ATTEMPTS: "1", names.SIMULATE_FAIL_INDEXES: "1"}
    name = submit(api, build_job(notes, completions=3, backoffLimit=None, backoffLimitPerIndex=2))
    job = ended(api, name, seconds=60)
    assert job["status"]["succeeded"] == 3
    assert job["status"]["failed"] == 1
    attempts = [
        (int(p["metadata"]["annotations"].get(names.POD_FAILURE_COUNT, "0")), p["status"]["phase"])
        for p in pods_of(api, name)
        if p["metadata"]["annotations"][names.POD_INDEX] == "1"
    ]
    assert sorted(attempts) == [(0, "Failed"), (1, "Succeeded")]


def test_exit_code_drives_a_pod_failure_policy(api: Api) -> None:
    rule = {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [42]}}
    spec = {"backoffLimit": None, "backoffLimitPerIndex": 5, "podFailurePolicy": {"rules": [rule]}}
    name = submit(api, build_job({names.SIMULATE_EXIT_CODE: "42"}, completions=2, **spec))
    job = ended(api, name)
    assert job["status"]["failedIndexes"] == "0,1"
    assert job["status"]["failed"] == 2, "no attempt after the rule has failed the index"


def test_the_deciding_container_is_the_default_one(api: Api) -> None:
    notes = {names.SIMULATE_EXIT_CODE: "5", names.DEFAULT_CONTAINER: "worker"}
    name = submit(api, build_job(notes, containers=("sidecar", "worker")))
    ended(api, name)
    pod = pods_of(api, name)[0]
    assert terminated(pod, "worker")["exitCode"] == 5
    assert terminated(pod, "sidecar")["exitCode"] == 0


@pytest.mark.parametrize("reason", ["ImagePullBackOff", "ErrImagePull", "CreateContainerConfigError"])
def test_a_pod_that_never_starts(api: Api, reason: str) -> None:
    name = submit(api, build_job({names.SIMULATE_REASON: reason}))
    pod = pod_when(api, name, lambda pod: "startTime" in pod["status"])
    assert pod["status"]["phase"] == "Pending"
    assert pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == reason
    assert condition(pod, "Ready")["status"] == "False"


def test_a_waiting_pod_that_is_deleted_fails_its_job(api: Api) -> None:
    spec = {"podReplacementPolicy": "Failed"}
    name = submit(api, build_job({names.SIMULATE_REASON: "ImagePullBackOff"}, **spec))
    pod = pod_when(api, name, lambda pod: "startTime" in pod["status"])
    api.request("DELETE", f"{PODS}/{pod['metadata']['name']}")
    assert ended(api, name)["status"]["failed"] == 1


def test_only_the_chosen_indexes_wait(api: Api) -> None:
    notes = {names.SIMULATE_REASON: "ImagePullBackOff", names.SIMULATE_FAIL_INDEXES: "1"}
    name = submit(api, build_job(notes, completions=3))

    def succeeded() -> list[str]:
        return sorted(
            p["metadata"]["annotations"][names.POD_INDEX]
            for p in pods_of(api, name)
            if p["status"]["phase"] == "Succeeded"
        )

    wait_until(lambda: succeeded() == ["0", "2"], 20, lambda: f"only {succeeded()} succeeded")
    waiting = pod_when(api, name, lambda pod: pod["metadata"]["annotations"][names.POD_INDEX] == "1")
    assert waiting["status"]["phase"] == "Pending"


def test_eviction_is_a_disruption_that_a_policy_may_ignore(api: Api) -> None:
    notes = {names.SIMULATE_REASON: "Evicted", names.SIMULATE_FAIL_ATTEMPTS: "1"}
    rule = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    spec = {"backoffLimit": None, "backoffLimitPerIndex": 0, "podFailurePolicy": {"rules": [rule]}}
    name = submit(api, build_job(notes, **spec))
    job = ended(api, name)
    assert job["status"]["succeeded"] == 1
    evicted = pod_when(api, name, lambda pod: pod["status"]["phase"] == "Failed")
    assert evicted["status"]["reason"] == "Evicted"
    assert condition(evicted, "DisruptionTarget")["reason"] == "TerminationByKubelet"


def test_a_deleted_running_pod_fails_first_and_is_then_removed(api: Api) -> None:
    """podReplacementPolicy Failed makes no new pod before the old one is terminal."""
    spec = {"backoffLimit": None, "backoffLimitPerIndex": 1, "podReplacementPolicy": "Failed"}
    name = submit(api, build_job({names.SIMULATE_SECONDS: "600"}, **spec))
    first = pod_when(api, name, is_running)
    path = f"{PODS}/{first['metadata']['name']}"
    # A finalizer of ours holds the object so that its last state can be read.
    finalizers = {"metadata": {"finalizers": [*first["metadata"]["finalizers"], "test.batchwright.io/hold"]}}
    api.request("PATCH", path, finalizers, content_type="application/merge-patch+json")
    api.request("DELETE", path)
    held = pod_when(api, name, lambda pod: pod["status"]["phase"] == "Failed")
    assert held["metadata"]["name"] == first["metadata"]["name"]
    assert terminated(held)["exitCode"] == 143
    replacement = pod_when(api, name, is_running)
    assert replacement["metadata"]["annotations"][names.POD_FAILURE_COUNT] == "1"
    # Only once the Job has counted it: its own finalizer goes with ours below.
    wait_until(
        lambda: api.request("GET", f"{JOBS}/{name}")["status"].get("failed") == 1,
        10,
        lambda: "the failure is not counted",
    )
    release = {"metadata": {"finalizers": None}}
    api.request("PATCH", path, release, content_type="application/merge-patch+json")

    def is_gone() -> bool:
        try:
            api.request("GET", path)
        except NotFound:
            return True
        return False

    wait_until(is_gone, 10, lambda: f"{path} was not removed")


def test_a_terminal_pod_is_removed_at_once(api: Api) -> None:
    name = submit(api, build_job({}))
    ended(api, name)
    path = f"{PODS}/{pods_of(api, name)[0]['metadata']['name']}"
    api.request("DELETE", path)
    wait_until(lambda: not pods_of(api, name), 10, lambda: f"{path} was not removed")


def test_a_pod_failed_by_somebody_else_stays_failed(api: Api) -> None:
    """The queued end of the simulation must not turn a Failed pod into a Succeeded one."""
    name = submit(api, build_job({names.SIMULATE_SECONDS: "1.5"}, podReplacementPolicy="Failed"))
    pod = pod_when(api, name, is_running)
    path = f"{PODS}/{pod['metadata']['name']}"
    merge = "application/merge-patch+json"
    api.request("PATCH", f"{path}/status", {"status": {"phase": "Failed", "reason": "Test"}}, content_type=merge)
    assert ended(api, name)["status"]["failed"] == 1
    later = time.monotonic() + 2.5
    wait_until(lambda: time.monotonic() > later, 5, lambda: "the clock stands still")
    assert api.request("GET", path)["status"]["phase"] == "Failed"


@pytest.mark.parametrize(
    ("note", "value"),
    [
        pytest.param(names.SIMULATE_SECONDS, "soon", id="seconds"),
        pytest.param(names.SIMULATE_EXIT_CODE, "-1", id="exit code"),
        pytest.param(names.SIMULATE_FAIL_INDEXES, "1-", id="indexes"),
        pytest.param(names.SIMULATE_FAIL_ATTEMPTS, "twice", id="attempts"),
    ],
)
def test_a_malformed_annotation_is_named(api: Api, note: str, value: str) -> None:
    name = submit(api, build_job({note: value}))
    pod = pod_when(api, name, lambda pod: "startTime" in pod["status"])
    waiting = pod["status"]["containerStatuses"][0]["state"]["waiting"]
    assert waiting["reason"] == "CreateContainerConfigError"
    assert note in waiting["message"]
    assert f'"{value}"' in waiting["message"]


def build_pod(name: str, notes: dict[str, str], **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "busybox"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": notes},
        "spec": {"restartPolicy": "Never", "containers": [container]} | spec,
    }


def test_a_pod_of_nobody_runs_until_told_otherwise(api: Api) -> None:
    api.request("POST", PODS, build_pod("stays", {}))
    api.request("POST", PODS, build_pod("ends", {names.SIMULATE_SECONDS: "1", names.SIMULATE_EXIT_CODE: "7"}))

    def phase(name: str) -> str:
        return str(api.request("GET", f"{PODS}/{name}")["status"]["phase"])

    wait_until(lambda: phase("ends") == "Failed", 20, lambda: f"it is {phase('ends')}")
    assert terminated(api.request("GET", f"{PODS}/ends"))["exitCode"] == 7
    assert phase("stays") == "Running"


def test_init_containers_and_sidecars(api: Api) -> None:
    first = {"name": "fetch", "image": "busybox"}
    sidecar = {"name": "proxy", "image": "busybox", "restartPolicy": "Always"}
    notes = {names.SIMULATE_SECONDS: "1"}
    api.request("POST", PODS, build_pod("with-init", notes, initContainers=[first, sidecar]))
    seen: dict[str, Any] = {}

    def is_phase(phase: str) -> Callable[[], bool]:
        def holds() -> bool:
            seen.update(api.request("GET", f"{PODS}/with-init"))
            return bool(seen["status"]["phase"] == phase)

        return holds

    wait_until(is_phase("Running"), 20, lambda: str(seen.get("status")))
    states = {c["name"]: next(iter(c["state"])) for c in seen["status"]["initContainerStatuses"]}
    assert states == {"fetch": "terminated", "proxy": "running"}
    wait_until(is_phase("Succeeded"), 20, lambda: str(seen.get("status")))
    states = {c["name"]: next(iter(c["state"])) for c in seen["status"]["initContainerStatuses"]}
    assert states == {"fetch": "terminated", "proxy": "terminated"}


def test_a_gated_pod_is_left_alone_until_it_is_released(api: Api) -> None:
    api.request("POST", PODS, build_pod("gated", {names.SIMULATE_SECONDS: "0"}, schedulingGates=[{"name": "a.b/c"}]))
    path = f"{PODS}/gated"
    seen = api.request("GET", path)
    assert seen["status"]["phase"] == "Pending"
    assert "startTime" not in seen["status"]
    api.request("PATCH", path, {"spec": {"schedulingGates": None}}, content_type="application/merge-patch+json")
    wait_until(
        lambda: api.request("GET", path)["status"]["phase"] == "Succeeded", 20, lambda: str(api.request("GET", path))
    )
