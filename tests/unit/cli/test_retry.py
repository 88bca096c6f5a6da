"""`retry`: which elements run again, as which job."""

from __future__ import annotations

import re
from collections import deque

import pytest

from batchwright.api.v1alpha1 import BatchJob
from batchwright.cli.retry import retry_job, told
from batchwright.cli.retrying import LONGEST, build_retry, chosen_elements, retry_name
from batchwright.domain.indexes import Runs, format_runs, parse_indexes, runs_of
from batchwright.errors import BatchwrightError, NotFound
from unit.cli.fakeapi import FakeApi, serve
from unit.cli.objects import JSON, array, job

FULL = {
    "parameters": {"who": "me"},
    "dependsOn": [{"name": "c", "type": "N_TO_N"}],
    "containerOverrides": {"command": ["run"]},
    "retryStrategy": {"attempts": 2},
    "timeout": {"attemptDurationSeconds": 60},
    "tags": {"team": "x"},
    "terminate": {"reason": "enough"},
    "terminateElements": [{"indexes": "3", "reason": "enough"}],
    "cancelElements": [{"indexes": "4", "reason": "enough"}],
    "arrayProperties": {"maxConcurrency": 5},
}
OVER = array(spec=FULL, state="FAILED", jobDefinition="hello:7", succeeded="0-2,5", failed="3,4,6-9")
GOES_ON = array(state="PENDING", succeeded="0-2", failed="3")


@pytest.mark.parametrize(
    ("given", "asked", "failed", "want"),
    [
        pytest.param(OVER, None, False, "3,4,6-9", id="what failed"),
        pytest.param(OVER, None, True, "3,4,6-9", id="what failed, said"),
        pytest.param(OVER, "3,5", False, "3,5", id="named, one of them well"),
        pytest.param(OVER, "3,5", True, "3", id="the failed of the named"),
        pytest.param(OVER, "5", True, "", id="none of the named failed"),
        pytest.param(array(state="SUCCEEDED", succeeded="0-9"), None, False, "", id="nothing failed"),
        pytest.param(GOES_ON, "1,3", False, "1,3", id="the job goes on, and these have ended"),
    ],
)
def test_what_runs_again(given: JSON, asked: str | None, failed: bool, want: str) -> None:
    runs = None if asked is None else parse_indexes(asked)
    assert format_runs(chosen_elements(given, runs, failed=failed)) == want


@pytest.mark.parametrize(
    ("given", "asked", "want"),
    [
        pytest.param(GOES_ON, None, "`batchwright wait sim` first, or name elements that have: --elements 3", id="all"),
        pytest.param(array(), None, "sim has not finished: `batchwright wait sim` first", id="not begun"),
        pytest.param(GOES_ON, "3-5", "elements of sim that have not ended: 4,5", id="some"),
    ],
)
def test_what_has_not_ended_does_not_run_again(given: JSON, asked: str | None, want: str) -> None:
    with pytest.raises(BatchwrightError, match=re.escape(want)):
        chosen_elements(given, None if asked is None else parse_indexes(asked), failed=False)


def many(step: int = 2) -> JSON:
    """A finished array of which every `step`th element failed."""
    text = ",".join(str(number) for number in range(0, 100_000, step))
    return array(size=100_000, state="FAILED", failed=text)


def test_too_many_ranges_are_refused_with_parts_that_fit() -> None:
    with pytest.raises(BatchwrightError, match="too many ranges") as refusal:
        chosen_elements(many(), None, failed=False)
    found = re.search(r"--failed --elements 0-(\d+)`, and then those from (\d+) to 99998", str(refusal.value))
    assert found is not None
    assert int(found[2]) == int(found[1]) + 1
    part = chosen_elements(many(), ((0, int(found[1])),), failed=True)
    assert LONGEST - 12 < len(format_runs(part)) <= LONGEST
    with pytest.raises(BatchwrightError, match="fewer --elements at a time"):
        chosen_elements(many(), runs_of(range(0, 100_000, 3)), failed=False)


def test_the_new_job_is_the_same_but_for_what_belonged_to_the_run() -> None:
    made = build_retry(OVER, "sim-retry-1", parse_indexes("3,4,6-9"))
    assert made["metadata"] == {"name": "sim-retry-1", "namespace": "lab"}
    assert made["spec"] == {
        "jobQueue": "normal",
        "jobDefinition": "hello:7",
        "parameters": {"who": "me"},
        "containerOverrides": {"command": ["run"]},
        "retryStrategy": {"attempts": 2},
        "timeout": {"attemptDurationSeconds": 60},
        "tags": {"team": "x"},
        "arrayProperties": {"maxConcurrency": 5, "size": 10, "indexes": "3,4,6-9"},
    }
    BatchJob.model_validate(made)


