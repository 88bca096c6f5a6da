"""The status of queues: by the cluster's clock, and never another object's of the same name."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

import builders as b
import manifests
from batchwright.api.v1alpha1 import JobQueueSpec, SchedulingPolicySpec
from batchwright.cluster.client import JSON_PATCH
from batchwright.cluster.resources import JOB_QUEUES, Resource
from batchwright.controllers.declarations import Declarations
from batchwright.controllers.declared import declared
from batchwright.controllers.scheduling import Scheduling
from batchwright.controllers.store import Store
from batchwright.domain.texts import timestamp
from batchwright.errors import ApiError, Invalid, NotFound

KEY = ("", "normal")


class FakeApi:
    """One queue, whose status may be replaced while its uid is what a test says."""

    def __init__(self) -> None:
        self.uid: str | None = "u"
        self.statuses: list[dict[str, Any]] = []
        self.refusal: ApiError | None = None

    async def patch(self, resource: Resource, _: None, name: str, body: Any, **how: Any) -> dict[str, Any]:
        assert (resource, name, how["content_type"], how["subresource"]) == (JOB_QUEUES, "normal", JSON_PATCH, "status")
        [tested, written] = body
        if self.uid is None:
            raise NotFound("gone")
        if self.refusal is not None or tested["value"] != self.uid:
            raise self.refusal or Invalid("the server rejected our request due to an error in our request")
        self.statuses.append(written["value"])
        return {}

    async def get(self, *_: object) -> dict[str, Any]:
        return {"metadata": {"uid": self.uid}}


class Bench:
    """A fair-share queue, with an operator whose machine's clock is five hours behind the cluster's."""

    def __init__(self) -> None:
        self.api, self.store = FakeApi(), Store()
        self.scheduling = Scheduling(self.store, lambda: None)
        self.now = b.NOW + timedelta(hours=5)
        self.declarations = Declarations(self.api, self.store, self.scheduling, lambda: self.now)  # type: ignore[arg-type]
        policy = manifests.scheduling_policy()
        policy["metadata"] |= {"uid": "p", "generation": 1}
        self.store.policies["", "fair"] = declared(SchedulingPolicySpec, policy)
        self.declare("u")

    def declare(self, uid: str) -> None:
        body = manifests.job_queue(schedulingPolicy="fair")
        body["metadata"] |= {"uid": uid, "generation": 1}
        self.store.queues[KEY] = declared(JobQueueSpec, body)
        self.scheduling.sync(self.now.timestamp())

    def hold(self, milli_vcpus: int) -> None:
        self.scheduling.state.usage["normal"].hold("red", milli_vcpus, self.now.timestamp())


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_usage_is_noted_by_the_clock_it_is_reckoned_by(bench: Bench) -> None:
    bench.hold(2000)
    bench.now += timedelta(seconds=10)
    bench.declarations.due.add(KEY)
    await bench.declarations.reconcile_queue(KEY)
    [share] = bench.api.statuses[0]["fairshare"]
    assert share["updatedAt"] == timestamp(bench.now)
    # 2 vCPUs for 10 s, a little of it decayed. By the machine's own clock it would be nothing, of hours ago.
    assert 18 < float(share["usage"]) <= 20


async def test_what_was_noted_is_what_the_next_operator_goes_on_with(bench: Bench) -> None:
    bench.hold(2000)
    bench.now += timedelta(seconds=10)
    bench.declarations.due.add(KEY)
    await bench.declarations.reconcile_queue(KEY)
    second = Bench()
    second.now = bench.now
    second.store.queues[KEY].status = bench.api.statuses[0]
    second.scheduling = Scheduling(second.store, lambda: None)
    second.scheduling.sync(second.now.timestamp())
    values = [each.scheduling.state.usage["normal"].value("red", bench.now.timestamp()) for each in (bench, second)]
    assert values[0] == pytest.approx(values[1], abs=0.01)


@pytest.mark.parametrize("uid", [None, "another"], ids=["gone", "made anew"])
async def test_another_object_of_the_name_does_not_get_the_status(bench: Bench, uid: str | None) -> None:
    known = bench.store.queues[KEY]
    bench.api.uid = uid
    await bench.declarations.reconcile_queue(KEY)
    assert (bench.api.statuses, known.status) == ([], {})


async def test_a_status_that_is_refused_is_told(bench: Bench) -> None:
    bench.api.refusal = Invalid("status.x: too long")
    with pytest.raises(Invalid):
        await bench.declarations.reconcile_queue(KEY)


async def test_what_is_said_already_is_not_written(bench: Bench) -> None:
    for _ in range(2):
        await bench.declarations.reconcile_queue(KEY)
    assert len(bench.api.statuses) == 1


async def test_a_queue_made_anew_begins_without_the_usage_of_the_first(bench: Bench) -> None:
    bench.hold(2000)
    bench.now += timedelta(seconds=10)
    bench.declare("another")
    bench.api.uid = "another"
    bench.declarations.due.add(KEY)
    await bench.declarations.reconcile_queue(KEY)
    assert bench.api.statuses[0].get("fairshare", []) == []
