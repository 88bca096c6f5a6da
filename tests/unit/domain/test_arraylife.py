"""The life of an array job: what is decided about it, and what is said."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

import builders as b
from batchwright import names
from batchwright.domain.actions import EndAttempt, EndWork, ReadObstacle, ReleasePod
from batchwright.domain.arraylife import decide_array
from batchwright.domain.arraystatus import with_elements
from batchwright.domain.dependencies import Link, Resolution
from batchwright.domain.elements import FAILED, PENDING, RUNNABLE, RUNNING, SUCCEEDED, Elements
from batchwright.domain.elementwise import Edge, join, ratio
from batchwright.domain.granting import grant
from batchwright.domain.lifecycle import Decision, Rules
from batchwright.domain.observations import Pod
from batchwright.domain.retry import Outcome

EXITED = "Essential container in task exited"
EXIT_3 = b.exit_rule("EXIT", onExitCode="3")


@dataclass
class Array:
    """An array of four elements. With `sent`, its Kubernetes Job is there, and every element may run."""

    spec: dict[str, Any] = field(default_factory=dict)
    sent: bool = True
    gated: bool = False
    rules: Rules = field(default_factory=Rules)
    sequential: bool = False

    def __post_init__(self) -> None:
        self.elements = Elements(4, ((0, 3),))
        self.elements.gated = self.gated
        self.edges: list[Edge] = []
        if self.sequential:
            self.edges.append(Edge(self.elements, "Succeeded", None))
            join(self.elements, self.edges[0])
        self.work = b.work(parallelism=4, gated=self.gated) if self.sent else None
        self.over: dict[str, Any] = {}
        self.status = b.status()
        if self.sent:
            self.elements.parallelism = 4
            self.elements.open()
            if self.gated:
                grant(self.elements, 4)

    def after(self, needed: Elements) -> Array:
        """Its elements wait for those of another array."""
        self.edges.append(Edge(needed, "Succeeded", ratio(needed.size, 4)))
        join(self.elements, self.edges[-1])
        return self

    def asks(self, **spec: Any) -> Array:
        self.spec |= spec
        return self

    def pod(self, index: int = 0, number: int = 0, **over: Any) -> Pod:
        return b.pod(number, index=index, uid=f"p{index}-{number}", gated=over.pop("gated", self.gated), **over)

    def running(self, *indexes: int, **over: Any) -> Array:
        for index in indexes:
            self.see(b.running_pod(0, index=index, uid=f"p{index}-0", **over))
        return self

    def ended(self, *indexes: int, exit_code: int = 0, number: int = 0, **over: Any) -> Array:
        for index in indexes:
            self.see(b.ended_pod(number, exit_code=exit_code, index=index, uid=f"p{index}-{number}", **over))
        return self

    def see(self, *pods: Pod) -> Array:
        for pod in pods:
            self.elements.see_pod(pod, "i-0abc")
        return self

    def verdict(self, completed: str = "", failed: str = "", **over: Any) -> Array:
        """What the Job controller says."""
        assert self.work is not None
        self.work = replace(self.work, completed_indexes=completed, failed_indexes=failed, **over)
        self.elements.results.see(completed, failed)
        return self

    def seen(self, **over: Any) -> Array:
        """Anything else of the view."""
        self.over |= over
        return self

    def decide(self, seconds: float = 0) -> Decision:
        spec = b.spec(arrayProperties={"size": 4}, **self.spec)
        job = b.job(spec=spec, status=self.status)
        view = b.view(job=job, rules=self.rules, work=self.work, started=self.sent, **self.over)
        decision = decide_array(view, self.elements, self.edges, b.at(seconds))
        self.status = decision.status
        return decision


def states(array: Array) -> list[int]:
    return list(array.elements.states)


def groups(decision: Decision) -> list[tuple[str, str | None]]:
    detail = decision.status.array_properties
    assert detail is not None
    return [(each.indexes, each.status_reason) for each in detail.failures]


def failed_dependency(reason: str = "Dependent Job failed") -> Resolution:
    return Resolution((), (), "BatchJob a failed", reason=reason)


# Before the start.


def test_it_waits_for_whole_jobs() -> None:
    array = Array(sent=False).seen(dependencies=Resolution((), ("a (RUNNING)",), None))
    decision = array.decide()
    assert (decision.status.state, decision.status.status_reason) == ("PENDING", "Waiting for a (RUNNING)")
    assert not decision.runnable
    assert states(array) == [PENDING] * 4


def test_it_is_not_ready() -> None:
    array = Array(sent=False).seen(unready="JobQueue normal not found; the job waits for it")
    decision = array.decide()
    assert (decision.status.state, decision.runnable) == ("SUBMITTED", False)
    detail = with_elements(decision.status, array.elements, b.NOW).array_properties
    assert detail is not None
    assert (detail.status_summary.submitted, detail.status_summary.pending) == (4, 0)


def test_its_elements_wait_for_room() -> None:
    array = Array(sent=False).seen(waits="Next in JobQueue normal, waiting for room")
    decision = array.decide()
    assert decision.runnable
    assert (decision.status.state, decision.status.status_reason) == (
        "PENDING",
        "Next in JobQueue normal, waiting for room",
    )
    detail = with_elements(decision.status, array.elements, b.NOW).array_properties
    assert detail is not None
    assert (detail.status_summary.runnable, detail.status_summary_last_updated_at) == (4, "2026-03-01T12:00:00.000Z")


def test_its_elements_wait_for_those_of_another_array() -> None:
    needed = Elements(4, ((0, 3),))
    pinned = b.status(dependsOn=[{"name": "a", "jobId": "uid-a", "state": "PENDING"}]).depends_on
    links = Resolution(pinned, (), None, (Link("uid-a", "Succeeded"),))
    array = Array(sent=False).after(needed).seen(dependencies=links)
    decision = array.decide()
    assert (decision.status.state, decision.status.status_reason) == ("PENDING", "Waiting for elements of a")
    assert not decision.runnable
    needed.see_pod(b.ended_pod(index=2), "n1")
    assert array.decide().runnable
    assert states(array) == [PENDING, PENDING, RUNNABLE, PENDING]


def test_it_ends_without_a_start_if_no_element_can_run() -> None:
    needed = Elements(4, ((0, 3),))
    array = Array(sent=False).after(needed)
    needed.condemn_waiting(Outcome(None, "", "exited"))
    decision = array.decide()
    assert (decision.status.state, decision.status.status_reason) == ("FAILED", "Array Child Job failed")
    assert groups(decision) == [("0-3", "Dependent Job failed")]
    assert [notice.reason for notice in decision.notices] == ["Failed"]


@pytest.mark.parametrize(
    ("spec", "over", "reason", "flags"),
    [
        pytest.param({"terminate": {"reason": "stop"}}, {}, "stop", (None, True), id="terminate"),
        pytest.param({"cancel": {"reason": "not needed"}}, {}, "not needed", (True, None), id="cancel"),
        pytest.param({}, {"dependencies": failed_dependency()}, "Dependent Job failed", (None, None), id="dependency"),
        pytest.param(
            {},
            {"dependencies": failed_dependency("Dependent Job succeeded")},
            "Dependent Job succeeded",
            (None, None),
            id="dependency that should have failed",
        ),
        pytest.param({}, {"refused": "no such field"}, "no such field", (None, None), id="refused"),
    ],
)
def test_it_ends_before_the_start(spec: Any, over: Any, reason: str, flags: tuple[bool | None, bool | None]) -> None:
    decision = Array(sent=False).asks(**spec).seen(**over).decide()
    assert (decision.status.state, decision.status.status_reason) == ("FAILED", reason)
    assert (decision.status.is_cancelled, decision.status.is_terminated) == flags
    assert groups(decision) == [("0-3", reason)]


def test_some_are_cancelled_before_the_start() -> None:
    array = Array(sent=False).asks(cancelElements=[{"indexes": "1-2", "reason": "these"}])
    assert array.decide().runnable
    assert states(array) == [RUNNABLE, FAILED, FAILED, RUNNABLE]
    assert set(array.elements.condemned) == {1, 2}


def test_all_are_cancelled_one_by_one() -> None:
    decision = Array(sent=False).asks(cancelElements=[{"indexes": "0-9", "reason": "these"}]).decide()
    assert (decision.status.state, decision.status.status_reason) == ("FAILED", "Array Child Job failed")
    assert groups(decision) == [("0-3", "these")]


# Under way.


def test_the_job_stays_pending_while_its_elements_run() -> None:
    decision = Array().running(0, 1).decide()
    assert (decision.status.state, decision.status.started_at) == ("PENDING", "2026-03-01T12:00:00.000Z")
    assert (decision.status.job_name, decision.status.compute_environment) == ("hello-1-11111111", "nodes")
    assert not decision.runnable


@pytest.mark.parametrize(
    ("parallelism", "limit", "want"), [(4, None, False), (2, None, True), (2, 2, False), (2, 3, True)]
)
def test_more_may_start(parallelism: int, limit: int | None, want: bool) -> None:
    array = Array().running(0)
    array.elements.parallelism = parallelism
    spec = b.spec(arrayProperties={"size": 4, "maxConcurrency": limit} if limit else {"size": 4})
    view = b.view(job=b.job(spec=spec), work=array.work, started=True)
    assert decide_array(view, array.elements, [], b.NOW).runnable == want


def test_all_succeeded() -> None:
    array = Array().ended(0, 1, 2, 3)
    assert array.decide().status.state == "PENDING"
    decision = array.verdict("0-3", complete=True).decide(100)
    assert (decision.status.state, decision.status.status_reason) == ("SUCCEEDED", "All 4 elements succeeded")
    assert (decision.status.started_at, decision.status.stopped_at) == (
        "2026-03-01T12:00:00.000Z",
        "2026-03-01T12:00:05.000Z",
    )
    detail = decision.status.array_properties
    assert detail is not None
    assert (detail.succeeded_indexes, detail.failed_indexes, detail.status_summary.succeeded) == ("0-3", "", 4)


def test_some_failed() -> None:
    array = Array().ended(0, 3).ended(1, exit_code=3).ended(2, exit_code=3)
    decision = array.verdict("0,3", "1-2", failure="Job has failed indexes").decide()
    assert (decision.status.state, decision.status.status_reason) == ("FAILED", "Array Child Job failed")
    assert groups(decision) == [("1,2", EXITED)]
    [notice] = decision.notices
    assert notice.message == f"2 of 4 elements failed: {EXITED}, exit code 3 (elements 1,2)"
    assert (decision.status.is_cancelled, decision.status.is_terminated) == (None, None)


def test_a_final_state_stays() -> None:
    array = Array().ended(0, 1, 2, 3).verdict("0-3", complete=True)
    first = array.decide()
    assert array.asks(terminate={"reason": "late"}).decide(9) == Decision(first.status)


def test_the_last_pods_end_is_waited_for() -> None:
    array = Array().ended(0, 1, 2).running(3).verdict("0-2", "3", failure="Job has failed indexes")
    assert array.decide().status.state == "PENDING"
    assert groups(array.ended(3, exit_code=9).decide()) == [("3", EXITED)]


def test_a_deadline_of_somebody_else() -> None:
    decision = Array().ended(0).verdict("0", failure="Job was active longer than specified deadline").decide()
    assert groups(decision) == [("1-3", "Job was active longer than specified deadline")]


def test_the_kubernetes_job_was_deleted() -> None:
    array = Array().ended(0)
    array.work = None
    decision = array.decide()
    assert decision.status.state == "FAILED"
    assert "was deleted by somebody else before it finished" in (decision.status.status_reason or "")
    assert states(array) == [SUCCEEDED, FAILED, FAILED, FAILED]


def test_the_kubernetes_job_was_deleted_when_all_had_ended() -> None:
    array = Array().ended(0, 1, 2, 3)
    array.work = None
    assert array.decide().status.state == "SUCCEEDED"


def test_the_kubernetes_job_is_being_deleted() -> None:
    decision = Array().running(0).verdict(deleting=True).decide()
    assert decision.status.status_reason == "The Kubernetes Job hello-1-11111111 is being deleted"
    assert decision.actions == ()


def test_an_array_it_waits_for_is_not_known_again_yet() -> None:
    """After a restart: nothing is let run before that is known."""
    array = Array(sent=False, gated=True)
    array.work, array.sent = b.work(parallelism=4, gated=True), True
    array.seen(dependencies=Resolution((), ("a (how many elements it has is not known yet)",), None, unlinked=True))
    assert not array.decide().runnable
    assert states(array) == [PENDING] * 4
    array.seen(dependencies=b.NO_DEPENDENCIES)
    assert array.decide().runnable


@pytest.mark.parametrize(
    ("seconds", "want_action", "want_wake"), [(2, False, 8.0), (8, True, 38.0)], ids=["early", "due"]
)
def test_why_there_are_no_pods(seconds: float, want_action: bool, want_wake: float) -> None:
    decision = Array().seen(obstacle="exceeded quota").decide(seconds)
    assert decision.status.status_reason == "exceeded quota"
    assert [type(action) for action in decision.actions] == ([ReadObstacle] if want_action else [])
    assert decision.wake_at == b.at(want_wake)


# Attempts.


def test_another_attempt() -> None:
    array = Array(rules=b.rules(2)).running(0).ended(0, exit_code=1)
    array.decide()
    assert states(array)[0] == RUNNABLE
    array.ended(0, exit_code=1, number=1).decide()
    array.verdict("", "0").decide()
    assert states(array)[0] == FAILED


@pytest.mark.parametrize(
    ("rules", "code", "want"),
    [
        pytest.param(b.rules(1), 1, RUNNING, id="the only attempt"),
        pytest.param(b.rules(2), 1, RUNNABLE, id="another one"),
        pytest.param(b.rules(2, EXIT_3), 3, RUNNING, id="evaluateOnExit: EXIT"),
        pytest.param(b.rules(2, EXIT_3), 4, RUNNABLE, id="evaluateOnExit: no match"),
    ],
)
def test_after_an_attempt(rules: Rules, code: int, want: int) -> None:
    array = Array(rules=rules).running(0).ended(0, exit_code=code)
    array.decide()
    assert states(array)[0] == want


def test_timeout() -> None:
    array = Array(rules=b.rules(2, timeout=60)).running(0, 1)
    decision = array.decide(10)
    assert (decision.actions, decision.wake_at) == ((), b.at(60))
    decision = array.decide(60)
    assert {(type(each), each.pod.index, each.mark) for each in decision.actions} == {
        (EndAttempt, 0, names.POD_CONDITION_TIMEOUT),
        (EndAttempt, 1, names.POD_CONDITION_TIMEOUT),
    }
    assert decision.notices[0].message == "Of the elements: Job attempt duration exceeded timeout (60 s)"


# Gates.


def test_a_gated_pod_is_released_once_it_is_granted() -> None:
    array = Array(gated=True)
    array.elements.withdraw()
    pod = array.pod(0)
    assert array.see(pod).decide().actions == ()
    grant(array.elements, 1)
    assert array.decide().actions == (ReleasePod(pod),)
    # Once is enough, unless it fails.
    assert array.decide().actions == ()
    array.elements.look_again(pod)
    assert array.decide().actions == (ReleasePod(pod),)


def test_a_retry_that_evaluate_on_exit_refuses() -> None:
    rules = b.rules(3, b.exit_rule("EXIT", onReason="OutOfMemoryError*"))
    array = Array(gated=True, rules=rules).running(0).ended(0, exit_code=137, container_reason="OOMKilled")
    [action] = array.see(array.pod(0, 1)).decide().actions
    assert isinstance(action, EndAttempt)
    assert (action.mark, action.pod.failures) == (names.POD_CONDITION_NO_RETRY, 1)
    array.see(replace(array.pod(0, 1), phase="Failed")).verdict("", "0").decide()
    [group] = array.elements.failures.to_status()
    assert (group.indexes, group.exit_code, (group.reason or "")[:16]) == ("0", 137, "OutOfMemoryError")


@pytest.mark.parametrize(
    ("reason", "want"),
    [
        pytest.param("Dependent Job failed", names.POD_CONDITION_DEPENDENCY_FAILED, id="its dependency failed"),
        pytest.param("enough", names.POD_CONDITION_TERMINATED, id="it was cancelled"),
    ],
)
def test_a_gated_pod_that_must_not_run(reason: str, want: str) -> None:
    array = Array(gated=True)
    array.see(array.pod(2))
    array.elements.condemn(2, Outcome(None, "", reason))
    [action] = array.decide().actions
    assert isinstance(action, EndAttempt)
    assert (action.pod.index, action.mark, action.message) == (2, want, reason)


def test_nothing_is_left_that_can_run() -> None:
    array = Array(gated=True).ended(0, 1)
    array.see(array.pod(2))
    for index in (2, 3):
        array.elements.condemn(index, Outcome(None, "", "Dependent Job failed"))
    assert [type(each) for each in array.decide().actions] == [EndWork]
    assert array.verdict("0-1", ending=True).decide().actions == ()


def test_a_dependency_that_fails_ends_what_waits() -> None:
    """Its parent was deleted."""
    array = Array(gated=True).running(0).seen(dependencies=failed_dependency())
    assert array.decide().status.state == "PENDING"
    assert states(array) == [RUNNING, FAILED, FAILED, FAILED]


# SEQUENTIAL.


def test_a_verdict_ends_the_elements_after_it() -> None:
    array = Array(gated=True, sequential=True).running(0).ended(0, exit_code=1).verdict("", "0")
    [action] = array.decide().actions
    assert isinstance(action, EndWork)
    assert states(array) == [FAILED] * 4
    assert [each.indexes for each in array.elements.failures.to_status()] == ["0", "1-3"]


def test_what_another_array_ends_goes_on_in_sequence() -> None:
    needed = Elements(4, ((0, 3),))
    array = Array(sent=False, sequential=True).after(needed)
    needed.condemn(1, Outcome(None, "", "exited"))
    array.decide()
    assert states(array) == [PENDING, FAILED, FAILED, FAILED]


# Requests.


def test_terminate() -> None:
    array = Array().ended(0).running(1, 2).asks(terminate={"reason": "stop"})
    decision = array.decide()
    assert [type(each) for each in decision.actions] == [EndWork]
    assert (decision.status.state, decision.status.status_reason) == ("PENDING", "Terminating: stop")
    assert states(array) == [SUCCEEDED, RUNNING, RUNNING, FAILED]
    assert array.verdict("0", ending=True).decide().actions == ()
    array.ended(1, 2, exit_code=143, deleting=True)
    decision = array.verdict("0", "1-2", failure="deadline").decide()
    assert (decision.status.state, decision.status.status_reason, decision.status.is_terminated) == (
        "FAILED",
        "stop",
        True,
    )
    assert sorted(groups(decision)) == [("1,2", "stop"), ("3", "stop")]


def test_terminate_when_all_had_failed() -> None:
    array = Array().ended(0, 1, 2, 3, exit_code=1).verdict("", "0-3", failure="Job has failed indexes")
    decision = array.asks(terminate={"reason": "stop"}).decide()
    assert (decision.status.status_reason, decision.status.is_terminated) == ("Array Child Job failed", None)


def test_cancel_ends_what_has_not_started() -> None:
    array = Array(gated=True).ended(0).running(1).asks(cancel={"reason": "not needed"})
    decision = array.decide()
    assert not decision.runnable
    assert states(array) == [SUCCEEDED, RUNNING, FAILED, FAILED]
    array.ended(1)
    assert [type(each) for each in array.decide().actions] == [EndWork]
    decision = array.verdict("0,1", failure="deadline").decide()
    assert (decision.status.status_reason, decision.status.is_cancelled) == ("not needed", True)
    assert groups(decision) == [("2,3", "not needed")]


def test_cancel_when_all_run() -> None:
    array = Array().running(0, 1, 2, 3).asks(cancel={"reason": "not needed"})
    array.decide()
    decision = array.ended(0, 1, 2, 3).verdict("0-3", complete=True).decide()
    assert (decision.status.state, decision.status.is_cancelled) == ("SUCCEEDED", None)


@pytest.mark.parametrize(
    ("what", "want_states", "want_ended"),
    [
        pytest.param("terminateElements", [SUCCEEDED, RUNNING, FAILED, RUNNABLE], [1], id="terminate"),
        pytest.param("cancelElements", [SUCCEEDED, RUNNING, FAILED, RUNNABLE], [], id="cancel"),
    ],
)
def test_some_elements(what: str, want_states: list[int], want_ended: list[int]) -> None:
    array = Array().ended(0).running(1).asks(**{what: [{"indexes": "0-2", "reason": "these"}]})
    decision = array.decide()
    assert states(array) == want_states
    ended = [each for each in decision.actions if isinstance(each, EndAttempt)]
    assert [(each.pod.index, each.mark, each.message) for each in ended] == [
        (index, names.POD_CONDITION_TERMINATED, "these") for index in want_ended
    ]


def test_an_element_that_is_terminated_has_no_other_attempt() -> None:
    array = Array(rules=b.rules(3)).running(1).asks(terminateElements=[{"indexes": "1", "reason": "this"}])
    array.decide()
    array.ended(1, exit_code=1).decide()
    assert states(array)[1] == FAILED
    [group] = array.elements.failures.to_status()
    assert (group.indexes, group.status_reason) == ("1", "this")


def test_a_terminated_element_says_why() -> None:
    array = Array().running(1).asks(terminateElements=[{"indexes": "1", "reason": "this"}])
    array.decide()
    array.ended(1, exit_code=143, deleting=True, mark=b.mark(names.POD_CONDITION_TERMINATED, "this"))
    array.verdict("", "1").decide()
    [group] = array.elements.failures.to_status()
    assert (group.indexes, group.status_reason, group.exit_code) == ("1", "this", 143)


def test_a_request_that_is_no_set_of_indexes() -> None:
    decision = Array().running(0).asks(cancelElements=[{"indexes": "9-3", "reason": "these"}]).decide()
    [notice] = decision.notices
    assert (notice.reason, notice.message) == (
        "RequestIgnored",
        "cancelElements 9-3: the range 9-3 ends before it begins",
    )


def test_a_pod_of_an_element_that_has_ended_is_stopped() -> None:
    """Without gates its pod may have been made before anybody knew."""
    array = Array().asks(cancelElements=[{"indexes": "2", "reason": "this"}])
    array.decide()
    [action] = array.running(2).decide().actions
    assert isinstance(action, EndAttempt)
    assert (action.pod.index, action.mark, action.message) == (2, names.POD_CONDITION_TERMINATED, "this")


def test_a_pod_that_the_watch_shows_after_its_result_is_left_alone() -> None:
    """The watch of pods may be a pod's whole life behind that of Jobs, when an operator has just been started."""
    array = Array().verdict("0-1", "2")
    array.decide()
    assert array.elements.counts[SUCCEEDED] == 2
    assert array.running(0, 1, 2).decide().actions == ()
    array.ended(0, 1).ended(2, exit_code=1)
    assert not array.elements.live


def test_many_requests_for_many_elements_cost_little() -> None:
    requests = [{"indexes": f"0-{99_999 - number}", "reason": "not needed"} for number in range(64)]
    array = Array(sent=False).asks(terminateElements=requests)
    array.elements = Elements(100_000, ((0, 99_999),))
    began = time.process_time()
    array.decide()
    assert array.elements.counts[FAILED] == 100_000
    # Where each request looks at each element it takes thirty times as long as one request.
    assert time.process_time() - began < 6


def test_after_a_cancel_the_job_is_told_to_end_though_nothing_is_condemned() -> None:
    array = Array(gated=True).asks(cancel={"reason": "not needed"}).running(0)
    array.decide()
    array.ended(0)
    # Their gated pods were ended by our mark, or by the Job controller, which then counts nothing.
    array.elements.condemned.clear()
    assert [type(action) for action in array.decide().actions] == [EndWork]
