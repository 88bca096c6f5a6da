"""Whether a failed attempt runs again: AWS Batch's evaluateOnExit, and how much of it the rules of a Job can say.

AWS (User Guide, job retries; API, EvaluateOnExit): the patterns of a rule are ANDed, the first rule that matches
decides, and a failure that none matches is retried. `*` matches every reason, one that is absent too (AWS's own example
ends with onReason "*": EXIT, "all other job failures"); an exit code that is absent matches no onExitCode.

A podFailurePolicy sees exit codes and pod conditions, but no texts and no OOM kills. `retry_plan` asks what the rules
decide in every case a policy can tell apart; where one such case may go both ways the plan is not exact, retries in
doubt, and leaves each retry to the operator, who sees the texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from batchwright.api.v1alpha1.common import EvaluateOnExit
from batchwright.domain import reasons

Decision = Literal["RETRY", "EXIT"]

EXIT_CODES = range(1, 256)
# The exit code of a container whose process the runtime could not start (containerd; reason StartError).
START_ERROR_CODE = 128


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended, in AWS Batch's words: `reason` is the container's, empty when there is none."""

    exit_code: int | None
    reason: str
    status_reason: str


@dataclass(frozen=True)
class RetryPlan:
    """What Job rules do after a failed attempt.

    `fail_exit_codes`: exit codes of the main container that end the job; the others of 1..255 are retried.
    `retry_host_loss`: after the node was lost. `retry_start_failure`: after the container could not start.
    `retry_other_container`: after another container of the pod failed, where there is one.
    `exact`: the above is what evaluateOnExit says. Otherwise it retries whatever might be retried, and the operator
    must look at each retry (scheduling gate) and refuse those that evaluateOnExit refuses.
    """

    fail_exit_codes: tuple[int, ...]
    retry_host_loss: bool
    retry_start_failure: bool
    retry_other_container: bool
    exact: bool


@dataclass(frozen=True)
class _Text:
    """A text of which the beginning is known and, when `open`, the rest is not."""

    known: str
    open: bool = False


@dataclass(frozen=True)
class _Case:
    exit_code: int | None
    reason: _Text
    status_reason: _Text


def evaluate(rules: Sequence[EvaluateOnExit], outcome: Outcome) -> Decision:
    """What evaluateOnExit says of a failed attempt. A timed-out attempt is never retried (User Guide, job timeouts)."""
    if outcome.status_reason.startswith(reasons.ATTEMPT_TIMED_OUT):
        return "EXIT"
    case = _Case(outcome.exit_code, _Text(outcome.reason), _Text(outcome.status_reason))
    return "EXIT" if "EXIT" in _possible(rules, case) else "RETRY"


def is_decided(rules: Sequence[EvaluateOnExit], outcome: Outcome) -> bool:
    """Whether a rule matches the failure: what none does is retried because nothing was said of it."""
    case = _Case(outcome.exit_code, _Text(outcome.reason), _Text(outcome.status_reason))
    return any(all(_match(rule, case)) for rule in rules)


def retry_plan(rules: Sequence[EvaluateOnExit], attempts: int, *, single_container: bool = True) -> RetryPlan:
    """The plan for `attempts` in all; with 1 nothing is retried, and there is nothing to decide.

    `single_container` says that the pod has no containers and init containers but the main one.
    """
    if attempts <= 1:
        return RetryPlan((), False, False, False, exact=True)
    return _plan(tuple(rules), single_container)


@lru_cache(maxsize=512)
def _plan(rules: tuple[EvaluateOnExit, ...], single_container: bool) -> RetryPlan:
    by_code = {code: _union(rules, _exit_cases(code)) for code in EXIT_CODES}
    host_loss = _union(rules, [_HOST_LOSS])
    start_failure = _union(rules, _START_FAILURES)
    other = frozenset[Decision]({"RETRY"}) if single_container else _union(rules, _OTHER_FAILURES)
    return RetryPlan(
        fail_exit_codes=tuple(code for code, decisions in by_code.items() if decisions == {"EXIT"}),
        retry_host_loss="RETRY" in host_loss,
        retry_start_failure="RETRY" in start_failure,
        retry_other_container="RETRY" in other,
        exact=all(len(decisions) == 1 for decisions in (*by_code.values(), host_loss, start_failure, other)),
    )


_EXITED = _Text(reasons.ESSENTIAL_CONTAINER_EXITED)
_NOT_STARTED = _Text(reasons.TASK_FAILED_TO_START)
_ANY = _Text("", open=True)
# More on a lost host is in the reason: whatever the control plane says of the eviction.
_HOST_LOSS = _Case(None, _ANY, _Text(reasons.HOST_TERMINATED_PREFIX, open=True))
_START_FAILURES = (
    _Case(None, _Text(reasons.CANNOT_PULL_PREFIX, open=True), _NOT_STARTED),
    _Case(None, _Text(reasons.CANNOT_START_PREFIX, open=True), _NOT_STARTED),
)
# An init container that failed before the main one, or a side container after the main one had succeeded.
_OTHER_FAILURES = (_Case(None, _ANY, _NOT_STARTED), _Case(0, _Text(""), _EXITED))


def _exit_cases(code: int) -> list[_Case]:
    """What may lie behind an exit code of the main container."""
    # The OOM killer takes any process of the container: the first one may then exit with a code of its own.
    cases = [_Case(code, _Text(""), _EXITED), _Case(code, _Text(reasons.OUT_OF_MEMORY), _EXITED)]
    if code == START_ERROR_CODE:
        cases.append(_Case(code, _Text(reasons.CANNOT_START_PREFIX, open=True), _NOT_STARTED))
    return cases


def _union(rules: Sequence[EvaluateOnExit], cases: Iterable[_Case]) -> frozenset[Decision]:
    return frozenset(decision for case in cases for decision in _possible(rules, case))


def _possible(rules: Sequence[EvaluateOnExit], case: _Case) -> set[Decision]:
    """The decisions that the unknown parts of the case may lead to; one when all is known."""
    found: set[Decision] = set()
    for rule in rules:
        matches = _match(rule, case)
        if False in matches:
            continue
        found.add("EXIT" if rule.action.upper() == "EXIT" else "RETRY")
        if None not in matches:
            return found
    found.add("RETRY")
    return found


def _match(rule: EvaluateOnExit, case: _Case) -> list[bool | None]:
    return [
        *_matches(rule.on_exit_code, _exit_code(case)),
        *_matches(rule.on_reason, case.reason),
        *_matches(rule.on_status_reason, case.status_reason),
    ]


def _exit_code(case: _Case) -> _Text | None:
    return None if case.exit_code is None else _Text(str(case.exit_code))


def _matches(pattern: str | None, text: _Text | None) -> list[bool | None]:
    """Whether the pattern matches, None when that is not known; nothing when there is no pattern."""
    if pattern is None:
        return []
    if text is None:
        return [False]
    is_prefix = pattern.endswith("*")
    wanted = pattern.removesuffix("*")
    if is_prefix and text.known.startswith(wanted):
        return [True]
    if text.open:
        return [None if wanted.startswith(text.known) else False]
    return [not is_prefix and text.known == wanted]
