"""Stories of single jobs on simulated nodes: a real API server, Job controller and scheduler decide them."""

from __future__ import annotations

import time
from datetime import datetime

import pytest

import manifests
from apiserver import Refused
from batchwright.names import API_VERSION, SIMULATE
from stage import Stage


def test_a_job_succeeds_and_says_so_everywhere(normal: Stage) -> None:
    normal.simulated(simulate={"seconds": "1"})
    job_id = normal.submit("ok")

    running = normal.wait("ok", "RUNNING")
    assert running["jobDefinition"] == "hello:1"
    assert running["computeEnvironment"] == f"{normal.namespace}-env"

    status = normal.wait_final("ok")
    assert status["state"] == "SUCCEEDED"
    assert status["statusReason"] == "Essential container in task exited"
    assert [attempt["container"]["exitCode"] for attempt in status["attempts"]] == [0]
    assert status["conditions"][0]["type"] == "Complete"
    assert status["createdAt"] <= status["startedAt"] <= status["stoppedAt"]
    work = normal.api.find("Job", status["jobName"], normal.namespace)
    assert work is not None
    assert work["metadata"]["ownerReferences"][0]["uid"] == job_id


FAILURES = [
    pytest.param({"exit-code": "3"}, "Essential container in task exited", 3, None, id="exit code"),
    pytest.param(
        {"exit-code": "137", "reason": "OOMKilled"},
        "Essential container in task exited",
        137,
        "OutOfMemoryError: Container killed due to memory usage",
        id="out of memory",
    ),
    pytest.param({"reason": "ImagePullBackOff"}, "Task failed to start", None, "CannotPullContainerError", id="image"),
    pytest.param(
        {"reason": "CreateContainerConfigError"},
        "Task failed to start",
        None,
        "CannotStartContainerError",
        id="missing secret",
    ),
]


@pytest.mark.parametrize(("simulate", "want_reason", "want_code", "want_detail"), FAILURES)
def test_failures_read_as_in_aws_batch(
    normal: Stage, simulate: dict[str, str], want_reason: str, want_code: int | None, want_detail: str | None
) -> None:
    normal.simulated(simulate=simulate)
    normal.submit("bad")
    status = normal.wait_final("bad")
    assert (status["state"], status["statusReason"]) == ("FAILED", want_reason)
    [attempt] = status["attempts"]
    assert attempt["statusReason"] == want_reason
    assert attempt["container"].get("exitCode") == want_code
    assert (attempt["container"].get("reason") or "").startswith(want_detail or "")
    assert bool(attempt["container"].get("reason")) == bool(want_detail)
    assert status["conditions"][0]["type"] == "Failed"
    assert want_reason in normal.wait_event("bad", "Failed")


def test_a_lost_node_reads_as_a_terminated_host_and_is_retried(normal: Stage) -> None:
    [node] = normal.nodes(1, group="doomed")
    normal.environment("doomed", group="doomed")
    normal.queue("doomed", f"{normal.namespace}-doomed")
    normal.simulated(simulate={"seconds": "600"}, retryStrategy={"attempts": 2})
    normal.submit("lost", queue="doomed")
    normal.wait("lost", "RUNNING")
    normal.api.delete("Node", node)
    status = normal.wait("lost", lambda status: len(status.get("attempts", ())) == 1, seconds=150)
    [attempt] = status["attempts"]
    assert attempt["statusReason"] == f"Host EC2 (instance {node}) terminated."
    assert "exitCode" not in attempt["container"]
    assert status["state"] in ("RUNNABLE", "STARTING")


