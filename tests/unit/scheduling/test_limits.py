"""jobStateTimeLimitActions, by the AWS Batch User Guide's "Jobs stuck in RUNNABLE" and the API model."""

from __future__ import annotations

import pytest

from batchwright.scheduling.limits import (
    DEBOUNCE_SECONDS,
    ENVIRONMENT_MAXIMUM,
    INSUFFICIENT_CAPACITY,
    REASONS,
    RESOURCE_REQUIREMENT,
    Blocked,
    TimeLimit,
    due,
    next_due,
    seen,
    text,
)

CAPACITY, MAXIMUM, REQUIREMENT = INSUFFICIENT_CAPACITY, ENVIRONMENT_MAXIMUM, RESOURCE_REQUIREMENT
LIMITS = (TimeLimit(CAPACITY, 900), TimeLimit(CAPACITY, 600, "TERMINATE"), TimeLimit(MAXIMUM, 700))


def look(*looks: tuple[float, str | None]) -> Blocked:
    blocked = None
    for now, reason in looks:
        blocked = seen(blocked, reason, now)
    assert blocked is not None
    return blocked


@pytest.mark.parametrize(
    ("looks", "want"),
    [
        pytest.param(((5, None),), (None, 5), id="nothing blocks it"),
        pytest.param(((5, None), (9, None)), (None, 5), id="nothing has blocked it since the first look"),
        pytest.param(((5, CAPACITY),), (CAPACITY, 5), id="blocked on the first look"),
        pytest.param(((5, None), (9, CAPACITY)), (CAPACITY, 9), id="a reason counts from when it comes"),
        pytest.param(((5, CAPACITY), (900, CAPACITY)), (CAPACITY, 5), id="it stays between two looks"),
        pytest.param(((0, CAPACITY), (50, None), (59.9, CAPACITY)), (CAPACITY, 0), id="a short spell without it"),
        pytest.param(((0, CAPACITY), (50, None), (60, CAPACITY)), (CAPACITY, 60), id="a long spell without it"),
        pytest.param(((0, CAPACITY), (50, MAXIMUM), (55, CAPACITY)), (CAPACITY, 0), id="a short spell of another"),
        pytest.param(((0, CAPACITY), (50, MAXIMUM), (60, MAXIMUM)), (MAXIMUM, 50), id="another takes its place"),
        pytest.param(((0, CAPACITY), (50, None), (60, None)), (None, 50), id="none takes its place"),
        pytest.param(
            ((0, CAPACITY), (50, None), (58, MAXIMUM), (60, MAXIMUM)), (MAXIMUM, 58), id="first none, then another"
        ),
        pytest.param(
            ((0, CAPACITY), (50, MAXIMUM), (58, None), (62, CAPACITY)), (CAPACITY, 62), id="one long spell of several"
        ),
        pytest.param(
            ((0, CAPACITY), (8, None), (9, CAPACITY), (16, None), (17, CAPACITY)),
            (CAPACITY, 0),
            id="short spells do not add up",
        ),
        pytest.param(((0, CAPACITY), (50, None), (500, CAPACITY)), (CAPACITY, 500), id="no look while it was away"),
    ],
)
def test_seen(looks: tuple[tuple[float, str | None], ...], want: tuple[str | None, float]) -> None:
    found = look(*looks)
    assert (found.reason, found.since) == want
    assert found.away_since is None


def test_the_debounce_is_what_the_table_says() -> None:
    assert DEBOUNCE_SECONDS == 10


@pytest.mark.parametrize(
    ("blocked", "now", "want", "want_next"),
    [
        pytest.param(None, 9999, None, None, id="never looked at"),
        pytest.param(Blocked(None, 0), 9999, None, None, id="not blocked"),
        pytest.param(Blocked(REQUIREMENT, 0), 9999, None, None, id="no limit for the reason"),
        pytest.param(Blocked(CAPACITY, 100), 699.9, None, 700, id="not yet"),
        pytest.param(Blocked(CAPACITY, 100), 700, LIMITS[1], 700, id="maxTimeSeconds: the shorter of two"),
        pytest.param(Blocked(CAPACITY, 100), 5000, LIMITS[1], 700, id="long past"),
        pytest.param(Blocked(MAXIMUM, 100), 800, LIMITS[2], 800, id="another reason's limit"),
        pytest.param(Blocked(CAPACITY, 100), 50, None, 700, id="the clock stepped back"),
    ],
)
def test_due(blocked: Blocked | None, now: float, want: TimeLimit | None, want_next: float | None) -> None:
    assert due(LIMITS, blocked, now) == want
    assert next_due(LIMITS, blocked) == want_next


def test_of_two_equal_limits_the_first_listed_holds() -> None:
    both = (TimeLimit(MAXIMUM, 60, "TERMINATE"), TimeLimit(MAXIMUM, 60, "CANCEL"))
    assert due(both, Blocked(MAXIMUM, 0), 60) == both[0]


@pytest.mark.parametrize("instead", [None, MAXIMUM, REQUIREMENT])
def test_a_job_is_not_ended_while_the_reason_is_away(instead: str | None) -> None:
    away = look((0, CAPACITY), (9000, instead))
    assert away.reason == CAPACITY
    assert due(LIMITS, away, 9001) is None
    assert next_due(LIMITS, away) is None
    back = seen(away, CAPACITY, 9002)
    assert due(LIMITS, back, 9002) == LIMITS[1]


@pytest.mark.parametrize("reason", REASONS)
def test_text(reason: str) -> None:
    assert text(TimeLimit(reason, 600)) == f"Canceled by JobStateTimeLimit action due to reason: {reason}"


def test_the_reasons_are_those_of_the_api() -> None:
    assert REASONS == (
        "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
        "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
        "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
    )
