"""What an environment remembers of launches that came to nothing: nodes that never came, capacity that was not there.

While nodes fail to come one instance is launched at a time, and the next when that one has come or failed too. That an
older node is well says nothing of the image, the zone or the network that new ones are made with.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from batchwright.api.v1alpha1.computeenvironment import PendingLaunch
from batchwright.capacity.fleet import Retirement, Seen, pause_after
from batchwright.capacity.port import Refusal
from batchwright.domain.declarations import Problem
from batchwright.domain.texts import moment
from batchwright.errors import CapacityError, Denied, Misconfigured

# What was sold out is asked for again when it may be; so long after that the condition waits for the answer.
GRACE_SECONDS = 60.0
MOST_TEXTS = 3
# After a refusal that somebody has to mend, and after one that may pass.
MENDING_SECONDS, PASSING_SECONDS = 60.0, 10.0
# Failures that are further apart are in no row: a call that hangs takes minutes to fail.
ROW_SECONDS = 300.0
# So long after a launch of which the answer was lost EC2 may still not show its instances.
UNCERTAIN_SECONDS = 60.0
# What shows some of its instances by then was filled in part.
PARTIAL_SECONDS = 15.0


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


def is_settled(pending: PendingLaunch, fleet: Iterable[Seen], now: float) -> bool:
    """Of a launch of which nobody knows the answer: its instances are there by now, or it was never made."""
    found = sum(each.instance.token.startswith(pending.token) for each in fleet)
    seconds = now - moment(pending.created_at).timestamp()
    return found >= pending.count or (found > 0 and seconds > PARTIAL_SECONDS) or seconds > UNCERTAIN_SECONDS


def not_ready(decided: Retirement, seconds: float) -> Problem:
    """What the environment says of instances that did not become nodes within so many seconds, or ended before."""
    early, texts = len(decided.stillborn), []
    if late := decided.failed - early:
        texts.append(f"{late} instances did not become ready nodes within {seconds:.0f} s")
    if early:
        reasons = list(dict.fromkeys(each.instance.reason for each in decided.stillborn if each.instance.reason))
        why = f" ({'; '.join(reasons[:MOST_TEXTS])})" if reasons else ""
        texts.append(f"{early} instances ended before they were nodes{why}")
    return Problem("NodesNotReady", f"{', '.join(texts)}; the next launch is tried after a pause")


class Pause:
    """What is in the way of launches, and until when none is tried.

    Until what passes by itself has gone on for `patience` seconds the environment keeps what waits for it: a call that
    was one too many is no reason to buy On-Demand what the next call has for Spot."""

    def __init__(self, patience: float) -> None:
        self.problem: Problem | None = None
        self.until = 0.0
        self._patience = patience
        self._yields_until = 0.0
        # Of failures in a row: when the first was, and when the last.
        self._since = self._failed_at = 0.0

    def fail(self, error: CapacityError, now: float) -> None:
        """The provider did not answer, or not as one would wish."""
        is_lasting = isinstance(error, Misconfigured | Denied)
        if now - self._failed_at > ROW_SECONDS:
            self._since = now
        self._failed_at = now
        is_yielding = is_lasting or now - self._since >= self._patience
        problem = Problem(word(error.code or type(error).__name__), str(error), is_invalid=is_lasting)
        self.hold(problem, now + (MENDING_SECONDS if is_lasting else PASSING_SECONDS), is_yielding=is_yielding)

    def hold(self, problem: Problem, until: float, *, is_yielding: bool = True) -> None:
        """Nothing is to be launched until then. With `is_yielding` others may have what waits for it."""
        self.problem, self.until = problem, max(self.until, until)
        if is_yielding:
            self._yields_until = max(self._yields_until, until)

    def launched(self) -> None:
        """The provider answered a launch: what failed before is past."""
        self._since = self._failed_at = self._yields_until = 0.0

    def see(self, now: float) -> None:
        """What passes by itself is past with the pause."""
        if self.problem is not None and not self.problem.is_invalid and self.until <= now:
            self.problem = None

    def clear(self) -> None:
        """What was in the way is not any more."""
        self.problem = None

    def forget(self) -> None:
        """Somebody has mended it, perhaps: it is tried at once."""
        self.problem, self.until, self._yields_until = None, 0.0, 0.0

    def is_yielding(self, now: float) -> bool:
        """Whether the queue's next environment is to have what waits."""
        return self.problem is not None and now < self._yields_until


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
