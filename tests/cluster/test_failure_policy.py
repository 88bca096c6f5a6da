"""The Job controller does with a failed pod what evaluateOnExit says: real Jobs, whose pods are failed by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from apiserver import ApiServer
from batchwright import names
from batchwright.workloads.job import Placement
from workload_cases import RETRY_CODES, RETRY_SPOT, container, job, render, template

# No scheduler finds a node for these pods, so nobody but the test says how they end.
NOWHERE = Placement("nowhere", {"batchwright.io/test": "nowhere"})
# A Job waits 10 s before an index' first retry, and doubles that.
SECONDS = 60
Found = TypeVar("Found")
JOBS = "/apis/batch/v1/namespaces/{}/jobs"
PODS = "/api/v1/namespaces/{}/pods"


@dataclass(frozen=True)
class Failure:
    """How a pod ends: exit codes by container, and a condition. `want` is "retried" or "ended"."""

    name: str
    definition: dict[str, Any]
    want: str
    codes: dict[str, int]
    condition: str | None = None


SPOT = container() | {"retryStrategy": RETRY_SPOT}
CODES = container() | {"retryStrategy": RETRY_CODES}
TWO = template({"name": "work", "image": "a"}, {"name": "log", "image": "b"}) | {"retryStrategy": RETRY_SPOT}
PLAIN = container() | {"retryStrategy": {"attempts": 3}}
FAILURES = (
    Failure("spot-exit", SPOT, "ended", {"main": 1}),
    Failure("spot-lost", SPOT, "retried", {"main": 137}, names.POD_CONDITION_DISRUPTED),
    Failure("spot-start", SPOT, "ended", {}, names.POD_CONDITION_START_FAILED),
    Failure("codes-listed", CODES, "ended", {"main": 42}),
    Failure("codes-other", CODES, "retried", {"main": 1}),
    Failure("codes-lost", CODES, "retried", {"main": 42}, names.POD_CONDITION_DISRUPTED),
    Failure("two-other-container", TWO, "ended", {"work": 0, "log": 3}),
    Failure("two-main", TWO, "ended", {"work": 3, "log": 0}),
    Failure("plain-exit", PLAIN, "retried", {"main": 255}),
    Failure("plain-start", PLAIN, "retried", {}, names.POD_CONDITION_START_FAILED),
    Failure("plain-timeout", PLAIN, "ended", {"main": 137}, names.POD_CONDITION_TIMEOUT),
    Failure("plain-refused", PLAIN, "ended", {}, names.POD_CONDITION_NO_RETRY),
    Failure("single-exit", container(), "ended", {"main": 1}),
)


def test_job_controller_follows_the_rules(api: ApiServer, namespace: str) -> None:
    jobs = {failure.name: _create(api, namespace, failure) for failure in FAILURES}
    for failure in FAILURES:
        _fail(api, namespace, jobs[failure.name], failure)

    got = {name: _until(partial(_verdict, api, namespace, made)) for name, made in jobs.items()}

    assert got == {failure.name: failure.want for failure in FAILURES}


def _until(look: Callable[[], Found | None]) -> Found | None:
    """What `look` finds, or None when it has found nothing within the deadline."""
    patiently = Retrying(
        stop=stop_after_delay(SECONDS),
        wait=wait_fixed(0.2),
        retry=retry_if_result(lambda found: found is None),
        retry_error_callback=lambda _state: None,
    )
    return patiently(look)


def _create(api: ApiServer, namespace: str, failure: Failure) -> str:
    rendered = render(failure.definition, job(), name=failure.name, namespace=namespace, placement=NOWHERE)
    # The garbage collector takes what belongs to nobody.
    del rendered["metadata"]["ownerReferences"]
    name: str = api.create(rendered)["metadata"]["name"]
    return name


def _fail(api: ApiServer, namespace: str, made: str, failure: Failure) -> None:
    pods = _until(lambda: _pods(api, namespace, made) or None)
    assert pods, f"the Job controller made no pod of {made} within {SECONDS} s"
    pod = pods[0]
    statuses = [
        {
            "name": each["name"],
            "image": each["image"],
            "imageID": "",
            "ready": False,
            "restartCount": 0,
            "state": {"terminated": {"exitCode": failure.codes[each["name"]], "reason": "Error"}},
        }
        for each in pod["spec"]["containers"]
        if each["name"] in failure.codes
    ]
    conditions = [{"type": failure.condition, "status": "True"}] if failure.condition else []
    status = {"phase": "Failed", "containerStatuses": statuses, "conditions": conditions}
    path = f"{PODS.format(namespace)}/{pod['metadata']['name']}/status"
    api.request("PATCH", path, {"status": status}, content_type="application/strategic-merge-patch+json")


def _verdict(api: ApiServer, namespace: str, made: str) -> str | None:
    """What became of the Job after its first failure; None while that is open."""
    status = api.request("GET", f"{JOBS.format(namespace)}/{made}").get("status", {})
    if any(each["type"] == "Failed" and each["status"] == "True" for each in status.get("conditions", ())):
        return "ended"
    counts = [each["metadata"]["annotations"][names.POD_FAILURE_COUNT] for each in _pods(api, namespace, made)]
    return "retried" if "1" in counts else None


def _pods(api: ApiServer, namespace: str, made: str) -> list[dict[str, Any]]:
    return api.list("Pod", namespace, labelSelector=f"job-name={made}")
