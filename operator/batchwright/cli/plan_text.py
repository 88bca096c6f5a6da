"""What `plan` and `queue top` print: a rehearsal as records, and records as tables. Pure.

Hazard: this imports the scheduler, which takes a while; verbs import it when they run.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from batchwright.cli.facts import Position
from batchwright.cli.formats import duration
from batchwright.cli.output import Grid
from batchwright.cli.pagelines import labelled
from batchwright.controllers.rehearsal import Rehearsal
from batchwright.scheduling.explain import describe, explain
from batchwright.scheduling.standing import Standing, standings

JSON = dict[str, Any]
# A forecast makes passes; nobody wants to wait for the last of them.
MOST_SECONDS: Final = 5.0


def plan_record(rehearsal: Rehearsal, namespace: str | None) -> JSON:
    """What the next pass would do with the jobs of a namespace, or of all (None). What makes room is shown where
    either the one or the other job is of the namespace."""
    made = rehearsal.plan

    def shows(uid: str) -> bool:
        return namespace is None or rehearsal.entry(uid).job.namespace == namespace

    starts = [
        {
            **job_of(rehearsal, start.uid),
            "queue": rehearsal.entry(start.uid).job.spec.job_queue,
            "computeEnvironment": start.environment,
            "count": start.count,
        }
        for start in made.starts
        if shows(start.uid)
    ]
    preemptions = [
        {**job_of(rehearsal, each.uid), "count": each.count, "for": job_of(rehearsal, each.by), "why": each.why}
        for each in made.preempts
        if shows(each.uid) or shows(each.by)
    ]
    firsts = {queue: uid for queue, uid in sorted(made.firsts.items()) if shows(uid)}
    expected = expected_starts(rehearsal, firsts.values())
    waiting = [
        {"queue": queue, **job_of(rehearsal, uid), **wait_of(rehearsal, queue, uid, expected)}
        for queue, uid in firsts.items()
    ]
    return {"starts": starts, "preemptions": preemptions, "waiting": waiting}


def job_of(rehearsal: Rehearsal, uid: str) -> JSON:
    """Which job it is."""
    job = rehearsal.entry(uid).job
    return {"namespace": job.namespace, "job": job.name, "jobId": uid}


def wait_of(rehearsal: Rehearsal, queue: str, uid: str, expected: Mapping[str, float]) -> JSON:
    """Why a job waits, and when it is to start, at the latest or as expected, where that is known; of one that starts
    now, where."""
    made, pinned, start = rehearsal.plan, rehearsal.entry(uid).pinned, rehearsal.starts.get(uid)
    kind = made.waits.kind_of(uid)
    text = f"{start.count} to start in the next pass, in ComputeEnvironment {start.environment}" if start else ""
    if kind is None or pinned is None or pinned.shape is None:
        return {"kind": "STARTS", "reason": text, "forecast": None, "forecastKind": None}
    told = explain(made.waits[uid], pinned.shape, queue)
    reason = f"{text}; the rest: {told}" if text else told
    return {"kind": kind.name, "reason": reason, **_forecast(rehearsal, queue, uid, expected)}


def _forecast(rehearsal: Rehearsal, queue: str, uid: str, expected: Mapping[str, float]) -> JSON:
    """When it is expected to start; failing that, by when the node that is kept for it has room, if all that has to end
    there runs its full time."""
    kept = rehearsal.state.reservations.get(queue)
    at = expected.get(uid)
    if uid in rehearsal.starts:
        return {"forecast": None, "forecastKind": None}
    if at is not None:
        return {"forecast": _moment(at), "forecastKind": "EXPECTED"}
    if kept is not None and kept[0] == uid:
        return {"forecast": _moment(kept[2]), "forecastKind": "LATEST"}
    return {"forecast": None, "forecastKind": None}


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def expected_starts(rehearsal: Rehearsal, uids: Collection[str]) -> dict[str, float]:
    """Forecasts, as far as they come in the time that a person waits."""
    until = time.monotonic() + MOST_SECONDS
    return rehearsal.forecast(uids, lambda: time.monotonic() > until)


def queue_records(rehearsal: Rehearsal, queue: str, limit: int) -> tuple[list[JSON], int]:
    """The first of those that wait in a queue, and how many wait in all."""
    line = list(islice(standings(rehearsal.state, queue, rehearsal.at.timestamp()), limit))
    expected = expected_starts(rehearsal, {each.candidate.uid for each in line})
    return [_queue_record(rehearsal, queue, each, expected) for each in line], _length(rehearsal, queue)


def _length(rehearsal: Rehearsal, queue: str) -> int:
    found = rehearsal.state.waiting.get(queue)
    return 0 if found is None else len(found)


def _queue_record(rehearsal: Rehearsal, queue: str, standing: Standing, expected: Mapping[str, float]) -> JSON:
    one = standing.candidate
    return {
        "position": standing.position,
        **job_of(rehearsal, one.uid),
        "share": one.share or None,
        "priority": one.priority,
        "count": one.count,
        "asks": describe(one.shape.resources),
        "aheadInShare": standing.ahead,
        **wait_of(rehearsal, queue, one.uid, expected),
    }


def plan_page(record: JSON, *, namespaces: bool) -> str:
    """The plan as tables, without a trailing line end."""
    sections = []
    if record["starts"]:
        starts = [(_job(each, namespaces), each["computeEnvironment"], str(each["count"])) for each in record["starts"]]
        sections.append("Starts:\n" + Grid(("JOB", "ENVIRONMENT", "COUNT"), starts).plain())
    else:
        sections.append("nothing to start")
    if record["preemptions"]:
        preempted = [
            (_job(each, namespaces), str(each["count"]), _job(each["for"], namespaces), str(each["why"]))
            for each in record["preemptions"]
        ]
        sections.append("Preempts:\n" + Grid(("JOB", "COUNT", "FOR", "WHY"), preempted).plain())
    if record["waiting"]:
        waits = [
            (str(each["queue"]), _job(each, namespaces), str(each["kind"]), str(each["reason"]))
            for each in record["waiting"]
        ]
        sections.append("Waits first:\n" + Grid(("QUEUE", "JOB", "KIND", "REASON"), waits).plain())
    return "\n\n".join(sections)


def queue_grid(records: Sequence[JSON], at: datetime) -> Grid:
    """The line of a queue."""
    titles = ("POSITION", "JOB", "SHARE", "PRIORITY", "ASKS", "AHEAD", "FORECAST", "KIND", "REASON")
    return Grid(titles, [_row(each, at) for each in records])


def _row(each: JSON, at: datetime) -> tuple[str, ...]:
    asks = each["asks"] if each["count"] == 1 else f"{each['count']} × {each['asks']}"
    return (
        str(each["position"]),
        _job(each, True),
        each["share"] or "-",
        str(each["priority"]),
        asks,
        str(each["aheadInShare"]),
        forecast_text(each, at),
        each["kind"],
        each["reason"],
    )


def forecast_text(record: JSON, at: datetime) -> str:
    """How far off a forecast start is, and whether that is to be relied on."""
    if record["forecast"] is None:
        return "-"
    far = duration(max(0.0, (datetime.fromisoformat(record["forecast"]) - at).total_seconds()))
    return f"within {far}" if record["forecastKind"] == "LATEST" else f"about {far}"


def standing_of(rehearsal: Rehearsal, queue: str, uid: str) -> tuple[Position, list[str]] | None:
    """The job's place in its queue, and lines about it; None if it does not wait there."""
    line = standings(rehearsal.state, queue, rehearsal.at.timestamp())
    found = next((each for each in line if each.candidate.uid == uid), None)
    if found is None:
        return None
    length = _length(rehearsal, queue)
    share = f" in its share, {found.candidate.share}" if found.candidate.share else ""
    lines = [labelled("Position", f"{found.position} of {length}"), labelled("Ahead", f"{found.ahead}{share}")]
    told = wait_of(rehearsal, queue, uid, expected_starts(rehearsal, {uid}))
    if told["forecast"] is not None:
        lines.append(labelled("Forecast", f"starts {forecast_text(told, rehearsal.at)}"))
    return Position(found.position, length), lines


def _job(each: JSON, namespaces: bool) -> str:
    return f"{each['namespace']}/{each['job']}" if namespaces else str(each["job"])