def test_retries_until_success_and_records_each_attempt_once(normal: Stage) -> None:
    normal.simulated(simulate={"exit-code": "7", "fail-attempts": "2"}, retryStrategy={"attempts": 3})
    job_id = normal.submit("third")
    # The Job controller waits 10 s, then 20 s, between the attempts of an index.
    status = normal.wait_final("third", seconds=90)
    assert status["state"] == "SUCCEEDED"
    assert [attempt["container"]["exitCode"] for attempt in status["attempts"]] == [7, 7, 0]
    attempts = {
        variable["value"]
        for pod in normal.pods(job_id)
        for variable in pod["spec"]["containers"][0]["env"]
        if variable["name"] == "AWS_BATCH_JOB_ATTEMPT"
    }
    assert attempts == {"1", "2", "3"}
    normal.wait_event("third", "Retrying", text="Attempt 2 of 3 follows")


EXITS = [
    pytest.param("42", {"onExitCode": "42"}, "EXIT", 1, id="exit code said EXIT"),
    pytest.param("42", {"onExitCode": "4*"}, "EXIT", 1, id="glob said EXIT"),
    pytest.param("42", {"onExitCode": "43"}, "EXIT", 2, id="no rule matches, so retried"),
    pytest.param("137", {"onReason": "OutOfMemory*"}, "EXIT", 1, id="reason said EXIT, decided at the gate"),
]


@pytest.mark.parametrize(("code", "patterns", "action", "want_attempts"), EXITS)
def test_evaluate_on_exit(normal: Stage, code: str, patterns: dict[str, str], action: str, want_attempts: int) -> None:
    simulate = {"exit-code": code} | ({"reason": "OOMKilled"} if code == "137" else {})
    strategy = {"attempts": 2, "evaluateOnExit": [{"action": action, **patterns}]}
    normal.simulated(simulate=simulate, retryStrategy=strategy)
    normal.submit("judged")
    status = normal.wait_final("judged", seconds=90)
    assert status["state"] == "FAILED"
    assert [attempt["container"]["exitCode"] for attempt in status["attempts"]] == [int(code)] * want_attempts


def test_a_timeout_ends_the_attempt_and_is_not_retried(normal: Stage) -> None:
    normal.simulated(simulate={"seconds": "600"})
    normal.submit("slow", retryStrategy={"attempts": 3}, timeout={"attemptDurationSeconds": 2})
    status = normal.wait_final("slow")
    assert (status["state"], status["statusReason"]) == ("FAILED", "Job attempt duration exceeded timeout")
    assert len(status["attempts"]) == 1
    ran = datetime.fromisoformat(status["stoppedAt"]) - datetime.fromisoformat(status["startedAt"])
    assert 1 <= ran.total_seconds() <= 20


def test_terminate_a_running_job(normal: Stage) -> None:
    normal.simulated(simulate={"seconds": "600"}, retryStrategy={"attempts": 3})
    normal.submit("endless")
    work = normal.wait("endless", "RUNNING")["jobName"]
    normal.api.patch("BatchJob", "endless", normal.namespace, {"spec": {"terminate": {"reason": "enough"}}})
    status = normal.wait_final("endless")
    assert (status["state"], status["statusReason"], status["isTerminated"]) == ("FAILED", "enough", True)
    assert len(status["attempts"]) == 1
    assert normal.api.find("Job", work, normal.namespace) is None


def test_cancel_a_waiting_job_and_not_a_running_one(normal: Stage) -> None:
    normal.simulated("big", cpu="4", simulate={"seconds": "8"})
    normal.submit("runs", "big")
    normal.wait("runs", "RUNNING")
    normal.submit("waits", "big")
    normal.wait("waits", "RUNNABLE")
    for name in ("runs", "waits"):
        normal.api.patch("BatchJob", name, normal.namespace, {"spec": {"cancel": {"reason": "not needed"}}})
    cancelled = normal.wait_final("waits")
    assert (cancelled["state"], cancelled["statusReason"]) == ("FAILED", "not needed")
    assert cancelled["isCancelled"] is True
    assert "terminate" in normal.wait_event("runs", "CancelIgnored")
    assert normal.wait_final("runs")["state"] == "SUCCEEDED"


def test_a_finished_job_stays_as_it_is(normal: Stage) -> None:
    normal.simulated()
    normal.submit("done")
    before = normal.wait_final("done")
    normal.api.patch("BatchJob", "done", normal.namespace, {"spec": {"terminate": {"reason": "too late"}}})
    normal.submit("after")
    normal.wait_final("after")
    assert normal.status("done") == before


