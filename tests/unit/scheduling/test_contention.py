"""Whether another queue may take room from an array."""

from __future__ import annotations

import pytest

import builders as b
from batchwright.domain.observations import Node
from batchwright.scheduling.contention import is_shared
from batchwright.scheduling.snapshot import Environment, Queue

OURS = b.queue(name="normal", environments=("e1",))
BIG = b.environment("big", node_selector=(("size", "big"),))


@pytest.mark.parametrize(
    ("queues", "environments", "nodes", "want"),
    [
        pytest.param((OURS,), (b.environment(),), (b.node(),), False, id="no other queue"),
        pytest.param(
            (OURS, b.queue(name="o", environments=("e1",))), (b.environment(),), (b.node(),), True, id="the same one"
        ),
        pytest.param(
            (OURS, b.queue(name="o", environments=("e1",))),
            (b.environment(),),
            (),
            True,
            id="the same one, no nodes yet",
        ),
        pytest.param(
            (OURS, b.queue(name="o", environments=("big",))),
            (b.environment(), BIG),
            (b.node(),),
            False,
            id="other nodes",
        ),
        pytest.param(
            (OURS, b.queue(name="o", environments=("big",))),
            (b.environment(), BIG),
            (b.node("n1"), b.node("n2", labels={"size": "big"})),
            True,
            id="a node of both",
        ),
        pytest.param(
            (OURS, b.queue(name="o", environments=("big",))),
            (b.environment(), BIG),
            (b.node("n2", labels={"size": "big"}, taints=(b.taint(),)),),
            False,
            id="a node whose taint keeps one of them out",
        ),
        pytest.param(
            (OURS, b.queue(name="o", environments=("gone",))),
            (b.environment(),),
            (b.node(),),
            False,
            id="one not there",
        ),
        pytest.param(
            (OURS, b.queue(name="o", environments=("big",))), (BIG,), (b.node(),), False, id="ours is not there"
        ),
        pytest.param(
            (b.queue(name="normal", environments=("e1", "big")),),
            (b.environment(), BIG),
            (b.node(labels={"size": "big"}),),
            False,
            id="another environment of our own queue",
        ),
    ],
)
def test_is_shared(
    queues: tuple[Queue, ...], environments: tuple[Environment, ...], nodes: tuple[Node, ...], want: bool
) -> None:
    known = {each.name: each for each in environments}
    assert is_shared("normal", "e1", queues, known, nodes) == want
