"""Waits and logs survive what the API server does to connections."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from contextlib import aclosing

import pytest

from batchwright.cli import exits
from batchwright.cli.changes import Changed, Listed, follow, merge
from batchwright.cli.logs import _follow, _once, which_element
from batchwright.cli.logstream import Cursor, read_lines
from batchwright.cli.logview import Subject, Wanted
from batchwright.cli.tracking import Goal, Outcome, outcome
from batchwright.cli.waiting import conclude, wait_for
from batchwright.cluster.resources import BATCH_JOBS
from batchwright.errors import BatchwrightError, Forbidden, NotFound
from unit.cli.fakeapi import FakeApi, Log, Watch, event, serve
from unit.cli.objects import array, element_pod, job, pod

DEADLINE_SECONDS = 20


async def take(fake: FakeApi, count: int) -> list[Listed | Changed]:
    """The first `count` changes of the jobs."""
    seen: list[Listed | Changed] = []
    async with (
        asyncio.timeout(DEADLINE_SECONDS),
        serve(fake) as session,
        aclosing(merge(follow(session, BATCH_JOBS, "lab"))) as changes,
    ):
        async for change in changes:
            seen.append(change)
            if len(seen) == count:
                break
    return seen


async def test_an_ended_watch_is_taken_up_at_its_last_version() -> None:
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "150"}}}
    fake = FakeApi()
    fake.lists["batchjobs"] = deque([[job()]])
    first = Watch([event("MODIFIED", job(state="RUNNING")), bookmark])
    fake.watches["batchjobs"] = deque([first, Watch([event("DELETED", job())])])
    seen = await take(fake, 3)
    assert [type(change) for change in seen] == [Listed, Changed, Changed]
    assert isinstance(seen[2], Changed)
    assert seen[2].deleted
    watched = [query["resourceVersion"] for query in fake.queries if "watch" in query]
    assert watched == ["100", "150"]


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(410, id="version too old, by status"),
        pytest.param(Watch([{"type": "ERROR", "object": {"code": 410}}]), id="version too old, by event"),
        pytest.param(Watch(ending="break"), id="connection broken"),
        pytest.param(503, id="server unavailable"),
        pytest.param(429, id="server busy"),
    ],
)
async def test_after_trouble_everything_is_listed_again(trouble: Watch | int) -> None:
    fake = FakeApi()
    fake.lists["batchjobs"] = deque([[job()], [job(state="RUNNING")]])
    fake.watches["batchjobs"] = deque([trouble])
    seen = await take(fake, 2)
    assert isinstance(seen[1], Listed)
    assert seen[1].items[0]["status"]["state"] == "RUNNING"


async def test_what_cannot_pass_is_raised_through_merged_sources() -> None:
    fake = FakeApi()
    fake.lists["batchjobs"] = deque([403])
    with pytest.raises(Forbidden):
        await take(fake, 1)


async def wait(fake: FakeApi, seconds: float = DEADLINE_SECONDS) -> dict[str, Outcome]:
    """Waits for the jobs of the first list to finish."""
    goal = Goal.finished
    jobs = [item for item in fake.lists["batchjobs"].popleft() if isinstance(item, dict)]
    async with serve(fake) as session:
        tracker = await wait_for(session, jobs, goal, seconds=seconds)
        results = {tracker.jobs[uid]["metadata"]["name"]: result for uid, result in tracker.outcomes(goal).items()}
        conclude(tracker, goal)
        return results


async def test_a_wait_ends_with_what_happened_while_the_watch_was_down(capsys: pytest.CaptureFixture[str]) -> None:
    fake = FakeApi()
    fake.lists["batchjobs"] = deque([[job()], [job(state="RUNNABLE")], [job(state="SUCCEEDED")]])
    fake.watches["batchjobs"] = deque([Watch([event("MODIFIED", job(state="RUNNING"))], "break")])
    assert await wait(fake) == {"sim": Outcome.reached}
    lines = [line.split(" ", 1)[1] for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "sim SUBMITTED",
        "sim SUBMITTED → RUNNABLE",
        "sim RUNNABLE → RUNNING",
        "sim RUNNING → SUCCEEDED",
    ]
    assert fake.queries[0]["fieldSelector"] == "metadata.name=sim"


async def test_a_wait_for_several_goes_on_after_one_failed() -> None:
    one, two = job("one", number=1), job("two", number=2)
    fake = FakeApi()
    fake.lists["batchjobs"] = deque([[one, two], [one, two]])
    stranger = job("other", number=3, state="SUCCEEDED")
    events = [
        event("MODIFIED", job("one", number=1, state="FAILED")),
        event("MODIFIED", stranger),
        event("MODIFIED", job("two", number=2, state="SUCCEEDED")),
    ]
    fake.watches["batchjobs"] = deque([Watch(events, "hang")])
    with pytest.raises(exits.Failed) as failed:
        await wait(fake)
    assert failed.value.code == exits.ERROR


async def test_a_job_deleted_meanwhile_is_no_success() -> None:
    fake = FakeApi()
    fake.lists["batchjobs"] = deque([[job()], []])
    with pytest.raises(NotFound, match="deleted while waiting: sim"):
        await wait(fake)


async def test_a_wait_has_its_time_limit_and_says_where_the_job_is() -> None:
    fake = FakeApi()
    fake.lists["batchjobs"] = deque([[job()], [job(state="RUNNABLE")]])
    with pytest.raises(exits.WaitTimeout, match=r"sim is RUNNABLE"):
        await wait(fake, seconds=0.3)


@pytest.mark.parametrize(
    ("goal", "state", "want"),
    [
        pytest.param(Goal.finished, "SUCCEEDED", Outcome.reached, id="finished well"),
        pytest.param(Goal.finished, "FAILED", Outcome.missed, id="finished badly"),
        pytest.param(Goal.SUCCEEDED, "FAILED", Outcome.missed, id="can never succeed"),
        pytest.param(Goal.FAILED, "FAILED", Outcome.reached, id="was to fail"),
        pytest.param(Goal.FAILED, "SUCCEEDED", Outcome.missed, id="can never fail"),
        pytest.param(Goal.RUNNING, "RUNNING", Outcome.reached, id="runs"),
        pytest.param(Goal.RUNNING, "SUCCEEDED", Outcome.reached, id="ran unseen"),
        pytest.param(Goal.RUNNING, "FAILED", Outcome.missed, id="will not run"),
        pytest.param(Goal.RUNNING, "STARTING", Outcome.open, id="about to run"),
        pytest.param(Goal.SUCCEEDED, "RUNNING", Outcome.open, id="not over"),
    ],
)
def test_how_a_state_stands_to_a_goal(goal: Goal, state: str, want: Outcome) -> None:
    assert outcome(job(state=state), goal) is want


def test_a_cursor_drops_what_was_shown_and_keeps_what_shares_its_time() -> None:
    cursor = Cursor()
    assert [cursor.take(line) for line in ("1 a", "2 b", "2 c")] == ["a", "b", "c"]
    assert cursor.resume() == "2"
    assert [cursor.take(line) for line in ("1 a", "2 b", "2 c", "2 d", "3 ")] == [None, None, None, "d", ""]


async def test_a_broken_log_is_taken_up_without_loss_or_repetition() -> None:
    fake = FakeApi()
    fake.logs["sim-0"] = deque([Log(["1 a", "2 b"], broken=True), Log(["1 a", "2 b", "3 ", "4 c d"])])
    async with asyncio.timeout(DEADLINE_SECONDS), serve(fake) as session:
        lines = read_lines(session, "lab", "sim-0", "main", follow=True, tail=5, timestamps=False)
        assert [line async for line in lines] == ["a", "b", "", "c d"]
    assert [(q.get("tailLines"), q.get("sinceTime")) for q in fake.queries] == [("5", None), (None, "2")]


WHOLE = Wanted(attempt=None, container=None, tail=None, timestamps=False)


async def test_following_waits_for_the_start_and_goes_over_retries(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = pod("sim-0"), pod("sim-1", failures=1, phase="Succeeded", state="terminated")
    waiting = pod("sim-0", phase="Pending", state="waiting")
    done = job(state="SUCCEEDED", attempts=[{"container": {"podName": "sim-0"}}, {"container": {"podName": "sim-1"}}])
    fake = FakeApi()
    fake.lists["batchjobs"] = deque([[job(state="STARTING")]])
    fake.lists["pods"] = deque([[waiting], [first, second]])
    later = Watch([event("ADDED", second)], "hang", after="sim-0")
    fake.watches["pods"] = deque([Watch([event("MODIFIED", first)]), later])
    fake.watches["batchjobs"] = deque([Watch([event("MODIFIED", done)], "hang", after="sim-1")])
    fake.logs["sim-0"] = deque([Log(["1 first"])])
    fake.logs["sim-1"] = deque([Log(["1 second"])])
    async with asyncio.timeout(DEADLINE_SECONDS), serve(fake) as session:
        await _follow(session, Subject(job(state="STARTING")), WHOLE)
    shown = capsys.readouterr()
    assert shown.out == "first\nsecond\n"
    assert shown.err == "--- attempt 2 ---\n"


async def test_an_attempt_that_never_ran_is_told_and_passed_over(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = pod("sim-0", phase="Failed", state="terminated"), pod("sim-1", failures=1)
    del first["status"]["containerStatuses"][0]["state"]["terminated"]["containerID"]
    fake = FakeApi()
    fake.lists["batchjobs"] = deque([[job(state="STARTING")]])
    fake.lists["pods"] = deque([[first], [first, second]])
    fake.watches["pods"] = deque([Watch([event("ADDED", second)], "hang")])
    fake.watches["batchjobs"] = deque([Watch([event("MODIFIED", job(state="SUCCEEDED"))], "hang", after="sim-1")])
    fake.logs["sim-1"] = deque([Log(["1 second"])])
    async with asyncio.timeout(DEADLINE_SECONDS), serve(fake) as session:
        await _follow(session, Subject(job(state="STARTING")), WHOLE)
    shown = capsys.readouterr()
    assert shown.out == "second\n"
    assert shown.err.splitlines() == [
        "attempt 1 has no log: container main of pod sim-0 never ran",
        "--- attempt 2 ---",
    ]


async def test_following_a_job_that_never_started_says_so() -> None:
    fake = FakeApi()
    fake.lists["batchjobs"] = deque([[job(state="RUNNABLE")]])
    fake.lists["pods"] = deque([[], []])
    fake.watches["batchjobs"] = deque([Watch([event("MODIFIED", job(state="FAILED", isCancelled=True))], "hang")])
    with pytest.raises(NotFound, match="without ever starting"):
        async with asyncio.timeout(DEADLINE_SECONDS), serve(fake) as session:
            await _follow(session, Subject(job(state="RUNNABLE")), WHOLE)


@pytest.mark.parametrize(
    ("attempt", "want"),
    [
        pytest.param(None, "third", id="the last"),
        pytest.param(1, "first", id="as the status recorded it"),
        pytest.param(3, "third", id="by the failures before it"),
    ],
)
async def test_the_log_of_an_attempt(attempt: int | None, want: str, capsys: pytest.CaptureFixture[str]) -> None:
    pods = [pod("c", failures=2), pod("a", phase="Failed", state="terminated")]
    running = job(state="RUNNING", attempts=[{"container": {"podName": "a"}}, {"container": {"podName": "b"}}])
    fake = FakeApi()
    fake.lists["pods"] = deque([pods])
    fake.logs["a"], fake.logs["c"] = deque([Log(["1 first"])]), deque([Log(["1 third"])])
    async with asyncio.timeout(DEADLINE_SECONDS), serve(fake) as session:
        await _once(session, Subject(running), Wanted(attempt, None, None, False))
    assert capsys.readouterr().out == want + "\n"


@pytest.mark.parametrize(
    ("state", "attempt", "want"),
    [
        pytest.param("RUNNING", 2, "is gone, and its log with it", id="pod deleted"),
        pytest.param("RUNNING", 4, "there is no attempt 4", id="no such attempt"),
        pytest.param("FAILED", None, "is gone, and its log with it", id="kept no longer"),
    ],
)
async def test_a_log_that_is_gone_says_why(state: str, attempt: int | None, want: str) -> None:
    fake = FakeApi()
    fake.lists["pods"] = deque([[]])
    over = job(state=state, attempts=[{"container": {"podName": "a"}}, {"container": {"podName": "b"}}])
    with pytest.raises(NotFound, match=want):
        async with asyncio.timeout(DEADLINE_SECONDS), serve(fake) as session:
            await _once(session, Subject(over), Wanted(attempt, None, None, False))


async def test_the_log_of_an_element_is_that_of_its_pods(capsys: pytest.CaptureFixture[str]) -> None:
    retried = array(spec={"arrayProperties": {"indexes": "2,4,6"}}, state="PENDING", failed="4")
    fake = FakeApi()
    fake.lists["pods"] = deque([[element_pod(1, exit_code=1), element_pod(1, failures=1, exit_code=1)]] * 2)
    fake.logs["sim-1-0"], fake.logs["sim-1-1"] = deque([Log(["1 first"])]), deque([Log(["1 second"])])
    async with asyncio.timeout(DEADLINE_SECONDS), serve(fake) as session:
        await _once(session, Subject(retried, 4), WHOLE)
        await _once(session, Subject(retried, 4), Wanted(1, None, None, False))
    assert capsys.readouterr().out == "second\nfirst\n"
    uid = retried["metadata"]["uid"]
    assert fake.queries[0]["labelSelector"] == f"batchwright.io/job-id={uid},batch.kubernetes.io/job-completion-index=1"


async def test_following_an_element_ends_with_it_and_not_with_the_array(capsys: pytest.CaptureFixture[str]) -> None:
    goes_on = array(state="PENDING")
    fake = FakeApi()
    fake.lists["batchjobs"] = deque([[goes_on]])
    fake.lists["pods"] = deque([[element_pod(3, gated=True, phase="Pending", state="waiting")], [element_pod(3)]])
    fake.watches["pods"] = deque([Watch([event("MODIFIED", element_pod(3))], "hang")])
    over = array(state="PENDING", succeeded="3")
    fake.watches["batchjobs"] = deque([Watch([event("MODIFIED", over)], "hang", after="sim-3-0")])
    fake.logs["sim-3-0"] = deque([Log(["1 done"])])
    async with asyncio.timeout(DEADLINE_SECONDS), serve(fake) as session:
        await _follow(session, Subject(goes_on, 3), WHOLE)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("done\n", "waiting for element sim:3\n")


@pytest.mark.parametrize(
    ("given", "attempt", "want"),
    [
        pytest.param(array(state="PENDING"), None, "element sim:3 is RUNNABLE: it has no log yet", id="waits"),
        pytest.param(
            array(failed="3", failures=[{"indexes": "3", "statusReason": "Dependent Job failed"}]),
            None,
            "element sim:3 FAILED without ever starting: it has no log (see `batchwright describe sim:3`)",
            id="never started",
        ),
        pytest.param(array(succeeded="3"), 2, "the pod of element sim:3 is gone", id="pod gone"),
        pytest.param(
            array(state="PENDING"), 2, "element sim:3 has had 0 attempts (it is RUNNABLE)", id="no attempt yet"
        ),
    ],
)
async def test_an_element_without_a_log_says_why(given: dict[str, object], attempt: int | None, want: str) -> None:
    fake = FakeApi()
    fake.lists["pods"] = deque([[]])
    with pytest.raises(BatchwrightError, match=re.escape(want)):
        async with asyncio.timeout(DEADLINE_SECONDS), serve(fake) as session:
            await _once(session, Subject(given, 3), Wanted(attempt, None, None, False))


@pytest.mark.parametrize(
    ("given", "want"),
    [
        pytest.param(
            array(failed="3,8", failures=[{"indexes": "8"}]), "such as sim:8, which failed first", id="failed"
        ),
        pytest.param(array(succeeded="0-3"), "such as sim:4 (`batchwright list --array sim`", id="none failed"),
    ],
)
def test_an_array_has_no_log_of_its_own(given: dict[str, object], want: str) -> None:
    assert want in str(which_element(given))


async def test_a_pod_that_was_never_released_is_no_attempt(capsys: pytest.CaptureFixture[str]) -> None:
    refused = element_pod(3, gated=True, phase="Failed", state="waiting")
    given = array(failed="3", failures=[{"indexes": "3", "statusReason": "Dependent Job failed"}])
    fake = FakeApi()
    fake.lists["pods"] = deque([[refused]] * 3)
    fake.lists["batchjobs"] = deque([[given]])
    async with asyncio.timeout(DEADLINE_SECONDS), serve(fake) as session:
        with pytest.raises(NotFound, match="element sim:3 FAILED without ever starting"):
            await _once(session, Subject(given, 3), WHOLE)
        with pytest.raises(NotFound, match="element sim:3 FAILED without ever starting"):
            await _follow(session, Subject(given, 3), WHOLE)
    assert capsys.readouterr().out == ""
