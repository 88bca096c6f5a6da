"""Labels, taints and room, as kube-scheduler's filters judge them."""

from __future__ import annotations

from dataclasses import replace

import pytest

import builders as b
from batchwright.domain.observations import Node, Taint
from batchwright.scheduling.fit import Room, admits, belongs, has_labels, missing, tolerates
from batchwright.scheduling.snapshot import Environment, Shape, Toleration

EVERYTHING = Toleration(operator="Exists")


def place(found: Room, environment: str, shape: Shape) -> str | None:
    """The node that one pod gets."""
    taken, node = found.take(environment, shape)
    assert taken == (1 if node else 0)
    return node or None


@pytest.mark.parametrize(
    ("toleration", "taint", "want"),
    [
        pytest.param(b.toleration(), b.taint(), True, id="key and value"),
        pytest.param(b.toleration(value="web"), b.taint(), False, id="another value"),
        pytest.param(b.toleration(key="gpu"), b.taint(), False, id="another key"),
        pytest.param(b.toleration(effect="NoSchedule"), b.taint(), True, id="same effect"),
        pytest.param(b.toleration(effect="NoExecute"), b.taint(), False, id="another effect"),
        pytest.param(b.toleration(operator="Exists", value=""), b.taint(), True, id="exists"),
        pytest.param(EVERYTHING, b.taint(), True, id="tolerates everything"),
        pytest.param(replace(EVERYTHING, effect="NoExecute"), b.taint(), False, id="everything of another effect"),
        pytest.param(Toleration(key="dedicated"), b.taint(value=""), True, id="empty value equals empty value"),
        pytest.param(Toleration(), b.taint(value=""), False, id="no key with Equal tolerates nothing"),
    ],
)
def test_tolerates(toleration: Toleration, taint: Taint, want: bool) -> None:
    assert tolerates((toleration,), taint) is want


def test_every_taint_must_be_tolerated() -> None:
    node = b.node(taints=(b.taint(), b.taint(key="gpu", value="")))
    assert not admits(node, (b.toleration(),))
    assert admits(node, (b.toleration(), b.toleration(key="gpu", operator="Exists")))


def test_prefer_no_schedule_keeps_nobody_out() -> None:
    assert admits(b.node(taints=(b.taint(effect="PreferNoSchedule"),)), ())


@pytest.mark.parametrize(
    ("labels", "wanted", "want"),
    [
        pytest.param({}, (), True, id="nothing wanted"),
        pytest.param({"a": "1", "b": "2"}, (("a", "1"),), True, id="has it"),
        pytest.param({"a": "2"}, (("a", "1"),), False, id="another value"),
        pytest.param({}, (("a", ""),), False, id="an empty value is not an absent label"),
        pytest.param({"a": "1"}, (("a", "1"), ("b", "2")), False, id="one of two"),
    ],
)
def test_has_labels(labels: dict[str, str], wanted: tuple[tuple[str, str], ...], want: bool) -> None:
    assert has_labels(b.node(labels=labels), wanted) is want


def test_belongs_takes_labels_and_taints() -> None:
    environment = b.environment(node_selector=(("disk", "ssd"),), tolerations=(b.toleration(),))
    assert belongs(b.node(labels={"disk": "ssd"}, taints=(b.taint(),)), environment)
    assert not belongs(b.node(labels={"disk": "ssd"}, taints=(b.taint(key="x"),)), environment)
    assert not belongs(b.node(taints=(b.taint(),)), environment)


@pytest.mark.parametrize(
    ("request_", "free", "want"),
    [
        pytest.param({"cpu": 100}, {"cpu": 100}, {}, id="exactly"),
        pytest.param({"cpu": 101}, {"cpu": 100}, {"cpu": 1}, id="one short"),
        pytest.param({"gpu": 2}, {"cpu": 100}, {"gpu": 2}, id="a resource the node does not have"),
        pytest.param({"cpu": 10}, {"cpu": -5}, {"cpu": 15}, id="overcommitted"),
        pytest.param({"cpu": 0}, {"cpu": -5}, {}, id="zero of what is overcommitted"),
        pytest.param({"cpu": 0, "memory": 7}, {"memory": 5}, {"memory": 2}, id="only what lacks"),
    ],
)
def test_missing(request_: dict[str, int], free: dict[str, int], want: dict[str, int]) -> None:
    assert missing(request_.items(), free) == want


def room(
    *nodes: Node, environment: Environment | None = None, occupied: dict[str, dict[str, int]] | None = None
) -> Room:
    return Room(b.snapshot(nodes=nodes, environments=(environment or b.environment(),), occupied=occupied))


