"""What the watches show reaches the store, the engine and the reconcilers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import builders as b
import manifests
import waiting
from batchwright.api.v1alpha1 import JobDefinitionSpec
from batchwright.cluster.clock import Clock
from batchwright.cluster.resources import JOBS, Resource
from batchwright.controllers.operator import Operator
from batchwright.domain.observations import FinishedJob, Revision
from batchwright.settings import Settings

KEY = ("default", "hello")
DEFINITION = JobDefinitionSpec.model_validate(manifests.job_definition()["spec"])


class FakeApi:
    """Records deletions."""

    def __init__(self) -> None:
        self.deleted: list[tuple[str, str | None, str, str | None]] = []
        self.clock = Clock()

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, uid: str | None = None, **_: Any
    ) -> None:
        self.deleted.append((resource.kind, namespace, name, uid))


class Bench:
    def __init__(self) -> None:
        self.api = FakeApi()
        self.operator = Operator(self.api, Settings())  # type: ignore[arg-type]
        self.store = self.operator.store

    def show(self, uid: str, number: int = 1, owner: str = "d") -> None:
        self.operator._see_revision(uid, Revision(uid, *KEY, number, owner, DEFINITION))

    def miss(self, uid: str) -> None:
        self.operator._see_revision(uid, None)

    @property
    def touched(self) -> set[tuple[str, str]]:
        return set(self.operator._definitions._queued)


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def test_a_revision_that_is_seen_makes_its_jobs_look_again(bench: Bench) -> None:
    bench.store.put_job(b.UID, b.job())
    bench.store.dirty.clear()
    bench.show("r1")
    assert bench.store.revisions[*KEY, 1].owner == "d"
    assert bench.store.dirty == {b.UID}
    bench.store.dirty.clear()
    bench.show("r1")
    assert bench.store.dirty == set()


async def test_a_definition_that_turns_active_makes_its_jobs_look_again(bench: Bench) -> None:
    body = manifests.job_definition()
    body["metadata"] |= {"uid": "d", "generation": 1}
    bench.operator.is_working = True
    bench.operator.see_declared("JobDefinition", "ADDED", body)
    bench.store.put_job(b.UID, b.job())
    bench.store.dirty.clear()
    bench.operator.see_declared("JobDefinition", "MODIFIED", body)
    assert bench.store.dirty == set()
    active = body | {"status": {"observedGeneration": 1, "status": "ACTIVE", "revision": 1}}
    bench.operator.see_declared("JobDefinition", "MODIFIED", active)
    assert bench.store.dirty == {b.UID}


async def test_a_revision_that_vanishes_makes_its_definition_look_again(bench: Bench) -> None:
    bench.show("r1")
    bench.show("r2", 2)
    bench.miss("r1")
    assert set(bench.store.revisions) == {(*KEY, 2)}
    assert bench.touched == {KEY}


async def test_a_revision_made_again_under_its_name_outlives_the_old_one(bench: Bench) -> None:
    bench.show("old")
    bench.show("new", owner="e")
    bench.miss("old")
    assert bench.store.revisions[*KEY, 1].uid == "new"
    assert bench.touched == set()


async def test_a_kubernetes_job_that_comes_after_the_end_is_ended(bench: Bench) -> None:
    """It was made while its BatchJob was terminated: nothing waits for it, and it would run on."""
    work = _finished_with_work(bench)
    bench.operator._see_work(work.uid, work)
    await waiting.until(lambda: bench.api.deleted == [(JOBS.kind, "default", work.name, work.uid)])


@pytest.mark.parametrize(
    "over",
    [
        pytest.param({"deleting": True}, id="it is going already"),
        pytest.param({"complete": True, "succeeded": 1}, id="it has finished: kept for its time"),
        pytest.param({"namespace": "attacker"}, id="another namespace's, with a forged owner"),
    ],
)
async def test_a_kubernetes_job_of_a_finished_job_that_is_left_alone(bench: Bench, over: dict[str, Any]) -> None:
    _finished_with_work(bench)
    bench.operator._see_work("work-1", b.work(**over))
    assert bench.operator.engine._tasks == set()
    due = bench.operator.engine.retention.next_due
    assert due == (b.at(3600) if "complete" in over else None)
    await asyncio.sleep(0)
    assert bench.api.deleted == []


def _finished_with_work(bench: Bench) -> Any:
    done = FinishedJob(b.UID, "default", "hello-1", "FAILED", "normal", b.NOW)
    bench.operator._see_job(b.UID, done)
    return b.work()


@pytest.mark.parametrize("kind", ["JobQueue", "ComputeEnvironment", "JobDefinition", "ConsumableResource"])
async def test_the_end_of_an_object_leaves_the_one_made_anew_under_its_name(bench: Bench, kind: str) -> None:
    """kopf keeps the order of one object's events, not of two objects': the end of the first may be told last."""
    operator = bench.operator
    operator.is_working = True
    bodies = {uid: _declared(kind, uid) for uid in ("old", "new")}
    operator.see_declared(kind, "ADDED", bodies["old"])
    operator.see_declared(kind, "ADDED", bodies["new"])
    operator.see_declared(kind, "DELETED", bodies["old"])
    assert [record.uid for known in operator._known.values() for record in known.values()] == ["new"]
    operator.see_declared(kind, "DELETED", bodies["new"])
    assert not any(operator._known.values())


async def test_a_consumable_made_anew_has_none_of_what_the_first_one_spent(bench: Bench) -> None:
    operator = bench.operator
    operator.is_working = True
    first = _declared("ConsumableResource", "old") | {"status": {"usedQuantity": 7}}
    operator.see_declared("ConsumableResource", "ADDED", first)
    operator.see_declared("ConsumableResource", "ADDED", _declared("ConsumableResource", "new"))
    assert bench.store.spent == {"licences": 0}


async def test_what_cannot_be_read_is_said_and_the_one_before_it_is_not_taken_for_it(bench: Bench) -> None:
    operator = bench.operator
    operator.is_working = True
    operator.see_declared("JobQueue", "ADDED", _declared("JobQueue", "old"))
    broken = _declared("JobQueue", "old")
    broken["spec"]["priority"] = "high"
    operator.see_declared("JobQueue", "MODIFIED", broken)
    assert [known.uid for known in bench.store.queues.values()] == ["old"]
    broken["metadata"]["uid"] = "new"
    operator.see_declared("JobQueue", "ADDED", broken)
    assert bench.store.queues == {}
    assert set(operator._misreading.worker._queued) == {("", "old"), ("", "new")}


def _declared(kind: str, uid: str) -> Any:
    make = {
        "JobQueue": manifests.job_queue,
        "ComputeEnvironment": manifests.compute_environment,
        "JobDefinition": manifests.job_definition,
        "ConsumableResource": manifests.consumable_resource,
    }[kind]
    body = make()
    body["metadata"] |= {"uid": uid, "generation": 1}
    return body
