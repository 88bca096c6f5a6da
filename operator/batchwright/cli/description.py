"""The text of `describe`: everything about a job on one page. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from batchwright.cli.array_text import array_lines
from batchwright.cli.facts import Dependency, Facts, event_time
from batchwright.cli.formats import (
    FINISHED,
    WAITING,
    definition_of,
    duration,
    elapsed,
    moment,
    parse_time,
    shorten,
    state_of,
)
from batchwright.cli.output import Grid
from batchwright.cli.pagelines import indented, labelled, listed, pairs
from batchwright.cli.usage_text import usage_lines
from batchwright.cli.words import explain

JSON = dict[str, Any]


def describe(facts: Facts, at: datetime) -> str:
    """The page, without a trailing line end."""
    sections = [_head(facts, at), _spec(facts), _dependencies(facts), array_lines(facts.job, at)]
    sections += [_attempts(facts), _conditions(facts, at)]
    sections += [_events(facts, at)]
    if facts.unreadable:
        sections.append([f"(not shown, for they cannot be read: {', '.join(facts.unreadable)})"])
    return "\n".join(line for section in sections for line in section)


def _head(facts: Facts, at: datetime) -> list[str]:
    job = facts.job
    metadata, status, state = job["metadata"], job.get("status") or {}, state_of(job)
    lines = [
        labelled("Name", metadata["name"]),
        labelled("Namespace", metadata["namespace"]),
        labelled("Job ID", metadata["uid"]),
        labelled("State", state),
    ]
    lines += listed("Why", explain(facts, at))
    environment = status.get("computeEnvironment")
    lines += [
        labelled("Queue", job["spec"]["jobQueue"]),
        *facts.standing,
        labelled("Definition", definition_of(job)),
        labelled("Environment", environment or "(none yet)"),
        labelled("Kubernetes Job", status.get("jobName") or "(none)"),
        labelled("Submitted", moment(status.get("createdAt") or metadata.get("creationTimestamp"), at)),
    ]
    if status.get("startedAt"):
        lines.append(labelled("Started", moment(status["startedAt"], at)))
    if state in FINISHED:
        lines += [labelled("Stopped", moment(status.get("stoppedAt"), at)), labelled("Took", elapsed(job, at))]
    return lines + usage_lines(job, at)


def _spec(facts: Facts) -> list[str]:
    spec = facts.job["spec"]
    overrides = spec.get("containerOverrides") or {}
    lines = listed("Parameters", pairs(spec.get("parameters") or {}))
    if overrides.get("command") is not None:
        lines.append(labelled("Command", shlex.join(overrides["command"])))
    lines += listed("Environment +", [f"{e['name']}={e.get('value', '')}" for e in overrides.get("environment") or []])
    resources = [f"{r['type']} {r['value']}" for r in overrides.get("resourceRequirements") or []]
    if resources:
        lines.append(labelled("Resources", ", ".join(resources)))
    if spec.get("retryStrategy"):
        lines.append(labelled("Max attempts", str(spec["retryStrategy"].get("attempts", 1))))
    if spec.get("timeout"):
        lines.append(labelled("Time limit", f"{spec['timeout']['attemptDurationSeconds']} s an attempt"))
    lines += listed("Tags", pairs(spec.get("tags") or {}))
    for verb in ("cancel", "terminate"):
        if spec.get(verb):
            lines.append(labelled(f"{verb.capitalize()} asked", spec[verb]["reason"]))
    return lines


def _dependencies(facts: Facts) -> list[str]:
    missing = "no such job yet" if state_of(facts.job) in WAITING else "not found"
    return listed("Depends on", [dependency_text(each, missing) for each in facts.dependencies])


def dependency_text(needed: Dependency, missing: str) -> str:
    """The job that is waited for, its state, and how it is waited for where that is not the usual way."""
    how = [needed.type] if needed.type else []
    how += [needed.condition] if needed.condition != "Succeeded" else []
    if not needed.name:
        return f"each element on the one before it ({', '.join(how)})"
    return f"{needed.name} ({', '.join([needed.state or missing, *how])})"


def _attempts(facts: Facts) -> list[str]:
    attempts = (facts.job.get("status") or {}).get("attempts") or []
    return attempt_lines(list(enumerate(attempts, start=1)))


def attempt_lines(attempts: Sequence[tuple[int, JSON]]) -> list[str]:
    """Numbered attempts, in the form of a status; nothing for none."""
    if not attempts:
        return []
    rows = []
    for number, attempt in attempts:
        container = attempt.get("container") or {}
        code = container.get("exitCode")
        charge = "not charged" if attempt.get("uncharged") else ""
        reasons = [text for text in (attempt.get("statusReason"), charge, container.get("reason")) if text]
        rows.append(
            (
                str(number),
                attempt.get("startedAt") or "-",
                _took(attempt),
                "-" if code is None else str(code),
                container.get("nodeName") or "-",
                container.get("podName") or "-",
                shorten("; ".join(reasons), 120),
            )
        )
    titles = ("ATTEMPT", "STARTED", "TOOK", "EXIT", "NODE", "POD", "REASON")
    return ["Attempts:", *indented(Grid(titles, rows))]


def _took(attempt: JSON) -> str:
    started, stopped = parse_time(attempt.get("startedAt")), parse_time(attempt.get("stoppedAt"))
    return duration((stopped - started).total_seconds()) if started and stopped else "-"


def _conditions(facts: Facts, at: datetime) -> list[str]:
    return condition_lines(facts.job, at)


def condition_lines(item: JSON, at: datetime) -> list[str]:
    """The conditions of any object."""
    conditions = (item.get("status") or {}).get("conditions") or []
    rows = []
    for condition in conditions:
        since = parse_time(condition.get("lastTransitionTime"))
        rows.append(
            (
                condition["type"],
                condition["status"],
                condition.get("reason", ""),
                duration((at - since).total_seconds()) if since else "-",
                condition.get("message", ""),
            )
        )
    return ["Conditions:", *indented(Grid(("TYPE", "STATUS", "REASON", "AGE", "MESSAGE"), rows))] if rows else []


def _events(facts: Facts, at: datetime) -> list[str]:
    rows = []
    for event in facts.events:
        seen = parse_time(event_time(event))
        count = (event.get("series") or {}).get("count") or event.get("count") or 1
        when = duration((at - seen).total_seconds()) if seen else "-"
        times = f"{when} (x{count})" if count > 1 else when
        rows.append((times, event.get("type", ""), event.get("reason", ""), " ".join(event.get("message", "").split())))
    if not rows:
        return [labelled("Events", "none")]
    return ["Events:", *indented(Grid(("AGE", "TYPE", "REASON", "MESSAGE"), rows))]
