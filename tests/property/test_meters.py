"""Whatever operators die when: a job's usage is the sum over its pods, over its ranges of elements, and its share's.

Pods come and go on nodes of several prices; watches tell of them up to LAG_SECONDS late; a job's status and its
queue's are written now and then, each at its own times; and an operator that starts has those and the pods.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import builders as b
from batchwright.api.v1alpha1 import JobQueueSpec
from batchwright.api.v1alpha1.usage import Usage
from batchwright.controllers.declared import Declared
from batchwright.controllers.store import Store
from batchwright.domain.metering import LAG_SECONDS, ZERO, Amounts, Price, rate_of, total
from batchwright.domain.observations import Pod
from batchwright.domain.quantities import CPU, MEMORY
from batchwright.domain.usagetext import amounts_of

SIZE = 25
QUEUE = {"computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "nodes"}]}
NODES = {
    "cheap": replace(b.node("cheap"), price=Price(0.1)),
    "dear": replace(b.node("dear", cpu=64_000, memory=512 * b.GIB), price=Price(4.032, True)),
}
END = 100
FINALS = END + 2 * LAG_SECONDS


@dataclass(frozen=True)
class Attempt:
    """One pod, and how late its begin and its end are told of."""

    index: int
    node: str
    milli: int
    began: int
    seconds: int
    failed: bool
    begin_late: int
    end_late: int

    @property
    def request(self) -> dict[str, int]:
        return {CPU: self.milli, MEMORY: b.GIB}

    @property
    def used(self) -> Amounts:
        node = NODES[self.node]
        rate = rate_of(self.request, node.allocatable, node.price)
        sums = ZERO.plus(rate, self.seconds)
        if not self.failed:
            return sums
        return sums._replace(lost_vcpu=rate.vcpu * self.seconds, lost_cost=rate.cost * self.seconds)

    def seen(self, uid: str, now: float) -> Pod | None:
        """What the watch has told of the pod by then."""
        if now < self.began + self.begin_late:
            return None
        pod = b.running_pod(
            0, started=self.began, uid=uid, accepted_at=b.at(self.began), index=self.index, request=self.request
        )
        pod = replace(pod, node=self.node)
        ended = self.began + self.seconds
        if now < max(self.began + self.begin_late, ended + self.end_late):
            return pod
        return replace(pod, phase="Failed" if self.failed else "Succeeded", running=False, stopped_at=b.at(ended))


@dataclass
class World:
    """The operator of the moment, and what statuses say."""

    attempts: list[Attempt]
    job: dict[str, Any] = field(default_factory=dict)
    queue: list[dict[str, Any]] = field(default_factory=list)
    told: dict[str, Pod] = field(default_factory=dict)
    now: float = 0

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.store = Store()
        self.store.meters.clock = lambda: b.at(self.now)
        spec, status = JobQueueSpec.model_validate(QUEUE), {"usage": self.queue}
        self.store.queues[("", "normal")] = Declared("q", "", "normal", 1, spec, QUEUE, status)
        usage = {"usage": self.job} if self.job else {}
        known = b.status("PENDING", **usage)
        self.store.put_job(b.UID, b.job(spec=b.spec(arrayProperties={"size": SIZE}), status=known))
        self.store.put_work("work-1", b.work())
        self.told = {}
        self.watch()
        for node in NODES.values():
            self.store.put_node(node.name, node)
        self.store.meters.begin(self.store)

    def watch(self) -> None:
        for number, attempt in enumerate(self.attempts):
            pod = attempt.seen(str(number), self.now)
            if pod is not None and self.told.get(str(number)) != pod:
                self.told[str(number)] = pod
                self.store.put_pod(str(number), pod)

    def write_job(self, *, final: bool = False) -> None:
        usage = self.store.meters.job_usage(b.UID, is_final=final)
        self.job = usage.to_wire() if usage is not None else self.job

    def write_queue(self) -> None:
        self.queue = [each.to_wire() for each in self.store.meters.queue_usage("normal", self.store)]


def amounts(wire: dict[str, Any]) -> Amounts:
    return amounts_of(Usage.model_validate(wire))


LATE = st.integers(0, LAG_SECONDS)
ATTEMPTS = st.lists(
    st.builds(
        Attempt,
        st.integers(0, SIZE - 1),
        st.sampled_from(sorted(NODES)),
        st.integers(1, 4000),
        st.integers(1, END - 40),
        st.integers(0, 40),
        st.booleans(),
        LATE,
        LATE,
    ),
    min_size=1,
    max_size=10,
)
WHAT = st.sampled_from(["write_job", "write_queue", "start"])


@given(ATTEMPTS, st.dictionaries(st.integers(1, END), st.lists(WHAT, min_size=1, max_size=3), max_size=10))
def test_statuses_add_up_whoever_was_killed_when(attempts: list[Attempt], events: dict[int, list[str]]) -> None:
    world = World(attempts)
    for now in range(FINALS):
        world.now = now
        world.watch()
        for event in events.get(now, ()):
            getattr(world, event)()
    world.now = FINALS + LAG_SECONDS
    world.write_job(final=True)
    world.write_queue()
    want = total(each.used for each in attempts)
    if want.is_zero:
        return
    assert amounts(world.job) == want
    assert total(amounts(each) for each in world.job["elements"]) == want
    assert [amounts(each) for each in world.queue] == [want]
    assert "holding" not in world.job
