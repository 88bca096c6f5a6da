"""Deadlines go by the cluster's time where this machine's clock is far off."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from batchwright.cluster.clock import Clock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
HOUR = 3600.0


@dataclass
class Machine:
    """A machine whose clock is `off` by so many seconds, `passed` seconds after noon."""

    off: float = 0.0
    passed: float = 0.0
    server_off: float = 0.0

    def clock(self) -> Clock:
        return Clock(lambda: NOON + self.passed + self.off, lambda: 1000.0 + self.passed)

    def answer(self, clock: Clock, latency: float = 0.0) -> None:
        """The server answers at once, and the answer takes `latency`."""
        sent = 1000.0 + self.passed
        told = int(NOON + self.passed + self.server_off)
        self.passed += latency
        clock.hear(format_datetime(datetime.fromtimestamp(told, UTC), usegmt=True), sent)

    def error(self, clock: Clock) -> float:
        """By how much the clock differs from the server's time."""
        return clock.now().timestamp() - (NOON + self.passed + self.server_off)


@pytest.mark.parametrize("off", [0.0, 1.5, -1.5, 5 * HOUR, -7 * HOUR])
def test_follows_the_server_however_far_the_machine_is_off(off: float) -> None:
    machine = Machine(off)
    clock = machine.clock()
    for _ in range(20):
        machine.answer(clock, latency=0.05)
        machine.passed += 0.33
    # A clock that is nearly right is believed: it is finer than whole seconds.
    assert machine.error(clock) == pytest.approx(off if abs(off) < 3 else 0, abs=1.0)


def test_the_machine_s_own_clock_serves_before_the_first_answer() -> None:
    machine = Machine(5 * HOUR)
    assert machine.error(machine.clock()) == pytest.approx(5 * HOUR)


def test_a_clock_that_is_turned_while_nothing_is_heard_changes_nothing() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.answer(clock)
    machine.off, machine.passed = 5 * HOUR, machine.passed + 600
    assert machine.error(clock) == pytest.approx(0, abs=1.0)


def test_a_server_whose_clock_is_set_is_followed() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.answer(clock)
    machine.server_off, machine.passed = -2 * HOUR, 60.0
    machine.answer(clock)
    assert machine.error(clock) == pytest.approx(0, abs=1.5)


def test_a_late_answer_does_not_turn_the_clock_back() -> None:
    machine = Machine(5 * HOUR)
    clock = machine.clock()
    machine.answer(clock)
    machine.passed += 10
    machine.answer(clock, latency=30.0)
    assert machine.error(clock) == pytest.approx(0, abs=1.0)


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_an_unreadable_date_is_let_go_by(date: str | None) -> None:
    machine = Machine(HOUR)
    clock = machine.clock()
    clock.hear(date, 0.0)
    assert machine.error(clock) == pytest.approx(HOUR)
