"""jobStateTimeLimitActions: how long a job has been blocked for one reason, and whether that is too long.

The API's limits are for a job at the head of its queue, which is the caller's to know: for any other it says None.

Invariants: only what blocks a job now ends it; a reason that comes and goes keeps its time, a reason that has been
gone for DEBOUNCE_SECONDS starts anew.
Hazards: between two calls of `seen` the first answer is taken to have held, since the scheduler looks whenever
something changes. The record lives in memory: after a restart the time starts anew, which errs on the side of the job.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

from batchwright.scheduling.snapshot import WaitKind

# AWS Batch User Guide, "Jobs stuck in RUNNABLE": the reasons an action may name.
INSUFFICIENT_CAPACITY: Final = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
ENVIRONMENT_MAXIMUM: Final = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"
RESOURCE_REQUIREMENT: Final = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
REASONS: Final = (INSUFFICIENT_CAPACITY, ENVIRONMENT_MAXIMUM, RESOURCE_REQUIREMENT)

# What a wait is called by them; what is not here is nobody's misconfiguration, and passes.
BY_KIND: Final = {
    WaitKind.NO_ROOM: INSUFFICIENT_CAPACITY,
    WaitKind.AT_MAXIMUM: INSUFFICIENT_CAPACITY,
    WaitKind.NO_NODES: INSUFFICIENT_CAPACITY,
    WaitKind.INSUFFICIENT: INSUFFICIENT_CAPACITY,
    WaitKind.OVER_MAXIMUM: ENVIRONMENT_MAXIMUM,
    WaitKind.NEVER_FITS: RESOURCE_REQUIREMENT,
    WaitKind.TOO_FEW: RESOURCE_REQUIREMENT,
    WaitKind.UNSUITABLE: RESOURCE_REQUIREMENT,
}

# A node that boots, or one look at a cache that is a moment behind, makes a reason flicker; AWS's own verdicts do so
# while an instance comes up, and clients have cancelled jobs for it.
DEBOUNCE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """One action of a queue: what becomes of a job that the reason has blocked for `seconds`."""

    reason: str
    seconds: int
    action: Literal["CANCEL", "TERMINATE"] = "CANCEL"


@dataclass(frozen=True, slots=True)
class Blocked:
    """What blocks a job, None for nothing an action may name, and since when.

    While something else is seen, but not yet for long enough to count: `other` (None again for nothing) since
    `other_since`, and `away_since` is when `reason` was first missed. All of these are None while `reason` is seen.
    """

    reason: str | None
    since: float
    other: str | None = None
    other_since: float | None = None
    away_since: float | None = None


def seen(before: Blocked | None, reason: str | None, now: float) -> Blocked:
    """The record after a look that saw this reason; `before` is None on the first look."""
    if before is None:
        return Blocked(reason, now)
    settled = _settled(before, now)
    if reason == settled.reason:
        return Blocked(reason, settled.since)
    if settled.reason is None:
        return Blocked(reason, now)
    if settled.away_since is None:
        return replace(settled, other=reason, other_since=now, away_since=now)
    if reason == settled.other:
        return settled
    return replace(settled, other=reason, other_since=now)


def _settled(blocked: Blocked, now: float) -> Blocked:
    """The record in which what has been seen for long enough instead of the reason has taken its place."""
    if blocked.away_since is None or blocked.other_since is None or now - blocked.away_since < DEBOUNCE_SECONDS:
        return blocked
    return Blocked(blocked.other, blocked.other_since)


def due(limits: Iterable[TimeLimit], blocked: Blocked | None, now: float) -> TimeLimit | None:
    """The limit that the job has exceeded, the shortest if several; None also while the reason is away."""
    limit = _shortest(limits, blocked)
    if limit is None or blocked is None or now - blocked.since < limit.seconds:
        return None
    return limit


def next_due(limits: Iterable[TimeLimit], blocked: Blocked | None) -> float | None:
    """When the job exceeds a limit if the reason stays; None when none applies."""
    limit = _shortest(limits, blocked)
    return blocked.since + limit.seconds if limit and blocked else None


def _shortest(limits: Iterable[TimeLimit], blocked: Blocked | None) -> TimeLimit | None:
    if blocked is None or blocked.reason is None or blocked.away_since is not None:
        return None
    applying = (limit for limit in limits if limit.reason == blocked.reason)
    return min(applying, key=lambda limit: limit.seconds, default=None)


def text(limit: TimeLimit) -> str:
    """The statusReason of a job that was ended so; clients match it."""
    return f"Canceled by JobStateTimeLimit action due to reason: {limit.reason}"
