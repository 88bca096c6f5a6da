"""Waiting for jobs with a display: live lines and bars on a terminal, one line a transition elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from batchwright.cli import exits
from batchwright.cli.arrays import is_array
from batchwright.cli.bars import bars
from batchwright.cli.changes import Change, follow, merge
from batchwright.cli.formats import attempts_of, elapsed, now, reason_of, state_of
from batchwright.cli.output import Grid, console, note
from batchwright.cli.pace import Pace
from batchwright.cli.session import Session
from batchwright.cli.tracking import Goal, Outcome, Tracker, Transition
from batchwright.cluster.resources import BATCH_JOBS
from batchwright.errors import NotFound

if TYPE_CHECKING:
    from rich.console import Group

JSON = dict[str, Any]
Show = Callable[[Sequence[Transition]], None]


async def wait_for(
    session: Session, jobs: Sequence[JSON], goal: Goal, *, seconds: float | None, on_stderr: bool = False
) -> Tracker:
    """Shows the jobs until each has reached the goal or cannot any more. Raises WaitTimeout after `seconds`."""
    tracker = Tracker(jobs)
    try:
        with _display(tracker, on_stderr=on_stderr) as show:
            async with asyncio.timeout(seconds), aclosing(merge(*_sources(session, jobs))) as changes:
                show([Transition(job, None) for job in jobs])
                async for change in changes:
                    show(tracker.take(change))
                    if tracker.is_over(goal):
                        break
    except TimeoutError as error:
        unfinished = [
            f"{tracker.jobs[uid]['metadata']['name']} is {state_of(tracker.jobs[uid])}"
            for uid, result in tracker.outcomes(goal).items()
            if result is Outcome.open
        ]
        raise exits.WaitTimeout(f"not {goal} within {seconds:g} s (the jobs go on): {', '.join(unfinished)}") from error
    except asyncio.CancelledError:
        names = " ".join(job["metadata"]["name"] for job in jobs)
        note(f"interrupted: the jobs go on; `batchwright terminate {names}` ends them")
        raise
    return tracker


def conclude(tracker: Tracker, goal: Goal) -> None:
    """Raises NotFound when a job was deleted meanwhile, Failed(1) when one missed the goal."""
    results = tracker.outcomes(goal)
    gone = [tracker.jobs[uid]["metadata"]["name"] for uid, result in results.items() if result is Outcome.deleted]
    if gone:
        raise NotFound(f"deleted while waiting: {', '.join(gone)}", 404, "NotFound")
    if Outcome.missed in results.values():
        raise exits.Failed(exits.ERROR)


def _sources(session: Session, jobs: Sequence[JSON]) -> list[AsyncGenerator[Change, None]]:
    """One watch a namespace; of one job only where it is alone, for a selector cannot name two."""
    names: dict[str, list[str]] = {}
    for job in jobs:
        names.setdefault(job["metadata"]["namespace"], []).append(job["metadata"]["name"])
    return [
        follow(session, BATCH_JOBS, namespace, fields=f"metadata.name={own[0]}" if len(own) == 1 else None)
        for namespace, own in names.items()
    ]


@contextmanager
def _display(tracker: Tracker, *, on_stderr: bool) -> Iterator[Show]:
    screen = console(stderr=on_stderr)
    if not screen.is_terminal:
        pace = Pace(lambda line: screen.print(f"{now():%H:%M:%S} {line}", soft_wrap=True))
        try:
            yield pace.show
        finally:
            pace.close()
        return
    from rich.live import Live

    with Live(console=screen, get_renderable=lambda: picture(tracker, now()), refresh_per_second=4) as live:
        yield lambda _: live.refresh()


def picture(tracker: Tracker, at: datetime) -> Group:
    """What a terminal shows: a line for each job, and below a bar for each array."""
    from rich.console import Group

    jobs = list(tracker.jobs.values())
    single, arrays = [job for job in jobs if not is_array(job)], [job for job in jobs if is_array(job)]
    shown: list[Any] = [progress(tracker, single, at).rich()] if single else []
    return Group(*shown, *([bars(arrays, tracker.deleted, at)] if arrays else []))


def progress(tracker: Tracker, jobs: Sequence[JSON], at: datetime) -> Grid:
    """One line per job."""
    rows = [
        (
            job["metadata"]["name"],
            "DELETED" if job["metadata"]["uid"] in tracker.deleted else state_of(job),
            str(attempts_of(job)),
            elapsed(job, at),
            reason_of(job),
        )
        for job in jobs
    ]
    return Grid(("NAME", "STATE", "ATTEMPTS", "ELAPSED", "REASON"), rows)
