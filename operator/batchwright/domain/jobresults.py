"""What a Kubernetes Job says of its indexes, and how its indexes go with those of the array.

A Job over some elements of an array numbers them anew, from 0 (its positions); an index of the array stays what it is.
"""

from __future__ import annotations

from collections.abc import Iterator

from batchwright.domain.indexes import Positions, Runs, count, parse_indexes


class JobResults:
    """The results of the Job's indexes, as far as they have been taken over. Raises IndexError for a position that the
    Job has not."""

    def __init__(self, runs: Runs) -> None:
        self._positions = Positions(runs)
        self._counted = bytearray(count(runs))
        self._texts = ("", "")
        self._is_unsettled = False

    def index_of(self, position: int) -> int | None:
        """The array's index at a position of the Job; None for one it has not."""
        return self._positions.index(position)

    def position_of(self, index: int) -> int:
        """The inverse of `index_of`, for an index that the Job has."""
        return self._positions.position(index)

    def rank(self, index: int) -> int:
        """How many indexes before this one have no result: the Job makes the lowest ones first."""
        position = self.position_of(index)
        return position - self._counted.count(1, 0, position)

    def is_counted(self, index: int) -> bool:
        """Whether the result of the index was taken over."""
        return self._counted[self.position_of(index)] == 1

    def count(self, position: int) -> None:
        """The result at this position is taken over."""
        self._counted[position] = 1

    def see(self, completed: str, failed: str) -> None:
        """The Job's completedIndexes and failedIndexes."""
        if (completed, failed) != self._texts:
            self._texts = completed, failed
            self._is_unsettled = True

    def look_again(self) -> None:
        """Something that stood in the way of a result may be gone."""
        self._is_unsettled = True

    def fresh(self) -> Iterator[tuple[int, bool]]:
        """The positions with a result that was not taken over, and whether they succeeded; nothing when nothing has
        happened since this was last asked."""
        if not self._is_unsettled:
            return
        self._is_unsettled = False
        for text, succeeded in zip(self._texts, (True, False), strict=True):
            for first, last in parse_indexes(text):
                start = first
                while (position := self._counted.find(0, start, last + 1)) >= 0:
                    start = position + 1
                    yield position, succeeded
