"""Elements as people read them: the table of `list --array` and the page of `describe job:17`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from batchwright.cli.arrays import elements_of, size_of
from batchwright.cli.description import attempt_lines
from batchwright.cli.elements import Element, parameters_of
from batchwright.cli.formats import FINISHED, duration, moment, ordinal, parse_time, shorten
from batchwright.cli.output import Grid
from batchwright.cli.pagelines import labelled, listed, pairs
from batchwright.cli.words import pod_troubles
from batchwright.domain.indexes import Positions, contains, parse_indexes

JSON = dict[str, Any]
UNKNOWN: Final = "-"


def element_grid(elements: Sequence[Element], at: datetime, *, wide: bool = False) -> Grid:
    """One line an element."""
    titles = ["INDEX", "STATE", "ATTEMPTS", "EXIT", "REASON", "NODE", "STARTED", "DURATION"] + ["POD"] * wide
    rows = []
    for element in elements:
        container = element.last.get("container") or {}
        code = element.exit_code
        reason = "; ".join(element.reasons)
        row = [
            str(element.index),
            element.state,
            UNKNOWN if element.made is None else str(element.made),
            UNKNOWN if code is None else str(code),
            reason if wide else shorten(reason),
            container.get("nodeName") or UNKNOWN,
            _clock(element.last.get("startedAt")),
            took(element, at),
        ]
        rows.append(row + [container.get("podName") or UNKNOWN] * wide)
    return Grid(titles, rows)


def took(element: Element, at: datetime) -> str:
    """How long the last attempt took, or has taken."""
    started = parse_time(element.last.get("startedAt"))
    stopped = parse_time(element.last.get("stoppedAt"))
    if started is None or (stopped is None and element.state in FINISHED):
        return UNKNOWN
    return duration(((stopped or at) - started).total_seconds())


def element_page(element: Element, at: datetime) -> str:
    """All about one element."""
    job, index = element.job, element.index
    metadata = job["metadata"]
    lines = [
        labelled("Name", element.name),
        labelled("Namespace", metadata["namespace"]),
        labelled("Job ID", f"{metadata['uid']}:{index}"),
        labelled("State", element.state),
        *listed("Why", _why(element)),
        labelled("Array", _place(job, index)),
    ]
    parameters = parameters_of(job, index)
    if parameters is None:
        source = job["spec"]["arrayProperties"]["items"]["configMap"]
        lines.append(
            labelled("Parameters", f"item {index} of ConfigMap {source['name']}, key {source.get('key', 'items')}")
        )
    else:
        lines += listed("Parameters", pairs(parameters))
    if element.last.get("startedAt"):
        lines.append(labelled("Started", moment(element.last["startedAt"], at)))
    if element.last.get("stoppedAt"):
        lines.append(labelled("Stopped", moment(element.last["stoppedAt"], at)))
    lines += _requests(job, index)
    return "\n".join(lines + _attempts(element))


def _why(element: Element) -> list[str]:
    name = element.job["metadata"]["name"]
    match element.state:
        case "PENDING":
            reasons = ["It waits for other elements or jobs: see Depends on of `batchwright describe " + name + "`."]
        case "RUNNABLE" if element.attempts:
            reasons = [f"Its {ordinal(element.attempts[-1].number + 1)} attempt is about to be made."]
        case "RUNNABLE":
            reasons = ["It waits for room, or for elements before it to make room."]
        case "STARTING":
            reasons = ["Its pod is being started.", *pod_troubles(element.pods)]
        case _:
            reasons = []
    code = [f"exit code {element.exit_code}"] if element.exit_code else []
    return reasons + ([", ".join([*element.reasons, *code])] if element.state in FINISHED and element.reasons else [])


def _place(job: JSON, index: int) -> str:
    size, there = size_of(job), elements_of(job)
    whole = f"element {index} of {job['metadata']['name']}" + (f", 0 to {size - 1}" if size else "")
    if there is None or (size and there == ((0, size - 1),)):
        return whole
    return f"{whole} (the {ordinal(Positions(there).position(index) + 1)} of those this job runs)"


def _requests(job: JSON, index: int) -> list[str]:
    return [
        labelled(f"{verb.capitalize()} asked", request["reason"])
        for verb in ("cancel", "terminate")
        for request in job["spec"].get(f"{verb}Elements") or ()
        if contains(parse_indexes(request["indexes"]), index)
    ]


def _attempts(element: Element) -> list[str]:
    if element.attempts:
        return attempt_lines([(each.number, each.entry) for each in element.attempts])
    if element.state in FINISHED and element.made is None:
        return [labelled("Attempts", "(its pods are gone, and what they told with them)")]
    return []


def _clock(text: str | None) -> str:
    when = parse_time(text)
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if when else UNKNOWN
