"""Stories of elements and arrays that are ended before their time: terminate and cancel, of one element and of all.

Each array has more elements than there is room for, so that some run and some wait when the request comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from batchwright.domain.indexes import expand, parse_indexes
from stage import Stage, count_of, summary
from watches import PodObserver


@pytest.fixture
def pods(normal: Stage) -> Iterator[PodObserver]:
    made = PodObserver(normal.api, normal.namespace)
    yield made
    made.stop()


@pytest.fixture(params=["plain", "gated"])
def arrays(normal: Stage, request: pytest.FixtureRequest) -> Stage:
    """A stage on which arrays need no gates, or do, since another queue has the same environment."""
    if request.param == "gated":
        normal.queue("other")
    return normal


def indexes(text: str) -> set[int]:
    return set(expand(parse_indexes(text)))


def running(count: int) -> Any:
    """A condition: so many elements run."""
    return lambda status: count_of(status, "RUNNING") == count


def test_elements_are_terminated_alone_and_the_others_go_on(arrays: Stage, pods: PodObserver) -> None:
    arrays.simulated(simulate={"seconds": "10"})
    job_id = arrays.submit("nine", arrayProperties={"size": 9}, retryStrategy={"attempts": 2})
    arrays.wait("nine", running(4))
    arrays.end_elements("terminateElements", "nine", {"1": "running one", "5,7-8": "waiting ones", "99": "unknown"})
    early = arrays.wait("nine", lambda status: count_of(status, "FAILED") == 4)
    assert early["state"] == "PENDING"
    status = arrays.wait_final("nine", seconds=120)

    assert (status["state"], status["statusReason"]) == ("FAILED", "Array Child Job failed")
    assert not status.get("isTerminated")
    detail = status["arrayProperties"]
    assert detail["statusSummary"] == summary(SUCCEEDED=5, FAILED=4)
    assert (detail["succeededIndexes"], detail["failedIndexes"]) == ("0,2-4,6", "1,5,7,8")
    reasons = {failure["statusReason"]: failure["indexes"] for failure in detail["failures"]}
    assert reasons == {"running one": "1", "waiting ones": "5,7,8"}
    ended = {pod.position: pod for pod in pods.of(job_id)}
    assert ended[1].is_killed
    for position in (0, 2, 3, 4, 6):
        assert ended[position].phase == "Succeeded"
    assert max(pods.ran(job_id).values()) == 1, "a terminated element is not retried"
    print(f"waiting elements whose pod was on a node nevertheless: {sorted({5, 7, 8} & pods.ran(job_id).keys())}")
    assert not any(pod.phase == "Succeeded" for pod in pods.of(job_id) if pod.position in (1, 5, 7, 8))
    assert not pods.gaps


def test_elements_are_cancelled_only_while_they_wait(arrays: Stage, pods: PodObserver) -> None:
    arrays.simulated(simulate={"seconds": "6"})
    job_id = arrays.submit("six", arrayProperties={"size": 6})
    arrays.wait("six", running(4))
    arrays.end_elements("cancelElements", "six", {"0-1,5": "not needed"})
    status = arrays.wait_final("six", seconds=120)
    detail = status["arrayProperties"]
    assert (status["state"], detail["succeededIndexes"], detail["failedIndexes"]) == ("FAILED", "0-4", "5")
    [failure] = detail["failures"]
    assert (failure["indexes"], failure["statusReason"]) == ("5", "not needed")
    assert not any(pod.is_killed for pod in pods.of(job_id) if pod.position != 5)


def test_terminate_ends_what_runs_and_what_waits_and_keeps_what_has_finished(arrays: Stage, pods: PodObserver) -> None:
    arrays.simulated(simulate={"seconds": "3"})
    job_id = arrays.submit("twenty", arrayProperties={"size": 20}, retryStrategy={"attempts": 3})
    arrays.wait("twenty", lambda status: count_of(status, "SUCCEEDED") >= 4)
    arrays.terminate("twenty", "enough")
    status = arrays.wait_final("twenty", seconds=90)

    assert (status["state"], status["statusReason"], status["isTerminated"]) == ("FAILED", "enough", True)
    detail = status["arrayProperties"]
    succeeded, failed = indexes(detail["succeededIndexes"]), indexes(detail["failedIndexes"])
    assert succeeded | failed == set(range(20))
    assert not succeeded & failed
    assert len(failed) >= 8
    assert {failure["statusReason"] for failure in detail["failures"]} == {"enough"}
    # What the statuses say is what the pods did, and their logs stay where they were.
    phases = {pod.position: pod.phase for pod in pods.of(job_id) if pod.bound is not None}
    assert {position for position, phase in phases.items() if phase == "Succeeded"} == succeeded
    kept = {position for position, found in arrays.element_pods(job_id).items() for pod in found}
    assert succeeded <= kept
    assert max(pods.ran(job_id).values()) == 1


def test_cancel_lets_running_elements_end_and_starts_no_other(arrays: Stage, pods: PodObserver) -> None:
    arrays.simulated(simulate={"seconds": "5"})
    job_id = arrays.submit("ten", arrayProperties={"size": 10})
    arrays.wait("ten", running(4))
    arrays.api.patch("BatchJob", "ten", arrays.namespace, {"spec": {"cancel": {"reason": "not needed"}}})
    status = arrays.wait_final("ten", seconds=90)
    assert (status["state"], status["statusReason"], status["isCancelled"]) == ("FAILED", "not needed", True)
    detail = status["arrayProperties"]
    assert (detail["succeededIndexes"], detail["failedIndexes"]) == ("0-3", "4-9")
    assert [failure["statusReason"] for failure in detail["failures"]] == ["not needed"]
    assert {pod.phase for pod in pods.of(job_id) if pod.position < 4} == {"Succeeded"}
    assert not any(pod.phase == "Succeeded" for pod in pods.of(job_id) if pod.position >= 4)


@pytest.mark.parametrize(("request_", "flag"), [("terminate", "isTerminated"), ("cancel", "isCancelled")])
def test_an_array_that_has_not_started_ends_at_once(normal: Stage, request_: str, flag: str) -> None:
    normal.simulated(cpu="4", simulate={"seconds": "600"})
    normal.submit("blocks")
    normal.wait("blocks", "RUNNING")
    job_id = normal.submit("waits", arrayProperties={"size": 30})
    normal.wait("waits", lambda status: count_of(status, "RUNNABLE") == 30)
    normal.api.patch("BatchJob", "waits", normal.namespace, {"spec": {request_: {"reason": "no more"}}})
    status = normal.wait_final("waits")
    assert (status["state"], status["statusReason"], status[flag]) == ("FAILED", "no more", True)
    assert status["arrayProperties"]["statusSummary"] == summary(FAILED=30)
    assert normal.pods(job_id) == []


def test_every_element_terminated_by_itself_ends_the_array(normal: Stage) -> None:
    normal.simulated(simulate={"seconds": "600"})
    normal.submit("all", arrayProperties={"size": 6})
    normal.wait("all", running(4))
    normal.end_elements("terminateElements", "all", {"0-5": "each by name"})
    status = normal.wait_final("all", seconds=90)
    assert (status["state"], status["arrayProperties"]["failedIndexes"]) == ("FAILED", "0-5")
    failures = status["arrayProperties"]["failures"]
    assert {failure["statusReason"] for failure in failures} == {"each by name"}
    # Those that ran obeyed SIGTERM; the others have no exit code.
    assert {(failure["indexes"], failure.get("exitCode")) for failure in failures} == {("0-3", 143), ("4,5", None)}


def test_a_range_that_ends_before_it_begins_is_said_and_ignored(normal: Stage) -> None:
    normal.simulated(simulate={"seconds": "3"})
    normal.submit("pair", arrayProperties={"size": 2})
    normal.wait("pair", running(2))
    normal.end_elements("terminateElements", "pair", {"1-0": "backwards"})
    assert "the range 1-0 ends before it begins" in normal.wait_event("pair", "RequestIgnored")
    assert normal.wait_final("pair")["state"] == "SUCCEEDED"
