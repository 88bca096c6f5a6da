"""podFailurePolicy of a Job (KEP-3329): what happens after a failed attempt, as far as Job rules can say it.

The first rule that matches decides; FailIndex ends the element, Count takes one of its attempts, and so does a failure
no rule matches. Conditions come before exit codes: a pod that was ended has an exit code too, which means nothing then.
"""

from __future__ import annotations

from typing import Any

from batchwright import names
from batchwright.domain.retry import EXIT_CODES, RetryPlan
from batchwright.workloads.shapes import Wire

_HOST_LOST = (names.POD_CONDITION_DISRUPTED, names.POD_CONDITION_HOST_CHARGED)
_ELEMENT_ENDS = (names.POD_CONDITION_DEPENDENCY_FAILED, names.POD_CONDITION_TERMINATED)


def build_failure_policy(
    plan: RetryPlan, attempts: int, main_container: str, *, is_array: bool = False, is_gang: bool = False
) -> Wire:
    """The policy for a job of `attempts`, whose attempts end as the container `main_container` does.

    An element of an array can end alone: its dependency failed, or it was terminated. The main node of a multi-node
    job is ended where another node's failure fails the attempt; and a lost machine costs it no attempt, unless
    evaluateOnExit says so: all of its nodes wait for room again.
    """
    is_host_loss_final = attempts > 1 and not plan.retry_host_loss
    rules: list[Wire] = [
        # AWS Batch User Guide, quota shares: what was preempted goes back to the queue, and is charged no attempt.
        # Nor is what was lost with its instance, where evaluateOnExit says nothing of that.
        _conditions("Ignore", names.POD_CONDITION_PREEMPTED, names.POD_CONDITION_HOST_ENDED),
        *([_condition(condition, retried=False) for condition in _ELEMENT_ENDS] if is_array else []),
        _condition(names.POD_CONDITION_TIMEOUT, retried=False),
        _condition(names.POD_CONDITION_NO_RETRY, retried=False),
        *([_condition(names.POD_CONDITION_NODE_FAILED, retried=True)] if is_gang else []),
        *_host_loss(plan, is_ignored=is_gang and not is_host_loss_final),
        _condition(names.POD_CONDITION_START_FAILED, retried=plan.retry_start_failure),
    ]
    # With one attempt every failure is the last, whatever its reason or code: what is ignored has to be said, and what
    # comes before that.
    if attempts > 1:
        rules += _exit_codes(plan, main_container)
    else:
        while rules[-1]["action"] != "Ignore":
            rules.pop()
    return {"rules": rules}


def _condition(*conditions: str, retried: bool) -> Wire:
    return _conditions("Count" if retried else "FailIndex", *conditions)


def _conditions(action: str, *conditions: str) -> Wire:
    return {"action": action, "onPodConditions": [{"type": each, "status": "True"} for each in conditions]}


def _host_loss(plan: RetryPlan, *, is_ignored: bool) -> list[Wire]:
    if not is_ignored:
        return [_condition(*_HOST_LOST, retried=plan.retry_host_loss)]
    charged = _condition(names.POD_CONDITION_HOST_CHARGED, retried=plan.retry_host_loss)
    return [_conditions("Ignore", names.POD_CONDITION_DISRUPTED), charged]


def _exit_codes(plan: RetryPlan, main_container: str) -> list[Wire]:
    rules: list[Wire] = []
    if plan.fail_exit_codes:
        rules.append(_exit_code("FailIndex", _codes(plan.fail_exit_codes), main_container))
    if not plan.retry_other_container:
        # What the main container said comes first; then whichever container failed.
        rules.append(_exit_code("Count", _ANY_FAILURE, main_container))
        rules.append(_exit_code("FailIndex", _ANY_FAILURE, None))
    return rules


# Containers that exited with 0 are not looked at; NotIn takes a 0 and wants at least one value.
_ANY_FAILURE: dict[str, Any] = {"operator": "NotIn", "values": [0]}


def _codes(codes: tuple[int, ...]) -> dict[str, Any]:
    """The shorter way to say the codes: "every code" takes 255 values by In, and one by NotIn."""
    others = sorted(set(EXIT_CODES).difference(codes))
    if len(codes) <= len(others):
        return {"operator": "In", "values": list(codes)}
    return {"operator": "NotIn", "values": others} if others else _ANY_FAILURE


def _exit_code(action: str, requirement: dict[str, Any], container: str | None) -> Wire:
    named = {} if container is None else {"containerName": container}
    return {
        "action": action,
        "onExitCodes": {**named, "operator": requirement["operator"], "values": list(requirement["values"])},
    }
