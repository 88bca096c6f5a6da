"""The comparison that the cluster tests rely on finds differences, and takes defaults for none."""

from __future__ import annotations

from typing import Any

import pytest

from argosync import changed, three_way


@pytest.mark.parametrize(
    ("applied", "wanted", "live", "found"),
    [
        pytest.param({"a": 1}, {"a": 1}, {"a": 1, "state": "ENABLED"}, [], id="a default"),
        pytest.param({"a": 1}, {"a": 2}, {"a": 1}, [".a: 1 is there, 2 is wanted"], id="changed in Git"),
        pytest.param({"a": 1}, {"a": 1}, {"a": 2}, [".a: 2 is there, 1 is wanted"], id="changed in the cluster"),
        pytest.param({"a": 1, "b": 1}, {"a": 1}, {"a": 1, "b": 1}, [".b: 1 is there, None is wanted"], id="taken out"),
        pytest.param({"a": 1}, {"a": 1, "b": 1}, {"a": 1}, [".b: None is there, 1 is wanted"], id="put in"),
        pytest.param(
            {"s": {"cpu": "0.5"}},
            {"s": {"cpu": "0.5"}},
            {"s": {"cpu": "500m", "x": 1}},
            [".s.cpu: '500m' is there, '0.5' is wanted"],
            id="normalised",
        ),
        pytest.param(
            {"l": [{"a": 1}]},
            {"l": [{"a": 1}]},
            {"l": [{"a": 1, "d": 0}]},
            [".l: [{'a': 1, 'd': 0}] is there, [{'a': 1}] is wanted"],
            id="a default within a list",
        ),
    ],
)
def test_three_way(applied: Any, wanted: Any, live: Any, found: list[str]) -> None:
    assert changed(live, three_way(applied, wanted, live)) == found
