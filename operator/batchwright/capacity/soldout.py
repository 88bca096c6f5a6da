"""What nobody had to give a moment ago: kinds of which there were not enough, for three minutes (as Karpenter has it).

A memory, not a record: after a restart the first launch finds out anew.
"""

from __future__ import annotations

from collections.abc import Iterable

from batchwright.capacity.port import Kind

SECONDS = 180.0


class SoldOut:
    """Kinds that are not asked for, and until when (seconds, of whatever clock the caller has)."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, ...], float] = {}

    def bar(self, kinds: Iterable[Kind], now: float, seconds: float = SECONDS) -> None:
        """Capacity of these was insufficient just now."""
        for kind in kinds:
            self._until[kind.key] = now + seconds

    def has(self, kind: Kind, now: float) -> bool:
        """Whether the kind is not to be asked for."""
        until = self._until.get(kind.key)
        if until is not None and until <= now:
            del self._until[kind.key]
            return False
        return until is not None

    def next_end(self, now: float) -> float | None:
        """When the next of them may be asked for again."""
        return min((until for until in self._until.values() if until > now), default=None)
