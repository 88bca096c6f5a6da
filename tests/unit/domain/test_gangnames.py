"""When the names of a multi-node job's nodes are published."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

import builders as b
from batchwright.domain.actions import MakeNodes, PublishNames
from batchwright.domain.ganglife import GangView, decide_gang
from batchwright.domain.gangnames import Published, publish_at
from batchwright.domain.observations import Pod
from batchwright.domain.texts import timestamp

MAIN = b.running_pod(address="10.0.0.1")
NOW = b.at(5)
MACHINES = ("m0", "m1", "m2")


def node(index: int, address: str = "") -> Pod:
    return b.pod(
        uid=f"node-{index}",
        name=f"hello-{index}-x",
        owner="",
        main=MAIN.uid,
        index=index,
        phase="Running",
        node=f"m{index}",
        started_at=b.at(1),
        address=address,
    )


ONE, TWO = node(1, "10.0.0.2"), node(2, "10.0.0.3")
ALL = (MAIN, ONE, TWO)


@pytest.mark.parametrize(
    ("pods", "published", "want"),
    [
        pytest.param((MAIN,), None, NOW, id="the main node's at once"),
        pytest.param((replace(MAIN, address=""),), None, None, id="it has no address yet"),
        pytest.param((MAIN,), Published.of((MAIN,), b.at(4.5)), None, id="it is published"),
        pytest.param((MAIN, node(1)), Published.of((MAIN,), b.at(4.5)), None, id="the next has no address yet"),
        pytest.param((MAIN, ONE), Published.of((MAIN,), b.at(4.5)), b.at(5.5), id="one more: a second after the last"),
        pytest.param((MAIN, ONE), Published.of((MAIN,), b.at(2)), NOW, id="one more, and the last was long ago"),
        pytest.param(ALL, Published.of((MAIN, ONE), b.at(4.5)), NOW, id="the last one: at once"),
        pytest.param(ALL, Published.of(ALL, b.at(4.5)), None, id="all are published"),
        pytest.param((MAIN, ONE), Published.of(ALL, b.at(4.5)), None, id="a node whose pod is gone keeps its name"),
        pytest.param(
            (MAIN,), Published.of((replace(MAIN, name="hello-0-earlier"),), b.at(4.5)), NOW, id="of an attempt before"
        ),
        pytest.param(
            (MAIN, replace(ONE, address="10.0.0.9")), Published.of(ALL, b.at(4.5)), b.at(5.5), id="another address"
        ),
    ],
)
def test_publish_at(pods: tuple[Pod, ...], published: Published | None, want: datetime | None) -> None:
    assert publish_at(pods[0], pods[1:], 3, published, NOW) == want


def gang(*nodes: Pod, published: Published | None) -> GangView:
    return GangView(3, 0, MACHINES, nodes, frozenset(MACHINES), 600, published=published)


def test_the_others_are_made_while_the_main_nodes_name_is_published() -> None:
    view = b.view(work=b.work(placement="m0,m1,m2"), started=True, pods=(MAIN,))
    publish, make = decide_gang(view, gang(published=None), NOW).actions
    assert isinstance(publish, PublishNames)
    assert isinstance(make, MakeNodes)
    assert (publish.work, publish.pods) == (view.work, (MAIN,))


def test_all_run_once_they_are_found_by_name() -> None:
    job = b.job(status=b.status("RUNNING", statusReason="1 of 3 nodes have yet to start"))
    view = b.view(job=job, work=b.work(placement="m0,m1,m2"), started=True, pods=(MAIN,))
    decision = decide_gang(view, gang(ONE, TWO, published=Published.of((MAIN,), NOW)), NOW)
    assert [action.pods for action in decision.actions if isinstance(action, PublishNames)] == [ALL]
    assert decision.status.status_reason == "The nodes' names are being published"
    refused = decide_gang(replace(view, obstacle="It may not"), gang(ONE, TWO, published=None), NOW)
    assert refused.status.status_reason == "It may not"
    after = decide_gang(view, gang(ONE, TWO, published=Published.of(ALL, NOW)), NOW)
    assert (after.actions, after.status.status_reason) == ((), None)


def test_an_operator_that_starts_later_writes_nothing_for_those_that_run() -> None:
    job = b.job(status=b.status("RUNNING", startedAt=timestamp(b.at(0))))
    view = b.view(job=job, work=b.work(placement="m0,m1,m2"), started=True, pods=(MAIN,))
    assert decide_gang(view, gang(ONE, TWO, published=None), NOW).actions == ()


def test_it_looks_again_when_the_next_names_are_due() -> None:
    view = b.view(work=b.work(placement="m0,m1,m2"), started=True, pods=(MAIN,))
    decision = decide_gang(view, gang(ONE, published=Published.of((MAIN,), b.at(4.5))), NOW)
    assert not any(isinstance(action, PublishNames) for action in decision.actions)
    assert decision.wake_at == b.at(5.5)
