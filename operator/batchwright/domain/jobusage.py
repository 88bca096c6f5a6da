"""The accounts of one job: one, or of an array one for each tenth of its elements, so that 100,000 cost what ten do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from batchwright.api.v1alpha1.usage import MAX_RANGES, JobUsage, RangeUsage
from batchwright.domain.indexes import Positions, Runs
from batchwright.domain.metering import ZERO, Account, total
from batchwright.domain.texts import moment, timestamp
from batchwright.domain.usagetext import amounts_of, holding_of, usage_fields

_WHOLE: Final = -1


class JobMeter:
    """What a job of `size` elements (0: none) has used, going on from what its status says. `runs` are the elements
    that run, as the positions of its pods count them."""

    def __init__(self, size: int = 0, runs: Runs = (), noted: JobUsage | None = None) -> None:
        self.size = size
        self._width = -(-size // MAX_RANGES)
        self._positions = Positions(runs or ((0, size - 1),)) if size else None
        self._since = seconds_of(moment(noted.updated_at)) if noted is not None else 0
        self._accounts: dict[int, Account] = {}
        if noted is None:
            return
        rest = amounts_of(noted)
        for entry in noted.elements if size else ():
            amounts, first = amounts_of(entry), int(entry.indexes.partition("-")[0])
            self._accounts[first // self._width] = Account(amounts, self._since)
            rest = rest.plus(amounts, -1)
        if not rest.is_zero:
            # Of elements that nobody could name, when nobody knew how many there are.
            self._accounts[_WHOLE] = Account(rest, self._since)

    def account(self, position: int) -> Account:
        """The account of the attempt of this position of the Kubernetes Job."""
        index = self._positions.index(position) if self._positions is not None else None
        number = _WHOLE if index is None else index // self._width
        if number not in self._accounts:
            self._accounts[number] = Account(ZERO, self._since)
        return self._accounts[number]

    def read(self, until: int, *, is_final: bool) -> JobUsage | None:
        """What was used until then; None for nothing. `is_final`: there is no more to come."""
        if is_final:
            until = max(until, *(account.known_until for account in self._accounts.values()))
        read = [(number, *account.read(until)) for number, account in sorted(self._accounts.items())]
        sums = total(amounts for _, amounts, _ in read)
        holding = None if is_final else holding_of(total(account.rate for account in self._accounts.values()))
        if sums.is_zero and holding is None:
            return None
        ranges = tuple(
            RangeUsage(indexes=self._name(number), **usage_fields(amounts))
            for number, amounts, _ in read
            if number != _WHOLE and not amounts.is_zero
        )
        at = text_of(max(time for _, _, time in read))
        return JobUsage(**usage_fields(sums), updated_at=at, holding=holding, elements=ranges)

    def _name(self, number: int) -> str:
        first, last = number * self._width, min(self.size, (number + 1) * self._width) - 1
        return f"{first}-{last}" if last > first else str(first)


def seconds_of(when: datetime) -> int:
    """Whole seconds since the epoch."""
    return int(when.timestamp())


def text_of(seconds: int) -> str:
    """The inverse, as statuses have times."""
    return timestamp(datetime.fromtimestamp(seconds, UTC))
