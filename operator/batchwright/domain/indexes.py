"""Sets of array indexes, kept as runs, so that an array of 100,000 costs what its ranges cost.

As text they are "0-41,57": the form of an Indexed Job's status and of AWS Batch's consoles.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, groupby

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


def contains(runs: Runs, index: int) -> bool:
    """Whether the index is in one of the runs."""
    place = bisect_right(runs, index, key=lambda run: run[0]) - 1
    return place >= 0 and index <= runs[place][1]


def intersect(one: Runs, other: Runs) -> Runs:
    """What is in both."""
    both: list[tuple[int, int]] = []
    left, right = 0, 0
    while left < len(one) and right < len(other):
        first = max(one[left][0], other[right][0])
        last = min(one[left][1], other[right][1])
        if first <= last:
            both.append((first, last))
        if one[left][1] < other[right][1]:
            left += 1
        else:
            right += 1
    return tuple(both)


def subtract(one: Runs, other: Runs) -> Runs:
    """What is in `one` and not in `other`."""
    if not one:
        return ()
    gaps: list[tuple[int, int]] = []
    start = one[0][0]
    for first, last in other:
        if start <= first - 1:
            gaps.append((start, first - 1))
        start = max(start, last + 1)
    if start <= one[-1][1]:
        gaps.append((start, one[-1][1]))
    return intersect(one, tuple(gaps))


class Positions:
    """Where each index stands among the runs, from 0: the completion index that the Kubernetes Job gives it."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._before = [0, *accumulate(last - first + 1 for first, last in runs)]

    def position(self, index: int) -> int:
        """The place of an index that is in the runs."""
        run = bisect_right(self._runs, index, key=lambda each: each[0]) - 1
        return self._before[run] + index - self._runs[run][0]

    def index(self, position: int) -> int | None:
        """The index at a place; None when there are fewer."""
        if not 0 <= position < self._before[-1]:
            return None
        run = bisect_right(self._before, position) - 1
        return self._runs[run][0] + position - self._before[run]
