"""What becomes of the record of an array's elements, pod by pod."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import builders as b
from batchwright import names
from batchwright.api.v1alpha1.array import ArrayPropertiesDetail
from batchwright.domain import reasons
from batchwright.domain.arraystatus import array_detail
from batchwright.domain.elements import (
    ABSENT,
    FAILED,
    PENDING,
    RUNNABLE,
    RUNNING,
    STARTING,
    SUCCEEDED,
    Elements,
)
from batchwright.domain.indexes import parse_indexes
from batchwright.domain.observations import Pod
from batchwright.domain.retry import Outcome

EXITED = "Essential container in task exited"
WHY = Outcome(None, "", "not needed")


def elements(size: int = 5, indexes: str = "", *, is_open: bool = True) -> Elements:
    made = Elements(size, parse_indexes(indexes) or ((0, size - 1),))
    if is_open:
        made.open()
    return made


def pod(index: int = 0, number: int = 0, **over: Any) -> Pod:
    return b.pod(number, index=index, uid=f"p{index}-{number}", **over)


def running(index: int = 0, number: int = 0, **over: Any) -> Pod:
    return b.running_pod(number, index=index, uid=f"p{index}-{number}", **over)


def ended(index: int = 0, number: int = 0, exit_code: int | None = 0, **over: Any) -> Pod:
    return replace(b.ended_pod(number, exit_code=exit_code), index=index, uid=f"p{index}-{number}", **over)


def see(made: Elements, *pods: Pod) -> Elements:
    for each in pods:
        made.see_pod(each, "i-0abc")
    return made


def failures(made: Elements) -> list[tuple[str, str | None, int | None]]:
    return [(each.indexes, each.status_reason, each.exit_code) for each in made.failures.to_status()]


@pytest.mark.parametrize(
    ("pods", "want", "live"),
    [
        pytest.param((), RUNNABLE, False, id="no pod"),
        pytest.param((pod(gated=True),), RUNNABLE, True, id="gated"),
        pytest.param((pod(),), STARTING, True, id="let run"),
        pytest.param((pod(node="n1"),), STARTING, True, id="on a node"),
        pytest.param((running(),), RUNNING, True, id="container started"),
        pytest.param((pod(), running(), ended()), SUCCEEDED, False, id="succeeded"),
        pytest.param((ended(),), SUCCEEDED, False, id="succeeded, first sight"),
        pytest.param((running(), ended(exit_code=1)), RUNNING, False, id="failed: the Job controller's verdict"),
        pytest.param((running(), ended(exit_code=1), pod(0, 1)), STARTING, True, id="next attempt"),
        pytest.param((running(), ended(exit_code=1), pod(0, 1, gated=True)), RUNNABLE, True, id="next attempt gated"),
        pytest.param((pod(0, 1), pod(0, 0)), STARTING, True, id="an older attempt, seen late"),
        pytest.param((running(0, 1), ended(0, 0, 1)), RUNNING, True, id="end of an older attempt, seen late"),
        pytest.param((ended(), running()), SUCCEEDED, True, id="a final state stays"),
        pytest.param((pod(9),), RUNNABLE, False, id="a position that is not there"),
        pytest.param((pod(gated=True, phase="Failed"),), RUNNABLE, False, id="refused at the gate: no attempt"),
    ],
)
def test_states(pods: tuple[Pod, ...], want: int, live: bool) -> None:
    made = see(elements(), *pods)
    assert made.states[0] == want
    assert (0 in made.live) == live
    assert sum(made.counts) == made.total == 5
    assert made.counts == [made.states.count(state) for state in range(6)] + [0]


def test_a_pod_that_is_gone_waits_again() -> None:
    made = see(elements(), running())
    made.see_pod_gone(running(0, 1))
    assert made.states[0] == RUNNING
    made.see_pod_gone(running())
    assert (made.states[0], made.live, made.ready) == (RUNNABLE, {}, 5)
    assert made.grant(1) == [0]


def test_pods_on_nodes_are_counted_once() -> None:
    made = see(elements(), pod(), pod(1), running(), running(), pod(2, gated=True))
    assert (made.bound, made.unbound) == (1, 1)
    see(made, ended(), ended())
    made.see_pod_gone(pod(1))
    assert (made.bound, made.unbound) == (0, 0)


def test_when_it_started_and_stopped() -> None:
    made = see(elements(), ended(1, 2), running(0, started=7), ended(3, 1))
    assert made.started_at == b.at(7)
    assert made.stopped_at == b.at(25)


SETTLED = [
    pytest.param((running(), ended()), ("0", ""), SUCCEEDED, [], id="succeeded"),
    pytest.param((running(), ended(exit_code=3)), ("", "0"), FAILED, [("0", EXITED, 3)], id="failed"),
    pytest.param((running(), ended(exit_code=3)), ("", ""), RUNNING, [], id="failed, no verdict yet"),
    pytest.param((running(),), ("", "0"), RUNNING, [], id="verdict before the pod's end"),
    pytest.param((running(),), ("0", ""), RUNNING, [], id="success before the pod's end"),
    pytest.param((), ("0", ""), SUCCEEDED, [], id="pod never seen: succeeded"),
    pytest.param((), ("", "0"), FAILED, [("0", None, None)], id="pod never seen: failed"),
    pytest.param(
        (running(), ended(exit_code=3), running(0, 1), ended(0, 1, 4)),
        ("", "0"),
        FAILED,
        [("0", EXITED, 4)],
        id="the last attempt counts",
    ),
    pytest.param(
        (ended(0, 1, 4), ended(0, 0, 3)), ("", "0"), FAILED, [("0", EXITED, 4)], id="attempts listed in any order"
    ),
    pytest.param(
        (ended(mark=b.mark(names.POD_CONDITION_TIMEOUT)),),
        ("0", ""),
        FAILED,
        [("0", reasons.ATTEMPT_TIMED_OUT, 0)],
        id="timed out, whatever its exit code",
    ),
    pytest.param((), ("0-4", "7-9"), SUCCEEDED, [], id="positions that are not there"),
]


@pytest.mark.parametrize(("pods", "texts", "want", "groups"), SETTLED)
def test_the_verdict_of_the_kubernetes_job(
    pods: tuple[Pod, ...], texts: tuple[str, str], want: int, groups: list[tuple[str, str | None, int | None]]
) -> None:
    made = see(elements(), *pods)
    made.results.see(*texts)
    made.settle()
    assert made.states[0] == want
    assert failures(made) == groups


def test_a_verdict_waits_for_the_pods_end() -> None:
    made = see(elements(), running())
    made.results.see("", "0")
    made.settle()
    see(made, ended(exit_code=9))
    made.settle()
    assert (made.states[0], failures(made)) == (FAILED, [("0", EXITED, 9)])


def test_why_a_pod_failed_may_be_seen_after_the_verdict() -> None:
    made = elements()
    made.results.see("", "0,1")
    made.settle()
    assert failures(made) == [("0,1", None, None)]
    see(made, running(), ended(exit_code=9))
    assert failures(made) == [("1", None, None), ("0", EXITED, 9)]
    see(made, running(1, 1), ended(1, 1, 8), ended(1, 0, 7))
    assert failures(made) == [("0", EXITED, 9), ("1", EXITED, 8)]
    assert made.ended == [0, 1]


def test_the_last_attempt_may_be_seen_after_the_verdict() -> None:
    made = see(elements(), running(), ended(exit_code=1))
    made.results.see("", "0")
    made.settle()
    see(made, running(0, 1), ended(0, 1, 2))
    assert failures(made) == [("0", EXITED, 2)]


@pytest.mark.parametrize(
    ("last", "want"),
    [
        pytest.param(ended(exit_code=143, deleting=True), ("stop", 143), id="deleted with the Job"),
        pytest.param(ended(exit_code=1), (EXITED, 1), id="ended by itself before"),
        pytest.param(
            ended(exit_code=None, deleting=True, disruption="DeletionByTaintManager"),
            ("Host EC2 (instance i-0abc) terminated.", None),
            id="its node was lost",
        ),
        pytest.param(
            ended(exit_code=143, deleting=True, mark=b.mark(names.POD_CONDITION_TERMINATED, "this one")),
            ("this one", 143),
            id="ended alone before",
        ),
        pytest.param(None, ("stop", None), id="pod never seen"),
    ],
)
def test_why_a_pod_failed_when_the_job_was_told_to_end(last: Pod | None, want: tuple[str, int | None]) -> None:
    made = see(elements(), *(() if last is None else (running(), last)))
    made.results.see("", "0")
    made.settle("stop")
    assert failures(made) == [("0", *want)]


def test_another_attempt_waits_until_it_has_a_pod() -> None:
    made = see(elements(), running())
    made.retried(0)
    assert made.states[0] == RUNNING
    see(made, ended(exit_code=1))
    made.retried(0)
    assert (made.states[0], made.ready) == (RUNNABLE, 5)


# Waiting and granting.


def test_nothing_waits_for_room_before_the_array_is_open() -> None:
    made = elements(is_open=False)
    assert (made.counts[PENDING], made.ready, made.grant(3)) == (5, 0, [])
    made.open()
    assert (made.counts[RUNNABLE], made.ready) == (5, 5)
    before = made.version
    made.open()
    assert made.version == before


def test_open_with_pods_under_way() -> None:
    made = see(elements(is_open=False), running(1), pod(2, gated=True), ended(3))
    made.open()
    assert list(made.states) == [RUNNABLE, RUNNING, RUNNABLE, SUCCEEDED, RUNNABLE]
    assert made.grant(9) == [0, 2, 4]


def test_the_lowest_are_granted_first() -> None:
    made = see(elements(10), running(0), running(4), ended(4, 0, 1))
    assert made.grant(3) == [1, 2, 3]
    made.retried(4)
    assert made.grant(3) == [4, 5, 6]
    assert (made.active, made.ready) == (7, 3)


def test_a_granted_pod_that_is_there_gets_attention() -> None:
    made = see(elements(), pod(1, gated=True))
    made.attention.clear()
    assert made.grant(2) == [0, 1]
    assert made.attention == {1}


def test_leave_is_used_up_by_a_pod_that_may_run() -> None:
    made = elements()
    made.grant(2)
    see(made, pod(0, gated=True))
    assert made.granted == {0, 1}
    see(made, pod(0))
    assert made.granted == {1}


def test_a_finished_pod_that_is_seen_again_does_not_take_the_leave_of_the_next_attempt() -> None:
    made = see(elements(2), running(0), ended(0, exit_code=3), pod(0, 1, gated=True))
    assert made.grant(1) == [0]
    see(made, ended(0, exit_code=3))  # its finalizer went
    assert made.granted == {0}


@pytest.mark.parametrize(
    "over",
    [
        pytest.param({"gated": True}, id="ended with its gate on"),
        pytest.param({"gated": False}, id="its whole life fell into a gap of the watch"),
    ],
)
def test_a_granted_pod_that_ends_unseen_does_not_lose_its_element(over: dict[str, Any]) -> None:
    made = elements(2)
    made.gated = True
    see(made, pod(0, gated=True))
    assert made.grant(1) == [0]
    see(made, ended(0, exit_code=1, **over))
    assert (made.granted, made.ready) == (set(), 2)
    assert made.grant(1) == [0]


def test_leave_is_taken_back() -> None:
    made = elements()
    assert made.grant(2) == [0, 1]
    made.withdraw()
    assert made.grant(3) == [0, 1, 2]


# Ends of ours.


@pytest.mark.parametrize(
    ("pods", "want", "condemned"),
    [
        pytest.param((), FAILED, True, id="no pod"),
        pytest.param((pod(gated=True),), FAILED, True, id="gated"),
        pytest.param((pod(),), STARTING, False, id="let run"),
        pytest.param((running(),), RUNNING, False, id="running"),
        pytest.param((running(), ended()), SUCCEEDED, False, id="succeeded"),
        pytest.param((running(), ended(exit_code=1)), FAILED, True, id="between attempts"),
    ],
)
def test_condemn(pods: tuple[Pod, ...], want: int, condemned: bool) -> None:
    made = see(elements(), *pods)
    made.attention.clear()
    made.condemn(0, WHY)
    assert made.states[0] == want
    assert made.condemned == ({0: WHY} if condemned else {})
    assert made.attention == ({0} if condemned and 0 in made.live else set())
    assert failures(made) == ([("0", "not needed", None)] if condemned else [])


def test_one_whose_gate_is_being_lifted_is_not_condemned() -> None:
    """It may run before another word about it arrives; one that could not be lifted has not started."""
    made = see(elements(), pod(gated=True))
    made.grant(1)
    made.releasing.add(0)
    made.condemn_waiting(WHY)
    assert (made.states[0], made.counts[FAILED]) == (RUNNABLE, made.total - 1)
    see(made, pod(gated=True))
    made.condemn(0, WHY)
    assert made.states[0] == RUNNABLE
    made.look_again(pod(gated=True))
    made.condemn(0, WHY)
    assert made.states[0] == FAILED


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(lambda made: see(made, pod()), id="lifted"),
        pytest.param(lambda made: made.see_pod_gone(pod(gated=True)), id="gone"),
        pytest.param(lambda made: see(made, pod(number=1, gated=True)), id="another pod"),
    ],
)
def test_no_gate_is_being_lifted_any_more(seen: Callable[[Elements], object]) -> None:
    made = see(elements(), pod(gated=True))
    made.grant(1)
    made.releasing.add(0)
    seen(made)
    assert made.releasing == set()


def test_condemned_ones_are_not_granted() -> None:
    made = elements()
    assert made.grant(1) == [0]
    made.condemn(0, WHY)
    made.condemn(1, WHY)
    assert made.granted == set()
    assert made.grant(1) == [2]


@pytest.mark.parametrize("index", [-1, 5, 2], ids=["below", "beyond", "left out"])
def test_an_element_that_is_not_there(index: int) -> None:
    made = elements(5, "0,1,3,4")
    made.condemn(index, WHY)
    assert not made.fail(index, WHY)
    assert (made.ended, made.condemned, made.counts[FAILED]) == ([], {}, 0)


def test_all_that_waits_is_condemned() -> None:
    made = see(elements(), running(1), ended(2), pod(3, gated=True))
    made.condemn_waiting(WHY)
    assert list(made.states) == [FAILED, RUNNING, SUCCEEDED, FAILED, FAILED]
    made.fail_rest(Outcome(None, "", "gone"))
    assert list(made.states) == [FAILED, FAILED, SUCCEEDED, FAILED, FAILED]
    assert failures(made) == [("0,3,4", "not needed", None), ("1", "gone", None)]
    assert made.unfinished == 0


@pytest.mark.parametrize(
    ("texts", "pods"),
    [
        pytest.param(("", "0"), (), id="the Job says so"),
        pytest.param(("", ""), (pod(gated=True), pod(gated=True, phase="Failed")), id="its pod was refused"),
    ],
)
def test_the_job_knows_of_a_condemned_one(texts: tuple[str, str], pods: tuple[Pod, ...]) -> None:
    made = elements()
    made.condemn(0, WHY)
    see(made, *pods)
    made.results.see(*texts)
    made.settle()
    assert made.condemned == {}
    assert failures(made) == [("0", "not needed", None)]


# Positions and indexes.


def test_a_part_of_an_array() -> None:
    made = elements(12, "3,7-9,11")
    assert made.total == 5
    assert [made.results.index_of(position) for position in range(-1, 6)] == [None, 3, 7, 8, 9, 11, None]
    assert [made.results.position_of(index) for index in (3, 7, 8, 9, 11)] == [0, 1, 2, 3, 4]
    assert made.states.count(ABSENT) == 7
    see(made, running(1), ended(4))
    assert (made.states[7], made.states[11], made.ended) == (RUNNING, SUCCEEDED, [11])
    assert made.grant(9) == [3, 8, 9]
    made.results.see("4", "0-1")
    made.settle()
    assert (made.states[3], made.states[7]) == (FAILED, RUNNING)


def test_rank_is_what_the_job_makes_before() -> None:
    made = elements(12, "3,7-9,11")
    assert [made.results.rank(index) for index in (3, 7, 11)] == [0, 1, 4]
    made.results.see("1", "0")
    made.settle()
    assert [made.results.rank(index) for index in (3, 7, 8, 9)] == [0, 0, 0, 1]
    assert made.results.rank(11) == 2
    see(made, ended(2))
    assert made.results.rank(11) == 1


@pytest.mark.parametrize(
    ("states", "want"),
    [
        pytest.param((RUNNABLE,), ((0, 0), (4, 4)), id="one state"),
        pytest.param((SUCCEEDED, RUNNING), ((1, 3),), id="two states"),
        pytest.param((FAILED,), (), id="none"),
    ],
)
def test_indexes_in(states: tuple[int, ...], want: tuple[tuple[int, int], ...]) -> None:
    made = see(elements(), ended(1), running(2), ended(3))
    assert made.indexes_in(*states) == want


# The status, and back.


def test_detail() -> None:
    made = see(elements(8, "0-6"), running(1), pod(2), ended(3), running(5), ended(5, 0, 2))
    made.condemn(4, WHY)
    made.results.see("", "5")
    made.settle()
    detail = array_detail(made, submitted=False, updated_at="now")
    summary = detail.status_summary
    assert (summary.pending, summary.runnable, summary.starting, summary.running) == (0, 2, 1, 1)
    assert (summary.succeeded, summary.failed, detail.size) == (1, 2, 8)
    assert (detail.succeeded_indexes, detail.failed_indexes) == ("3", "4,5")


@pytest.mark.parametrize(("submitted", "want"), [(True, (5, 0)), (False, (0, 5))], ids=["submitted", "pending"])
def test_what_waits_before_it_is_taken_in(submitted: bool, want: tuple[int, int]) -> None:
    summary = array_detail(elements(is_open=False), submitted=submitted, updated_at="now").status_summary
    assert (summary.submitted, summary.pending) == want


def test_restored() -> None:
    first = see(elements(10), ended(0), ended(1), running(2), ended(2, 0, 3))
    first.condemn(7, WHY)
    first.results.see("0-1", "2")
    first.settle()
    detail = array_detail(first, submitted=False, updated_at="now")
    again = Elements.restored(10, ((0, 9),), detail)
    assert array_detail(again, submitted=False, updated_at="now").failures == detail.failures
    assert sorted(again.ended) == [0, 1, 2, 7]
    # Which of the failed ones the Job knows of is for the Job to say.
    assert set(again.condemned) == {2, 7}
    again.results.see("0-1", "2")
    again.settle()
    assert set(again.condemned) == {7}
    again.open()
    assert again.grant(9) == [3, 4, 5, 6, 8, 9]
    see(again, pod(7, gated=True))
    assert 7 in again.attention


def test_restored_from_nothing() -> None:
    made = Elements.restored(4, ((1, 2),), None)
    assert (made.counts[PENDING], made.ended) == (2, [])


@pytest.mark.parametrize("field", ["succeeded_indexes", "failed_indexes"])
def test_a_status_that_is_wrong(field: str) -> None:
    detail = ArrayPropertiesDetail(size=4).model_copy(update={field: "x"})
    with pytest.raises(ValueError, match="'x' is neither"):
        Elements.restored(4, ((0, 3),), detail)


def test_a_status_of_more_elements_than_run() -> None:
    detail = ArrayPropertiesDetail(size=4, succeeded_indexes="0-9", failed_indexes="3,12")
    made = Elements.restored(4, ((1, 2),), detail)
    assert (made.counts[SUCCEEDED], made.counts[FAILED], made.ended) == (2, 0, [1, 2])
