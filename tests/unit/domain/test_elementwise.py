"""Elements that wait for elements: of another array, and of their own."""

from __future__ import annotations

import pytest

import builders as b
from batchwright.domain.elements import ABSENT, FAILED, PENDING, RUNNABLE, SUCCEEDED, Elements
from batchwright.domain.elementwise import Edge, Ratio, follow, join, ratio
from batchwright.domain.indexes import parse_indexes
from batchwright.domain.retry import Outcome

FAILED_ITSELF = Outcome(1, "", "exited")


def elements(size: int, indexes: str = "") -> Elements:
    return Elements(size, parse_indexes(indexes) or ((0, size - 1),))


def succeed(made: Elements, *indexes: int) -> None:
    for index in indexes:
        made.see_pod(b.ended_pod(index=made.results.position_of(index), uid=f"p{index}"), "n1")


def fail(made: Elements, *indexes: int) -> None:
    for index in indexes:
        assert made.fail(index, FAILED_ITSELF)


def waiting(needed: Elements, made: Elements, condition: str = "Succeeded") -> Edge:
    edge = Edge(needed, condition, ratio(needed.size, made.size))  # type: ignore[arg-type]
    join(made, edge)
    made.open()
    return edge


def why(made: Elements) -> dict[str, str | None]:
    return {each.indexes: each.status_reason for each in made.failures.to_status()}


@pytest.mark.parametrize(
    ("needed", "size", "want"),
    [
        pytest.param(10, 10, Ratio(), id="equal"),
        pytest.param(12, 4, Ratio(fan_in=3), id="three to one"),
        pytest.param(4, 12, Ratio(fan_out=3), id="one to three"),
        pytest.param(5, 1, Ratio(fan_in=5), id="all to one"),
        pytest.param(6, 4, None, id="neither divides the other"),
        pytest.param(4, 6, None, id="neither divides the other, the other way round"),
    ],
)
def test_ratio(needed: int, size: int, want: Ratio | None) -> None:
    assert ratio(needed, size) == want


@pytest.mark.parametrize(
    ("link", "index", "want"),
    [
        pytest.param(Ratio(), 7, [7], id="equal"),
        pytest.param(Ratio(fan_in=3), 0, [0], id="first of three"),
        pytest.param(Ratio(fan_in=3), 2, [0], id="last of three"),
        pytest.param(Ratio(fan_in=3), 3, [1], id="first of the next three"),
        pytest.param(Ratio(fan_out=3), 0, [0, 1, 2], id="three of them"),
        pytest.param(Ratio(fan_out=3), 2, [6, 7, 8], id="the third three"),
    ],
)
def test_dependents(link: Ratio, index: int, want: list[int]) -> None:
    assert list(link.dependents(index)) == want


def test_equal_sizes() -> None:
    needed, made = elements(4), elements(4)
    edge = waiting(needed, made)
    assert (made.counts[PENDING], made.ready) == (4, 0)
    succeed(needed, 2)
    fail(needed, 1)
    follow(made, edge)
    assert list(made.states) == [PENDING, FAILED, RUNNABLE, PENDING]
    assert why(made) == {"1": "Dependent Job failed"}
    assert made.grant(9) == [2]
    # What was read is not read again.
    follow(made, edge)
    succeed(needed, 0, 3)
    follow(made, edge)
    assert list(made.states) == [RUNNABLE, FAILED, RUNNABLE, RUNNABLE]


def test_fan_in() -> None:
    needed, made = elements(6), elements(2)
    edge = waiting(needed, made)
    succeed(needed, 0, 1, 3)
    follow(made, edge)
    assert list(made.states) == [PENDING, PENDING]
    succeed(needed, 2)
    fail(needed, 5)
    follow(made, edge)
    assert list(made.states) == [RUNNABLE, FAILED]
    succeed(needed, 4)
    follow(made, edge)
    assert list(made.states) == [RUNNABLE, FAILED]


def test_fan_out() -> None:
    needed, made = elements(2), elements(6)
    edge = waiting(needed, made)
    succeed(needed, 1)
    fail(needed, 0)
    follow(made, edge)
    assert list(made.states) == [FAILED] * 3 + [RUNNABLE] * 3


