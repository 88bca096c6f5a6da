"""A single job that makes room for others: from the mark to the next start, and ended in between."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import builders as b
from batchwright import names
from batchwright.domain.actions import DeleteWork, SuspendWork
from batchwright.domain.elements import RUNNABLE, RUNNING, Elements
from batchwright.domain.lifecycle import decide
from batchwright.domain.observations import Mark

MARK = Mark(names.POD_CONDITION_PREEMPTED, "Preempted for job big")


def decision(*pods: Any, suspended: bool = True, **over: Any) -> Any:
    return decide(b.view(work=b.work(suspended=suspended), pods=pods, started=True, **over), b.NOW)


def test_a_mark_is_followed_by_the_suspension() -> None:
    """Also for an operator that was started in between."""
    found = decision(b.running_pod(mark=MARK), suspended=False)
    assert [type(action) for action in found.actions] == [SuspendWork]
    assert not found.runnable


def test_it_waits_until_its_pod_has_gone() -> None:
    found = decision(b.running_pod(mark=MARK, deleting=True))
    assert (found.status.state, found.status.status_reason, found.runnable) == ("RUNNABLE", MARK.message, False)
    assert found.actions == ()


def test_then_it_is_a_candidate_again() -> None:
    found = decision()
    assert (found.status.state, found.runnable, found.actions) == ("RUNNABLE", True, ())


def test_the_end_of_its_pod_is_no_attempt() -> None:
    ended = b.ended_pod(exit_code=143, mark=MARK)
    assert decision(ended).status.attempts == ()
    # Not either once it runs again.
    again = decision(ended, b.running_pod(1), suspended=False)
    assert (again.status.state, again.status.attempts) == ("RUNNING", ())


def test_a_pod_that_was_made_in_the_instant_before_is_no_attempt_although_it_has_no_mark() -> None:
    ended = b.ended_pod(exit_code=143, deleting=True)
    assert decision(ended).status.attempts == ()
    assert decision(ended, suspended=False, preempting=True).status.attempts == ()
    # Not either once a job that had gone back, without being preempted, goes on.
    again = b.view(work=b.work(given_back=1), pods=(ended, b.running_pod(1)), started=True)
    assert decide(replace(again, pods=(ended,)), b.NOW).status.attempts == ()
    # Not either once the job goes on, and when it has ended: the Job controller did not count it.
    job = b.job(status=b.status("STARTING", jobName="hello-1", preemptions=1))
    assert decision(ended, suspended=False, job=job).status.attempts == ()
    successor = replace(b.ended_pod(1), failures=ended.failures, created_at=b.at(60))
    view = b.view(work=b.work(succeeded=1, complete=True), pods=(ended, successor), started=True, job=job)
    assert [each.container.exit_code for each in decide(view, b.NOW).status.attempts] == [0]


def test_a_pod_that_succeeded_before_it_could_be_stopped_is_an_attempt() -> None:
    view = b.view(work=b.work(succeeded=1, complete=True), pods=(b.ended_pod(mark=MARK),), started=True)
    status = decide(view, b.NOW).status
    assert (status.state, [each.container.exit_code for each in status.attempts]) == ("SUCCEEDED", [0])


def test_a_process_that_answers_its_stop_with_0_has_been_stopped_all_the_same() -> None:
    """The Job controller, which suspends, takes a pod out of its books before it deletes it: what becomes of it then
    counts for nothing, and the job runs again."""
    stopped = b.ended_pod(mark=MARK, deleting=True)
    assert decision(stopped).status.attempts == ()
    # Made in the instant before, and not marked.
    assert decision(replace(stopped, mark=None)).status.attempts == ()
    # One whose success was counted is being deleted too, once somebody deletes it.
    view = b.view(work=b.work(succeeded=1, complete=True, suspended=True), pods=(stopped,), started=True)
    assert [each.container.exit_code for each in decide(view, b.NOW).status.attempts] == [0]


def test_a_success_in_the_instant_of_the_stop_is_no_attempt_once_the_job_runs_again() -> None:
    """It was seen to succeed, and was gone before anything said that it had not been counted."""
    before = decision(b.ended_pod(mark=MARK)).status
    assert [each.container.exit_code for each in before.attempts] == [0]
    job = b.job(status=before.model_copy(update={"preemptions": 1}))
    again = decision(b.running_pod(1, failures=0), suspended=False, job=job).status
    assert (again.state, again.attempts) == ("RUNNING", ())
    # Also for an operator that did not work meanwhile, and whose Job says that it is done.
    view = b.view(work=b.work(succeeded=1, complete=True), pods=(b.ended_pod(1),), started=True, job=job)
    assert [each.container.pod_name for each in decide(view, b.NOW).status.attempts] == ["hello-1"]


def test_a_failure_that_the_main_container_has_no_part_in_stays_an_attempt() -> None:
    """Another container failed: the main one has exit code 0, and the Job controller counted a failure."""
    failed = b.ended_pod(phase="Failed")
    job = b.job(status=b.status("RUNNING", jobName="hello-1", preemptions=1))
    view = b.view(work=b.work(failed=1), pods=(failed, b.running_pod(1)), started=True, job=job, rules=b.rules(2))
    assert [each.container.exit_code for each in decide(view, b.NOW).status.attempts] == [0]


def test_an_attempt_that_failed_before_it_was_preempted_is_one() -> None:
    failed = b.ended_pod(exit_code=1)
    assert [each.container.exit_code for each in decision(failed).status.attempts] == [1]
    deleted = replace(failed, deleting=True)
    later = decision(deleted, b.running_pod(1), suspended=False)
    assert [each.container.exit_code for each in later.status.attempts] == [1]


@pytest.mark.parametrize("field", ["cancel", "terminate"])
def test_it_can_be_ended_while_it_waits(field: str) -> None:
    found = decision(job=b.job(spec=b.spec(**{field: {"reason": "enough"}})))
    assert [type(action) for action in found.actions] == [DeleteWork]


@pytest.mark.parametrize(
    ("field", "want"), [("cancel", (True, None)), ("terminate", (None, True))], ids=["cancel", "terminate"]
)
def test_and_then_it_has(field: str, want: tuple[bool | None, bool | None]) -> None:
    job = b.job(spec=b.spec(**{field: {"reason": "enough"}}), status=b.status("RUNNABLE", jobName="hello-1"))
    found = decide(b.view(job=job, started=True), b.NOW).status
    assert (found.state, found.status_reason) == ("FAILED", "enough")
    assert (found.is_cancelled, found.is_terminated) == want


def test_preempted_too_often() -> None:
    found = decision(expired="Preempted 4 times, and preemptionRetriesBeforeTermination is 3")
    assert [type(action) for action in found.actions] == [DeleteWork]
    job = b.job(status=b.status("RUNNABLE", jobName="hello-1"))
    gone = decide(replace(b.view(job=job, started=True), expired="Preempted 4 times"), b.NOW)
    assert (gone.status.state, gone.status.status_reason) == ("FAILED", "Preempted 4 times")


def test_a_write_that_failed_is_tried_again() -> None:
    """Without a pod, or with the mark not written, only the operator knows of it."""
    found = decision(b.running_pod(), suspended=False, preempting=True)
    assert [type(action) for action in found.actions] == [SuspendWork]


def test_the_end_of_a_preempted_element_does_not_unmake_its_successor() -> None:
    elements = Elements(2, ((0, 1),))
    elements.open()
    elements.gated = True
    ended = b.ended_pod(exit_code=143, mark=MARK, index=0)
    for pod in (b.running_pod(mark=MARK, index=0), ended):
        elements.see_pod(pod, "i-0abc")
    assert elements.states[0] == RUNNABLE
    elements.see_pod(b.running_pod(1, index=0, failures=0), "i-0abc")
    elements.see_pod(ended, "i-0abc")
    assert elements.states[0] == RUNNING


def test_the_elements_marked_to_make_room_are_known_until_their_pods_have_gone() -> None:
    elements = Elements(3, ((0, 2),))
    running = b.running_pod(index=1)
    elements.see_pod(running, "i-1")
    assert elements.preempted == set()
    elements.see_pod(replace(running, mark=MARK), "i-1")
    assert elements.preempted == {1}
    elements.see_pod_gone(replace(running, mark=MARK))
    assert elements.preempted == set()
