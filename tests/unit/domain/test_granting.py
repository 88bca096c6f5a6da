"""How many elements may start, and how many pods the Kubernetes Job is to have."""

from __future__ import annotations

from typing import Any

import pytest

import builders as b
from batchwright.domain.elements import RUNNABLE, Elements
from batchwright.domain.granting import LEAST_AHEAD, STUCK_SECONDS, close, grant, held, revoke, shrink, wanted


def elements(size: int = 100, *, gated: bool = False, parallelism: int = 0, running: int = 0, waiting: int = 0) -> Any:
    """An open array, of which the lowest elements have pods: `running` on a node, then `waiting` for one."""
    made = Elements(size, ((0, size - 1),))
    made.gated, made.parallelism = gated, parallelism
    made.open()
    for index in range(running + waiting):
        pod = b.running_pod(index=index, uid=f"p{index}") if index < running else b.pod(index=index, uid=f"p{index}")
        made.see_pod(pod, "n1")
    return made


def ended(made: Elements, number: int) -> Elements:
    for index in range(number):
        made.see_pod(b.ended_pod(index=index, uid=f"p{index}"), "n1")
    return made


@pytest.mark.parametrize(
    ("made", "limit", "is_sent", "want"),
    [
        pytest.param(elements(10), None, False, 10, id="all of them"),
        pytest.param(elements(10), 3, False, 3, id="maxConcurrency"),
        pytest.param(elements(10), 30, False, 10, id="maxConcurrency beyond the size"),
        pytest.param(elements(10, parallelism=4), None, True, 6, id="no gates: what is not granted yet"),
        pytest.param(elements(10, parallelism=4), 4, True, 0, id="no gates: maxConcurrency reached"),
        pytest.param(elements(10, parallelism=4), 6, True, 2, id="no gates: up to maxConcurrency"),
        pytest.param(ended(elements(10, parallelism=4), 7), None, True, 0, id="no gates: the last ones"),
        pytest.param(elements(10, parallelism=12), None, True, 0, id="no gates: never below nothing"),
        pytest.param(elements(10, gated=True, parallelism=10, running=4), None, True, 6, id="gates: what waits"),
        pytest.param(elements(10, gated=True, parallelism=10, running=4), 5, True, 1, id="gates: maxConcurrency"),
        pytest.param(elements(10, gated=True, parallelism=10, running=4), 2, True, 0, id="gates: over maxConcurrency"),
    ],
)
def test_wanted(made: Elements, limit: int | None, is_sent: bool, want: int) -> None:
    assert wanted(made, limit, is_sent=is_sent) == want


@pytest.mark.parametrize(
    ("made", "want"),
    [
        pytest.param(elements(10), 0, id="nothing sent"),
        pytest.param(elements(10, parallelism=4), 4, id="no pods yet"),
        pytest.param(elements(10, parallelism=4, running=2, waiting=1), 2, id="two on a node"),
        pytest.param(ended(elements(10, parallelism=4), 8), 2, id="fewer left than granted"),
        pytest.param(elements(10, gated=True, parallelism=10, running=2, waiting=1), 1, id="gates: without a node"),
    ],
)
def test_held(made: Elements, want: int) -> None:
    assert held(made) == want


def test_granted_elements_hold_room_until_they_have_a_node() -> None:
    made = elements(10, gated=True)
    grant(made, 3)
    assert (held(made), made.active) == (3, 3)
    made.see_pod(b.pod(index=0, uid="p0"), "n1")
    assert (held(made), made.active) == (3, 3)
    made.see_pod(b.running_pod(index=0, uid="p0"), "n1")
    assert (held(made), made.active) == (2, 3)


def test_no_gates_the_parallelism_is_what_was_granted() -> None:
    made = elements(10)
    grant(made, 3)
    assert made.parallelism == 3
    grant(made, 30)
    assert made.parallelism == 10
    assert made.granted == set()


def test_gates_pods_are_made_ahead() -> None:
    made = elements(100, gated=True)
    grant(made, 3)
    assert sorted(made.granted) == [0, 1, 2]
    assert made.parallelism == 3 + LEAST_AHEAD


