"""What a coordination.k8s.io/v1 Lease says, and when a candidate may take it. Pure: time is a parameter.

Invariant: a candidate trusts no clock but its own. The times that stand in the object are for people; a lease has run
out when its record has not changed for its duration since this process first saw it so (as client-go does it).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

# A duration that stands in the object may be anybody's: nobody waits longer than this.
LONGEST_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """A Lease as it was read. No `holder`: it was given back."""

    holder: str
    duration_seconds: float
    transitions: int
    version: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """The latest record (None: there is no Lease), and from when on, by our clock, it may be taken from its holder."""

    record: LeaseRecord | None
    free_at: float


def read_lease(body: Mapping[str, Any], duration_seconds: float) -> LeaseRecord:
    """The record of an object of the API server; `duration_seconds` where it says none."""
    spec = body.get("spec") or {}
    duration = spec.get("leaseDurationSeconds") or duration_seconds
    return LeaseRecord(
        holder=spec.get("holderIdentity") or "",
        duration_seconds=min(float(duration), LONGEST_SECONDS),
        transitions=spec.get("leaseTransitions") or 0,
        version=body["metadata"]["resourceVersion"],
    )


def sight(before: Sighting | None, record: LeaseRecord | None, now: float) -> Sighting:
    """What is known once the Lease was read, or was not there, at `now`."""
    if record is None:
        # Deleted under its holder, who still works: it runs out as if it were there.
        return Sighting(None, before.free_at if before is not None else now)
    if not record.holder:
        return Sighting(record, now)
    if before is not None and before.record == record:
        return before
    return Sighting(record, now + record.duration_seconds)


def may_take(seen: Sighting, identity: str, now: float) -> bool:
    """Whether a candidate may write itself in as the holder."""
    is_ours = seen.record is not None and seen.record.holder == identity
    return is_ours or now >= seen.free_at


def claim(identity: str, duration_seconds: int, now: datetime, before: LeaseRecord | None) -> dict[str, Any]:
    """The `spec` of one who takes the lease."""
    changes = before is not None and before.holder != identity
    return {
        "holderIdentity": identity,
        "leaseDurationSeconds": duration_seconds,
        "acquireTime": micro_time(now),
        "renewTime": micro_time(now),
        "leaseTransitions": (before.transitions if before is not None else 0) + changes,
    }


def renewal(identity: str, duration_seconds: int, now: datetime) -> dict[str, Any]:
    """What its holder changes of the `spec`. All it stands for, in case somebody has changed that."""
    return {"holderIdentity": identity, "leaseDurationSeconds": duration_seconds, "renewTime": micro_time(now)}


def release(now: datetime) -> dict[str, Any]:
    """What its holder changes of the `spec` to give it back."""
    return {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": micro_time(now)}


def micro_time(now: datetime) -> str:
    """A `MicroTime` of the API."""
    return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
