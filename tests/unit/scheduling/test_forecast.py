"""Forecasts: when what waits is to start, by what is expected of what runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

import builders as b
from batchwright.scheduling.forecast import End, forecast
from batchwright.scheduling.quota import QuotaShare
from batchwright.scheduling.snapshot import Candidate, Held, Queue
from batchwright.scheduling.state import State

# A node of 4 vCPU, all of them taken.
FULL = {"n1": b.resources(4000, 4 * b.GIB, 4)}
NEXT = 100.0


def told(
    *waiting: Candidate,
    held: Iterable[Held] = (),
    ends: Iterable[End] = (),
    lasts: Mapping[str, float] | None = None,
    queue: Queue | None = None,
) -> dict[str, float]:
    """Forecasts in seconds from now."""
    snapshot = b.snapshot(queue or b.queue(*waiting), nodes=(b.node("n1"),), occupied=FULL, held=held, now=1000.0)
    due = [End(1000.0 + each.at, each.uid, each.node, each.count) for each in ends]
    found = forecast(
        State.of(snapshot),
        1000.0,
        {each.uid for each in waiting},
        ends=due,
        seconds=(lasts or {}).get,
        occupied=FULL,
    )
    return {uid: at - 1000.0 for uid, at in found.items()}


FOUR = b.running("h", count=4)
ONE_BY_ONE = [End(at, "h", "n1") for at in (10.0, 20.0, 30.0, 40.0)]
ALL_AT_ONCE = [End(10.0, "h", "n1", 4)]


@pytest.mark.parametrize(
    ("waiting", "ends", "lasts", "want"),
    [
        pytest.param((b.candidate("a"),), [], {}, {}, id="nobody knows when anything ends"),
        pytest.param((b.candidate("a"),), ONE_BY_ONE, {}, {"a": 10}, id="the first one that ends makes room"),
        pytest.param(
            (b.candidate("a"), b.candidate("b", after=1)), ONE_BY_ONE, {}, {"a": 10, "b": 20}, id="in order of arrival"
        ),
        pytest.param(
            (b.candidate("a", shape=b.shape(cpu=2000)),), ONE_BY_ONE, {}, {"a": 20}, id="a larger one waits for two"
        ),
        pytest.param(
            (b.candidate("a", shape=b.shape(cpu=4000)), b.candidate("b", after=1)),
            ALL_AT_ONCE,
            {"a": NEXT},
            {"a": 10, "b": 10 + NEXT},
            id="what starts ends in its turn",
        ),
        pytest.param(
            (b.candidate("a", shape=b.shape(cpu=4000)), b.candidate("b", after=1)),
            ALL_AT_ONCE,
            {},
            {"a": 10},
            id="behind what nobody knows the length of there is no forecast",
        ),
        pytest.param(
            (b.candidate("a", count=10), b.candidate("b", after=1)),
            ALL_AT_ONCE,
            {"a": NEXT},
            {"a": 10, "b": 10 + 2 * NEXT},
            id="an array starts with its first element, and the next job after its last",
        ),
    ],
)
def test_forecast(
    waiting: tuple[Candidate, ...], ends: list[End], lasts: dict[str, float], want: dict[str, float]
) -> None:
    found = told(*waiting, held=(FOUR,), ends=ends, lasts=lasts)
    # Ends that lie close together count as one (GRAIN).
    assert found == pytest.approx(want, rel=0.05)


def test_quota_that_comes_back_counts() -> None:
    shares = (QuotaShare("x", limits=(("cpu", 2000),)),)
    held = b.running("h", count=2, share="x")
    one = b.candidate("a", share="x")
    found = told(one, held=(held,), ends=[End(15.0, "h", "n1")], queue=b.queue(one, quota_shares=shares))
    assert found == pytest.approx({"a": 15.0}, rel=0.05)


def test_what_should_have_ended_may_end_any_moment() -> None:
    assert told(b.candidate("a"), held=(FOUR,), ends=[End(-50.0, "h", "n1")]) == {"a": 0.0}


def test_it_stops_when_it_is_told_to() -> None:
    snapshot = b.snapshot(b.queue(b.candidate("a")), nodes=(b.node("n1"),), occupied=FULL, held=(FOUR,))
    found = forecast(
        State.of(snapshot),
        0.0,
        {"a"},
        ends=ONE_BY_ONE,
        seconds=lambda _: None,
        occupied=FULL,
        enough=lambda: True,
    )
    assert found == {}
