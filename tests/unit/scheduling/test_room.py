"""The free room of the nodes in the course of a pass."""

from __future__ import annotations

import pytest

import builders as b
from batchwright.domain.observations import Node
from batchwright.scheduling.cycle import plan
from batchwright.scheduling.room import Room
from batchwright.scheduling.snapshot import Environment, Shape, Snapshot, WaitKind
from batchwright.scheduling.state import State


def room_of(snapshot: Snapshot) -> Room:
    state = State.of(snapshot)
    state.nodes.settle()
    return Room(state.nodes, state.environments, state.vcpus)


def place(found: Room, environment: str, shape: Shape) -> str | None:
    """The node that one pod gets."""
    taken, node = found.take(environment, shape)
    assert taken == (1 if node else 0)
    return node or None


def room(
    *nodes: Node, environment: Environment | None = None, occupied: dict[str, dict[str, int]] | None = None
) -> Room:
    return room_of(b.snapshot(nodes=nodes, environments=(environment or b.environment(),), occupied=occupied))


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
    found = room_of(b.snapshot(nodes=(b.node(cpu=1000),), environments=(b.environment("e1"), b.environment("e2"))))
    assert place(found, "e1", b.shape()) == "n1"
    assert place(found, "e2", b.shape()) is None


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


def test_sums_beyond_63_bits_end_nothing() -> None:
    """Quantities are within 63 bits each (apimachinery caps them), and two containers' need not be."""
    huge = b.shape(memory=2 * (2**63 - 1))
    taken = {"n1": b.resources(1000, 3 * (2**63 - 1), 1)}
    found = plan(b.snapshot(b.queue(b.candidate("a", shape=huge)), nodes=(b.node("n1"),), occupied=taken))
    assert found.starts == ()
    assert found.waits["a"].kind is WaitKind.NEVER_FITS
