"""How urgent a status is, by what the job is at."""

from __future__ import annotations

import pytest

import builders as b
from batchwright.controllers.entries import Entry
from batchwright.controllers.store import Store
from batchwright.controllers.urgency import ENDING, URGENCY, WAITING, urgency
from batchwright.domain.observations import Pod


def entry(state: str | None, *pods: Pod) -> Entry:
    made = b.status(state)
    return Entry(b.job(status=made), made, made.to_wire(), pods={pod.uid: pod for pod in pods})


@pytest.mark.parametrize(
    ("state", "pods", "want"),
    [
        pytest.param(None, (), ("", WAITING), id="new"),
        pytest.param("RUNNABLE", (), ("RUNNABLE", WAITING), id="waits"),
        pytest.param("STARTING", (), ("STARTING", URGENCY["STARTING"]), id="no pod yet"),
        pytest.param("RUNNING", (b.running_pod(),), ("RUNNING", URGENCY["RUNNING"]), id="runs"),
        pytest.param("RUNNING", (b.ended_pod(),), ("RUNNING, ended", ENDING), id="the result is near"),
        pytest.param("STARTING", (b.ended_pod(),), ("STARTING, ended", ENDING), id="ended before it was seen running"),
        pytest.param(
            "RUNNING", (b.ended_pod(0, exit_code=1), b.running_pod(1)), ("RUNNING", URGENCY["RUNNING"]), id="retried"
        ),
        pytest.param("RUNNABLE", (b.ended_pod(exit_code=1),), ("RUNNABLE", WAITING), id="a retry is to come"),
        pytest.param("FAILED", (b.ended_pod(exit_code=1),), ("FAILED", URGENCY["FAILED"]), id="done"),
    ],
)
def test_urgency(state: str | None, pods: tuple[Pod, ...], want: tuple[str, object]) -> None:
    assert urgency(entry(state, *pods)) == want


def test_updates_that_no_decision_looks_at_are_no_reason_to_decide() -> None:
    store = Store()
    store.put_job(b.UID, b.job())
    store.put_work("w", b.work(uid="w"))
    store.put_pod("p", b.running_pod(uid="p"))
    store.dirty.clear()
    store.put_work("w", b.work(uid="w"))
    store.put_pod("p", b.running_pod(uid="p"))
    assert store.dirty == set()
    store.put_work("w", b.work(uid="w", complete=True))
    assert store.dirty == {b.UID}
    store.dirty.clear()
    store.put_pod("p", b.ended_pod(uid="p"))
    assert store.dirty == {b.UID}
