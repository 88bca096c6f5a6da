"""Sums and differences of sets of indexes, kept as runs: an array of 100,000 must cost what its ranges cost. Pure."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

from batchwright.domain.indexes import Runs


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