def test_gates_reach_as_far_as_the_highest_granted() -> None:
    made = elements(100, gated=True)
    made.states[:] = bytes(100)
    made.counts = [100, 0, 0, 0, 0, 0, 0]
    made._ready = []
    made._wait(60)
    assert made.states[60] == RUNNABLE
    grant(made, 5)
    assert made.granted == {60}
    assert made.parallelism == 61 + LEAST_AHEAD


def test_gates_in_steps_and_never_beyond_the_end() -> None:
    made = elements(100, gated=True, parallelism=80)
    grant(made, 81 - LEAST_AHEAD)
    assert made.parallelism == 100
    grant(made, 10)
    assert made.parallelism == 100


def test_what_has_ended_needs_no_pod() -> None:
    made = ended(elements(100, gated=True), 50)
    grant(made, 2)
    assert made.granted == {50, 51}
    assert made.parallelism == 2 + LEAST_AHEAD


def test_nothing_to_grant() -> None:
    made = elements(10, gated=True, parallelism=10, running=10)
    grant(made, 3)
    assert (made.granted, made.parallelism) == (set(), 10)


@pytest.mark.parametrize("gated", [False, True], ids=["no gates", "gates"])
def test_what_was_not_sent_is_taken_back(gated: bool) -> None:
    made = elements(10, gated=gated)
    grant(made, 4)
    revoke(made)
    assert (made.parallelism, made.granted, held(made), made.ready) == (0, set(), 0, 10)
    grant(made, 2)
    assert made.granted == ({0, 1} if gated else set())


@pytest.mark.parametrize(
    ("made", "want"),
    [
        pytest.param(elements(10, parallelism=6, running=2, waiting=1), 3, id="what runs goes on"),
        pytest.param(elements(10, parallelism=6), 0, id="nothing runs"),
        pytest.param(elements(10, parallelism=2, running=3), 2, id="never more"),
        pytest.param(elements(10, gated=True, parallelism=6, running=2), 2, id="pods with their gate go too"),
    ],
)
def test_close(made: Elements, want: int) -> None:
    close(made)
    assert made.parallelism == want


@pytest.mark.parametrize(
    ("gated", "unschedulable", "seconds", "want"),
    [
        pytest.param(False, "0/3 nodes are available", STUCK_SECONDS, 4, id="no node for a while"),
        pytest.param(False, "0/3 nodes are available", STUCK_SECONDS - 1, 6, id="not for long"),
        pytest.param(False, "", STUCK_SECONDS, 6, id="nobody has looked yet"),
        pytest.param(True, "0/3 nodes are available", STUCK_SECONDS, 6, id="gates"),
    ],
)
def test_shrink(gated: bool, unschedulable: str, seconds: float, want: int) -> None:
    made = elements(10, gated=gated, parallelism=6, running=4)
    for index in (4, 5):
        made.see_pod(b.pod(index=index, uid=f"p{index}", unschedulable=unschedulable), "")
    shrink(made, b.at(seconds))
    assert made.parallelism == want


def test_stuck_pods_are_given_back_once_each() -> None:
    made = elements(100, parallelism=10, running=6)
    for index in range(6, 10):
        made.see_pod(b.pod(index=index, uid=f"p{index}", unschedulable="no node"), "n1")
    for seconds in (STUCK_SECONDS, STUCK_SECONDS + 1, STUCK_SECONDS + 2):
        shrink(made, b.at(seconds))
        assert made.parallelism == 6
    # The Job controller has ended them; the same elements get pods again, which find no node either.
    made.parallelism = 8
    for index in range(6, 10):
        made.see_pod_gone(b.pod(index=index, uid=f"p{index}"))
    made.see_pod(b.pod(index=6, uid="again", unschedulable="no node"), "n1")
    shrink(made, b.at(STUCK_SECONDS))
    assert made.parallelism == 7


def test_an_element_in_back_off_holds_no_room_before_its_pod_is_there() -> None:
    made = elements(3, gated=True, parallelism=3)
    grant(made, 1)
    made.see_pod(b.running_pod(index=0, uid="first"), "n1")
    made.see_pod(b.ended_pod(index=0, uid="first", exit_code=1), "n1")
    made.retried(0)
    assert (made.states[0], made.ready) == (RUNNABLE, 2)
    grant(made, 3)
    assert made.granted == {1, 2}
    made.see_pod(b.pod(1, index=0, uid="second", gated=True), "n1")
    assert made.ready == 1
    grant(made, 1)
    assert made.granted == {0, 1, 2}
