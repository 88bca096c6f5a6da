"""Fair share within a queue: what each share identifier has used of late, and so whose turn it is.

Usage is vCPU time, as in AWS Batch; a job that asks for no vCPU uses nothing here, whatever else it holds. It decays
with a half-life of half of `shareDecaySeconds`. The API only says that recent jobs weigh more than earlier ones, by a
time window; a half-life (Kueue's usageHalfLifeTime is one too) has no edge at which a job's past suddenly counts for
nothing, and needs one number per share where a window needs its history. With half the window, time used a whole window
ago counts a quarter, and a steady user's total is about 0.72 windows of what it holds.

Invariants: integration is exact, in closed form, so how often a record is looked at, or told the same thing again,
changes nothing beyond rounding; reading never changes a record; ties are broken by the identifier.
Hazards: the clock is the caller's, and may step back: then no time has passed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import exp, expm1, inf, log
from typing import Final

# API, FairsharePolicy: a shareDecaySeconds of zero "indicates the default minimum time window (600 seconds)".
DEFAULT_DECAY_SECONDS: Final = 600
DEFAULT_WEIGHT: Final = 1.0
# What a share holds counts as if it had run for so long already. Without it the many starts of one instant, in which no
# time is used, would all go to one share (Kueue's admission fair sharing has an entry penalty for the same reason).
HORIZON_SECONDS: Final = 60.0
# Usage below a thousandth of a vCPU for a second is none.
NEGLIGIBLE: Final = 0.001
# API, ShareAttributes: no more than 500 share identifiers are active in a queue; as many fit its status.
MAX_CHECKPOINT: Final = 500


@dataclass(frozen=True)
class FairShare:
    """A fairsharePolicy. `weights` is its shareDistribution; an entry that ends in `*` is for all that start so."""

    decay_seconds: int = 0
    reservation: int = 0
    weights: tuple[tuple[str, float], ...] = ()

    def weight(self, identifier: str) -> float:
        """What usage is multiplied with: half the weight gets twice the vCPUs. The longest entry that matches says."""
        exact = self._exact.get(identifier)
        if exact is not None:
            return exact
        for length in self._prefix_lengths:
            found = self._prefixes.get(identifier[:length])
            if found is not None:
                return found
        return DEFAULT_WEIGHT

    @cached_property
    def _exact(self) -> dict[str, float]:
        return {entry: weight for entry, weight in self.weights if not entry.endswith("*")}

    @cached_property
    def _prefixes(self) -> dict[str, float]:
        return {entry[:-1]: weight for entry, weight in self.weights if entry.endswith("*")}

    @cached_property
    def _prefix_lengths(self) -> tuple[int, ...]:
        return tuple(sorted({len(prefix) for prefix in self._prefixes}, reverse=True))


@dataclass(slots=True)
class _Record:
    """`value` vCPU-seconds as of `at`, with `held` milli-vCPUs since; `touched` is when it last held anything."""

    value: float
    held: int
    at: float
    touched: float


class Usage:
    """The decayed vCPU-seconds of every share of one queue. Times are seconds since the epoch.

    `decay_seconds` is the policy's, 0 for the default.
    """

    def __init__(self, decay_seconds: int = 0) -> None:
        self._set_decay(decay_seconds)
        self._records: dict[str, _Record] = {}

    def hold(self, share: str, milli_vcpus: int, now: float) -> None:
        """From `now` on the share holds so much in all; what it held until then is added to its usage."""
        record = self._records.get(share)
        if record is None:
            if milli_vcpus:
                self._records[share] = _Record(0.0, milli_vcpus, now, now)
            return
        self._advance(record, now)
        if record.held or milli_vcpus:
            record.touched = record.at
        record.held = milli_vcpus

    def held(self, share: str) -> int:
        """The milli-vCPUs the share holds."""
        record = self._records.get(share)
        return record.held if record else 0

    def value(self, share: str, now: float) -> float:
        """The decayed vCPU-seconds of the share."""
        record = self._records.get(share)
        return self._value(record, now) if record else 0.0

    def score(self, policy: FairShare, share: str, now: float) -> float:
        """The share with the lowest is served first: its weighted usage, of which what it holds is a part at once."""
        record = self._records.get(share)
        if record is None:
            return 0.0
        penalty = record.held * HORIZON_SECONDS / 1000
        return (self._value(record, now) + penalty) * policy.weight(share)

    def active(self, waiting: Iterable[str], now: float) -> set[str]:
        """The shares with a job that waits or holds something, or that held something within the decay time.

        AWS counts a share until its decay time is over; how much it used does not matter.
        """
        recent = (name for name, record in self._records.items() if self._is_recent(record, now))
        return {*waiting, *recent}

    def forget(self, now: float) -> None:
        """Drops the shares that are no longer active and whose usage is negligible."""
        self._records = {
            name: record
            for name, record in self._records.items()
            if self._is_recent(record, now) or self._value(record, now) >= NEGLIGIBLE
        }

    def change_decay(self, decay_seconds: int, now: float) -> None:
        """A policy's new decay time holds from `now` on; what has decayed until then stays as it is."""
        for record in self._records.values():
            self._advance(record, now)
        self._set_decay(decay_seconds)

    def checkpoint(self, now: float, limit: int = MAX_CHECKPOINT) -> tuple[tuple[str, float], ...]:
        """The usage of each share, by name; of more than `limit` shares those that used most."""
        values = [(name, self._value(record, now)) for name, record in self._records.items()]
        kept = sorted((pair for pair in values if pair[1] >= NEGLIGIBLE), key=lambda pair: (-pair[1], pair[0]))
        return tuple(sorted(kept[:limit]))

    def restore(self, values: Iterable[tuple[str, float]], at: float) -> None:
        """Puts a checkpoint made at `at` into a new record; its shares count as active until then.

        What ran on after the checkpoint is put in next, by `hold` with the time since when: `at`, or a later start.
        A value that is no amount, which only a hand could have put into a status, counts as no usage.

        Raises ValueError when a share has been told to hold something already: that would be lost.
        """
        for share, value in values:
            if self.held(share):
                raise ValueError(f"share {share} holds {self.held(share)}m vCPU: restore a checkpoint before hold()")
            self._records[share] = _Record(value if 0 <= value < inf else 0.0, 0, at, at)

    def _set_decay(self, decay_seconds: int) -> None:
        self._decay = float(decay_seconds or DEFAULT_DECAY_SECONDS)
        self._rate = log(2) / (self._decay / 2)

    def _advance(self, record: _Record, now: float) -> None:
        if now > record.at:
            record.value = self._value(record, now)
            record.at = now

    def _value(self, record: _Record, now: float) -> float:
        """The solution of `usage' = held - rate * usage`."""
        decayed = -self._rate * max(0.0, now - record.at)
        return record.value * exp(decayed) - record.held / 1000 * expm1(decayed) / self._rate

    def _is_recent(self, record: _Record, now: float) -> bool:
        return record.held > 0 or now - record.touched < self._decay


def ordered(policy: FairShare, usage: Usage, shares: Iterable[str], now: float) -> tuple[str, ...]:
    """The shares in the order in which they are served now; a start changes it."""
    return tuple(sorted(set(shares), key=lambda share: (usage.score(policy, share, now), share)))


def reserved_milli(policy: FairShare, max_milli: int, active_count: int) -> int:
    """What the active shares leave free for those to come: max × (computeReservation/100)^active, rounded down.

    API, FairsharePolicy: of 50 % reservation, half is kept beside one active share, a quarter beside two. A share with
    a job that waits is active, so what is kept shrinks for the newcomer as well. Beside none nothing is kept: there is
    nobody to keep it from.
    """
    if active_count <= 0:
        return 0
    return int(max_milli * policy.reservation**active_count // 100**active_count)
