"""The part of `describe` that is about an array: its elements by state, what failed and how. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from batchwright.cli.arrays import elements_of, ended, failures, is_array, short_runs, size_of, summary_of
from batchwright.cli.facts import Dependency, Facts
from batchwright.cli.formats import duration, parse_time, shorten
from batchwright.cli.output import Grid
from batchwright.cli.pagelines import indented, labelled, listed
from batchwright.domain.indexes import count, parse_indexes

JSON = dict[str, Any]
MOST_NAMES = 8


def array_lines(job: JSON, at: datetime) -> list[str]:
    """All about the elements together; nothing for a job that is no array."""
    if not is_array(job):
        return []
    properties = job["spec"]["arrayProperties"]
    size = size_of(job)
    limit = f", at most {properties['maxConcurrency']} at a time" if properties.get("maxConcurrency") else ""
    lines = [labelled("Array", f"{size} elements{limit}" if size else f"as many elements as there are items{limit}")]
    if properties.get("indexes"):
        there = elements_of(job) or ()
        lines.append(labelled("Runs only", f"{short_runs(there)} ({count(there)} of them)"))
    if properties.get("items"):
        lines.append(labelled("Items", items_text(properties["items"])))
    counts = summary_of(job)
    if sum(counts.values()):
        lines.append(labelled("Elements", ", ".join(f"{number} {state}" for state, number in counts.items())))
        seen = parse_time((job["status"]["arrayProperties"]).get("statusSummaryLastUpdatedAt"))
        lines += [labelled("Counted", f"{duration((at - seen).total_seconds())} ago")] if seen else []
    for state in ("SUCCEEDED", "FAILED"):
        if ended(job, state):
            lines.append(labelled(state.capitalize(), short_runs(ended(job, state))))
    for verb in ("cancel", "terminate"):
        asked = [f"{request['indexes']}: {request['reason']}" for request in job["spec"].get(f"{verb}Elements") or ()]
        lines += listed(f"{verb.capitalize()} asked", asked)
    return lines + _failures(job)


def items_text(items: JSON) -> str:
    """Where the elements' parameters come from, in short."""
    if items.get("list"):
        names = list(items["list"][0])
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        return f"a list of {len(items['list'])}, each with {', '.join(names[:MOST_NAMES])}{more}"
    if items.get("matrix"):
        return " × ".join(f"{len(axis['values'])} {axis['name']}" for axis in items["matrix"])
    return f"ConfigMap {items['configMap']['name']}, key {items['configMap'].get('key', 'items')}"


def _failures(job: JSON) -> list[str]:
    rows = []
    for group in failures(job):
        runs = parse_indexes(group["indexes"])
        code = group.get("exitCode")
        reasons = [text for text in (group.get("statusReason"), group.get("reason")) if text]
        shown = "-" if code is None else str(code)
        rows.append((str(count(runs)), shown, short_runs(runs, 40), shorten("; ".join(reasons), 120)))
    return ["Failures:", *indented(Grid(("COUNT", "EXIT", "INDEXES", "REASON"), rows))] if rows else []


def explain_array(facts: Facts, troubles: Sequence[str]) -> list[str]:
    """Where the elements of an unfinished array are, and what they wait for. `troubles` are those of its pods."""
    counts = summary_of(facts.job)
    waited = [each for each in facts.dependencies if each.is_open]
    sentences = []
    if counts["PENDING"] or (not sum(counts.values()) and waited):
        sentences.append(_waits(counts["PENDING"], waited))
    if counts["RUNNABLE"]:
        limit = facts.job["spec"]["arrayProperties"].get("maxConcurrency")
        most = f", of which at most {limit} run at a time" if limit else ""
        sentences.append(
            f"{_elements(counts['RUNNABLE'], 'wait')} for room in queue {facts.job['spec']['jobQueue']}{most}."
        )
    if counts["STARTING"]:
        sentences.append(f"{_elements(counts['STARTING'], 'are', 'is')} being started.")
    if counts["RUNNING"]:
        sentences.append(f"{_elements(counts['RUNNING'], 'run')}.")
    return sentences + list(troubles)[:3]


def _waits(number: int, dependencies: Sequence[Dependency]) -> str:
    who = _elements(number, "wait") if number else "It waits"
    named = [f"{each.name} ({each.state or 'no such job yet'})" for each in dependencies[:10]]
    more = f" and {len(dependencies) - 10} more" if len(dependencies) > 10 else ""
    return f"{who} for {', '.join(named)}{more}." if named else f"{who} for elements before them."


def _elements(number: int, plural: str, singular: str | None = None) -> str:
    return f"{number} elements {plural}" if number != 1 else f"1 element {singular or plural + 's'}"
