"""Stories of array jobs on simulated nodes: states, counts, failures, retries and timeouts, element by element."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from batchwright.names import ANNOTATION_GATED, SIMULATE
from stage import STATES, Stage, count_of, summary, variables_of
from watches import PodObserver, StatusObserver

EXITED = "Essential container in task exited"


@pytest.fixture
def pods(normal: Stage) -> Iterator[PodObserver]:
    made = PodObserver(normal.api, normal.namespace)
    yield made
    made.stop()


@pytest.fixture
def statuses(normal: Stage) -> Iterator[StatusObserver]:
    made = StatusObserver(normal.api, normal.namespace)
    yield made
    made.stop()


def is_gated(stage: Stage, status: dict[str, Any]) -> bool:
    """Whether the array's pods come with our scheduling gate."""
    work = stage.api.find("Job", status["jobName"], stage.namespace)
    assert work is not None
    return ANNOTATION_GATED in work["metadata"]["annotations"]


def test_the_smallest_array(normal: Stage, statuses: StatusObserver) -> None:
    normal.simulated(simulate={"seconds": "0.5"})
    job_id = normal.submit("two", arrayProperties={"size": 2})
    status = normal.wait_final("two")
    assert (status["state"], status["statusReason"]) == ("SUCCEEDED", "All 2 elements succeeded")
    assert status["conditions"][0]["type"] == "Complete"
    assert status["createdAt"] <= status["startedAt"] <= status["stoppedAt"]
    assert not status.get("attempts")
    detail = status["arrayProperties"]
    assert detail["size"] == 2
    assert detail["statusSummary"] == summary(SUCCEEDED=2)
    assert (detail["succeededIndexes"], detail["failedIndexes"]) == ("0,1", "")
    assert set(statuses.states("two")) <= {"SUBMITTED", "PENDING", "SUCCEEDED"}, "no state of a single job"
    assert not is_gated(normal, status), "nobody competes for the room: no gate, no write for an element"
    found = normal.element_pods(job_id)
    assert sorted(found) == [0, 1]
    for [pod] in found.values():
        variables = variables_of(pod)
        assert variables["AWS_BATCH_JOB_ARRAY_SIZE"] == "2"
        assert variables["AWS_BATCH_JOB_ID"] == f"{job_id}:$(AWS_BATCH_JOB_ARRAY_INDEX)"
        assert variables["AWS_BATCH_JOB_ATTEMPT"] == "1"


def test_fifty_elements_pass_through_all_seven_states(normal: Stage, statuses: StatusObserver) -> None:
    normal.simulated("first", simulate={"seconds": "600"})
    normal.submit("needed", "first")
    # Its definition does not exist yet; then the other job runs; then there is room for eight at a time.
    needs = [{"name": "needed", "condition": "Completed"}]
    normal.submit("fifty", arrayProperties={"size": 50}, dependsOn=needs)
    submitted = normal.wait("fifty", lambda status: count_of(status, "SUBMITTED") == 50)
    assert "JobDefinition name hello does not exist" in submitted["statusReason"]
    # Element 3 never gets its image, and holds STARTING for as long as the operator is patient.
    simulate = {"seconds": "2", "reason": "ImagePullBackOff", "fail-indexes": "3"}
    normal.simulated(cpu="500m", simulate=simulate)
    normal.wait("fifty", lambda status: count_of(status, "PENDING") == 50)
    normal.terminate("needed", "seen")
    status = normal.wait_final("fifty", seconds=120)

    assert (status["state"], status["statusReason"]) == ("FAILED", "Array Child Job failed")
    assert status["arrayProperties"]["statusSummary"] == summary(SUCCEEDED=49, FAILED=1)
    assert status["arrayProperties"]["succeededIndexes"] == "0-2,4-49"
    assert status["arrayProperties"]["failedIndexes"] == "3"
    [failure] = status["arrayProperties"]["failures"]
    assert (failure["indexes"], failure["statusReason"]) == ("3", "Task failed to start")
    assert failure["reason"].startswith("CannotPullContainerError")
    assert statuses.states("fifty") == ["SUBMITTED", "PENDING", "FAILED"]
    seen = statuses.summaries("fifty")
    assert all(set(counts) == set(STATES) and sum(counts.values()) == 50 for counts in seen), seen
    assert {state for counts in seen for state, count in counts.items() if count} == set(STATES)
    done = [counts["SUCCEEDED"] + counts["FAILED"] for counts in seen]
    assert done == sorted(done), "a result is never taken back"
    # Element 3 counts as starting until its Job has said that it failed, and by then the next pod may be there.
    assert max(counts["RUNNING"] + counts["STARTING"] for counts in seen) <= 9


