"""Fair share: usage is exact however often it is looked at, survives a restart, and is shared out by weight."""

from __future__ import annotations

from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.scheduling.fairshare import NEGLIGIBLE, FairShare, Usage, ordered, reserved_milli

NOW = 1_800_000_000.0
DECAYS = st.sampled_from([0, 1, 60, 600, 7200, 604800])
SHARES = st.sampled_from("abcd")
# (seconds since the one before, share, what it holds from then on)
CHANGES = st.lists(
    st.tuples(st.floats(0, 2000, allow_subnormal=False), SHARES, st.sampled_from([0, 0, 1, 250, 1000, 64_000])),
    max_size=25,
)
Change = tuple[float, str, int]


def told(usage: Usage, changes: list[Change], start: float = NOW) -> float:
    """Tells the record of the changes: when it was over."""
    for seconds, share, milli in changes:
        start += seconds
        usage.hold(share, milli, start)
    return start


def summed(changes: list[Change], share: str, decay: int, now: float) -> float:
    """The integral, piece by piece: what was held from a to b counts (e^(-r(now-b)) - e^(-r(now-a))) / r."""
    rate = 2 * log(2) / (decay or 600)
    total, since, held, at = 0.0, NOW, 0, NOW
    for seconds, changed, milli in changes:
        at += seconds
        if changed == share:
            total += held / 1000 * (exp(-rate * (now - at)) - exp(-rate * (now - since))) / rate
            since, held = at, milli
    return total + held / 1000 * (1 - exp(-rate * (now - since))) / rate


@given(CHANGES, DECAYS, st.floats(0, 2000))
def test_usage_is_the_integral_of_what_was_held(changes: list[Change], decay: int, later: float) -> None:
    usage = Usage(decay)
    end = told(usage, changes) + later
    for share in "abcd":
        assert usage.value(share, end) == pytest.approx(summed(changes, share, decay, end), rel=1e-6, abs=1e-3)


@given(CHANGES, DECAYS, st.lists(st.floats(0, 5000), max_size=5))
def test_to_look_or_to_be_told_again_changes_nothing(changes: list[Change], decay: int, looks: list[float]) -> None:
    quiet, watched = Usage(decay), Usage(decay)
    end = told(quiet, changes)
    now = NOW
    for seconds, share, milli in changes:
        now += seconds
        for other in "abcd":
            watched.hold(other, watched.held(other), now)
        for look in looks:
            watched.score(FairShare(), share, now + look)
        watched.hold(share, milli, now)
    for share in "abcd":
        assert watched.value(share, end) == pytest.approx(quiet.value(share, end), rel=1e-9, abs=1e-6)
    assert watched.active((), end) == quiet.active((), end)


@given(CHANGES, CHANGES, DECAYS, st.floats(0, 3000))
def test_a_restart_changes_no_usage(before: list[Change], after: list[Change], decay: int, gap: float) -> None:
    """What ran on while nobody looked is put in from the checkpoint on."""
    steady = Usage(decay)
    at = told(steady, before)
    restarted = Usage(decay)
    restarted.restore(steady.checkpoint(at), at)
    for share in "abcd":
        restarted.hold(share, steady.held(share), at)
    assert steady.active((), at) >= restarted.active((), at) - {share for share, _ in steady.checkpoint(at)}
    end = told(steady, after, at + gap)
    assert told(restarted, after, at + gap) == end
    for share in "abcd":
        # What was negligible is not in a checkpoint.
        assert restarted.value(share, end) == pytest.approx(steady.value(share, end), rel=1e-6, abs=NEGLIGIBLE)
        assert restarted.held(share) == steady.held(share)


@given(CHANGES, DECAYS, st.floats(0, 20_000))
def test_to_forget_changes_no_answer_that_matters(changes: list[Change], decay: int, later: float) -> None:
    usage, kept = Usage(decay), Usage(decay)
    end = told(usage, changes) + later
    told(kept, changes)
    usage.forget(end)
    assert usage.active((), end) == kept.active((), end)
    assert usage.checkpoint(end) == kept.checkpoint(end)
    for share in "abcd":
        assert usage.held(share) == kept.held(share)
        assert abs(usage.value(share, end) - kept.value(share, end)) < NEGLIGIBLE


@given(
    st.lists(st.sampled_from([0.0001, 0.125, 0.5, 1.0, 3.0, 999.9999]), min_size=1, max_size=6),
    st.integers(1, 60),
    st.lists(st.floats(0, 1e6), min_size=6, max_size=6),
)
def test_what_starts_goes_to_shares_by_weight(weights: list[float], starts: int, past: list[float]) -> None:
    """No share gets a start while another is behind it: without its last start, none is ahead of the last in line."""
    names = "abcdef"[: len(weights)]
    policy, usage = FairShare(weights=tuple(zip(names, weights, strict=True))), Usage()
    usage.restore(zip(names, past, strict=False), NOW)
    for _ in range(starts):
        first = ordered(policy, usage, names, NOW)[0]
        usage.hold(first, usage.held(first) + 1000, NOW)
    scores = {name: usage.score(policy, name, NOW) for name in names}
    for name in names:
        if usage.held(name):
            usage.hold(name, usage.held(name) - 1000, NOW)
            assert usage.score(policy, name, NOW) <= min(scores.values()) * (1 + 1e-12)
            usage.hold(name, usage.held(name) + 1000, NOW)


@given(CHANGES, DECAYS, st.sets(SHARES), st.permutations("abcd"))
def test_the_order_is_everybody_once_and_does_not_hang_on_how_it_was_asked(
    changes: list[Change], decay: int, some: set[str], shuffled: list[str]
) -> None:
    usage = Usage(decay)
    end = told(usage, changes)
    found = ordered(FairShare(), usage, some, end)
    assert sorted(found) == sorted(some)
    assert found == ordered(FairShare(), usage, [name for name in shuffled if name in some], end)
    scores = [usage.score(FairShare(), name, end) for name in found]
    assert scores == sorted(scores)


@given(st.integers(0, 99), st.integers(0, 10**9), st.integers(1, 600))
def test_the_reservation_shrinks_with_every_active_share(reservation: int, maximum: int, active: int) -> None:
    policy = FairShare(reservation=reservation)
    kept = reserved_milli(policy, maximum, active)
    assert 0 <= reserved_milli(policy, maximum, active + 1) <= kept <= maximum * reservation / 100
    assert kept == pytest.approx(maximum * (reservation / 100) ** active, abs=1)
