"""What the operator logged, as records, and which of them tell of an error that somebody has to hear of elsewhere.

The operator of a run logs JSON, a line each; kopf's and Python's own lines are no records.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

DEFECTS = ("decision failed", "task failed", "reconcile failed")
CATCHERS = ("kopf", "asyncio")
# kopf says at level error what it tries again, too.
RETRIED = "; will re"
LAST = 600
CLOSED = "ApiClient is not open"
TRACEBACK = "Traceback (most recent call last):"
# By which keys a line says what it is about. `job` is also that of a line within the work on a job.
SUBJECTS = ("name", "job", "pod", "environment")
# What passes by itself, and what is no error at all: the operator tries again, or goes by what it finds.
PASSING = frozenset(
    {"ApiUnavailable", "Throttled", "Conflict", "AlreadyExists", "Gone", "NotFound", "NotLeading", "LeadershipLost"}
)
# It tells of an event that was refused: there is no use in telling it by another.
NO_EVENT_FOR = "event not posted"


@dataclass(frozen=True)
class Told:
    """An error about an object: what the operator was at, the names of what it is about (a pod, and its job), and the
    error's own words."""

    what: str
    namespace: str
    names: tuple[str, ...]
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
        if record["level"] == "error" and _tells_of_a_defect(record) and CLOSED not in str(record)
    ]


def _tells_of_a_defect(record: dict[str, Any]) -> bool:
    """Of ours, or of one that kopf or asyncio had to catch: our own lines say no logger."""
    is_caught = str(record.get("logger", "")).split(".")[0] in CATCHERS
    return record["event"] in DEFECTS or (is_caught and RETRIED not in record["event"])


def tracebacks(log: str) -> list[str]:
    """The ends of the tracebacks that Python itself wrote, as it does when a process ends by what nobody caught; not
    those of a client that was closed meanwhile, as in `defects`."""
    found: list[list[str]] = []
    is_within = False
    for line in log.splitlines():
        if not is_within and not line.startswith("{") and TRACEBACK in line:
            found.append([])
        is_within = not line.startswith("{") and (is_within or TRACEBACK in line)
        if is_within:
            found[-1].append(line)
    whole = ("\n".join(lines) for lines in found)
    return [text[-LAST:] for text in whole if CLOSED not in text]


def errors_to_be_said(log: str) -> set[Told]:
    """The errors about objects that do not pass by themselves: whom they concern does not read the operator's log."""
    return {
        Told(record["event"], record.get("namespace") or "", names, str(record.get("error", "")))
        for record in records(log)
        if record["level"] in ("error", "warning")
        and (names := tuple(str(record[key]) for key in SUBJECTS if record.get(key)))
        and record.get("cause") not in PASSING
        and record["event"] != NO_EVENT_FOR
        and not (record["event"] in DEFECTS and record["level"] == "error")
    }
