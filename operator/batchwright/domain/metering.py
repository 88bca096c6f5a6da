"""What jobs use, and what that costs: integrals over time, in whole numbers.

An attempt takes its request from its node from when the kubelet took it until its container ended, and costs the part
of its node that it takes, which is the largest of its shares of the node's vCPUs, memory and GPUs, at the price the
node was launched at. An `Account` adds that up for whoever pays: a job, a range of elements, a share of a queue.

Nothing of it is stored but an account's value as of a time. An operator that starts takes that, and what pods show of
the time since, which gives the same (property-tested); so a value is read a little behind the present, when all that
has happened by then has been seen. Units: thousandths of a vCPU, GiB or GPU, times seconds; a trillionth of a dollar.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from batchwright.domain.quantities import CPU, MEMORY
from batchwright.names import ANNOTATION_PRICE, ANNOTATION_PRICE_SOURCE, ESTIMATED, GPU_RESOURCE

# How far behind the present accounts are read: watches are behind by less.
LAG_SECONDS: Final = 3
PER_DOLLAR: Final = 10**12
THOUSAND: Final = 1000
_HOUR: Final = 3600
_PRICE: Final = re.compile(r"[0-9]{1,9}([.][0-9]{1,12})?", re.ASCII)
_GIBIBYTE: Final = 1 << 30


class Amounts(NamedTuple):
    """What was used: milli-vCPU-seconds, milli-GiB-seconds, milli-GPU-seconds; its cost; how much of the vCPU-seconds
    had no price, and how much of the cost goes by an estimated one; what of vCPU-seconds and cost went into attempts
    that did not succeed. As a rate: the same for each second."""

    vcpu: int = 0
    memory: int = 0
    gpu: int = 0
    cost: int = 0
    unpriced: int = 0
    estimated: int = 0
    lost_vcpu: int = 0
    lost_cost: int = 0

    def plus(self, other: Amounts, times: int = 1) -> Amounts:
        """The sum with so many times the other."""
        # Told some twenty times an attempt, so spelt out: a loop takes three times as long.
        return Amounts(
            self[0] + times * other[0],
            self[1] + times * other[1],
            self[2] + times * other[2],
            self[3] + times * other[3],
            self[4] + times * other[4],
            self[5] + times * other[5],
            self[6] + times * other[6],
            self[7] + times * other[7],
        )

    @property
    def is_zero(self) -> bool:
        """Whether nothing was used."""
        return not any(self)


ZERO: Final = Amounts()


class Price(NamedTuple):
    """What an hour of a node costs, in US dollars; estimated where nobody said."""

    hourly: float
    is_estimated: bool = False


def price_of(text: str | None, *, is_estimated: bool = False) -> Price | None:
    """The price of an annotation or a tag, in US dollars an hour; None for what is none."""
    if text is None or _PRICE.fullmatch(text) is None:
        return None
    return Price(float(text), is_estimated)


def noted_price(notes: Mapping[str, str]) -> Price | None:
    """The price in a node's annotations, or an instance's tags."""
    return price_of(notes.get(ANNOTATION_PRICE), is_estimated=notes.get(ANNOTATION_PRICE_SOURCE) == ESTIMATED)


def price_notes(price: Price) -> dict[str, str]:
    """The inverse."""
    text = f"{price.hourly:.6f}".rstrip("0").rstrip(".")
    return {ANNOTATION_PRICE: text} | ({ANNOTATION_PRICE_SOURCE: ESTIMATED} if price.is_estimated else {})


def part_of(request: Mapping[str, int], allocatable: Mapping[str, int]) -> tuple[int, int]:
    """The part of a node that a request takes, as a fraction: the largest of its shares of vCPUs, memory and GPUs, at
    most the whole. So what fills a node's memory pays for the vCPUs that nobody else can use."""
    part = (0, 1)
    for name in (CPU, MEMORY, GPU_RESOURCE):
        asked, there = request.get(name, 0), allocatable.get(name, 0)
        if asked > 0 and there > 0 and asked * part[1] > part[0] * there:
            part = (asked, there)
    return part if part[0] <= part[1] else (1, 1)


