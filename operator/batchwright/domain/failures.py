"""Failed elements of an array, grouped by how they ended: what a person looks for first, in a few lines."""

from __future__ import annotations

from batchwright.api.v1alpha1.array import MAX_FAILURE_GROUPS, ElementFailures
from batchwright.domain.indexes import expand, format_indexes, parse_indexes
from batchwright.domain.retry import Outcome

OTHER_FAILURES = "Other failures"
NO_RECORD = Outcome(None, "", "")
_OTHER = Outcome(None, "", OTHER_FAILURES)


class Failures:
    """Groups in the order of their first failure."""

    def __init__(self) -> None:
        self._groups: dict[Outcome, set[int]] = {}

    def add(self, index: int, ended: Outcome) -> None:
        """Element `index` has failed for good, its last attempt as `ended` says."""
        if ended not in self._groups and len(self._groups) >= MAX_FAILURE_GROUPS - 1:
            ended = _OTHER
        self._groups.setdefault(ended, set()).add(index)

    def correct(self, index: int, known: Outcome, ended: Outcome) -> None:
        """Element `index`, of which `known` was told, ended as `ended` says."""
        group = known if index in self._groups.get(known, ()) else _OTHER
        self._groups[group].remove(index)
        if not self._groups[group]:
            del self._groups[group]
        self.add(index, ended)

    def restore(self, recorded: tuple[ElementFailures, ...]) -> dict[int, Outcome]:
        """How each element ended that a status tells of."""
        return {
            index: Outcome(group.exit_code, group.reason or "", group.status_reason or "")
            for group in recorded
            for index in expand(parse_indexes(group.indexes))
        }

    def to_status(self) -> tuple[ElementFailures, ...]:
        """The groups as a status holds them."""
        return tuple(
            ElementFailures(
                indexes=format_indexes(sorted(indexes)),
                status_reason=ended.status_reason or None,
                exit_code=ended.exit_code,
                reason=ended.reason or None,
            )
            for ended, indexes in self._groups.items()
        )
