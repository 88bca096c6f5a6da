"""Ending elements: what is asked, how it is added beside what others add, and what is said."""

from __future__ import annotations

import re
from collections import deque

import pytest

from batchwright.cli.element_ending import Verb, addition, check_room, outcome, refusal
from batchwright.cli.ending import end_job
from batchwright.domain.indexes import parse_indexes
from batchwright.errors import BatchwrightError, Conflict, Invalid, NotFound
from unit.cli.fakeapi import FakeApi, serve
from unit.cli.objects import DEFAULT_UID, JSON, array, element_pod, job

UID = DEFAULT_UID.format(1)
SAME_JOB = {"op": "test", "path": "/metadata/uid", "value": UID}
OTHER = {"indexes": "5", "reason": "slow"}
SHOWN = "batchjob.batchwright.io/sim"
RUNS = array(state="PENDING", jobName="sim-1", succeeded="0-1", failed="9")


def asked(*requests: JSON, version: str = "1") -> JSON:
    """The array with requests to terminate elements."""
    made = array(state="PENDING", jobName="sim-1", spec={"terminateElements": list(requests)} if requests else None)
    made["metadata"]["resourceVersion"] = version
    return made


async def end(fake: FakeApi, reference: str, verb: Verb = "terminate", given: JSON = RUNS) -> str:
    """Ends elements of `given`, unless a script of it is there."""
    if not fake.objects["batchjobs/sim"]:
        fake.objects["batchjobs/sim"] = deque([given])
    fake.answers = fake.answers or deque([given])
    async with serve(fake) as session:
        return await end_job(session, reference, verb, "enough")


@pytest.mark.parametrize(
    ("reference", "verb", "indexes", "want"),
    [
        pytest.param("sim:3", "terminate", "3", f"{SHOWN}:3 is being terminated", id="one"),
        pytest.param("sim:3,4,6-8", "terminate", "3,4,6-8", f"{SHOWN}:3,4,6-8 are being terminated", id="several"),
        pytest.param(
            "sim:0-9", "terminate", "2-8", f"{SHOWN}:2-8 are being terminated (0,1,9 ended before)", id="what is left"
        ),
        pytest.param(
            "sim:3-5", "cancel", "3-5", f"{SHOWN}:3-5 are being cancelled: those that have started go on", id="cancel"
        ),
    ],
)
async def test_elements_are_asked_to_end(reference: str, verb: Verb, indexes: str, want: str) -> None:
    fake = FakeApi()
    assert await end(fake, reference, verb) == want
    [(method, name, patch)] = fake.writes
    assert (method, name) == ("PATCH", "sim")
    assert patch == [
        SAME_JOB,
        {"op": "add", "path": "/metadata/resourceVersion", "value": "1"},
        {"op": "add", "path": f"/spec/{verb}Elements", "value": [{"indexes": indexes, "reason": "enough"}]},
    ]


@pytest.mark.parametrize(
    ("pods", "want"),
    [
        pytest.param([], f"{SHOWN}:3 is being cancelled", id="not begun"),
        pytest.param([element_pod(3)], f"{SHOWN}:3 is RUNNING and goes on: cancel ends only elements", id="runs"),
    ],
)
async def test_cancelling_one_element_says_whether_it_goes_on(pods: list[JSON], want: str) -> None:
    fake = FakeApi()
    fake.lists["pods"] = deque([pods])
    assert (await end(fake, "sim:3", "cancel")).startswith(want)


