"""Facts of objects as short text: ages, sizes, states. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

JSON = dict[str, Any]

STATES: Final = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")
FINISHED: Final = frozenset({"SUCCEEDED", "FAILED"})
STARTED: Final = frozenset({"STARTING", "RUNNING"})
WAITING: Final = frozenset({"SUBMITTED", "PENDING", "RUNNABLE"})
REASON_WIDTH: Final = 40

STYLES: Final[Mapping[str, str]] = {
    "SUBMITTED": "dim",
    "PENDING": "magenta",
    "RUNNABLE": "yellow",
    "STARTING": "blue",
    "RUNNING": "cyan",
    "SUCCEEDED": "green",
    "FAILED": "red",
    "VALID": "green",
    "UPDATING": "blue",
    "DELETING": "dim",
    "ACTIVE": "green",
    "INVALID": "red",
    "INACTIVE": "dim",
    "DISABLED": "yellow",
}


def state_of(job: JSON) -> str:
    """The job's state; a job the operator has not looked at yet is SUBMITTED, as in AWS."""
    return str((job.get("status") or {}).get("state") or "SUBMITTED")


def reason_of(job: JSON) -> str:
    """The job's statusReason, or nothing."""
    return str((job.get("status") or {}).get("statusReason") or "")


def attempts_of(job: JSON) -> int:
    """Attempts so far, one that is under way included."""
    status = job.get("status") or {}
    attempts = status.get("attempts") or ()
    # Between an attempt's end and the job's, the last attempt is recorded and the state is still RUNNING.
    started_at = status.get("startedAt")
    has_ended = state_of(job) == "RUNNING" and any(
        each.get("startedAt") == started_at for each in attempts if started_at
    )
    return len(attempts) + (1 if state_of(job) in STARTED and not has_ended else 0)


def definition_of(job: JSON) -> str:
    """The pinned `name:revision`, or what was asked for while nothing is pinned."""
    return str((job.get("status") or {}).get("jobDefinition") or job["spec"]["jobDefinition"])


def parse_time(text: str | None) -> datetime | None:
    """An RFC 3339 time of the API, or None."""
    return datetime.fromisoformat(text) if text else None


def now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


def duration(seconds: float) -> str:
    """A span as kubectl prints ages: 45s, 12m, 3h20m, 5d, at most two units."""
    whole = max(0, int(seconds))
    if whole < 120:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 10:
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    if minutes < 120:
        return f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 10:
        return f"{hours}h{minutes}m" if minutes else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    return f"{hours // 24}d"


def age(item: JSON, at: datetime) -> str:
    """How long ago an object was made."""
    created = parse_time(item["metadata"].get("creationTimestamp"))
    return duration((at - created).total_seconds()) if created else "<unknown>"


def elapsed(job: JSON, at: datetime) -> str:
    """How long a job took, or has taken: from its submission to its end or to `at`."""
    status = job.get("status") or {}
    begun = parse_time(job["metadata"].get("creationTimestamp"))
    ended = parse_time(status.get("stoppedAt")) if state_of(job) in FINISHED else None
    return duration(((ended or at) - begun).total_seconds()) if begun else ""


def moment(text: str | None, at: datetime) -> str:
    """A time with how long ago it was."""
    when = parse_time(text)
    if when is None:
        return "-"
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC ({duration((at - when).total_seconds())} ago)"


def shorten(text: str, width: int = REASON_WIDTH) -> str:
    """One line of at most `width` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= width else flat[: width - 1].rstrip() + "…"


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th …"""
    if 10 <= number % 100 <= 20:
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def count_states(jobs: Iterable[JSON]) -> dict[str, int]:
    """Jobs per state, every state present."""
    counts = dict.fromkeys(STATES, 0)
    for job in jobs:
        counts[state_of(job)] += 1
    return counts


def by_arrival(job: JSON) -> tuple[str, str]:
    """The order of a queue: creation time, then uid."""
    return job["metadata"]["creationTimestamp"], job["metadata"]["uid"]


def newest_first(jobs: Iterable[JSON]) -> list[JSON]:
    """As AWS lists jobs."""
    return sorted(jobs, key=by_arrival, reverse=True)
