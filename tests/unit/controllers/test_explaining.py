"""What waiting jobs are told, and jobStateTimeLimitActions: passes of the engine over a store, by a clock of ours."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

import builders as b
import manifests
from batchwright.api.v1alpha1 import JobQueueSpec, SchedulingPolicySpec
from batchwright.controllers.declared import declared
from batchwright.controllers.engine import Engine
from batchwright.controllers.entries import Entry
from batchwright.domain.actions import Notice
from batchwright.domain.conditions import unscheduled
from batchwright.domain.observations import FinishedJob
from batchwright.domain.texts import timestamp
from batchwright.scheduling.limits import DEBOUNCE_SECONDS, RESOURCE_REQUIREMENT
from batchwright.settings import Settings
from unit.controllers.test_gather import World, body

HUGE = {"resourceRequirements": [{"type": "VCPU", "value": "64"}]}


class Silent(Engine):
    """Writes nothing, and remembers its events."""

    def __init__(self, world: World) -> None:
        super().__init__(None, world.store, Settings(), None)  # type: ignore[arg-type]
        self.events: list[str] = []
        self.writer.offer = lambda *_: None  # type: ignore[method-assign]

    def _notify(self, entry: Entry, notice: Notice) -> None:
        self.events.append(notice.reason)

    def at(self, seconds: float) -> None:
        self._pass(b.NOW + timedelta(seconds=seconds))


@pytest.fixture
def world() -> World:
    made = World()
    action = {"reason": RESOURCE_REQUIREMENT, "state": "RUNNABLE", "maxTimeSeconds": 3, "action": "CANCEL"}
    manifest = manifests.job_queue("normal", jobStateTimeLimitActions=[action])
    metadata: dict[str, Any] = manifest["metadata"] | {"uid": "uid-normal", "generation": 1}
    known = declared(JobQueueSpec, manifest | {"metadata": metadata})
    made.store.queues[known.key] = known
    return made


def test_the_head_of_a_queue_that_is_blocked_for_too_long_ends(world: World) -> None:
    entry, engine = world.submit(containerOverrides=HUGE), Silent(world)
    for seconds in (0, 2.9):
        engine.at(seconds)
        assert entry.status.state == "RUNNABLE"
    assert (entry.status.status_reason or "").startswith(RESOURCE_REQUIREMENT)
    # One pass finds that its time is over, and the next one says so.
    engine.at(3.1)
    engine.at(3.2)
    assert entry.status.state == "FAILED"
    assert entry.status.status_reason == f"Canceled by JobStateTimeLimit action due to reason: {RESOURCE_REQUIREMENT}"
    assert entry.status.is_cancelled


def test_a_reason_that_was_not_the_first_counts_once_it_has_lasted(world: World) -> None:
    """The nodes came after the job: until then there was no capacity, which is another reason."""
    [node] = world.store.nodes.values()
    world.store.put_node("n1", b.node("n1", ready=False))
    entry, engine = world.submit(containerOverrides=HUGE), Silent(world)
    engine.at(0)
    world.store.put_node("n1", node)
    engine.at(1)
    assert entry.wake_at is not None, "nothing else may ever happen"
    engine.at(1 + DEBOUNCE_SECONDS)
    engine.at(1.1 + DEBOUNCE_SECONDS)
    assert entry.status.state == "FAILED"


def test_a_job_that_fits_later_is_not_ended(world: World) -> None:
    entry, engine = world.submit(), Silent(world)
    world.store.ledger.account("theirs", "n1", b.resources(4000, b.GIB, 1))
    for seconds in (0, 5, 20):
        engine.at(seconds)
    assert entry.status.state == "RUNNABLE"
    assert "has 0 vCPU, 7168 MiB free: short by 1 vCPU" in (entry.status.status_reason or "")
    assert engine.events.count("Unschedulable") == 1


def test_a_condition_says_why_a_job_waits_as_long_as_it_does(world: World) -> None:
    """As PodScheduled: the same words as the statusReason, a word for programs, and the time since when."""
    entry, engine = world.submit(), Silent(world)
    world.store.ledger.account("theirs", "n1", b.resources(4000, b.GIB, 1))
    engine.at(0)
    world.store.dirty.add(entry.job.uid)
    engine.at(40)
    [condition] = entry.status.conditions
    assert (condition.type, condition.status, condition.reason) == ("Scheduled", "False", "NoRoom")
    assert condition.message == entry.status.status_reason
    assert condition.last_transition_time == timestamp(b.NOW)
    world.store.put_node("n1", b.node("n1", ready=False))
    engine.at(80)
    [condition] = entry.status.conditions
    assert (condition.reason, condition.last_transition_time) == ("NoNodes", timestamp(b.NOW))
    world.store.put_work("work-1", b.work())
    engine.at(90)
    assert (entry.status.state, entry.status.conditions) == ("STARTING", ())


def test_a_job_waits_for_capacity_since_what_it_depended_on_has_ended(world: World) -> None:
    entry, engine = world.submit(dependsOn=[{"name": "first"}]), Silent(world)
    world.store.put_job("uid-first", b.job(uid="uid-first", name="first"))
    world.store.ledger.account("theirs", "n1", b.resources(4000, b.GIB, 1))
    engine.at(0)
    assert (entry.status.state, entry.runnable_since) == ("PENDING", None)
    world.store.put_job("uid-first", FinishedJob("uid-first", "default", "first", "SUCCEEDED", "normal", None))
    for seconds in (7 * 3600, 7 * 3600 + 60):
        engine.at(seconds)
        world.store.dirty.add(entry.job.uid)
    assert (entry.status.state, entry.runnable_since) == ("RUNNABLE", b.at(7 * 3600))
    [condition] = entry.status.conditions
    assert condition.last_transition_time == timestamp(b.at(7 * 3600))
    world.store.put_work("work-1", b.work())
    engine.at(8 * 3600)
    assert entry.runnable_since is None


def test_the_share_of_a_job_that_waits_is_counted_from_zero_on(world: World) -> None:
    labels = {"queue": "normal", "share": "late"}
    world.queue(schedulingPolicy="fair")
    policy = manifests.scheduling_policy("fair")
    known = declared(SchedulingPolicySpec, body(policy))
    world.store.policies[known.key] = known
    world.submit(shareIdentifier="late")
    world.store.ledger.account("theirs", "n1", b.resources(4000, b.GIB, 1))
    Silent(world).at(0)
    assert REGISTRY.get_sample_value("batchwright_vcpu_seconds_total", labels) == 0


def test_an_operator_that_starts_goes_on_with_the_time_the_condition_says(world: World) -> None:
    waited = b.status("RUNNABLE", jobDefinition="hello:2")
    waited = unscheduled(waited, "NoRoom", "no room", b.at(-3600))
    world.store.put_job(b.UID, b.job(status=waited))
    world.store.ledger.account("theirs", "n1", b.resources(4000, b.GIB, 1))
    entry, engine = world.store.entries[b.UID], Silent(world)
    engine.at(0)
    assert entry.runnable_since == b.at(-3600)
    [condition] = entry.status.conditions
    assert condition.last_transition_time == timestamp(b.at(-3600))


def test_an_array_that_may_not_have_more_at_a_time_does_not_wait_for_capacity(world: World) -> None:
    entry, engine = world.submit(arrayProperties={"size": 4, "maxConcurrency": 1}), Silent(world)
    world.store.ledger.account("theirs", "n1", b.resources(4000, b.GIB, 1))
    engine.at(0)
    assert entry.array is not None
    assert entry.runnable_since == b.NOW
    world.store.put_work("work-1", b.work(parallelism=4, gated=True))
    world.store.put_pod("pod-0", b.running_pod(started=10))
    engine.at(10)
    assert (entry.array.elements.ready, entry.runnable_since) == (3, None)
    world.store.put_pod("pod-0", b.ended_pod(stopped_at=b.at(50)))
    engine.at(50)
    assert entry.runnable_since == b.at(50)
