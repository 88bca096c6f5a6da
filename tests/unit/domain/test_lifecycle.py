"""The life of a BatchJob: every state, what leads out of it, and what must never happen."""

from __future__ import annotations

from dataclasses import replace

import pytest

import builders as b
from batchwright.api.v1alpha1.batchjob import ResolvedDependency
from batchwright.domain.actions import ReadPods
from batchwright.domain.dependencies import Resolution
from batchwright.domain.lifecycle import View, decide
from unit.domain.lifecycle_cases import BEFORE_START, STARTED, UNDER_WAY, Case, running, waiting_for, with_spec
from unit.domain.lifecycle_endings import ENDED

EVERY = BEFORE_START + UNDER_WAY + ENDED


@pytest.mark.parametrize("case", EVERY)
def test_decide(case: Case) -> None:
    decision = decide(case.view, case.now)
    status = decision.status
    assert status.state == case.want_state
    assert status.status_reason == case.want_reason
    assert decision.runnable == case.want_runnable
    assert tuple(type(action) for action in decision.actions) == case.want_actions
    assert tuple(notice.reason for notice in decision.notices) == case.want_notices
    assert tuple(each.container.exit_code for each in status.attempts) == case.want_exits
    assert status.is_cancelled == case.want_cancelled
    assert status.is_terminated == case.want_terminated


@pytest.mark.parametrize("case", EVERY)
def test_a_second_look_gives_the_same_status(case: Case) -> None:
    first = decide(case.view, case.now)
    again = decide(b.with_status(case.view, first.status), case.now)
    assert again.status == first.status
    if not first.is_final:
        assert again.actions == first.actions
        assert again.runnable == first.runnable
        assert again.wake_at == first.wake_at


@pytest.mark.parametrize("case", EVERY)
def test_what_is_decided_fits_the_schema(case: Case) -> None:
    status = decide(case.view, case.now).status
    assert type(status).model_validate(status.to_wire()) == status
    assert status.observed_generation == case.view.job.generation


@pytest.mark.parametrize("case", ENDED)
def test_a_final_status_is_whole(case: Case) -> None:
    status = decide(case.view, b.at(100)).status
    if status.state not in ("SUCCEEDED", "FAILED"):
        return
    (condition,) = status.conditions
    assert condition.type == ("Complete" if status.state == "SUCCEEDED" else "Failed")
    assert (condition.status, condition.message) == ("True", status.status_reason)
    assert status.stopped_at is not None


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED"])
@pytest.mark.parametrize("case", EVERY)
def test_final_states_never_change(case: Case, state: str) -> None:
    final = b.status(state, statusReason="done", stoppedAt="2026-03-01T11:00:00.000Z")
    decision = decide(b.with_status(case.view, final), b.at(9999))
    assert decision.status == final
    assert decision.actions == ()
    assert decision.notices == ()
    assert not decision.runnable


def test_wakes_for_the_timeout() -> None:
    view = running(pods=(b.running_pod(started=10),), rules=b.rules(timeout=60))
    assert decide(view, b.at(20)).wake_at == b.at(70)


def test_started_at_follows_the_last_attempt() -> None:
    first = decide(running(pods=(b.running_pod(started=10),)), b.at(11)).status
    assert first.started_at == "2026-03-01T12:00:10.000Z"
    view = running(
        job=b.job(status=first), rules=b.rules(2), pods=(b.ended_pod(0, exit_code=1), b.running_pod(1, started=50))
    )
    assert decide(view, b.at(51)).status.started_at == "2026-03-01T12:00:50.000Z"


def test_stopped_at_is_when_the_container_ended_not_when_we_heard_of_it() -> None:
    view = running(work=b.work(succeeded=1, complete=True), pods=(b.ended_pod(exit_code=0),))
    status = decide(view, b.at(500)).status
    assert status.started_at == "2026-03-01T12:00:00.000Z"
    assert status.stopped_at == "2026-03-01T12:00:05.000Z"


def test_the_status_names_what_runs_where() -> None:
    found = (ResolvedDependency(name="a", job_id="uid-a", state="SUCCEEDED"),)
    status = decide(b.view(**STARTED, dependencies=Resolution(found, (), None)), b.NOW).status
    assert status.job_name == "hello-1-11111111"
    assert status.compute_environment == "nodes"
    assert status.job_definition == "hello:1"
    assert status.created_at == "2026-03-01T12:00:00.000Z"
    assert status.depends_on == found


def test_attempts_outlive_their_pods() -> None:
    first = decide(running(pods=(b.ended_pod(0, exit_code=1),), rules=b.rules(2)), b.NOW).status
    later = running(
        job=b.job(status=first), rules=b.rules(2), work=b.work(failed=1, succeeded=1, complete=True), pods=()
    )
    assert [type(action) for action in decide(later, b.NOW).actions] == [ReadPods]
    done = decide(replace(later, pods=(b.ended_pod(1),), pods_complete=True), b.NOW).status
    assert [each.container.exit_code for each in done.attempts] == [1, 0]


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(b.view(unready="x" * 3000), id="unready"),
        pytest.param(b.view(refused="x" * 3000), id="refused"),
        pytest.param(b.view(cycle="x" * 3000), id="cycle"),
        pytest.param(b.view(waits="x" * 3000), id="waits"),
        pytest.param(b.view(dependencies=waiting_for(*["y" * 100] * 100)), id="dependencies"),
        pytest.param(b.view(job=b.job(spec=b.spec(terminate={"reason": "z" * 1024}))), id="terminate"),
        pytest.param(running(job=with_spec(terminate={"reason": "z" * 1024})), id="terminating"),
        pytest.param(running(work=b.work(failure="x" * 3000), pods_complete=True), id="Job failure"),
        pytest.param(running(pods=(b.pod(unschedulable="x" * 3000),)), id="unschedulable"),
        pytest.param(running(pods=(b.running_pod(mark=b.mark("m", "x" * 3000)),)), id="mark"),
    ],
)
def test_texts_are_bounded(view: View) -> None:
    status = decide(view, b.at(5)).status
    assert status.status_reason is not None
    assert len(status.status_reason) == 1024
    assert type(status).model_validate(status.to_wire()) == status