def rate_of(request: Mapping[str, int], allocatable: Mapping[str, int] | None, price: Price | None) -> Amounts:
    """What a pod that asks this uses each second; without a node that is known, or a price, at no cost."""
    vcpu = request.get(CPU, 0)
    memory = (request.get(MEMORY, 0) * 1000 + _GIBIBYTE // 2) // _GIBIBYTE
    gpu = 1000 * request.get(GPU_RESOURCE, 0)
    if allocatable is None or price is None:
        return Amounts(vcpu, memory, gpu, unpriced=vcpu)
    asked, there = part_of(request, allocatable)
    cost = round(price.hourly * PER_DOLLAR / _HOUR * asked / there)
    return Amounts(vcpu, memory, gpu, cost, estimated=cost if price.is_estimated else 0)


class Account:
    """The sum of what attempts used, told of their begins and ends in any order; times are whole seconds.

    `value` is what is known as of `since`; what attempts used before that is in it."""

    __slots__ = ("_at", "_due", "_number", "_open", "_slope", "_value", "since")

    def __init__(self, value: Amounts = ZERO, since: int = 0) -> None:
        self.since = since
        self._value, self._at = value, since
        self._slope = ZERO
        self._open = ZERO
        self._due: list[tuple[int, int, Amounts, Amounts]] = []
        self._number = 0

    @property
    def rate(self) -> Amounts:
        """What is used each second by the attempts that have begun and not ended."""
        return self._open

    @property
    def known_until(self) -> int:
        """The latest time that anything was told of: a node's clock may be ahead of ours."""
        return max((time for time, *_ in self._due), default=self._at)

    def begin(self, rate: Amounts, time: int) -> None:
        """An attempt began."""
        self._open = self._open.plus(rate)
        self._tell(max(time, self.since), rate, ZERO)

    def end(self, rate: Amounts, began: int, ended: int, *, lost: bool) -> None:
        """It ended; `lost`: without success, so that it was all for nothing."""
        self._open = self._open.plus(rate, -1)
        jump = ZERO
        if lost and ended > self.since:
            # Its whole length, for nobody knew before its end that it would be lost.
            jump = Amounts(lost_vcpu=rate.vcpu * (ended - began), lost_cost=rate.cost * (ended - began))
        self._tell(max(ended, self.since), ZERO.plus(rate, -1), jump)

    def change(self, before: Amounts, after: Amounts, began: int) -> None:
        """An attempt that has not ended has another rate than was thought, from its begin on."""
        change = after.plus(before, -1)
        self._open = self._open.plus(change)
        self._tell(max(began, self.since), change, ZERO)

    def read(self, time: int) -> tuple[Amounts, int]:
        """What was used until `time`, or until when it was last read if that is later; and that time."""
        while self._due and self._due[0][0] <= time:
            when, _, slope, jump = heapq.heappop(self._due)
            self._forward(when)
            self._slope = self._slope.plus(slope)
            self._value = self._value.plus(jump)
        self._forward(max(time, self._at))
        return self._value, self._at

    def _forward(self, time: int) -> None:
        if time > self._at:
            self._value = self._value.plus(self._slope, time - self._at)
            self._at = time

    def _tell(self, time: int, slope: Amounts, jump: Amounts) -> None:
        if time <= self._at:
            # It was seen late: what was read meanwhile is set right.
            self._value = self._value.plus(slope, self._at - time).plus(jump)
            self._slope = self._slope.plus(slope)
        else:
            self._number += 1
            heapq.heappush(self._due, (time, self._number, slope, jump))


def total(parts: Iterable[Amounts]) -> Amounts:
    """The sum of them all."""
    sums = ZERO
    for part in parts:
        sums = sums.plus(part)
    return sums
