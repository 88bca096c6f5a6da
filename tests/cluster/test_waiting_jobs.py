"""Stories of jobs that wait: for objects, capacity, their turn in a queue, and other jobs."""

from __future__ import annotations

import time

from apiserver import Manifest
from stage import Stage


def is_disabled(queue: Manifest) -> bool:
    """Whether the operator has seen that the queue is DISABLED."""
    conditions = (queue.get("status") or {}).get("conditions") or [{}]
    return conditions[0].get("reason") == "Disabled"


def test_objects_may_come_in_any_order(stage: Stage) -> None:
    stage.submit("early")
    assert "JobDefinition name hello does not exist" in stage.wait("early", "SUBMITTED")["statusReason"]
    stage.simulated()
    stage.wait("early", lambda status: "JobQueue" in status.get("statusReason", ""))
    stage.queue()
    stage.wait("early", lambda status: "No environment" in status.get("statusReason", ""))
    stage.environment()
    stage.nodes(1)
    assert stage.wait_final("early")["state"] == "SUCCEEDED"


def test_a_disabled_queue_takes_nothing_new(normal: Stage) -> None:
    normal.simulated()
    name = f"{normal.namespace}-queue"
    normal.api.patch("JobQueue", name, None, {"spec": {"state": "DISABLED"}})
    normal.api.wait_for("JobQueue", name, None, is_disabled)
    normal.submit("later")
    assert "DISABLED" in normal.wait("later", "SUBMITTED")["statusReason"]
    normal.api.patch("JobQueue", name, None, {"spec": {"state": "ENABLED"}})
    assert normal.wait_final("later")["state"] == "SUCCEEDED"


def test_a_job_that_can_never_fit_says_what_it_asked_and_what_there_is(normal: Stage) -> None:
    normal.simulated("huge", cpu="64")
    normal.simulated("small")
    normal.submit("never", "huge")
    reason = normal.wait("never", lambda status: "JOB_RESOURCE" in status.get("statusReason", ""))["statusReason"]
    assert "It asks 64 vCPU" in reason
    assert "the largest of 1 nodes has 4 vCPU: short by 60 vCPU" in reason
    normal.submit("fine", "small")
    assert normal.wait_final("fine")["state"] == "SUCCEEDED", "a job that never fits must not block the queue"
    assert normal.status("never")["state"] == "RUNNABLE"


def terminate(stage: Stage, name: str) -> None:
    """Ends a job that would run for minutes."""
    stage.api.patch("BatchJob", name, stage.namespace, {"spec": {"terminate": {"reason": "make room"}}})


def test_first_in_first_out_and_the_head_says_why_it_waits(normal: Stage) -> None:
    normal.simulated("endless", cpu="3", simulate={"seconds": "600"})
    normal.simulated("full", cpu="3")
    normal.simulated("small", cpu="1")
    normal.submit("running", "endless")
    normal.wait("running", "RUNNING")
    normal.submit("head", "full")
    reason = normal.wait("head", lambda status: "waiting for room" in status.get("statusReason", ""))["statusReason"]
    assert "It asks 3 vCPU" in reason
    assert "has 1 vCPU free: short by 2 vCPU" in reason
    normal.submit("behind", "small")
    assert "behind earlier jobs" in normal.wait("behind", "RUNNABLE")["statusReason"]
    terminate(normal, "running")
    head, behind = normal.wait_final("head"), normal.wait_final("behind")
    assert (head["state"], behind["state"]) == ("SUCCEEDED", "SUCCEEDED")
    assert head["startedAt"] <= behind["startedAt"]


def test_the_queue_of_higher_priority_goes_first(normal: Stage) -> None:
    normal.queue("urgent", priority=10)
    normal.simulated("endless", cpu="4", simulate={"seconds": "600"})
    normal.simulated("full", cpu="4", simulate={"seconds": "2"})
    normal.submit("running", "endless")
    normal.wait("running", "RUNNING")
    normal.submit("ordinary", "full")
    normal.wait("ordinary", "RUNNABLE")
    normal.submit("hurry", "full", queue="urgent")
    normal.wait("hurry", "RUNNABLE")
    terminate(normal, "running")
    assert normal.wait_final("hurry")["startedAt"] < normal.wait_final("ordinary")["startedAt"]


def test_a_queue_that_is_disabled_lets_waiting_jobs_go_on(normal: Stage) -> None:
    normal.simulated("endless", cpu="4", simulate={"seconds": "600"})
    normal.simulated("full", cpu="4")
    normal.submit("running", "endless")
    normal.wait("running", "RUNNING")
    normal.submit("queued", "full")
    normal.wait("queued", "RUNNABLE")
    name = f"{normal.namespace}-queue"
    normal.api.patch("JobQueue", name, None, {"spec": {"state": "DISABLED"}})
    normal.api.wait_for("JobQueue", name, None, is_disabled)
    terminate(normal, "running")
    assert normal.wait_final("queued")["state"] == "SUCCEEDED"