@pytest.mark.parametrize(
    ("given", "indexes", "want"),
    [
        pytest.param(RUNS, "1", f"{SHOWN}:1 has already SUCCEEDED: nothing to terminate", id="succeeded"),
        pytest.param(
            RUNS, "0,9", f"{SHOWN}:0,9 have already SUCCEEDED or FAILED: nothing to terminate", id="both ends"
        ),
        pytest.param(array(state="FAILED"), "3", f"{SHOWN}:3 has already FAILED: nothing to terminate", id="all ended"),
        pytest.param(asked(OTHER), "5", f"{SHOWN}:5 was already asked to terminate: slow", id="asked"),
        pytest.param(
            asked(OTHER, {"indexes": "6-7", "reason": "late"}),
            "5-7",
            f"{SHOWN}:5-7 were already asked to terminate: slow; late",
            id="asked one by one",
        ),
        pytest.param(
            array(spec={"terminate": {"reason": "stop"}}),
            "3",
            "all of sim was already asked to terminate: stop",
            id="all",
        ),
        pytest.param(asked(OTHER), "5-6", None, id="some are new"),
        pytest.param(RUNS, "1-2", None, id="some have not ended"),
    ],
)
def test_what_is_not_asked_again(given: JSON, indexes: str, want: str | None) -> None:
    said = refusal(given, parse_indexes(indexes), "terminate")
    assert said is None if want is None else want in str(said)


async def test_a_refusal_writes_nothing() -> None:
    fake = FakeApi()
    assert "nothing to cancel" in await end(fake, "sim:0", "cancel")
    assert fake.writes == []


def test_a_request_is_appended_to_what_is_there() -> None:
    request = {"indexes": "3", "reason": "enough"}
    assert addition(asked(OTHER), "terminate", request) == [
        SAME_JOB,
        {"op": "add", "path": "/spec/terminateElements/-", "value": request},
    ]


async def test_somebody_elses_first_request_is_kept() -> None:
    fake = FakeApi()
    fake.objects["batchjobs/sim"] = deque([asked(), asked(OTHER, version="2")])
    fake.answers = deque([409, asked(OTHER)])
    assert await end(fake, "sim:3") == f"{SHOWN}:3 is being terminated"
    first, second = (patch[-1] for _, _, patch in fake.writes)
    assert first["path"] == "/spec/terminateElements"
    assert second == {"op": "add", "path": "/spec/terminateElements/-", "value": {"indexes": "3", "reason": "enough"}}


async def test_conflicts_without_end_are_told() -> None:
    fake = FakeApi()
    fake.answers = deque([409] * 20)
    with pytest.raises(Conflict):
        await end(fake, "sim:3")
    assert len(fake.writes) == 20


async def test_an_answer_that_was_lost_is_no_failure() -> None:
    fake = FakeApi()
    fake.objects["batchjobs/sim"] = deque([asked(OTHER), asked(OTHER, {"indexes": "3", "reason": "enough"})])
    fake.answers = deque([422])
    assert await end(fake, "sim:3") == f"{SHOWN}:3 is being terminated"


async def test_what_the_api_server_refuses_is_raised() -> None:
    fake = FakeApi()
    fake.answers = deque([422])
    with pytest.raises(Invalid):
        await end(fake, "sim:3")


@pytest.mark.parametrize(
    ("given", "reference", "want"),
    [
        pytest.param(array(), "sim:10", "no element 10", id="out of range"),
        pytest.param(job(), "sim:3", "is no array", id="no array"),
    ],
)
async def test_elements_that_are_not_there(given: JSON, reference: str, want: str) -> None:
    fake = FakeApi()
    with pytest.raises(NotFound, match=want):
        await end(fake, reference, given=given)
    assert fake.writes == []


def test_a_job_takes_so_many_requests_and_so_long_ones() -> None:
    full = asked(*({"indexes": str(number), "reason": "x"} for number in range(64)))
    with pytest.raises(BatchwrightError, match=re.escape("64 requests to terminate elements")):
        check_room(full, "70", "terminate")
    with pytest.raises(BatchwrightError, match="name fewer ranges at a time"):
        check_room(array(), ",".join(["1234"] * 300), "terminate")
    check_room(array(), "3", "terminate")


async def test_a_whole_array_is_ended_as_any_job_is() -> None:
    fake = FakeApi()
    assert await end(fake, "sim") == f"{SHOWN} is being terminated"
    assert fake.writes[0][2]["spec"] == {"terminate": {"reason": "enough"}}


def test_an_element_that_ended_meanwhile_is_spoken_of_all_the_same() -> None:
    over = array(state="PENDING", succeeded="3")
    assert outcome(over, parse_indexes("3"), "terminate", None) == f"{SHOWN}:3 is being terminated"
