"""Conditions that keep their transition time while nothing changes (Kubernetes API conventions, typical status)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from batchwright.api.v1alpha1 import BatchJobStatus
from batchwright.api.v1alpha1.common import Condition
from batchwright.domain.texts import bounded, timestamp
from batchwright.names import CONDITION_READY, CONDITION_SCHEDULED, CONDITION_STALLED, WAITING


def ready(
    held: Mapping[str, Any], generation: int, now: datetime, *, is_ready: bool, reason: str, message: str
) -> Condition:
    """The Ready condition; `held` is the status the API server has, whose time is kept if the verdict is the same."""
    return verdict(CONDITION_READY, held, generation, now, holds=is_ready, reason=reason, message=message)


def stalled(
    held: Mapping[str, Any], generation: int, now: datetime, *, is_stalled: bool, reason: str, message: str
) -> tuple[Condition, ...]:
    """The condition Stalled, where it holds: waiting does not help."""
    if not is_stalled:
        return ()
    return (verdict(CONDITION_STALLED, held, generation, now, holds=True, reason=reason, message=message),)


def verdict(
    kind: str, held: Mapping[str, Any], generation: int, now: datetime, *, holds: bool, reason: str, message: str
) -> Condition:
    """As `ready`, for a condition of any type."""
    says = "True" if holds else "False"
    before = next((c for c in held.get("conditions") or () if c.get("type") == kind), None)
    same = before is not None and before.get("status") == says
    return Condition(
        type=kind,
        status="True" if holds else "False",
        reason=reason,
        message=bounded(message),
        last_transition_time=before["lastTransitionTime"] if same and before else timestamp(now),
        observed_generation=generation,
    )


def unscheduled(
    status: BatchJobStatus, reason: str, message: str, now: datetime, held: tuple[Condition, ...] = ()
) -> BatchJobStatus:
    """The status with the condition that says why the scheduler has the job wait; as it is where it has not said.
    `held` are the conditions the job had, whose time is kept."""
    if not message:
        return status
    before = next((each for each in held if each.type == CONDITION_SCHEDULED), None)
    condition = Condition(
        type=CONDITION_SCHEDULED,
        status="False",
        reason=reason or WAITING,
        message=bounded(message),
        last_transition_time=before.last_transition_time if before is not None else timestamp(now),
        observed_generation=status.observed_generation,
    )
    return status.model_copy(update={"status_reason": condition.message, "conditions": (condition,)})