def test_failures_are_told_by_ranges_with_their_exit_code(normal: Stage) -> None:
    normal.simulated(cpu="500m", simulate={"seconds": "0.3", "exit-code": "7", "fail-indexes": "2-4,9"})
    normal.submit("some", arrayProperties={"size": 12})
    status = normal.wait_final("some")
    assert (status["state"], status["statusReason"]) == ("FAILED", "Array Child Job failed")
    assert status["conditions"][0]["type"] == "Failed"
    detail = status["arrayProperties"]
    assert detail["statusSummary"] == summary(SUCCEEDED=8, FAILED=4)
    assert (detail["succeededIndexes"], detail["failedIndexes"]) == ("0,1,5-8,10,11", "2-4,9")
    assert detail["failures"] == [{"indexes": "2-4,9", "statusReason": EXITED, "exitCode": 7}]
    told = normal.wait_event("some", "Failed")
    assert "4 of 12 elements failed" in told
    assert "exit code 7 (elements 2-4,9)" in told


def test_each_element_has_its_own_attempts(normal: Stage, pods: PodObserver) -> None:
    normal.simulated("again", cpu="500m", simulate={"exit-code": "5", "fail-indexes": "1,3", "fail-attempts": "1"})
    normal.simulated("never", cpu="500m", simulate={"exit-code": "5", "fail-indexes": "2"})
    retried = normal.submit("retried", "again", arrayProperties={"size": 5}, retryStrategy={"attempts": 2})
    failed = normal.submit("failed", "never", arrayProperties={"size": 4}, retryStrategy={"attempts": 2})
    status = normal.wait_final("retried", seconds=90)
    assert status["state"] == "SUCCEEDED"
    assert not status["arrayProperties"]["failures"]
    assert pods.ran(retried) == {0: 1, 1: 2, 2: 1, 3: 2, 4: 1}
    for position, attempts in normal.element_pods(retried).items():
        numbers = [variables_of(pod)["AWS_BATCH_JOB_ATTEMPT"] for pod in attempts]
        assert numbers == (["1", "2"] if position in (1, 3) else ["1"])
    status = normal.wait_final("failed", seconds=90)
    assert (status["state"], status["arrayProperties"]["failedIndexes"]) == ("FAILED", "2")
    assert pods.ran(failed) == {0: 1, 1: 1, 2: 2, 3: 1}
    assert not pods.gaps


def test_a_timeout_counts_for_each_element_from_its_own_start(normal: Stage, pods: PodObserver) -> None:
    normal.simulated(cpu="2", simulate={"seconds": "600"})
    # Two at a time: had they one clock, the second pair would have no time at all.
    job_id = normal.submit(
        "slow",
        arrayProperties={"size": 4},
        retryStrategy={"attempts": 3},
        timeout={"attemptDurationSeconds": 2},
    )
    status = normal.wait_final("slow", seconds=90)
    assert (status["state"], status["statusReason"]) == ("FAILED", "Array Child Job failed")
    [failure] = status["arrayProperties"]["failures"]
    assert (failure["indexes"], failure["statusReason"]) == ("0-3", "Job attempt duration exceeded timeout")
    assert pods.ran(job_id) == dict.fromkeys(range(4), 1), "a timed-out attempt is not retried"
    assert all(pod.started is not None for pod in pods.of(job_id))
    assert pods.most[job_id] == 2


