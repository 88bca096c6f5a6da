"""Usage goes along with statuses that are written anyway, and is no reason to write one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import builders as b
from batchwright.api.v1alpha1 import JobQueueSpec
from batchwright.controllers.declarations import Declarations
from batchwright.controllers.declared import Declared
from batchwright.controllers.scheduling import Scheduling
from batchwright.controllers.statuses import compose, is_news
from batchwright.controllers.store import Store
from batchwright.domain.metering import LAG_SECONDS
from batchwright.domain.quantities import CPU

SPEC = {"computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "nodes"}]}
KEY = ("", "normal")


class FakeApi:
    """Takes patches."""

    def __init__(self) -> None:
        self.patches: list[dict[str, Any]] = []

    async def patch(self, resource: Any, namespace: Any, name: str, body: Any, **_: Any) -> None:
        self.patches.append(body[-1]["value"])


class Scene:
    """A job that runs, its queue, and a clock."""

    def __init__(self) -> None:
        self.store = Store()
        self.api = FakeApi()
        self.declarations = Declarations(self.api, self.store, Scheduling(self.store), lambda: self.now)  # type: ignore[arg-type]
        spec = JobQueueSpec.model_validate(SPEC)
        self.store.queues[KEY] = Declared("q", "", "normal", 1, spec, SPEC, {})
        self.store.put_job(b.UID, b.job())
        self.store.put_work("work-1", b.work())
        self.store.meters.begin(self.store)
        self.store.put_pod("pod-0", b.running_pod(0, accepted_at=b.NOW, request={CPU: 2000}))
        self.entry = self.store.entries[b.UID]
        self.at(0)

    def at(self, seconds: float) -> None:
        self.now = b.at(seconds)
        self.store.meters.clock = lambda: self.now

    def end(self, seconds: float) -> None:
        self.store.put_pod("pod-0", b.ended_pod(0, accepted_at=b.NOW, stopped_at=b.at(seconds), request={CPU: 2000}))

    async def note(self) -> dict[str, Any]:
        """A checkpoint; what it wrote, if anything."""
        self.declarations.due.add(KEY)
        return await self.look()

    async def look(self) -> dict[str, Any]:
        self.api.patches.clear()
        await self.declarations.reconcile_queue(KEY)
        return self.api.patches[0] if self.api.patches else {}


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_status_takes_along_what_was_used_and_is_not_written_for_it(scene: Scene) -> None:
    scene.entry.status = b.status("RUNNING")
    scene.at(63)
    first = compose(scene.entry, scene.store.meters, scene.now)
    assert first is not None
    assert (first.wanted["usage"]["vcpuSeconds"], first.wanted["usage"]["holding"]["vcpus"]) == ("120", "2")
    scene.entry.held = first.wanted
    scene.at(600)
    assert compose(scene.entry, scene.store.meters, scene.now) is None
    scene.end(700)
    scene.entry.status = b.status("SUCCEEDED")
    scene.at(700)
    last = compose(scene.entry, scene.store.meters, scene.now)
    assert last is not None
    assert last.wanted["usage"]["vcpuSeconds"] == "1400"
    assert "holding" not in last.wanted["usage"]


def test_what_an_operator_before_this_one_wrote_stays_as_long_as_nothing_is_known(scene: Scene) -> None:
    usage = {"vcpuSeconds": "7", "memoryGiBSeconds": "0", "updatedAt": "2026-03-01T11:00:00Z"}
    scene.store.put_job("other", b.job(uid="other", name="other", status=b.status("RUNNABLE", usage=usage)))
    entry = scene.store.entries["other"]
    entry.status = entry.status.model_copy(update={"status_reason": "waits"})
    write = compose(entry, scene.store.meters, scene.now)
    assert write is not None
    assert write.wanted["usage"]["vcpuSeconds"] == "7"


@pytest.mark.parametrize(
    ("wanted", "held", "want"),
    [
        pytest.param({"state": "RUNNING", "usage": {"a": 1}}, {"state": "RUNNING"}, False, id="usage is new"),
        pytest.param({"state": "RUNNING"}, {"state": "RUNNING", "usage": {"a": 1}}, False, id="usage is gone"),
        pytest.param({"state": "RUNNING"}, {"state": "STARTING"}, True, id="the state"),
    ],
)
def test_what_is_news(wanted: dict[str, Any], held: dict[str, Any], want: bool) -> None:
    assert is_news(wanted, held) is want


async def test_a_queue_notes_usage_when_it_is_due_and_only_then(scene: Scene) -> None:
    await scene.look()
    scene.at(63)
    # Its own note is a change of the queue, which makes it look again.
    assert await scene.look() == {}
    [noted] = (await scene.note())["usage"]
    assert (noted["vcpuSeconds"], noted["updatedAt"]) == ("120", "2026-03-01T12:01:00.000Z")
    scene.at(120)
    assert await scene.look() == {}


async def test_a_queue_in_which_nothing_runs_is_not_written(scene: Scene) -> None:
    scene.end(10)
    scene.at(63)
    [noted] = (await scene.note())["usage"]
    assert noted["vcpuSeconds"] == "20"
    scene.at(600)
    assert await scene.note() == {}


async def test_a_new_operator_leaves_what_is_noted_until_it_knows_more(scene: Scene) -> None:
    scene.end(10)
    scene.at(63)
    await scene.note()
    held = scene.store.queues[KEY].status
    again = Scene()
    again.store.queues[KEY].status = dict(held)
    assert await again.look() == {}


async def test_a_queue_that_is_made_anew_begins_anew(scene: Scene) -> None:
    scene.at(63)
    assert await scene.note()
    declared = scene.store.queues.pop(KEY)
    await scene.look()
    scene.store.queues[KEY] = replace(declared, uid="other", status={})
    scene.store.put_pod("pod-1", b.running_pod(1, accepted_at=b.at(63), request={CPU: 1000}))
    scene.at(73)
    [noted] = (await scene.note())["usage"]
    assert noted["vcpuSeconds"] == str(10 - LAG_SECONDS)
