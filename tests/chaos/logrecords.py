"""What the operator logged, as records, and which of them tell of an error that somebody has to hear of elsewhere.

The operator of a run logs JSON, a line each; kopf's and Python's own lines are no records.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

DEFECTS = ("decision failed", "task failed", "reconcile failed")
# What passes by itself, and what is no error at all: the operator tries again, or goes by what it finds.
PASSING = frozenset(
    {"ApiUnavailable", "Throttled", "Conflict", "AlreadyExists", "Gone", "NotFound", "NotLeading", "LeadershipLost"}
)
# It tells of an event that was refused: there is no use in telling it by another.
NO_EVENT_FOR = "event not posted"


@dataclass(frozen=True)
class Told:
    """An error about an object: what the operator was at, the object's name, and the error's own words."""

    what: str
    namespace: str
    name: str
    error: str


def records(log: str) -> Iterator[dict[str, Any]]:
    """The records of a log, in order."""
    for line in log.splitlines():
        if not line.startswith("{"):
            continue
        try:
            found = orjson.loads(line)
        except orjson.JSONDecodeError:
            # The operator was killed as it wrote it.
            continue
        if isinstance(found, dict) and "event" in found:
            yield found


def defects(log: str) -> list[str]:
    """What tells of a defect of the operator's own, in a process that goes on. (One that ends closes its client under
    the tasks that are left; how often it ended is counted apart.)"""
    return [
        f"{record['event']}: {record.get('exception') or record.get('error') or record}"[-600:]
        for record in records(log)
        if record["event"] in DEFECTS and record["level"] == "error" and "ApiClient is not open" not in str(record)
    ]


def errors_to_be_said(log: str) -> set[Told]:
    """The errors about objects that do not pass by themselves: whom they concern does not read the operator's log."""
    return {
        Told(record["event"], record.get("namespace") or "", record["name"], str(record.get("error", "")))
        for record in records(log)
        if record["level"] in ("error", "warning")
        and "name" in record
        and record.get("cause") not in PASSING
        and record["event"] != NO_EVENT_FOR
        and not (record["event"] in DEFECTS and record["level"] == "error")
    }
