"""Sets of array indexes as text, such as "0-41,57": the form of an Indexed Job's status and of AWS Batch's consoles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

Runs = tuple[tuple[int, int], ...]


def parse_indexes(text: str) -> Runs:
    """The runs (first, last) of the text, sorted, none touching the next. Raises ValueError, naming what is wrong."""
    runs: list[tuple[int, int]] = []
    if not text:
        return ()
    for part in text.split(","):
        low, dash, high = part.partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()):
            raise ValueError(f"{part!r} is neither an index nor a range of indexes such as 3-7")
        first, last = int(low), int(high) if dash else int(low)
        if last < first:
            raise ValueError(f"the range {part} ends before it begins")
        runs.append((first, last))
    return _merged(runs)


def runs_of_parts(*parts: Runs) -> Runs:
    """The runs of all the parts together."""
    return _merged([run for part in parts for run in part])


def _merged(runs: list[tuple[int, int]]) -> Runs:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(runs):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)


def runs_of(indexes: Iterable[int]) -> Runs:
    """The runs of ascending, distinct indexes."""
    runs: list[tuple[int, int]] = []
    for _, run in groupby(enumerate(indexes), key=lambda pair: pair[1] - pair[0]):
        members = [index for _, index in run]
        runs.append((members[0], members[-1]))
    return tuple(runs)


def runs_of_marks(marks: bytes | bytearray) -> Runs:
    """The runs of the places that hold a 1; the others hold 0."""
    runs: list[tuple[int, int]] = []
    first = marks.find(1)
    while first >= 0:
        end = marks.find(0, first)
        if end < 0:
            end = len(marks)
        runs.append((first, end - 1))
        first = marks.find(1, end)
    return tuple(runs)


def format_runs(runs: Sequence[tuple[int, int]]) -> str:
    """The text of runs. Two neighbours are written "3,4", as the Job controller does."""
    parts: list[str] = []
    for first, last in runs:
        if last == first:
            parts.append(str(first))
        else:
            parts.append(f"{first}{',' if last == first + 1 else '-'}{last}")
    return ",".join(parts)


def format_indexes(indexes: Iterable[int]) -> str:
    """The text of ascending, distinct indexes."""
    return format_runs(runs_of(indexes))


def expand(runs: Sequence[tuple[int, int]]) -> Iterator[int]:
    """Every index of the runs."""
    for first, last in runs:
        yield from range(first, last + 1)


def count(runs: Sequence[tuple[int, int]]) -> int:
    """How many indexes the runs hold."""
    return sum(last - first + 1 for first, last in runs)