@pytest.mark.parametrize(
    ("condition", "want", "reason"),
    [
        pytest.param("Succeeded", [RUNNABLE, FAILED, PENDING], "Dependent Job failed", id="Succeeded"),
        pytest.param("Completed", [RUNNABLE, RUNNABLE, PENDING], None, id="Completed"),
        pytest.param("Failed", [FAILED, RUNNABLE, PENDING], "Dependent Job succeeded", id="Failed"),
    ],
)
def test_conditions(condition: str, want: list[int], reason: str | None) -> None:
    needed, made = elements(3), elements(3)
    edge = waiting(needed, made, condition)
    succeed(needed, 0)
    fail(needed, 1)
    follow(made, edge)
    assert list(made.states) == want
    assert list(why(made).values()) == ([] if reason is None else [reason])


def test_several_at_once() -> None:
    one, other, made = elements(3), elements(6), elements(3)
    edges = [waiting(one, made), waiting(other, made, "Completed")]
    succeed(one, 0, 1)
    succeed(other, 0)
    fail(other, 1)
    for edge in edges:
        follow(made, edge)
    assert list(made.states) == [RUNNABLE, PENDING, PENDING]


def test_what_had_ended_before() -> None:
    needed, made = elements(3), elements(3)
    succeed(needed, 0)
    fail(needed, 2)
    edge = waiting(needed, made)
    follow(made, edge)
    assert list(made.states) == [RUNNABLE, PENDING, FAILED]


def test_indexes_left_out_are_not_waited_for() -> None:
    needed, made = elements(4, "1,3"), elements(4)
    edge = waiting(needed, made)
    assert list(made.states) == [RUNNABLE, PENDING, RUNNABLE, PENDING]
    succeed(needed, 3)
    follow(made, edge)
    assert list(made.states) == [RUNNABLE, PENDING, RUNNABLE, RUNNABLE]


def test_indexes_left_out_wait_for_nothing() -> None:
    needed, made = elements(4), elements(4, "1,3")
    edge = waiting(needed, made)
    fail(needed, 0)
    succeed(needed, 1, 2)
    follow(made, edge)
    assert list(made.states) == [ABSENT, RUNNABLE, ABSENT, PENDING]


def sequential(made: Elements, condition: str = "Succeeded") -> Edge:
    edge = Edge(made, condition, None)  # type: ignore[arg-type]
    join(made, edge)
    made.open()
    return edge


def test_one_after_the_other() -> None:
    made = elements(3)
    edge = sequential(made)
    assert made.grant(9) == [0]
    succeed(made, 0)
    follow(made, edge)
    assert made.grant(9) == [1]
    succeed(made, 1, 2)
    follow(made, edge)
    assert made.counts[SUCCEEDED] == 3


def test_a_failure_ends_all_that_come_after() -> None:
    made = elements(5)
    edge = sequential(made)
    succeed(made, 0)
    fail(made, 1)
    follow(made, edge)
    assert list(made.states) == [SUCCEEDED, FAILED, FAILED, FAILED, FAILED]
    assert why(made) == {"1": "exited", "2-4": "Dependent Job failed"}


def test_a_failure_asked_for() -> None:
    """Each runs only if the one before it failed: the first success ends the one after it, and so on in turn."""
    made = elements(4)
    edge = sequential(made, "Failed")
    succeed(made, 0)
    follow(made, edge)
    assert list(made.states) == [SUCCEEDED, FAILED, RUNNABLE, PENDING]
    assert why(made) == {"1": "Dependent Job succeeded"}


def test_a_part_of_a_sequence_begins_anew_after_each_gap() -> None:
    made = elements(6, "1,3-5")
    edge = sequential(made)
    assert made.grant(9) == [1, 3]
    fail(made, 3)
    follow(made, edge)
    assert (made.states[4], made.states[5]) == (FAILED, FAILED)


def test_a_running_element_is_not_ended_by_what_it_needs() -> None:
    """After a restart its pod may be seen before the result that let it run."""
    needed, made = elements(2), elements(2)
    edge = Edge(needed, "Succeeded", ratio(2, 2))
    join(made, edge)
    made.see_pod(b.running_pod(index=0, uid="p0"), "n1")
    fail(needed, 0)
    follow(made, edge)
    assert made.counts[FAILED] == 0
