"""Sets of indexes as text, and back."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.domain.indexes import (
    Positions,
    Runs,
    contains,
    count,
    expand,
    format_indexes,
    format_runs,
    intersect,
    parse_indexes,
    runs_of,
    runs_of_parts,
    subtract,
)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("", (), id="none"),
        pytest.param("0", ((0, 0),), id="one"),
        pytest.param("0-41,57", ((0, 41), (57, 57)), id="range and one"),
        pytest.param("3,7-9", ((3, 3), (7, 9)), id="one and range"),
        pytest.param("7-9,3", ((3, 3), (7, 9)), id="not in order"),
        pytest.param("3,4", ((3, 4),), id="neighbours"),
        pytest.param("0-4,3-9,10", ((0, 10),), id="overlapping and touching"),
        pytest.param("0-9,3-4", ((0, 9),), id="one within the other"),
        pytest.param("5,5", ((5, 5),), id="twice"),
        pytest.param("5-5", ((5, 5),), id="range of one"),
        pytest.param("007", ((7, 7),), id="leading zeros"),
    ],
)
def test_parse(text: str, want: Runs) -> None:
    assert parse_indexes(text) == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("a", "'a' is neither", id="letters"),
        pytest.param("1,", "'' is neither", id="comma at the end"),
        pytest.param("1-", "'1-' is neither", id="open range"),
        pytest.param("-1", "'-1' is neither", id="negative"),
        pytest.param("1-2-3", "'1-2-3' is neither", id="two dashes"),
        pytest.param("1, 2", "' 2' is neither", id="blank"),
        pytest.param("9-3", "the range 9-3 ends before it begins", id="backwards"),
    ],
)
def test_text_that_is_no_set_of_indexes(text: str, want: str) -> None:
    with pytest.raises(ValueError, match=want):
        parse_indexes(text)


@pytest.mark.parametrize(
    ("runs", "want"),
    [
        pytest.param((), "", id="none"),
        pytest.param(((4, 4),), "4", id="one"),
        pytest.param(((3, 4),), "3,4", id="two neighbours, as the Job controller"),
        pytest.param(((3, 5),), "3-5", id="three"),
        pytest.param(((0, 41), (57, 57)), "0-41,57", id="several"),
    ],
)
def test_format(runs: Runs, want: str) -> None:
    assert format_runs(runs) == want


def test_parts_together() -> None:
    assert runs_of_parts(((0, 3), (8, 9)), (), ((4, 6),)) == ((0, 6), (8, 9))
    assert runs_of_parts() == ()


@given(st.sets(st.integers(0, 60)))
def test_round_trip(indexes: set[int]) -> None:
    runs = parse_indexes(format_indexes(sorted(indexes)))
    assert list(expand(runs)) == sorted(indexes)
    assert count(runs) == len(indexes)
    assert runs == runs_of(sorted(indexes))
    assert all(first > before + 1 for (_, before), (first, _) in pairwise(runs))


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), min_size=1))
def test_parts_in_any_order_make_one_set(parts: list[tuple[int, int]]) -> None:
    text = ",".join(f"{first}-{first + more}" for first, more in parts)
    assert set(expand(parse_indexes(text))) == {first + each for first, more in parts for each in range(more + 1)}


def test_the_algebra_of_runs_is_that_of_sets() -> None:
    rng = random.Random(5)
    for _ in range(300):
        one, other = (sorted(rng.sample(range(40), rng.randint(0, 30))) for _ in range(2))
        left, right = runs_of(one), runs_of(other)
        assert list(expand(intersect(left, right))) == sorted(set(one) & set(other))
        assert list(expand(subtract(left, right))) == sorted(set(one) - set(other))
        assert [n for n in range(40) if contains(left, n)] == one
        places = Positions(left)
        assert [places.position(index) for index in one] == list(range(len(one)))
        assert [places.index(position) for position in range(len(one))] == one
        assert places.index(len(one)) is None
