"""What an environment remembers of launches that came to nothing: nodes that never came, capacity that was not there.

While nodes fail to come one instance is launched at a time, and the next when that one has come or failed too. That an
older node is well says nothing of the image, the zone or the network that new ones are made with.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from batchwright.capacity.fleet import Retirement, Seen, pause_after
from batchwright.capacity.port import Refusal
from batchwright.domain.declarations import Problem

# What was sold out is asked for again when it may be; so long after that the condition waits for the answer.
GRACE_SECONDS = 60.0
MOST_TEXTS = 3


class Failures:
    """How often what was launched did not become a node, one time after the other. Times are seconds since the epoch,
    as the provider has them of its instances; `first_pause` is how long nothing is launched after the first."""

    def __init__(self, first_pause: float) -> None:
        self._first_pause = first_pause
        self._count = 0
        # When the last one that failed was launched, and when a failure was counted last.
        self._launched_at = self._counted_at = 0.0

    def see(self, fleet: Iterable[Seen]) -> None:
        """A node that came of a later launch shows that they come again."""
        if any(seen.is_ready and seen.instance.launched_at > self._launched_at for seen in fleet):
            self._count = 0

    def count(self, decided: Retirement, now: float) -> float:
        """These have failed. How long nothing is to be launched; those of one launch count once."""
        if not self._count or decided.failed_at > self._counted_at:
            self._count += 1
            self._counted_at = now
        self._launched_at = max(self._launched_at, decided.failed_at)
        return pause_after(self._count, self._first_pause)

    def __bool__(self) -> bool:
        return self._count > 0

    def is_tried(self, fleet: Iterable[Seen]) -> bool:
        """Whether it is being found out whether nodes come again."""
        return any(
            seen.instance.is_live
            and seen.instance.launched_at > self._launched_at
            and not (seen.is_ready or seen.was_used or seen.cordoned)
            for seen in fleet
        )


class Shortage:
    """What there was not enough of, for as long as it is not asked for again. The environment is well: it waits."""

    def __init__(self) -> None:
        self.problem: Problem | None = None
        self._until = 0.0

    def begin(self, refusals: Collection[Refusal], until: float) -> None:
        """There was none of these, in the provider's words."""
        texts = list(dict.fromkeys(each.message or each.code for each in refusals))
        self.problem = Problem("InsufficientCapacity", "; ".join(texts[:MOST_TEXTS]))
        self._until = until + GRACE_SECONDS

    def end(self) -> None:
        """There is enough."""
        self.problem = None

    def see(self, now: float) -> None:
        """It is past by itself when nobody asked again."""
        if now >= self._until:
            self.problem = None


def word(code: str) -> str:
    """A provider's error code as a condition's reason: a word in CamelCase."""
    return "".join(part[:1].upper() + part[1:] for part in code.replace(".", " ").replace("_", " ").split()) or "Failed"
