"""What `cost` adds up: by share, queue, tag, label or job. Pure.

Two sources. Queues note what each share used since the queue was made, jobs that are deleted too. Jobs say what each
of them used, as long as there are any; only they know of tags, namespaces and times.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from batchwright.api.v1alpha1.usage import Usage
from batchwright.cli.formats import FINISHED, parse_time, state_of
from batchwright.cli.output import Grid
from batchwright.cli.usage_text import costs, dollars, used_by
from batchwright.domain.metering import ZERO, Amounts, total
from batchwright.domain.usagetext import amounts_of, usage_fields
from batchwright.errors import BatchwrightError

JSON = dict[str, Any]
_SPAN = re.compile(r"([0-9]{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
NONE = "(none)"


class By(StrEnum):
    """What is told apart."""

    share = "share"
    queue = "queue"
    tag = "tag"
    label = "label"
    job = "job"


@dataclass(frozen=True)
class Line:
    """What one of them used. `jobs`: of how many jobs, None where nobody counted."""

    keys: tuple[str, ...]
    used: Amounts
    jobs: int | None = None


def parse_since(text: str, at: datetime) -> datetime:
    """A span back from `at` (90m, 24h, 7d), or a time (RFC 3339, a date). Raises BatchwrightError."""
    found = _SPAN.fullmatch(text)
    try:
        if found:
            return at - timedelta(**{_UNITS[found[2]]: int(found[1])})
        when = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise BatchwrightError(
            f"--since {text} is no time: give a span such as 90m, 24h or 7d, or a time such as 2026-03-01T12:00:00Z"
        ) from None
    return when if when.tzinfo is not None else when.replace(tzinfo=at.tzinfo)


def is_since(job: JSON, since: datetime | None) -> bool:
    """Whether the job has ended since then, or has not ended."""
    if since is None or state_of(job) not in FINISHED:
        return True
    stopped = parse_time((job.get("status") or {}).get("stoppedAt"))
    return stopped is None or stopped >= since


def lines_of_jobs(jobs: Iterable[JSON], by: By, at: datetime) -> list[Line]:
    """The jobs' own sums, the dearest first; a job with several tags is in the line of each."""
    sums: dict[tuple[str, ...], tuple[Amounts, int]] = {}
    for job in jobs:
        used = used_by(job, at)
        for keys in _keys(job, by):
            before, count = sums.get(keys, (ZERO, 0))
            sums[keys] = before.plus(used), count + 1
    return _ordered([Line(keys, used, count) for keys, (used, count) in sums.items()])


def lines_of_queues(queues: Iterable[JSON], by: By) -> list[Line]:
    """What queues have noted, by share or as a whole."""
    lines: list[Line] = []
    for queue in queues:
        name = queue["metadata"]["name"]
        noted = [
            (each.get("share", ""), amounts_of(Usage.model_validate(each)))
            for each in (queue.get("status") or {}).get("usage") or ()
        ]
        if by is By.queue:
            lines.append(Line((name,), total(used for _, used in noted)))
        else:
            lines += [Line((name, share or NONE), used) for share, used in noted]
    return _ordered(lines)


def _keys(job: JSON, by: By) -> list[tuple[str, ...]]:
    spec, metadata = job["spec"], job["metadata"]
    if by is By.queue:
        return [(spec["jobQueue"],)]
    if by is By.share:
        return [(spec["jobQueue"], spec.get("shareIdentifier") or spec.get("quotaShareName") or NONE)]
    if by is By.job:
        return [(metadata["namespace"], metadata["name"])]
    pairs = (spec.get("tags") if by is By.tag else metadata.get("labels")) or {}
    return [(key, value) for key, value in pairs.items()] or [(NONE, "")]


def _ordered(lines: list[Line]) -> list[Line]:
    return sorted(lines, key=lambda line: (-line.used.cost, -line.used.vcpu, line.keys))


_TITLES = {
    By.share: ("QUEUE", "SHARE"),
    By.queue: ("QUEUE",),
    By.tag: ("TAG", "VALUE"),
    By.label: ("LABEL", "VALUE"),
    By.job: ("NAMESPACE", "JOB"),
}


def cost_grid(lines: Sequence[Line], by: By) -> Grid:
    """The table; in hours, for these are sums."""
    has_counts = any(line.jobs is not None for line in lines) and by is not By.job
    has_gpus = any(line.used.gpu for line in lines)
    titles = [
        *_TITLES[by],
        *["JOBS"] * has_counts,
        "VCPU-HOURS",
        "GIB-HOURS",
        *["GPU-HOURS"] * has_gpus,
        "COST",
        "LOST",
    ]
    rows = []
    for line in lines:
        used = line.used
        rows.append(
            [
                *line.keys,
                *[str(line.jobs)] * has_counts,
                _hours(used.vcpu),
                _hours(used.memory),
                *[_hours(used.gpu)] * has_gpus,
                costs(used) + _mark(used),
                dollars(used.lost_cost) if used.lost_cost else "-",
            ]
        )
    return Grid(titles, rows)


def _mark(used: Amounts) -> str:
    marks = ["estimated"] * bool(used.estimated) + ["in part"] * bool(used.unpriced and used.cost)
    return f" ({', '.join(marks)})" if marks else ""


def _hours(thousandths: int) -> str:
    return f"{max(0, thousandths) / 3_600_000:,.3f}"


def record(line: Line, by: By) -> JSON:
    """A line for a program: exact, with a status's fields."""
    names = [title.lower() for title in _TITLES[by]]
    fields = Usage(**usage_fields(line.used)).to_wire()
    return dict(zip(names, line.keys, strict=True)) | ({} if line.jobs is None else {"jobs": line.jobs}) | fields