EXITS = [
    pytest.param({"exit-code": "42"}, {"onExitCode": "42"}, False, 1, id="exit code, by the Job's own rules"),
    pytest.param({"exit-code": "42"}, {"onExitCode": "43"}, False, 2, id="no rule matches, so retried"),
    pytest.param({"reason": "OOMKilled"}, {"onReason": "OutOfMemory*"}, True, 1, id="reason, at the gate"),
    pytest.param({"exit-code": "9"}, {"onReason": "OutOfMemory*"}, True, 2, id="another reason, at the gate"),
]


@pytest.mark.parametrize(("simulate", "patterns", "want_gate", "want_attempts"), EXITS)
def test_evaluate_on_exit_judges_each_element(
    normal: Stage,
    pods: PodObserver,
    simulate: dict[str, str],
    patterns: dict[str, str],
    want_gate: bool,
    want_attempts: int,
) -> None:
    normal.simulated(cpu="500m", simulate={**simulate, "fail-indexes": "1,4"})
    strategy = {"attempts": 2, "evaluateOnExit": [{"action": "EXIT", **patterns}]}
    job_id = normal.submit("judged", arrayProperties={"size": 6}, retryStrategy=strategy)
    status = normal.wait_final("judged", seconds=90)
    detail = status["arrayProperties"]
    assert (status["state"], detail["succeededIndexes"], detail["failedIndexes"]) == ("FAILED", "0,2,3,5", "1,4")
    [failure] = detail["failures"]
    assert failure["exitCode"] == int(simulate.get("exit-code", "137"))
    assert pods.ran(job_id) == {0: 1, 1: want_attempts, 2: 1, 3: 1, 4: want_attempts, 5: 1}
    assert is_gated(normal, status) is want_gate
    assert all(pod.was_gated is want_gate for pod in pods.of(job_id))


def test_an_array_whose_pods_are_lost_from_sight_says_why(normal: Stage) -> None:
    container = {"name": "main", "image": "simulated", "resources": {"requests": {"cpu": "500m"}}}
    normal.define("capped", podTemplate={"spec": {"containers": [container], "resources": {"limits": {"cpu": "1"}}}})
    normal.submit(
        "podless",
        "capped",
        arrayProperties={"size": 3},
        containerOverrides={"resourceRequirements": [{"type": "VCPU", "value": "2"}]},
    )
    status = normal.wait("podless", lambda status: "must be less than or equal to" in status.get("statusReason", ""))
    assert status["state"] == "PENDING"


def test_a_deleted_array_takes_its_pods_along(normal: Stage) -> None:
    normal.simulated(simulate={"seconds": "600"})
    job_id = normal.submit("gone", arrayProperties={"size": 10})
    normal.wait("gone", lambda status: count_of(status, "RUNNING") == 4)
    work = normal.status("gone")["jobName"]
    normal.api.delete("BatchJob", "gone", normal.namespace)
    normal.wait_none("Job", work)
    normal.wait_no_pods(job_id)


def test_an_array_refused_as_a_whole_fails_with_all_its_elements(normal: Stage) -> None:
    annotations = {f"{SIMULATE}/seconds": "1", "note": "x" * 200_000}
    container = {"name": "main", "image": "simulated", "resources": {"requests": {"cpu": "1"}}}
    template = {"metadata": {"annotations": annotations}, "spec": {"containers": [container]}}
    normal.define("heavy", podTemplate=template)
    rows = [{"text": "y" * 1000} for _ in range(100)]
    normal.submit("refused", "heavy", arrayProperties={"items": {"list": rows}})
    status = normal.wait_final("refused")
    assert status["state"] == "FAILED"
    assert "arrayProperties.items and indexes take" in status["statusReason"]
    assert status["arrayProperties"]["statusSummary"] == summary(FAILED=100)
