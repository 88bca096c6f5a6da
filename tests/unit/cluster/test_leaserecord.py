"""What a Lease says, and when it may be taken: by the candidate's own clock alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from batchwright.cluster.leaserecord import (
    LONGEST_SECONDS,
    LeaseRecord,
    Sighting,
    claim,
    may_take,
    read_lease,
    release,
    renewal,
    sight,
)

NOW = datetime(2026, 11, 22, 12, 0, 0, 250000, tzinfo=UTC)
US, OTHER = "us", "other"


def record(holder: str = OTHER, version: str = "1", seconds: float = 10, transitions: int = 0) -> LeaseRecord:
    """What stands in the Lease."""
    return LeaseRecord(holder, seconds, transitions, version)


@pytest.mark.parametrize(
    ("before", "found", "now", "free_at"),
    [
        pytest.param(None, None, 5.0, 5.0, id="there never was one"),
        pytest.param(None, record(), 5.0, 15.0, id="seen for the first time: nobody knows how old it is"),
        pytest.param(Sighting(record(), 15.0), record(), 14.0, 15.0, id="unchanged"),
        pytest.param(Sighting(record(), 15.0), record(version="2"), 14.0, 24.0, id="renewed"),
        pytest.param(Sighting(record(), 15.0), record("third", "2"), 14.0, 24.0, id="taken by another"),
        pytest.param(Sighting(record(), 15.0), record("", "2"), 14.0, 14.0, id="given back"),
        pytest.param(Sighting(record(), 15.0), record(seconds=30, version="2"), 14.0, 44.0, id="its holder's duration"),
        pytest.param(Sighting(record(), 15.0), None, 14.0, 15.0, id="deleted under its holder"),
        pytest.param(Sighting(None, 15.0), None, 16.0, 15.0, id="deleted, and its holder did not make it again"),
        pytest.param(Sighting(None, 15.0), record(version="9"), 14.0, 24.0, id="deleted, and its holder made it again"),
    ],
)
def test_when_a_lease_runs_out(before: Sighting | None, found: LeaseRecord | None, now: float, free_at: float) -> None:
    assert sight(before, found, now) == Sighting(found, free_at)


@pytest.mark.parametrize(
    ("seen", "now", "may"),
    [
        pytest.param(Sighting(None, 5.0), 5.0, True, id="none"),
        pytest.param(Sighting(None, 5.0), 4.9, False, id="none, and its holder works still"),
        pytest.param(Sighting(record(), 15.0), 14.9, False, id="held"),
        pytest.param(Sighting(record(), 15.0), 15.0, True, id="run out"),
        pytest.param(Sighting(record(US), 15.0), 0.0, True, id="ours: the answer to our claim was lost"),
    ],
)
def test_who_may_take_it(seen: Sighting, now: float, may: bool) -> None:
    assert may_take(seen, US, now) is may


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        pytest.param(
            {"holderIdentity": OTHER, "leaseDurationSeconds": 15, "leaseTransitions": 3},
            record(seconds=15, transitions=3, version="7"),
            id="as an operator writes it",
        ),
        pytest.param(None, record("", "7"), id="no spec"),
        pytest.param({"holderIdentity": None, "leaseDurationSeconds": None}, record("", "7"), id="emptied by hand"),
        pytest.param(
            {"holderIdentity": OTHER, "leaseDurationSeconds": 2**31 - 1},
            record(seconds=LONGEST_SECONDS, version="7"),
            id="a duration nobody would wait for",
        ),
        pytest.param(
            {"holderIdentity": OTHER, "renewTime": "2099-01-01T00:00:00.000000Z"},
            record(version="7"),
            id="a time of another clock is not looked at",
        ),
    ],
)
def test_a_lease_is_read_whatever_stands_in_it(spec: dict[str, Any] | None, wanted: LeaseRecord) -> None:
    assert read_lease({"metadata": {"resourceVersion": "7"}, "spec": spec}, 10) == wanted


@pytest.mark.parametrize(
    ("before", "transitions"),
    [
        pytest.param(None, 0, id="the first"),
        pytest.param(record(transitions=4), 5, id="from another"),
        pytest.param(record("", transitions=4), 5, id="given back by another"),
        pytest.param(record(US, transitions=4), 4, id="from ourselves"),
    ],
)
def test_what_a_claim_says(before: LeaseRecord | None, transitions: int) -> None:
    time = "2026-11-22T12:00:00.250000Z"
    assert claim(US, 10, NOW, before) == {
        "holderIdentity": US,
        "leaseDurationSeconds": 10,
        "acquireTime": time,
        "renewTime": time,
        "leaseTransitions": transitions,
    }
    assert renewal(US, 10, NOW) == {"holderIdentity": US, "leaseDurationSeconds": 10, "renewTime": time}
    assert release(NOW)["holderIdentity"] == ""
