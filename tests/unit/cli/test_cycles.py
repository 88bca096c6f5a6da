"""Dependency cycles are found, wherever they lie, and only they."""

from __future__ import annotations

import pytest

from batchwright.cli.cycles import find_cycle, say_cycle

CHAIN = {f"j{n}": [f"j{n + 1}"] for n in range(20_000)}


@pytest.mark.parametrize(
    ("graph", "starts", "want"),
    [
        pytest.param({}, ["a"], None, id="no dependencies"),
        pytest.param({"a": ["b"], "b": ["c"]}, ["a"], None, id="chain"),
        pytest.param({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}, ["a"], None, id="diamond"),
        pytest.param({"a": ["a"]}, ["a"], ["a", "a"], id="itself"),
        pytest.param({"a": ["b"], "b": ["a"]}, ["a"], ["a", "b", "a"], id="two"),
        pytest.param({"a": ["b"], "b": ["c"], "c": ["b"]}, ["a"], ["b", "c", "b"], id="further on: only the cycle"),
        pytest.param({"a": [], "b": ["c"], "c": ["b"]}, ["a"], None, id="a cycle elsewhere"),
        pytest.param({"a": [], "b": ["c"], "c": ["b"]}, ["a", "b"], ["b", "c", "b"], id="from the second start"),
        pytest.param({"a": ["gone"]}, ["a"], None, id="a dependency that does not exist yet"),
        pytest.param(CHAIN, ["j0"], None, id="a chain deeper than the recursion limit"),
        pytest.param(CHAIN | {"j20000": ["j19998"]}, ["j0"], ["j19998", "j19999", "j20000", "j19998"], id="at its end"),
    ],
)
def test_find_cycle(graph: dict[str, list[str]], starts: list[str], want: list[str] | None) -> None:
    assert find_cycle(graph, starts) == want


def test_a_cycle_is_said_in_the_order_of_waiting() -> None:
    assert say_cycle(["a", "b", "a"]) == "a → b → a"
