"""What is used is added up exactly: in whatever order it is told, however often it is read, whenever one is killed.

The reference is the plain sum over attempts: rate times length. An account is told of begins and ends up to LAG_SECONDS
late, as watches are; it is read that far behind the present; and it may be replaced by another at any time, which knows
what was read last, and is told of every attempt anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from batchwright.api.v1alpha1.usage import Usage
from batchwright.domain.metering import LAG_SECONDS, ZERO, Account, Amounts, Price, part_of, rate_of, total
from batchwright.domain.quantities import CPU, MEMORY
from batchwright.domain.usagetext import amounts_of, usage_fields

RATES = st.builds(
    Amounts,
    vcpu=st.integers(0, 64_000),
    memory=st.integers(0, 10**6),
    gpu=st.integers(0, 8000),
    cost=st.integers(0, 10**10),
    unpriced=st.integers(0, 64_000),
    estimated=st.integers(0, 10**10),
    lost_vcpu=st.just(0),
    lost_cost=st.just(0),
)


@dataclass(frozen=True)
class Attempt:
    """One attempt, and how late its begin and its end are told of."""

    began: int
    seconds: int
    rate: Amounts
    lost: bool
    begin_late: int
    end_late: int

    @property
    def ended(self) -> int:
        return self.began + self.seconds

    @property
    def used(self) -> Amounts:
        sums = ZERO.plus(self.rate, self.seconds)
        if not self.lost:
            return sums
        return sums._replace(lost_vcpu=self.seconds * self.rate.vcpu, lost_cost=self.seconds * self.rate.cost)


LATE = st.integers(0, LAG_SECONDS)
ATTEMPTS = st.lists(
    st.builds(Attempt, st.integers(1, 60), st.integers(0, 60), RATES, st.booleans(), LATE, LATE), max_size=12
)
SIGHTS = st.dictionaries(st.integers(1, 130), st.sampled_from(["read", "restart"]), max_size=12)


@given(ATTEMPTS, SIGHTS)
def test_reading_and_restarting_change_nothing(attempts: list[Attempt], sights: dict[int, str]) -> None:
    account = Account()
    noted, at = ZERO, 0
    for now in range(140):
        for each in attempts:
            if each.began + each.begin_late == now:
                account.begin(each.rate, each.began)
            if max(each.began + each.begin_late, each.ended + each.end_late) == now:
                account.end(each.rate, each.began, each.ended, lost=each.lost)
        if now in sights:
            noted, at = account.read(now - LAG_SECONDS)
        if sights.get(now) == "restart":
            account = Account(noted, at)
            for each in reversed(attempts):
                if each.began + each.begin_late <= now:
                    account.begin(each.rate, each.began)
                if max(each.began + each.begin_late, each.ended + each.end_late) <= now:
                    account.end(each.rate, each.began, each.ended, lost=each.lost)
    assert account.read(200)[0] == total(each.used for each in attempts)
    assert account.rate == ZERO


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), RATES), max_size=6), st.integers(0, 40))
def test_as_of_a_time_it_is_what_was_used_until_then(told: list[tuple[int, int, Amounts]], time: int) -> None:
    account = Account()
    for began, seconds, rate in told:
        account.begin(rate, began)
        account.end(rate, began, began + seconds, lost=False)
    want = total(ZERO.plus(rate, max(0, min(time, began + seconds) - began)) for began, seconds, rate in told)
    assert account.read(time) == (want, time)


@given(RATES, RATES, st.integers(0, 20), st.integers(0, 20), st.integers(0, 20))
def test_a_price_that_comes_late_counts_from_the_begin(
    before: Amounts, after: Amounts, began: int, seconds: int, read: int
) -> None:
    account = Account()
    account.begin(before, began)
    account.read(read)
    account.change(before, after, began)
    account.end(after, began, began + seconds, lost=False)
    assert account.read(100)[0] == ZERO.plus(after, seconds)


@given(RATES, st.integers(0, 10**6))
def test_a_status_keeps_every_digit(rate: Amounts, seconds: int) -> None:
    used = ZERO.plus(rate._replace(lost_vcpu=rate.vcpu, lost_cost=rate.cost), seconds)
    assert amounts_of(Usage(**usage_fields(used))) == used


RESOURCES = st.fixed_dictionaries({CPU: st.integers(0, 8000), MEMORY: st.integers(0, 32 << 30)})
NODE = {CPU: 8000, MEMORY: 32 << 30}


@given(RESOURCES)
def test_the_part_of_a_node_is_its_largest_share(request: dict[str, int]) -> None:
    part, whole = part_of(request, NODE)
    assert part / whole == max(request[CPU] / NODE[CPU], request[MEMORY] / NODE[MEMORY])


@given(st.lists(st.integers(1, 4000), min_size=1, max_size=8), st.floats(0.001, 40))
def test_a_node_full_of_like_pods_costs_its_price(cpus: list[int], hourly: float) -> None:
    # Pods that fill the node's vCPUs: together they pay for it, but for what rounding to 1e-12 dollars a second does.
    node = {CPU: sum(cpus), MEMORY: 1 << 30}
    rates = [rate_of({CPU: milli, MEMORY: 0}, node, Price(hourly)) for milli in cpus]
    assert abs(total(rates).cost * 3600 - hourly * 10**12) <= 3600 * len(cpus)
