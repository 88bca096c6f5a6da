"""Quantities that change at moments and stay between them: processors in use, jobs that wait."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Steps:
    """`values[i]` holds from `times[i]` to `times[i + 1]`; the last one for ever, 0 before the first. Times ascend."""

    times: tuple[float, ...]
    values: tuple[float, ...]

    def integral(self, begin: float, end: float) -> float:
        """The area between two times, in value-seconds."""
        return sum(self._areas(begin, end, 1))

    def means(self, begin: float, end: float, count: int) -> list[float]:
        """The means over `count` equal parts of the time between; all 0 when there is no time between."""
        width = (end - begin) / count
        return [area / width for area in self._areas(begin, end, count)] if width > 0 else [0.0] * count

    def _areas(self, begin: float, end: float, count: int) -> list[float]:
        areas = [0.0] * count
        if end <= begin:
            return areas
        width = (end - begin) / count
        for (start, stop), value in zip(
            pairwise((*self.times, max(end, *self.times, begin))), self.values, strict=True
        ):
            low, high = max(start, begin), min(stop, end)
            if value and high > low:
                first = min(count - 1, int((low - begin) / width))
                last = min(count - 1, int((high - begin) / width))
                for part in range(first, last + 1):
                    left, right = begin + part * width, end if part == count - 1 else begin + (part + 1) * width
                    areas[part] += value * max(0.0, min(high, right) - max(low, left))
        return areas


def steps(changes: Iterable[tuple[float, float]]) -> Steps:
    """The running sum of changes, each a time and by how much."""
    by_time: defaultdict[float, float] = defaultdict(float)
    for time, change in changes:
        by_time[time] += change
    times = tuple(sorted(by_time))
    values, value = [], 0.0
    for time in times:
        value += by_time[time]
        values.append(value)
    return Steps(times, tuple(values))