@pytest.mark.parametrize(
    ("items", "size"),
    [
        pytest.param({"list": [{"a": "1"}, {"a": "2"}]}, 2, id="list"),
        pytest.param({"matrix": [{"name": "a", "values": ["1", "2", "3"]}]}, 3, id="matrix"),
        pytest.param({"configMap": {"name": "rows"}}, 4, id="ConfigMap, the same reference"),
    ],
)
def test_items_and_size_are_those_of_the_whole_array(items: JSON, size: int) -> None:
    given = array(size=None, spec={"arrayProperties": {"items": items}}, state="FAILED", failed="1")
    given["status"]["arrayProperties"]["size"] = size
    made = build_retry(given, "again", parse_indexes("1"))
    assert made["spec"]["arrayProperties"] == {"items": items, "size": size, "indexes": "1"}
    BatchJob.model_validate(made)


def test_a_retry_of_a_retry_is_one_of_the_whole_array() -> None:
    first = array(spec={"arrayProperties": {"indexes": "3,7-9"}}, state="FAILED", succeeded="3,8", failed="7,9")
    chosen = chosen_elements(first, None, failed=False)
    assert build_retry(first, "x", chosen)["spec"]["arrayProperties"] == {"size": 10, "indexes": "7,9"}


def test_a_single_job_runs_again_whole() -> None:
    given = job(state="FAILED", jobDefinition="hello:2")
    assert build_retry(given, "again", None)["spec"] == {"jobQueue": "normal", "jobDefinition": "hello:2"}


@pytest.mark.parametrize(
    ("name", "number", "want"),
    [
        pytest.param("sim", 1, "sim-retry-1", id="first"),
        pytest.param("sim-retry-1", 2, "sim-retry-2", id="of a retry: the same row"),
        pytest.param("sim-retry-x", 1, "sim-retry-x-retry-1", id="a name that only looks so"),
        pytest.param("x" * 128, 12, "x" * 119 + "-retry-12", id="cut to fit"),
    ],
)
def test_names(name: str, number: int, want: str) -> None:
    assert retry_name(name, number) == want


async def again(fake: FakeApi, given: JSON, runs: Runs | None = None, *, failed: bool = False) -> JSON | None:
    """Runs the verb."""
    async with serve(fake) as session:
        return await retry_job(session, given, runs, failed=failed, name=None)


async def test_the_first_free_name_is_taken() -> None:
    fake = FakeApi()
    fake.objects["batchjobs/sim-retry-1"] = deque([job("sim-retry-1")])
    made = await again(fake, OVER)
    assert made is not None
    assert made["metadata"]["name"] == "sim-retry-2"
    assert told(made) == "batchjob.batchwright.io/sim-retry-2 created: runs 3,4,6-9 (6 elements)"
    assert [(method, name) for method, name, _ in fake.writes] == [("POST", "batchjobs")]


@pytest.mark.parametrize(
    ("given", "asked", "failed", "want"),
    [
        pytest.param(array(state="SUCCEEDED"), None, False, "nothing of sim failed: nothing to retry", id="array"),
        pytest.param(job(state="SUCCEEDED"), None, False, "nothing of sim failed: nothing to retry", id="single"),
        pytest.param(OVER, "5", True, "nothing of sim failed among these: nothing to retry", id="these"),
    ],
)
async def test_nothing_to_do_is_said_and_nothing_made(
    given: JSON, asked: str | None, failed: bool, want: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = FakeApi()
    assert await again(fake, given, None if asked is None else parse_indexes(asked), failed=failed) is None
    assert capsys.readouterr().err == want + "\n"
    assert fake.writes == []


async def test_elements_that_are_not_there_and_jobs_that_run() -> None:
    with pytest.raises(NotFound, match="no element 12"):
        await again(FakeApi(), OVER, ((12, 12),))
    with pytest.raises(NotFound, match="is no array"):
        await again(FakeApi(), job(state="FAILED"), ((0, 0),))
    with pytest.raises(BatchwrightError, match="sim is RUNNING: `batchwright wait sim` first"):
        await again(FakeApi(), job(state="RUNNING"))