def test_a_cycle_through_a_job_id_is_refused_too(normal: Stage) -> None:
    normal.simulated()
    first = normal.submit("a", dependsOn=[{"name": "b"}])
    normal.wait("a", "PENDING")
    time.sleep(1.1)  # creationTimestamp has whole seconds; the youngest job is the one refused
    normal.submit("b", dependsOn=[{"jobId": first}])
    assert normal.wait_final("b")["statusReason"].startswith("Dependency cycle: b → a → b")
    failed = normal.wait_final("a")
    assert failed["statusReason"] == "Dependent Job failed"
    assert "BatchJob b failed" in failed["conditions"][0]["message"]


def test_the_second_environment_takes_what_the_first_has_no_room_for(normal: Stage) -> None:
    normal.nodes(1, group="b", cpu=8)
    second = normal.environment("second", group="b")
    normal.queue("both", f"{normal.namespace}-env", second)
    normal.simulated("large", cpu="6")
    normal.simulated("small")
    # An environment that the operator has not seen yet has no room either.
    normal.submit("before", "small")
    normal.wait_final("before")
    normal.submit("one", "small", queue="both")
    normal.submit("two", "large", queue="both")
    assert normal.wait_final("one")["computeEnvironment"] == f"{normal.namespace}-env"
    assert normal.wait_final("two")["computeEnvironment"] == second


def test_dependencies_by_name_and_id_before_and_after_the_other_exists(normal: Stage) -> None:
    normal.simulated(simulate={"seconds": "1"})
    normal.submit("last", dependsOn=[{"name": "middle"}])
    assert "middle (not there yet)" in normal.wait("last", "PENDING")["statusReason"]
    first = normal.submit("first")
    normal.submit("middle", dependsOn=[{"jobId": first}])
    statuses = [normal.wait_final(name) for name in ("first", "middle", "last")]
    assert [status["state"] for status in statuses] == ["SUCCEEDED"] * 3
    assert statuses[0]["stoppedAt"] <= statuses[1]["startedAt"]
    assert statuses[1]["stoppedAt"] <= statuses[2]["startedAt"]


def test_a_job_may_depend_on_more_than_twenty(normal: Stage) -> None:
    normal.simulated(cpu="100m")
    names = [f"part-{number}" for number in range(25)]
    normal.submit("whole", dependsOn=[{"name": name} for name in names])
    for name in names:
        normal.submit(name)
    status = normal.wait_final("whole", seconds=90)
    assert status["state"] == "SUCCEEDED"
    assert [dependency["name"] for dependency in status["dependsOn"]] == names


def test_a_failed_dependency_fails_what_waits_for_it(normal: Stage) -> None:
    normal.simulated("bad", simulate={"exit-code": "1"})
    normal.simulated("good")
    normal.submit("second", "good", dependsOn=[{"name": "first"}])
    normal.submit("third", "good", dependsOn=[{"name": "second"}])
    normal.submit("first", "bad")
    for name in ("second", "third"):
        status = normal.wait_final(name)
        assert (status["state"], status["statusReason"]) == ("FAILED", "Dependent Job failed")
        assert "attempts" not in status or not status["attempts"]
    assert "first failed" in normal.wait_event("second", "DependencyFailed")


def test_a_cycle_is_refused_and_named(normal: Stage) -> None:
    normal.simulated()
    normal.submit("a", dependsOn=[{"name": "b"}])
    normal.submit("b", dependsOn=[{"name": "c"}])
    normal.wait("b", "PENDING")
    time.sleep(1.1)  # creationTimestamp has whole seconds; the youngest job is the one refused
    normal.submit("c", dependsOn=[{"name": "a"}])
    refused = normal.wait_final("c")
    assert refused["statusReason"].startswith("Dependency cycle: c → a → b → c")
    for name in ("a", "b"):
        assert normal.wait_final(name)["statusReason"] == "Dependent Job failed"


def test_a_namespace_that_the_queue_does_not_take(normal: Stage) -> None:
    normal.queue("picky", namespaceSelector={"team": "blue"})
    normal.simulated()
    normal.submit("outside", queue="picky")
    assert "team=blue" in normal.wait("outside", "SUBMITTED")["statusReason"]
    normal.api.patch("Namespace", normal.namespace, None, {"metadata": {"labels": {"team": "blue"}}})
    assert normal.wait_final("outside")["state"] == "SUCCEEDED"
