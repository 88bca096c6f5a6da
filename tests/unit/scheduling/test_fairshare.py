"""Fair share, by the sections of the AWS Batch User Guide and the API model that say how it works."""

from __future__ import annotations

from math import inf, nan

import pytest

from batchwright.scheduling.fairshare import FairShare, Usage, ordered, reserved_milli

NOW = 1_800_000_000.0
WEIGHTED = FairShare(weights=(("UserA", 0.5), ("Team*", 2.0), ("TeamRed*", 4.0)))


@pytest.mark.parametrize(
    ("identifier", "want"),
    [
        pytest.param("UserA", 0.5, id="ShareAttributes: its own entry"),
        pytest.param("UserA1", 1.0, id="ShareAttributes: an entry without a star is one identifier's"),
        pytest.param("TeamBlue", 2.0, id="ShareAttributes: a prefix"),
        pytest.param("Team", 2.0, id="ShareAttributes: the prefix itself starts so"),
        pytest.param("TeamRed7", 4.0, id="entries that overlap all the same: the longest"),
        pytest.param("Tea", 1.0, id="ShareAttributes: not listed has 1.0"),
        pytest.param("", 1.0, id="no letters"),
    ],
)
def test_weight(identifier: str, want: float) -> None:
    assert WEIGHTED.weight(identifier) == want


def test_a_star_alone_is_everybodys_entry() -> None:
    assert FairShare(weights=(("*", 3.0), ("UserA", 1.0))).weight("UserB") == 3.0


def test_policies_are_equal_by_what_they_say_not_by_what_they_have_looked_up() -> None:
    used = FairShare(weights=WEIGHTED.weights)
    used.weight("TeamBlue")
    assert used == WEIGHTED
    assert hash(used) == hash(WEIGHTED)


@pytest.mark.parametrize(
    ("decay", "after", "want"),
    [
        pytest.param(1200, 600.0, 50.0, id="half the decay time is the half-life"),
        pytest.param(1200, 1200.0, 25.0, id="the whole decay time leaves a quarter"),
        pytest.param(0, 300.0, 50.0, id="FairsharePolicy: zero is 600 seconds"),
        pytest.param(604800, 302400.0, 50.0, id="FairsharePolicy: a week, the maximum"),
        pytest.param(1200, -60.0, 100.0, id="the clock stepped back: no time has passed"),
    ],
)
def test_usage_decays(decay: int, after: float, want: float) -> None:
    usage = Usage(decay)
    usage.restore([("a", 100.0)], NOW)
    assert usage.value("a", NOW + after) == pytest.approx(want)


def test_a_steady_user_approaches_what_it_holds_over_the_rate_of_decay() -> None:
    usage = Usage(600)
    usage.hold("a", 2500, NOW)
    assert usage.value("a", NOW) == 0
    assert usage.value("a", NOW + 1) == pytest.approx(2.5, rel=0.002)
    # 2.5 vCPU x 300 s / ln 2
    assert usage.value("a", NOW + 100_000) == pytest.approx(1082.02, rel=1e-5)


def test_a_clock_that_steps_back_counts_no_time_twice() -> None:
    usage = Usage(604800)
    usage.hold("a", 1000, NOW)
    usage.hold("a", 1000, NOW + 10)
    usage.hold("a", 1000, NOW + 5)
    usage.hold("a", 0, NOW + 10)
    assert usage.value("a", NOW + 10) == pytest.approx(10, rel=1e-3)
    assert usage.held("a") == 0


def test_a_new_decay_time_holds_from_now_on() -> None:
    usage = Usage(1200)
    usage.restore([("a", 100.0)], NOW)
    usage.change_decay(0, NOW + 600)
    assert usage.value("a", NOW + 600) == pytest.approx(50)
    assert usage.value("a", NOW + 900) == pytest.approx(25)


@pytest.mark.parametrize(
    ("held", "weights", "want"),
    [
        pytest.param({}, (), ("a", "b", "c"), id="ties go by the identifier"),
        pytest.param({"a": 1}, (), ("b", "c", "a"), id="Fair-share scheduling: who used least is first"),
        pytest.param({"a": 1, "b": 2, "c": 3}, (("a", 8.0),), ("b", "c", "a"), id="a higher weight waits longer"),
        pytest.param({"a": 8, "b": 2, "c": 3}, (("a", 0.125),), ("a", "b", "c"), id="a lower weight gets more"),
    ],
)
def test_order(held: dict[str, int], weights: tuple[tuple[str, float], ...], want: tuple[str, ...]) -> None:
    usage = Usage()
    for share, vcpus in held.items():
        usage.hold(share, vcpus * 1000, NOW)
    assert ordered(FairShare(weights=weights), usage, ["c", "a", "b", "a"], NOW) == want


