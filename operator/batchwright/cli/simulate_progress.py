"""How far a replay has come, on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from batchwright.cli.output import console


@contextmanager
def progress_bar(jobs: int) -> Iterator[Callable[[int], None] | None]:
    """A bar on stderr while it takes time; nothing where there is no terminal."""
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TextColumn("jobs"), TimeElapsedColumn())
    with Progress(*columns, console=screen, transient=True) as progress:
        task = progress.add_task("", total=jobs)
        yield lambda ended: progress.update(task, completed=ended)
