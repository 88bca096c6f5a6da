"""evaluateOnExit, and how much of it the rules of a Job can say."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchwright.api.v1alpha1.common import EvaluateOnExit
from batchwright.domain import reasons
from batchwright.domain.retry import EXIT_CODES, Outcome, RetryPlan, evaluate, retry_plan

ALL_CODES = tuple(EXIT_CODES)


def rule(action: str, **patterns: str) -> EvaluateOnExit:
    """One rule as YAML has it: code=, reason=, status=."""
    fields = {"code": "onExitCode", "reason": "onReason", "status": "onStatusReason"}
    return EvaluateOnExit.model_validate({"action": action, **{fields[key]: value for key, value in patterns.items()}})


def exited(code: int, reason: str = "") -> Outcome:
    """The container ran and exited."""
    return Outcome(code, reason, reasons.ESSENTIAL_CONTAINER_EXITED)


def host_lost(reason: str = "") -> Outcome:
    """The node was lost."""
    return Outcome(None, reason, reasons.host_terminated("i-0abc"))


def not_started(reason: str) -> Outcome:
    """The container could not start."""
    return Outcome(None, reason, reasons.TASK_FAILED_TO_START)


SPOT = (rule("RETRY", status="Host EC2*"), rule("EXIT", reason="*"))


@pytest.mark.parametrize(
    ("rules", "outcome", "want"),
    [
        pytest.param((), exited(1), "RETRY", id="no rules"),
        pytest.param((rule("EXIT", code="2"),), exited(1), "RETRY", id="no match"),
        pytest.param((rule("EXIT", code="1"),), exited(1), "EXIT", id="exit code"),
        pytest.param((rule("exit", code="1"),), exited(1), "EXIT", id="lower case action"),
        pytest.param((rule("EXIT", code="1"),), exited(12), "RETRY", id="exact, not a prefix"),
        pytest.param((rule("EXIT", code="1*"),), exited(12), "EXIT", id="prefix"),
        pytest.param((rule("EXIT", code="1*"),), exited(1), "EXIT", id="star matches nothing too"),
        pytest.param((rule("EXIT", code="*"),), host_lost(), "RETRY", id="no exit code to match"),
        pytest.param((rule("EXIT", reason="*"),), exited(1), "EXIT", id="star matches an absent reason"),
        pytest.param((rule("EXIT", reason="Out*"),), exited(1), "RETRY", id="absent reason"),
        pytest.param((rule("EXIT", code="1", reason="Out*"),), exited(1), "RETRY", id="ANDed, one fails"),
        pytest.param(
            (rule("EXIT", code="137", reason="OutOfMemoryError:*"),),
            exited(137, reasons.OUT_OF_MEMORY),
            "EXIT",
            id="ANDed, both match",
        ),
        pytest.param((rule("RETRY", code="1"), rule("EXIT", code="*")), exited(1), "RETRY", id="first match wins"),
        pytest.param(SPOT, host_lost(), "RETRY", id="lost host"),
        pytest.param(SPOT, host_lost("TaintManagerEviction: gone"), "RETRY", id="lost host with a reason"),
        pytest.param(SPOT, exited(1), "EXIT", id="any other failure"),
        pytest.param(SPOT, not_started(reasons.cannot_pull("no such image")), "EXIT", id="failed start"),
        pytest.param((rule("RETRY", status="host EC2*"), SPOT[1]), host_lost(), "EXIT", id="texts have a case"),
        pytest.param((rule("EXIT", status="Task failed to start"),), not_started(""), "EXIT", id="exact status reason"),
        pytest.param((), Outcome(137, "", reasons.ATTEMPT_TIMED_OUT), "EXIT", id="timed out"),
        pytest.param(
            (rule("RETRY", code="137"),), Outcome(137, "", reasons.ATTEMPT_TIMED_OUT), "EXIT", id="timed out, asked"
        ),
    ],
)
def test_evaluate(rules: tuple[EvaluateOnExit, ...], outcome: Outcome, want: str) -> None:
    assert evaluate(rules, outcome) == want


def without(*codes: int) -> tuple[int, ...]:
    """All exit codes but these."""
    return tuple(code for code in ALL_CODES if code not in codes)


@pytest.mark.parametrize(
    ("rules", "want"),
    [
        pytest.param((), RetryPlan((), True, True, True, exact=True), id="no rules"),
        pytest.param(SPOT, RetryPlan(ALL_CODES, True, False, True, exact=True), id="spot"),
        pytest.param(
            (rule("EXIT", code="12*"),),
            RetryPlan((12, *range(120, 130)), True, True, True, exact=True),
            id="glob on codes",
        ),
        pytest.param(
            (rule("RETRY", code="75"), rule("EXIT", code="*")),
            RetryPlan(without(75), True, True, True, exact=True),
            id="a code of its own",
        ),
        pytest.param(
            (rule("RETRY", reason="OutOfMemoryError:*"), rule("EXIT", code="*")),
            RetryPlan((), True, True, True, exact=False),
            id="an OOM kill, which no rule of a Job can tell",
        ),
        pytest.param(
            (rule("EXIT", reason="OutOfMemoryError:*", code="137"),),
            RetryPlan((), True, True, True, exact=False),
            id="an OOM kill of one code",
        ),
        pytest.param(
            (rule("RETRY", reason="CannotPull*"), rule("EXIT", reason="*")),
            RetryPlan(ALL_CODES, True, True, True, exact=False),
            id="one kind of failed start",
        ),
        pytest.param(
            (rule("RETRY", status="Task failed*"), rule("EXIT", reason="*")),
            RetryPlan(without(128), False, True, True, exact=False),
            id="failed starts, one of which has an exit code",
        ),
        pytest.param(
            (rule("EXIT", reason="CannotPullContainerError: manifest*"),),
            RetryPlan((), True, True, True, exact=False),
            id="into the message of the registry",
        ),
        pytest.param(
            (rule("EXIT", reason="Taint*", status="Host*"),),
            RetryPlan((), True, True, True, exact=False),
            id="into the reason of a lost host",
        ),
        pytest.param(
            (rule("EXIT", status="Host EC2*"),), RetryPlan((), False, True, True, exact=True), id="lost host ends it"
        ),
        pytest.param(
            (rule("EXIT", status="Host EC2 instance*"),),
            RetryPlan((), True, True, True, exact=True),
            id="never said of a host",
        ),
    ],
)
def test_retry_plan(rules: tuple[EvaluateOnExit, ...], want: RetryPlan) -> None:
    assert retry_plan(rules, 3) == want


def test_one_attempt_has_nothing_to_decide() -> None:
    oom = (rule("RETRY", reason="OutOfMemory*"), rule("EXIT", reason="*"))
    assert retry_plan(oom, 1) == RetryPlan((), False, False, False, exact=True)


@pytest.mark.parametrize(
    ("rules", "want_retry", "want_exact"),
    [
        pytest.param(SPOT, False, True, id="everything ends it"),
        pytest.param((), True, True, id="everything is retried"),
        pytest.param((rule("EXIT", code="*"),), True, False, id="depends on whether the main container ran"),
    ],
)
def test_other_containers(rules: tuple[EvaluateOnExit, ...], want_retry: bool, want_exact: bool) -> None:
    plan = retry_plan(rules, 2, single_container=False)
    assert (plan.retry_other_container, plan.exact) == (want_retry, want_exact)


TEXTS = st.sampled_from(
    [
        "*",
        "Host*",
        "Host EC2*",
        "Essential*",
        "Task failed to start",
        "OutOfMemoryError:*",
        "Cannot*",
        "Job*",
        "CannotPullContainerError:*",
        "CannotPullContainerError: no such image",
        "Evicted*",
        "x",
    ]
)
CODES = st.sampled_from(["*", "1", "1*", "12", "13*", "137", "128", "255", "9999"])
RULES = st.lists(
    st.builds(
        EvaluateOnExit,
        action=st.sampled_from(["RETRY", "EXIT", "exit"]),
        on_exit_code=st.none() | CODES,
        on_reason=st.none() | TEXTS,
        on_status_reason=st.none() | TEXTS,
    ),
    max_size=5,
).map(tuple)
MESSAGES = st.sampled_from(["", "no such image", "Evicted: by the node", "manifest unknown"]) | st.text()


@given(RULES, st.sampled_from(ALL_CODES), MESSAGES)
@example((rule("RETRY", reason="Cannot*"), rule("EXIT", reason="*")), 128, "")
def test_exact_plan_is_what_evaluate_says(rules: tuple[EvaluateOnExit, ...], code: int, message: str) -> None:
    """And a plan that is not exact refuses no retry that evaluateOnExit allows."""
    plan = retry_plan(rules, 2)
    said = [
        (evaluate(rules, exited(code)), code not in plan.fail_exit_codes),
        (evaluate(rules, exited(code, reasons.OUT_OF_MEMORY)), code not in plan.fail_exit_codes),
        (
            evaluate(rules, Outcome(128, reasons.cannot_start(message), reasons.TASK_FAILED_TO_START)),
            128 not in plan.fail_exit_codes,
        ),
        (evaluate(rules, host_lost(message)), plan.retry_host_loss),
        (evaluate(rules, not_started(reasons.cannot_pull(message))), plan.retry_start_failure),
        (evaluate(rules, not_started(reasons.cannot_start(message))), plan.retry_start_failure),
    ]
    for decision, is_retried in said:
        if plan.exact:
            assert is_retried == (decision == "RETRY")
        elif decision == "RETRY":
            assert is_retried
