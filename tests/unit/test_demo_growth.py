"""The observer of the demo's third act: what it tells, and what it finds wrong."""

from __future__ import annotations

from typing import Any

import pytest

from batchwright import names
from batchwright.local.demo.elastic import ELEMENTS
from batchwright.local.demo.growth import Growth

JSON = dict[str, Any]


def node(name: str = "n1", instance: str = "i-1", why: str = "", *, ready: bool = True) -> JSON:
    return {
        "metadata": {
            "name": name,
            "labels": {names.INSTANCE_TYPE: "m5.large", names.ZONE: "a"},
            "annotations": {names.ANNOTATION_CORDONED: f"{why} 2026-03-01T12:00:00Z"} if why else {},
        },
        "spec": {"providerID": f"aws:///a/{instance}"},
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def pod(index: int, phase: str, on: str = "n1", uid: str = "", *, going: bool = False) -> JSON:
    metadata: JSON = {"uid": uid or f"u{index}", "annotations": {names.POD_INDEX: str(index)}}
    if going:
        metadata["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    return {"metadata": metadata, "spec": {"nodeName": on}, "status": {"phase": phase}}


def instances(state: str = "terminated", *ids: str) -> dict[str, JSON]:
    return {each: {"State": {"Name": state}} for each in ids or ("i-1",)}


def whole() -> Growth:
    """A run in which every element succeeded once, on a node that came and went."""
    growth = Growth()
    growth.see_node(node(), 1.0)
    for index in range(ELEMENTS):
        growth.see_pod(pod(index, "Succeeded"), 2.0)
    growth.see_node(node(), 3.0, deleted=True)
    return growth


DONE = {"status": {"state": "SUCCEEDED"}}


def test_a_node_is_told_of_once_it_is_ready_and_when_it_is_cordoned_and_gone() -> None:
    growth = Growth()
    assert growth.see_node(node(ready=False), 1.0) == []
    assert growth.see_node(node(), 2.0) == ["node n1 is ready: m5.large in a, i-1"]
    assert growth.see_node(node(why="idle"), 3.0) == ["node n1 is cordoned: idle"]
    assert growth.see_node(node(why="idle"), 4.0) == []
    assert not growth.is_back
    assert growth.see_node(node(why="idle"), 5.0, deleted=True) == ["node n1 is gone"]
    assert growth.is_back


def test_the_busiest_node_is_known_once_every_element_runs() -> None:
    growth = Growth()
    for name in ("n1", "n2"):
        growth.see_node(node(name, f"i-{name}"), 1.0)
    for index in range(ELEMENTS):
        assert growth.busiest() is None
        growth.see_pod(pod(index, "Running", "n2" if index else "n1"), 1.0)
    found = growth.busiest()
    assert found is not None
    assert found.instance == "i-n2"


def test_elements_that_are_moved_are_told_of_once() -> None:
    growth = Growth(victim="i-1", warned_at=5.0)
    growth.see_node(node(), 1.0)
    growth.see_pod(pod(0, "Running"), 2.0)
    assert growth.see_pod(pod(0, "Running", going=True), 9.0) == ["the elements on n1 wait again"]
    assert growth.see_pod(pod(1, "Failed"), 9.0) == []
    growth.see_node(node("n2", "i-2"), 8.0)
    assert (growth.moved_at, growth.replaced_after) == (9.0, 3.0)


def test_a_right_run_has_no_differences() -> None:
    assert whole().differences(DONE, instances()) == []


@pytest.mark.parametrize(
    ("change", "job", "there", "told"),
    [
        pytest.param(
            lambda g: g.see_pod(pod(3, "Succeeded", uid="other"), 9), DONE, instances(), "3 succeeded 2", id="twice"
        ),
        pytest.param(lambda g: g.succeeded.pop(3), DONE, instances(), "3 succeeded 0", id="never"),
        pytest.param(lambda g: None, DONE, instances("running"), "instance i-1 is left", id="left over"),
        pytest.param(
            lambda g: None, DONE, instances("terminated", "i-1", "i-9"), "i-9 never was", id="bought for nothing"
        ),
        pytest.param(
            lambda g: g.see_pod(pod(3, "Failed", uid="other"), 9),
            DONE,
            instances(),
            "not taken back",
            id="astray",
        ),
        pytest.param(lambda g: setattr(g, "victim", "i-1"), DONE, instances(), "met no element", id="nobody was there"),
        pytest.param(lambda g: None, {"status": {"state": "FAILED"}}, instances(), "job is FAILED", id="failed"),
    ],
)
def test_what_is_wrong_is_found(change: Any, job: JSON, there: dict[str, JSON], told: str) -> None:
    growth = whole()
    change(growth)
    assert any(told in text for text in growth.differences(job, there))
