"""A progress bar for each array that is waited for, and how the same is said where there is no terminal.

The bar's whole is what runs: in a retry of some elements these, and not the array's size.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from batchwright.cli.arrays import elements_of, summary_of
from batchwright.cli.formats import STYLES, WAITING, elapsed, reason_of, state_of
from batchwright.domain.indexes import count

if TYPE_CHECKING:
    from rich.progress import Progress

JSON = dict[str, Any]


def total_of(job: JSON) -> int | None:
    """How many elements run; None while nobody knows."""
    counted = sum(summary_of(job).values())
    there = elements_of(job)
    return counted or (None if there is None else count(there))


def done_of(job: JSON) -> int:
    """How many elements have ended."""
    counts = summary_of(job)
    return counts["SUCCEEDED"] + counts["FAILED"]


def bars(jobs: Iterable[JSON], deleted: Iterable[str], at: datetime) -> Progress:
    """The bars of these arrays at one moment. `deleted` are uids."""
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.text import Text

    def words(key: str, style: str = "", justify: Any = "left") -> TextColumn:
        return TextColumn(f"{{task.fields[{key}]}}", style=style, justify=justify, markup=False)

    class State(TextColumn):
        """The state in its colour."""

        def render(self, task: Any) -> Text:
            state = task.fields["state"]
            return Text(state, style=STYLES.get(state, ""))

    made = Progress(
        TextColumn("{task.description}", style="bold", markup=False),
        State(""),
        BarColumn(30, style="bright_black", complete_style="cyan", finished_style="green"),
        words("done", justify="right"),
        words("running", STYLES["RUNNING"]),
        words("waiting", STYLES["RUNNABLE"]),
        words("failed", STYLES["FAILED"]),
        words("elapsed"),
        auto_refresh=False,
    )
    gone = set(deleted)
    for job in jobs:
        counts, total, done = summary_of(job), total_of(job), done_of(job)
        running = counts["RUNNING"] + counts["STARTING"]
        waiting = sum(counts[state] for state in WAITING)
        made.add_task(
            job["metadata"]["name"],
            # A whole that nobody knows yet shows as an empty bar.
            total=total or 1,
            completed=done,
            state="DELETED" if job["metadata"]["uid"] in gone else state_of(job),
            done=f"{done:,}/{'?' if total is None else f'{total:,}'}",
            running=f"{running:,} running",
            waiting=f"{waiting:,} waiting",
            failed=f"{counts['FAILED']:,} failed" if counts["FAILED"] else "",
            elapsed=elapsed(job, at),
        )
    return made


def array_line(job: JSON) -> str:
    """The same on a line of a log."""
    counts, total = summary_of(job), total_of(job)
    name, state, reason = job["metadata"]["name"], state_of(job), reason_of(job)
    said = f"{name} {state}"
    if sum(counts.values()):
        running = counts["RUNNING"] + counts["STARTING"]
        waiting = sum(counts[each] for each in WAITING)
        said += f" {done_of(job)}/{total}: {counts['SUCCEEDED']} succeeded, {counts['FAILED']} failed"
        said += f", {running} running, {waiting} waiting" if running or waiting else ""
    return said + (f": {reason}" if reason else "")
