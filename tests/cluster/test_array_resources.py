"""Stories of arrays and room: the capacity is kept full, moves, is limited and shared, and no running work is killed.

The number of pods that run at one time is counted by an outside watch, at every event.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stage import Stage, count_of
from watches import PodObserver, until


@pytest.fixture
def pods(stage: Stage) -> Iterator[PodObserver]:
    made = PodObserver(stage.api, stage.namespace)
    yield made
    assert not made.gaps
    made.stop()


@pytest.fixture
def four(stage: Stage) -> Stage:
    """Room for four pods of 1 vCPU."""
    stage.nodes(1)
    stage.environment()
    stage.queue()
    return stage


def test_an_array_bigger_than_the_capacity_keeps_it_full(four: Stage, pods: PodObserver) -> None:
    four.simulated(simulate={"seconds": "1"})
    job_id = four.submit("big", arrayProperties={"size": 32})
    assert four.wait_final("big", seconds=120)["state"] == "SUCCEEDED"
    found = [(pod.bound, pod.ended) for pod in pods.of(job_id) if pod.bound is not None and pod.ended is not None]
    assert pods.most[job_id] == 4
    assert pods.ran(job_id) == dict.fromkeys(range(32), 1)
    # Pods that began together end together, so slots get free in waves: each wave is to fill all four again.
    starts = sorted(bound for bound, _ in found)
    running = [sum(bound <= at < ended for bound, ended in found) for at in starts]
    print(f"pods that ran when each started, itself included: {running}")
    waves = [max(running[first : first + 4]) for first in range(0, 32, 4)]
    assert waves.count(4) >= 4, running


@pytest.mark.parametrize("gated", [False, True], ids=["plain", "gated"])
def test_a_node_added_is_used_by_an_array_under_way(stage: Stage, pods: PodObserver, gated: bool) -> None:
    stage.nodes(1, group="a")
    stage.environment()
    stage.queue()
    if gated:
        stage.queue("other")
    stage.simulated(simulate={"seconds": "3"})
    job_id = stage.submit("grows", arrayProperties={"size": 40})
    stage.wait("grows", lambda status: count_of(status, "SUCCEEDED") >= 4)
    assert pods.most[job_id] == 4
    stage.nodes(1, group="a")
    until(lambda: pods.most[job_id] == 8, "the new node is not used", 60)
    assert stage.wait_final("grows", seconds=120)["state"] == "SUCCEEDED"
    assert not any(pod.is_killed for pod in pods.of(job_id))
    assert pods.ran(job_id) == dict.fromkeys(range(40), 1)


KINDS = ["plain", "gated", "pairs"]


@pytest.mark.parametrize("kind", KINDS)
def test_max_concurrency_holds_at_every_moment(stage: Stage, pods: PodObserver, kind: str) -> None:
    stage.nodes(1, cpu=16)
    stage.environment()
    stage.queue()
    if kind == "gated":
        stage.queue("other")
    simulate = {"seconds": "0.5", "exit-code": "2", "fail-indexes": "4", "fail-attempts": "1"}
    stage.simulated(simulate=simulate, retryStrategy={"attempts": 2})
    needs: list[dict[str, str]] = []
    if kind == "pairs":
        stage.submit("needed", arrayProperties={"size": 24})
        needs = [{"name": "needed", "type": "N_TO_N"}]
    job_id = stage.submit("few", arrayProperties={"size": 24, "maxConcurrency": 3}, dependsOn=needs)
    assert stage.wait_final("few", seconds=150)["state"] == "SUCCEEDED"
    assert pods.ran(job_id) == {**dict.fromkeys(range(24), 1), 4: 2}
    assert pods.most[job_id] == 3


def test_a_queue_of_higher_priority_gets_room_as_elements_end(four: Stage, pods: PodObserver) -> None:
    four.queue("urgent", priority=100)
    four.simulated(simulate={"seconds": "2"})
    low = four.submit("low", arrayProperties={"size": 24})
    four.wait("low", lambda status: count_of(status, "RUNNING") == 4)
    single = four.submit("single", queue="urgent")
    high = four.submit("high", arrayProperties={"size": 8}, queue="urgent")
    for name in ("single", "high", "low"):
        assert four.wait_final(name, seconds=150)["state"] == "SUCCEEDED"

    first = min(pods.starts(single).values())
    begun_later = sum(begin > first for begin in pods.starts(low).values())
    print(f"{begun_later} of 24 elements began after the urgent job")
    assert begun_later >= 12
    # Once the urgent array is there, it takes every slot that gets free before the other one goes on.
    starts = pods.starts(high)
    between = sum(min(starts.values()) < begin < max(starts.values()) for begin in pods.starts(low).values())
    assert between <= 4, f"{between} elements of the lower queue began while the higher one waited"
    for job_id in (low, single, high):
        assert not any(pod.is_killed for pod in pods.of(job_id)), "nothing is killed to make room"
        assert {pod.phase for pod in pods.of(job_id)} == {"Succeeded"}


def test_two_arrays_of_one_queue_run_in_the_order_they_came(four: Stage, pods: PodObserver) -> None:
    four.simulated(simulate={"seconds": "1"})
    first = four.submit("first", arrayProperties={"size": 12})
    four.wait("first", lambda status: count_of(status, "RUNNING") + count_of(status, "SUCCEEDED") > 0)
    second = four.submit("second", arrayProperties={"size": 12})
    assert four.wait_final("second", seconds=120)["state"] == "SUCCEEDED"
    assert max(pods.starts(first).values()) < min(pods.starts(second).values())


def test_one_element_too_big_for_any_node_is_said(four: Stage) -> None:
    four.simulated("giant", cpu="5")
    four.submit("never", "giant", arrayProperties={"size": 3})
    status = four.wait("never", lambda status: bool(status.get("statusReason")) and count_of(status, "RUNNABLE") == 3)
    assert status["state"] == "PENDING"
    assert "cpu" in status["statusReason"].lower()