def test_deleting_a_job_removes_its_pods(normal: Stage) -> None:
    normal.simulated(simulate={"seconds": "600"})
    job_id = normal.submit("gone")
    normal.wait("gone", "RUNNING")
    normal.api.delete("BatchJob", "gone", normal.namespace)
    deadline = time.monotonic() + 30
    while normal.pods(job_id):
        assert time.monotonic() < deadline, "the pods stay"
        time.sleep(0.2)


def test_overrides_and_parameters_reach_the_container(normal: Stage) -> None:
    normal.define(
        "echo",
        parameters={"who": "world", "what": "text"},
        containerProperties=manifests.container(
            command=["say", "Ref::what", "to Ref::who"], environment=[{"name": "A", "value": "1"}]
        ),
    )
    job_id = normal.submit(
        "said",
        "echo",
        parameters={"who": "you"},
        containerOverrides={
            "environment": [{"name": "B", "value": "2"}],
            "resourceRequirements": [{"type": "VCPU", "value": "2"}],
        },
    )
    normal.wait_final("said")
    [pod] = normal.pods(job_id)
    [container] = pod["spec"]["containers"]
    variables = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert container["args"] == ["say", "text", "to you"]
    assert container["resources"]["requests"] == {"cpu": "2", "memory": "128Mi"}
    assert {key: variables[key] for key in ("A", "B")} == {"A": "1", "B": "2"}
    assert variables["AWS_BATCH_JOB_ID"] == job_id
    assert variables["AWS_BATCH_JOB_ATTEMPT"] == "1"
    assert variables["AWS_BATCH_JQ_NAME"] == f"{normal.namespace}-queue"
    assert variables["AWS_BATCH_CE_NAME"] == f"{normal.namespace}-env"


def test_revisions_are_pinned_when_a_job_is_first_seen(normal: Stage) -> None:
    normal.simulated(cpu="1")
    normal.submit("first")
    normal.wait_final("first")
    change = {"spec": {"podTemplate": {"metadata": {"annotations": {f"{SIMULATE}/exit-code": "9"}}}}}
    normal.api.patch("JobDefinition", "hello", normal.namespace, change)
    normal.submit("second")
    normal.submit("old", "hello:1")
    assert normal.wait_final("second")["jobDefinition"] == "hello:2"
    assert normal.wait_final("second")["state"] == "FAILED"
    old = normal.wait_final("old")
    assert (old["jobDefinition"], old["state"]) == ("hello:1", "SUCCEEDED")


def test_an_invalid_definition_says_why_and_its_jobs_wait(normal: Stage) -> None:
    template = {"spec": {"containers": [{"name": "main", "imagee": "typo"}]}}
    normal.define("typo", podTemplate=template)
    seen = normal.api.wait_for(
        "JobDefinition", "typo", normal.namespace, lambda d: (d.get("status") or {}).get("status") == "INVALID"
    )
    assert 'unknown field "spec.template.spec.containers[0].imagee"' in seen["status"]["statusReason"]
    normal.submit("blocked", "typo")
    waiting = normal.wait("blocked", "SUBMITTED")
    assert "INVALID" in waiting["statusReason"]
    fixed = {"spec": {"podTemplate": {"spec": {"containers": [{"name": "main", "image": "simulated"}]}}}}
    normal.api.patch("JobDefinition", "typo", normal.namespace, fixed)
    assert normal.wait_final("blocked")["state"] == "SUCCEEDED"


def test_a_job_the_api_server_refuses_fails_with_its_words(normal: Stage) -> None:
    normal.define("bomb", containerProperties=manifests.container(command=["Ref::text"] * 500))
    normal.submit("refused", "bomb", parameters={"text": "x" * 8000})
    status = normal.wait_final("refused")
    assert status["state"] == "FAILED"
    assert status["statusReason"].startswith("The API server refused the job: ")
    assert "too large" in status["statusReason"]