@pytest.mark.parametrize(
    ("nodes", "environment", "shape", "want"),
    [
        pytest.param((b.node(),), b.environment(), b.shape(), "n1", id="fits"),
        pytest.param((b.node(ready=False),), b.environment(), b.shape(), None, id="node not ready"),
        pytest.param((b.node(schedulable=False),), b.environment(), b.shape(), None, id="node cordoned"),
        pytest.param((b.node(),), b.environment(), b.shape(cpu=4001), None, id="too much cpu"),
        pytest.param((b.node(),), b.environment(), b.shape(memory=8 * b.GIB + 1), None, id="too much memory"),
        pytest.param((b.node(pods=0),), b.environment(), b.shape(), None, id="no room for a pod"),
        pytest.param((b.node("a", cpu=500), b.node("b")), b.environment(), b.shape(), "b", id="the second node"),
        pytest.param((b.node("b"), b.node("a")), b.environment(), b.shape(), "a", id="by name, not by arrival"),
        pytest.param(
            (b.node(),), b.environment(node_selector=(("disk", "ssd"),)), b.shape(), None, id="not of the environment"
        ),
        pytest.param(
            (b.node("a"), b.node("b", labels={"arch": "arm"})),
            b.environment(),
            b.shape(node_selector=(("arch", "arm"),)),
            "b",
            id="the pod's own selector",
        ),
        pytest.param((b.node(taints=(b.taint(),)),), b.environment(), b.shape(), None, id="taint"),
        pytest.param(
            (b.node(taints=(b.taint(),)),),
            b.environment(),
            b.shape(tolerations=(b.toleration(),)),
            "n1",
            id="tolerated by the pod",
        ),
        pytest.param(
            (b.node(taints=(b.taint(),)),),
            b.environment(tolerations=(b.toleration(),)),
            b.shape(),
            "n1",
            id="tolerated by the environment",
        ),
    ],
)
def test_take(nodes: tuple[Node, ...], environment: Environment, shape: Shape, want: str | None) -> None:
    assert place(room(*nodes, environment=environment), "e1", shape) == want


def test_room_shrinks_until_it_is_full() -> None:
    found = room(b.node("a", cpu=2500), b.node("b", cpu=1000))
    assert [place(found, "e1", b.shape()) for _ in range(5)] == ["a", "a", "b", None, None]
    # A smaller shape still finds what is left.
    assert place(found, "e1", b.shape(cpu=500)) == "a"


def test_what_is_occupied_is_not_free() -> None:
    found = room(b.node(), occupied={"n1": b.resources(3500, b.GIB, 5)})
    assert place(found, "e1", b.shape()) is None
    assert place(found, "e1", b.shape(cpu=500)) == "n1"


def test_environments_share_the_nodes_they_have_in_common() -> None:
    found = Room(b.snapshot(nodes=(b.node(cpu=1000),), environments=(b.environment("e1"), b.environment("e2"))))
    assert place(found, "e1", b.shape()) == "n1"
    assert place(found, "e2", b.shape()) is None


def test_could_fit_asks_for_empty_nodes() -> None:
    found = room(b.node(), occupied={"n1": b.resources(4000, 0, 0)})
    assert found.could_fit("e1", b.shape(cpu=4000))
    assert not found.could_fit("e1", b.shape(cpu=4001))
    assert not found.could_fit("unknown", b.shape())


def test_shortfall_names_the_node_that_comes_closest() -> None:
    found = room(b.node("a"), b.node("b"), occupied={"a": b.resources(4000, 0, 1), "b": b.resources(3500, 0, 1)})
    short = found.shortfall("e1", b.shape())
    assert short.missing == {"cpu": 500}
    assert short.nodes == 2
    assert short.best is not None
    assert short.best["cpu"] == 500


def test_shortfall_of_empty_nodes() -> None:
    found = room(b.node("a"), b.node("b", cpu=8000), occupied={"b": b.resources(8000, 0, 0)})
    short = found.shortfall("e1", b.shape(cpu=9000), empty=True)
    assert short.missing == {"cpu": 1000}


def test_shortfall_without_a_suitable_node() -> None:
    short = room(b.node(taints=(b.taint(),))).shortfall("e1", b.shape())
    assert (short.nodes, short.best) == (1, None)


def test_shortfall_with_a_zero_request_on_an_overcommitted_node() -> None:
    found = room(b.node(), occupied={"n1": b.resources(5000, 0, 0)})
    assert found.shortfall("e1", Shape((("cpu", 0), ("memory", 9 * b.GIB)))).missing == {"memory": b.GIB}
