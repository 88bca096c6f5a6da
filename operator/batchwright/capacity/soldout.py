"""What nobody had to give a moment ago: kinds of which there were not enough, for three minutes (as Karpenter has it).

Known to all environments, as far as it is the same for all: a pool is empty for everybody, and a subnet is full for
whatever would go there; a bid is too low for who made it. A memory, not a record: after a restart the first launch
finds out anew.
"""

from __future__ import annotations

from collections.abc import Iterable

from batchwright.capacity.port import Kind, Scope

SECONDS = 180.0
# What will not change by itself is asked for again after so many times as long.
LASTING = 20


class SoldOut:
    """Kinds that are not asked for, and until when (seconds, of whatever clock the caller has). `owner` tells who asks,
    by what its instances are made of."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, ...], float] = {}

    def bar(
        self, kinds: Iterable[Kind], now: float, seconds: float = SECONDS, *, scope: Scope = "pool", owner: str = ""
    ) -> None:
        """Capacity of these was insufficient just now."""
        for kind in kinds:
            key = _key(kind, scope, owner)
            self._until[key] = max(now + seconds, self._until.get(key, now))

    def has(self, kind: Kind, now: float, owner: str = "") -> bool:
        """Whether the kind is not to be asked for."""
        return self.until(kind, now, owner) is not None

    def until(self, kind: Kind, now: float, owner: str = "") -> float | None:
        """When the kind may be asked for again; None for at once."""
        found = []
        for key in {_key(kind, "pool", owner), _key(kind, "place", owner), _key(kind, "own", owner)}:
            until = self._until.get(key)
            if until is not None and until <= now:
                del self._until[key]
            elif until is not None:
                found.append(until)
        return max(found, default=None)

    def next_end(self, now: float) -> float | None:
        """When the next of them may be asked for again."""
        return min((until for until in self._until.values() if until > now), default=None)


def _key(kind: Kind, scope: Scope, owner: str) -> tuple[str, ...]:
    if scope == "pool":
        return ("pool", *kind.key)
    if scope == "place" and kind.place:
        return ("place", kind.place)
    return ("own", owner, *kind.key)
