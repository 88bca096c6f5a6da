"""The demo's result on the screen: the most frequent words, the totals, and the verdict of the check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from batchwright.cli import exits
from batchwright.cli.formats import shorten
from batchwright.cli.output import console, note

if TYPE_CHECKING:
    from batchwright.local.demo.storage import Report

_BAR_WIDTH: Final = 32
# A directory of binary files has words as long as the files.
_WORD_WIDTH: Final = 32


def print_report(report: Report, workers: int, seconds: float) -> None:
    """Print the report to stdout."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("#", justify="right")
    table.add_column("WORD", no_wrap=True, style="cyan")
    table.add_column("COUNT", justify="right")
    table.add_column("")
    most = max((times for _, times in report.top), default=1)
    for place, (word, times) in enumerate(report.top, start=1):
        table.add_row(
            str(place), shorten(word, _WORD_WIDTH), f"{times:,}", "█" * max(1, round(_BAR_WIDTH * times / most))
        )
    screen = console()
    screen.print()
    screen.print(table)
    screen.print(
        f"\n{report.files:,} files, {report.bytes:,} bytes, {report.words:,} words, {report.distinct:,} different; "
        f"{workers} workers, {seconds:.1f} s",
        soft_wrap=True,
    )


def print_check(found: Sequence[str], files: int) -> None:
    """Print whether the report says what the files say. Raises Failed(1) when it does not."""
    if not found:
        print(f"checked: equal to a count of the {files:,} files made outside the cluster", flush=True)
        return
    print("checked: NOT equal to a count of the files made outside the cluster", flush=True)
    for difference in found:
        note(f"  {difference}")
    note("  (did the files change since the upload?)")
    raise exits.Failed(exits.ERROR)
