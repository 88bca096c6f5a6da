"""How a long command tells what it does: steps with check marks and times, plain lines where there is no terminal.

A `Reporter` is handed down from the command; the Python API uses `silent()`. It goes to stderr, so that
`batchwright local env` and `-o json` stay clean on stdout.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Reporter:
    """Says what goes on, on one rich console."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def note(self, message: str) -> None:
        """One line that is not a step."""
        self._say(f"  {message}")

    def done(self, what: str, seconds: float) -> None:
        """Tick something off that took `seconds`."""
        self._say(f"[green]✓[/] {what} [dim]{seconds:.1f} s[/]")

    @contextmanager
    def step(self, title: str) -> Iterator[Callable[[str], None]]:
        """A step that takes time; the yielded function replaces what is shown behind the title.

        On leaving, the step is ticked with its time, or crossed when it raised.
        """
        started = time.monotonic()
        detail = ""
        try:
            if self._console.is_terminal:
                with self._spinner() as progress:
                    task = progress.add_task(title)

                    def show(text: str) -> None:
                        nonlocal detail
                        detail = text
                        progress.update(task, description=f"{title}: {text}")

                    yield show
            else:

                def tell(text: str) -> None:
                    nonlocal detail
                    detail = text

                yield tell
        except BaseException:
            self._say(f"[red]✗[/] {title}")
            raise
        took = time.monotonic() - started
        shown = f"{title} ({detail})" if detail else title
        self.done(shown, took)

    @contextmanager
    def counted(self, title: str, names: Sequence[str]) -> Iterator[Callable[[str], None]]:
        """A bar over things of known number; the yielded function says which one is being worked on now."""
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        ) as progress:
            task = progress.add_task(title, total=len(names))

            def now(name: str) -> None:
                done = list(names).index(name)
                progress.update(task, completed=done, description=f"{title} {name}")

            yield now

    def _say(self, line: str) -> None:
        # Soft: paths and commands must survive being copied from a narrow terminal or a log.
        self._console.print(line, highlight=False, soft_wrap=True)

    def _spinner(self) -> Progress:
        return Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )


def silent() -> Reporter:
    """A reporter that says nothing, for callers that are programs."""
    return Reporter(Console(quiet=True))


def loud() -> Reporter:
    """The reporter of the command line, on stderr."""
    return Reporter(Console(stderr=True))