def test_starts_of_one_instant_go_round_by_weight() -> None:
    policy, usage = FairShare(weights=(("a", 0.5),)), Usage()
    turns = ""
    for _ in range(9):
        first = ordered(policy, usage, "ab", NOW)[0]
        usage.hold(first, usage.held(first) + 1000, NOW)
        turns += first
    assert turns == "abaabaaba"


def test_what_ran_before_counts_against_what_starts_now() -> None:
    usage = Usage()
    usage.restore([("a", 150.0)], NOW)
    starts = 0
    while ordered(FairShare(), usage, "ab", NOW)[0] == "b":
        usage.hold("b", usage.held("b") + 1000, NOW)
        starts += 1
    assert starts == 3  # 60 vCPU-seconds of horizon each


@pytest.mark.parametrize(
    ("reservation", "active", "want"),
    [
        pytest.param(50, 1, 128_000, id="FairsharePolicy: 50 beside one"),
        pytest.param(50, 2, 64_000, id="FairsharePolicy: 50 beside two"),
        pytest.param(50, 3, 32_000, id="FairsharePolicy: 50 beside three"),
        pytest.param(25, 1, 64_000, id="FairsharePolicy: 25 beside one"),
        pytest.param(25, 2, 16_000, id="FairsharePolicy: 25 beside two"),
        pytest.param(25, 3, 4_000, id="FairsharePolicy: 25 beside three"),
        pytest.param(0, 1, 0, id="FairsharePolicy: 0 reserves nothing"),
        pytest.param(0, 0, 0, id="nothing beside nobody"),
        pytest.param(99, 0, 0, id="nobody to keep anything from"),
        pytest.param(33, 2, 27_878, id="rounded down"),
    ],
)
def test_reservation(reservation: int, active: int, want: int) -> None:
    assert reserved_milli(FairShare(reservation=reservation), 256_000, active) == want


def test_a_share_is_active_while_it_waits_or_runs_and_until_its_decay_time_is_over() -> None:
    usage = Usage(600)
    usage.hold("runs", 1000, NOW)
    usage.hold("idle", 1000, NOW)
    usage.hold("idle", 0, NOW + 1)
    usage.hold("never", 0, NOW)
    assert usage.active(["waits"], NOW + 2) == {"runs", "idle", "waits"}
    assert usage.active([], NOW + 600.9) == {"runs", "idle"}
    assert usage.active([], NOW + 601) == {"runs"}
    usage.hold("idle", 0, NOW + 602)
    assert usage.active([], NOW + 602) == {"runs"}, "to be told of nothing again is no sign of life"


def test_what_is_forgotten_is_idle_negligible_and_no_longer_active() -> None:
    usage = Usage(600)
    usage.restore([("much", 1e9), ("little", 0.0005)], NOW)
    usage.hold("runs", 1, NOW)
    usage.forget(NOW + 599)
    assert usage.active([], NOW + 599) == {"much", "little", "runs"}
    usage.forget(NOW + 600)
    assert usage.value("much", NOW + 600) == pytest.approx(2.5e8)
    assert usage.value("little", NOW + 600) == 0
    assert usage.held("runs") == 1
    usage.forget(NOW + 600 * 100)
    assert usage.value("much", NOW) == 0
    assert usage.held("runs") == 1


def test_checkpoint_is_by_name_and_leaves_out_what_is_negligible() -> None:
    usage = Usage()
    usage.restore([("b", 2.0), ("c", 0.0001), ("a", 1.0)], NOW)
    assert usage.checkpoint(NOW) == (("a", 1.0), ("b", 2.0))


def test_of_too_many_shares_the_checkpoint_keeps_those_that_used_most() -> None:
    usage = Usage()
    usage.restore([(f"s{number:03}", float(number % 7 + 1)) for number in range(700)], NOW)
    kept = usage.checkpoint(NOW)
    assert len(kept) == 500
    assert list(kept) == sorted(kept)
    assert min(value for _, value in kept) == 3.0
    assert usage.checkpoint(NOW, limit=1) == (("s006", 7.0),)


@pytest.mark.parametrize("value", [nan, inf, -inf, -1.0])
def test_a_checkpoint_that_is_no_amount_counts_as_none(value: float) -> None:
    usage = Usage()
    usage.restore([("a", value)], NOW)
    assert usage.value("a", NOW + 1) == 0
    assert usage.score(FairShare(), "a", NOW) == 0


def test_a_checkpoint_does_not_overwrite_what_is_held() -> None:
    usage = Usage()
    usage.hold("a", 500, NOW)
    with pytest.raises(ValueError, match="share a holds 500m vCPU: restore a checkpoint before"):
        usage.restore([("a", 1.0)], NOW)
    assert usage.held("a") == 500
