"""The lines that the pages of `describe` and its kin are made of. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from batchwright.cli.output import Grid

LABEL_WIDTH: Final = 16


def labelled(label: str, value: str) -> str:
    """`Label:          value`."""
    return f"{label + ':':<{LABEL_WIDTH}} {value}".rstrip()


def listed(label: str, values: Sequence[str]) -> list[str]:
    """One labelled line a value, the label once; nothing for no values."""
    blank = " " * (LABEL_WIDTH + 1)
    return [labelled(label, value) if number == 0 else blank + value for number, value in enumerate(values)]


def indented(grid: Grid) -> list[str]:
    """A grid two columns in."""
    return [f"  {line}" for line in grid.plain(gap=2).splitlines()]


def pairs(values: Mapping[str, str]) -> list[str]:
    """`key=value` of each, by key."""
    return [f"{key}={value}" for key, value in sorted(values.items())]