def test_a_pod_that_kubernetes_cannot_make_is_explained(normal: Stage) -> None:
    container = {"name": "main", "image": "simulated", "resources": {"requests": {"cpu": "500m"}}}
    normal.define("capped", podTemplate={"spec": {"containers": [container], "resources": {"limits": {"cpu": "1"}}}})
    # The API server compares a container's request with the limit of its whole pod only when the pod is made.
    normal.submit("podless", "capped", containerOverrides={"resourceRequirements": [{"type": "VCPU", "value": "2"}]})
    status = normal.wait("podless", lambda status: "Kubernetes makes no pod" in status.get("statusReason", ""))
    assert status["state"] == "STARTING"
    assert "must be less than or equal to" in status["statusReason"]


def test_a_quota_holds_a_job_back_and_says_so(normal: Stage) -> None:
    path = f"/api/v1/namespaces/{normal.namespace}/resourcequotas"
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}}
    normal.simulated()
    normal.api.request("POST", path, quota | {"spec": {"hard": {"count/jobs.batch": "0"}}})
    normal.submit("held")
    waiting = normal.wait("held", lambda status: "exceeded quota" in status.get("statusReason", ""))
    assert waiting["state"] == "RUNNABLE"
    normal.api.request("DELETE", f"{path}/none")
    assert normal.wait_final("held")["state"] == "SUCCEEDED"


def test_retention_removes_pods_and_then_the_job(normal: Stage) -> None:
    normal.queue("short", retention={"podSeconds": 0, "jobSeconds": 6})
    normal.simulated()
    normal.submit("brief", queue="short")
    work = normal.wait_final("brief")["jobName"]
    deadline = time.monotonic() + 30
    while normal.api.find("Job", work, normal.namespace) is not None:
        assert time.monotonic() < deadline, "the Kubernetes Job stays"
        time.sleep(0.2)
    while normal.api.find("BatchJob", "brief", normal.namespace) is not None:
        assert time.monotonic() < deadline, "the BatchJob stays"
        time.sleep(0.2)


def test_a_job_deleted_by_somebody_else_fails_and_is_not_run_again(normal: Stage) -> None:
    normal.simulated(simulate={"seconds": "600"})
    job_id = normal.submit("robbed")
    work = normal.wait("robbed", "RUNNING")["jobName"]
    normal.api.delete("Job", work, normal.namespace)
    status = normal.wait_final("robbed")
    assert status["state"] == "FAILED"
    assert "deleted by somebody else" in status["statusReason"]
    assert normal.api.list("Job", normal.namespace, labelSelector=f"batchwright.io/job-id={job_id}") == []


def test_a_second_terminate_is_refused(normal: Stage) -> None:
    normal.simulated(simulate={"seconds": "600"})
    normal.submit("once")
    normal.api.patch("BatchJob", "once", normal.namespace, {"spec": {"terminate": {"reason": "one"}}})
    with pytest.raises(Refused, match="terminate can be set once"):
        normal.api.patch("BatchJob", "once", normal.namespace, {"spec": {"terminate": {"reason": "two"}}})


def test_nobody_else_can_pass_off_a_kubernetes_job_as_this_jobs(normal: Stage) -> None:
    normal.simulated(simulate={"seconds": "600"})
    job_id = normal.submit("victim")
    normal.wait("victim", "RUNNING")
    forged = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "forged",
            "namespace": "default",
            "labels": {"batchwright.io/job-id": job_id},
            "ownerReferences": [
                {"apiVersion": API_VERSION, "kind": "BatchJob", "name": "victim", "uid": job_id, "controller": True}
            ],
        },
        "spec": {
            "suspend": True,
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "simulated"}]}},
        },
    }
    normal.api.create(forged)
    normal.api.delete("Job", "forged", "default")
    normal.submit("witness")
    normal.wait("witness", "RUNNING")
    assert normal.status("victim")["state"] == "RUNNING"
