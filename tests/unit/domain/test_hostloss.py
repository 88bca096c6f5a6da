"""What is lost with its instance: an attempt that counts only where the rules say something of it."""

from __future__ import annotations

import pytest

import builders as b
from batchwright import names
from batchwright.domain.attempts import attempt, charged, merge
from batchwright.domain.elements import RUNNABLE, RUNNING, Elements
from batchwright.domain.lifecycle import decide
from batchwright.domain.observations import Mark
from batchwright.domain.retry import Outcome, is_decided

MARK = Mark(names.POD_CONDITION_HOST_ENDED, "Instance i-1: EC2 takes it back")
REASON = "Host EC2 (instance i-1) terminated."
LOST = Outcome(None, MARK.message, REASON)
INSTANCES = {"n1": "i-1"}


@pytest.mark.parametrize(
    ("rules", "want"),
    [
        pytest.param((), False, id="no rules"),
        pytest.param((b.exit_rule(onExitCode="3"),), False, id="a rule of exit codes"),
        pytest.param((b.exit_rule("RETRY", onStatusReason="Host EC2*"),), True, id="a rule that retries"),
        pytest.param((b.exit_rule(onStatusReason="Host EC2*"),), True, id="a rule that ends"),
        pytest.param((b.exit_rule(onExitCode="3"), b.exit_rule(onReason="*")), True, id="a rule for all the rest"),
        pytest.param((b.exit_rule(onStatusReason="Host EC2*", onReason="OutOf*"),), False, id="half of a rule"),
    ],
)
def test_whether_the_rules_say_something_of_it(rules: tuple[object, ...], want: bool) -> None:
    assert is_decided(rules, LOST) is want  # type: ignore[arg-type]


def test_the_attempt_says_what_became_of_it() -> None:
    ended = attempt(b.ended_pod(exit_code=137, mark=MARK, node="n1"), INSTANCES)
    assert (ended.status_reason, ended.container.exit_code, ended.uncharged) == (REASON, None, True)
    assert ended.container.reason == MARK.message
    assert charged([ended, attempt(b.ended_pod(1, exit_code=1), INSTANCES)]) == 1


def test_where_the_rules_charge_it_it_counts() -> None:
    ended = attempt(b.ended_pod(exit_code=137, mark=b.mark(names.POD_CONDITION_HOST_CHARGED, "why")), INSTANCES)
    assert (ended.status_reason, ended.container.exit_code, ended.uncharged) == (REASON, None, None)


def test_what_succeeds_all_the_same_has_succeeded() -> None:
    ended = attempt(b.ended_pod(mark=MARK, node="n1"), INSTANCES)
    assert (ended.container.exit_code, ended.uncharged) == (0, None)


def test_a_job_that_is_interrupted_without_end_keeps_the_latest() -> None:
    """Also while the pods of those left out are still there."""
    failed = b.attempt(0, exit_code=1)
    lost = tuple(attempt(b.ended_pod(number, exit_code=137, mark=MARK), INSTANCES) for number in range(1, 41))
    kept = merge((failed, *lost[:20]), lost)
    assert kept == (failed, *lost[-31:])
    assert merge(kept, (failed, *lost)) == kept


def test_a_mark_is_noted_before_the_pod_is_deleted() -> None:
    """The pod goes with the attempt."""
    view = b.view(work=b.work(), pods=(b.running_pod(mark=MARK),), started=True, instances=INSTANCES)
    first = decide(view, b.NOW)
    assert first.actions == ()
    assert [each.status_reason for each in first.status.attempts] == [REASON]
    name = first.status.attempts[0].container.pod_name
    again = b.view(
        work=b.work(), pods=view.pods, started=True, instances=INSTANCES, noted=frozenset({name}), job=view.job
    )
    assert [type(action).__name__ for action in decide(again, b.NOW).actions] == ["EndAttempt"]


def test_the_job_waits_again_with_the_attempts_it_had() -> None:
    view = b.view(
        work=b.work(), pods=(b.ended_pod(exit_code=137, mark=MARK, node="n1"),), started=True, instances=INSTANCES
    )
    status = decide(view, b.NOW).status
    assert (status.state, status.status_reason) == (
        "RUNNABLE",
        f"Attempt 1 of 1 follows: {REASON}, {MARK.message}",
    )


@pytest.mark.parametrize("gated", [True, False])
def test_an_element_waits_again(gated: bool) -> None:
    elements = Elements(2, ((0, 1),))
    elements.gated = gated
    elements.open()
    elements.grant(1)
    running = b.running_pod(index=0)
    elements.see_pod(running, "i-1")
    assert elements.states[0] == RUNNING
    elements.see_pod(b.ended_pod(exit_code=137, index=0, mark=MARK, node="n1"), "i-1")
    assert (elements.states[0], elements.backing_off, elements.outcomes) == (RUNNABLE, set(), {})
