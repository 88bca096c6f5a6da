"""Multi-node jobs that contend for one environment: all of their nodes start or none, none waits for ever, and each
ends as its main node says, whatever fails, is late, is killed or is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

import builders as b
import manifests
from batchwright import metrics
from batchwright.api.v1alpha1 import ComputeEnvironmentSpec, JobDefinitionSpec, JobQueueSpec
from batchwright.cluster import projections
from batchwright.cluster.clock import Clock
from batchwright.controllers.declared import declared
from batchwright.controllers.engine import Engine
from batchwright.controllers.store import Store
from batchwright.domain.observations import FINAL_STATES, Revision
from batchwright.domain.texts import timestamp
from batchwright.settings import Settings
from property.gangcluster import GangCluster
from property.gangpods import NAMESPACE, is_over
from virtualtime import VirtualTimeLoop

SETTINGS = Settings(writes_in_flight=4)
MOST_SECONDS = 4000.0


@dataclass(frozen=True)
class Plan:
    """One job: `codes` are the exit codes of its main node, attempt by attempt."""

    number: int
    nodes: int
    cpu: int
    codes: tuple[int, ...]
    seconds: float
    at: float
    rules: tuple[dict[str, str], ...] = ()

    @property
    def uid(self) -> str:
        return f"{self.number:08d}-0000-0000-0000-000000000000"

    @property
    def ends(self) -> str:
        return "SUCCEEDED" if self.codes[-1] == 0 else "FAILED"


@dataclass(frozen=True)
class Scenario:
    machines: tuple[int, ...]
    plans: tuple[Plan, ...]
    seed: int
    trouble: int
    kills: tuple[float, ...]
    losses: tuple[float, ...]
    groups: bool = False


@st.composite
def scenarios(draw: st.DrawFn, *, calm: bool = False) -> Scenario:
    machines = tuple(draw(st.lists(st.integers(1, 3), min_size=2, max_size=5)))
    plans = []
    for number in range(draw(st.integers(2, 6))):
        cpu = draw(st.integers(1, 2))
        # Each would fit if it were alone.
        most = sum(each >= cpu for each in machines)
        if not most:
            cpu, most = 1, len(machines)
        fails = draw(st.integers(0, 2))
        codes = (1,) * fails + draw(st.sampled_from([(0,), (0,), (3,)]))
        nodes = draw(st.sampled_from([most, draw(st.integers(1, most))]))
        plans.append(Plan(number, nodes, cpu, codes, draw(st.sampled_from([0.5, 5.0, 30.0])), draw(st.integers(0, 20))))
    times = st.lists(st.floats(0, 90).map(lambda at: round(at, 2)), max_size=0 if calm else 4)
    return Scenario(
        machines,
        tuple(plans),
        draw(st.integers(0, 10**6)),
        0 if calm else draw(st.sampled_from([0, 0, 20])),
        tuple(draw(times)),
        tuple(draw(times)),
        draw(st.booleans()),
    )


class LoopClock(Clock):
    def now(self) -> datetime:
        return b.at(asyncio.get_running_loop().time())


class _Events:
    async def post(self, *_: Any) -> None: ...


class World:
    """A scenario, its cluster, and an operator that may die at any moment and comes again."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.plans = {plan.uid: plan for plan in scenario.plans}
        self.cluster = GangCluster(Random(scenario.seed), scenario.trouble, self.exits, groups=scenario.groups)
        self.cluster.hear = self.hear
        self.submitted: dict[str, float] = {}
        self.tasks: list[asyncio.Task[Any]] = []

    def exits(self, uid: str, failures: int) -> tuple[float, int]:
        plan = self.plans[uid]
        return plan.seconds, plan.codes[min(failures, len(plan.codes) - 1)]

    def hear(self, kind: str, uid: str, item: Any) -> None:
        match kind:
            case "job":
                self.store.put_work(uid, None if item is None else projections.work(item))
            case "pod":
                self.store.put_pod(uid, None if item is None else projections.pod(item))
            case "node":
                self.store.put_node(uid, item)
        self.engine.changed()

    def begin(self) -> None:
        """The operator starts: it lists what there is."""
        cluster = self.cluster
        cluster.forget_events()
        self.store = Store()
        self.engine = Engine(cluster, self.store, SETTINGS, _Events(), clock=LoopClock())  # type: ignore[arg-type]
        self._declare()
        for node in cluster.nodes.values():
            self.store.put_node(node.name, node)
        for uid in self.submitted:
            self._see(uid)
        for job in cluster.jobs.values():
            self.store.put_work(job["metadata"]["uid"], projections.work(job))
        for pod in cluster.pods.values():
            self.store.put_pod(pod["metadata"]["uid"], projections.pod(pod))
        loop = asyncio.get_running_loop()
        self.tasks = [loop.create_task(self.engine.run()), loop.create_task(self.engine.writer.run())]
        self.engine.changed()

    async def kill(self) -> None:
        """It dies: what it was doing is not done."""
        for task in (*self.tasks, *self.engine._tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        # Its last requests may still arrive; the next one starts after that.
        await asyncio.sleep(0.2)

    def submit(self, plan: Plan) -> None:
        self.submitted[plan.uid] = asyncio.get_running_loop().time()
        self._see(plan.uid)

    def _see(self, uid: str) -> None:
        plan = self.plans[uid]
        item = manifests.batch_job(f"j{plan.number}", NAMESPACE, jobDefinition=f"d{plan.number}:1")
        item["metadata"] |= {
            "uid": uid,
            "generation": 1,
            "creationTimestamp": timestamp(b.at(int(self.submitted[uid]))),
        }
        item["status"] = self.cluster.statuses.get(uid, {})
        self.engine.see_job(uid, projections.batch_job(item))

    def _declare(self) -> None:
        for manifest, known, kind in (
            (manifests.job_queue(), self.store.queues, JobQueueSpec),
            (manifests.compute_environment(), self.store.environments, ComputeEnvironmentSpec),
        ):
            manifest["metadata"] |= {"uid": "u", "generation": 1}
            found = declared(kind, manifest)
            known[found.key] = found  # type: ignore[index]
        for plan in self.scenario.plans:
            template = {
                "spec": {
                    "containers": [{"name": "main", "image": "x", "resources": {"requests": {"cpu": str(plan.cpu)}}}]
                }
            }
            ranges = [{"targetNodes": "0:", "podTemplate": template}]
            wire = {
                "type": "multinode",
                "nodeProperties": {"numNodes": plan.nodes, "mainNode": 0, "nodeRangeProperties": ranges},
                "retryStrategy": {"attempts": len(plan.codes), "evaluateOnExit": list(plan.rules)},
            }
            spec, name = JobDefinitionSpec.model_validate(wire), f"d{plan.number}"
            self.store.revisions[NAMESPACE, name, 1] = Revision("r", NAMESPACE, name, 1, "o", spec)

    @property
    def is_done(self) -> bool:
        states = [self.cluster.statuses.get(uid, {}).get("state") for uid in self.plans]
        return all(state in FINAL_STATES for state in states)

    def running(self) -> list[tuple[str, Any]]:
        """The pods that have not ended."""
        pods = self.cluster.pods.values()
        return [(pod["metadata"]["name"], pod["status"]["phase"]) for pod in pods if not is_over(pod)]

    async def live(self) -> None:
        """Until all have ended, or have had time enough."""
        errors = metrics.DECISION_ERRORS._value.get()
        scenario, cluster = self.scenario, self.cluster
        for number, cpu in enumerate(scenario.machines):
            cluster.nodes[f"m{number}"] = b.node(f"m{number}", cpu=1000 * cpu)
        self.begin()
        moving = asyncio.create_task(cluster.run())
        happenings = [(plan.at, self.submit, plan) for plan in scenario.plans]
        happenings += [(at, self._restart, None) for at in scenario.kills]  # type: ignore[list-item]
        happenings += [(at, self._lose, None) for at in scenario.losses]  # type: ignore[list-item]
        began = asyncio.get_running_loop().time()
        for at, what, whom in sorted(happenings, key=lambda each: each[0]):
            await asyncio.sleep(max(0.0, began + at - asyncio.get_running_loop().time()))
            result = what(whom)
            if asyncio.iscoroutine(result):
                await result
        cluster.trouble = 0
        while not self.is_done:
            await asyncio.sleep(1)
            assert not moving.done(), moving.exception()
            assert asyncio.get_running_loop().time() < MOST_SECONDS, {
                plan.number: cluster.statuses.get(uid) for uid, plan in self.plans.items()
            }
        await asyncio.sleep(5)
        moving.cancel()
        await self.kill()
        assert metrics.DECISION_ERRORS._value.get() == errors, "a decision failed"

    async def _restart(self, _: Any) -> None:
        await self.kill()
        self.begin()

    async def _lose(self, _: Any) -> None:
        """A machine goes; another one like it comes a moment later."""
        name = self.cluster.random.choice(sorted(self.cluster.nodes))
        cpu = self.cluster.nodes[name].allocatable["cpu"] // 1000
        self.cluster.lose_node(name)
        await asyncio.sleep(self.cluster.random.choice([0.1, 3]))
        self.cluster.add_node(f"{name}x", cpu)


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True, scope="module")
def _a_pass_takes_no_time() -> Iterator[None]:
    """How long to wait after a pass hangs on how long it took by the machine's clock, and the order of all that follows
    on that: one seed is to be one story, however busy the machine is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("batchwright.controllers.engine.pause_after", lambda _took, shortest: shortest)
        yield


def live_through(scenario: Scenario) -> World:
    world = World(scenario)
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(world.live())
    return world


@given(scenarios(calm=True))
@settings(max_examples=settings.default.max_examples // 3)  # type: ignore[union-attr]
def test_all_end_as_their_main_nodes_say(scenario: Scenario) -> None:
    world = live_through(scenario)
    for uid, plan in world.plans.items():
        status = world.cluster.statuses[uid]
        assert status["state"] == plan.ends, status
        codes = [each["container"].get("exitCode") for each in status["attempts"]]
        assert codes == list(plan.codes)
        assert world.cluster.attempts[uid] == len(plan.codes)
    assert set(world.cluster.made_nodes.values()) <= {1}, "a node that had ended was made again"
    # A main node may end before the others are bound.
    grouped = [plan for plan in world.plans.values() if plan.nodes > 2 and scenario.groups]
    least = sum(len(plan.codes) for plan in grouped if plan.seconds == 30)
    assert least <= len(world.cluster.bound_groups) <= sum(len(plan.codes) for plan in grouped)
    assert world.running() == []


@given(scenarios())
@settings(max_examples=settings.default.max_examples // 3)  # type: ignore[union-attr]
def test_none_waits_for_ever_whatever_happens(scenario: Scenario) -> None:
    world = live_through(scenario)
    for uid, plan in world.plans.items():
        status = world.cluster.statuses[uid]
        assert status["state"] == plan.ends, status
        # Those of lost machines were no attempts.
        assert len(status["attempts"]) == len(plan.codes)
    assert world.running() == []


@given(st.lists(st.integers(0, 60).map(lambda tenths: tenths / 10), min_size=1, max_size=4), st.integers(0, 10**6))
@settings(max_examples=settings.default.max_examples // 3)  # type: ignore[union-attr]
def test_an_operator_that_dies_leaves_no_group_that_nobody_fills(kills: list[float], seed: int) -> None:
    """Else the nodes would wait for the start timeout, of 600 s."""
    plan = Plan(0, 5, 1, (0,), 30.0, 0)
    world = World(Scenario((1,) * 5, (plan,), seed, 0, tuple(sorted(kills)), (), groups=True))

    async def live() -> float:
        await world.live()
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(live()) < 300
    assert world.cluster.attempts[plan.uid] == 1
    assert len(world.cluster.bound_groups) == 1


@pytest.mark.parametrize("what", ["Service", "the main node's pod"])
def test_what_a_quota_keeps_from_starting_holds_no_room_for_ever(what: str) -> None:
    """The other one, which has all it needs, is not kept waiting until somebody raises the quota."""
    first, second = Plan(0, 2, 1, (0,), 5.0, 0), Plan(1, 2, 1, (0,), 5.0, 1)
    world = World(Scenario((1, 1), (first, second), 1, 0, (), ()))
    if what == "Service":
        world.cluster.refused.add(f"{what}/{first.uid}")
    else:
        world.cluster.podless.add(first.uid)
    ended: dict[str, float] = {}
    said: set[str] = set()

    async def watch() -> None:
        loop = asyncio.get_running_loop()
        life = loop.create_task(world.live())
        while not life.done():
            for uid, status in world.cluster.statuses.items():
                said.add(status.get("statusReason", ""))
                if status.get("state") in FINAL_STATES:
                    ended.setdefault(uid, loop.time())
            if second.uid in ended:
                world.cluster.refused.clear()
                world.cluster.podless.clear()
            await asyncio.sleep(1)
        await life

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(watch())
    assert [world.cluster.statuses[plan.uid]["state"] for plan in (first, second)] == ["SUCCEEDED"] * 2
    assert ended[second.uid] < 700
    if what == "Service":
        obstacle = "The main node cannot be let start: exceeded quota"
        assert {obstacle, f"The main node was not let start within 600 s. {obstacle}"} <= said
    else:
        assert "The main node had no pod for 600 s" in said


@pytest.mark.parametrize("action", ["EXIT", "RETRY"])
@pytest.mark.parametrize("machine", ["m0", "m1"])
def test_evaluate_on_exit_decides_of_a_lost_machine(machine: str, action: str) -> None:
    """Of the main node's as of another's."""
    rules = ({"onStatusReason": "Host EC2*", "action": action},)
    plan = Plan(0, 2, 1, (0, 0), 60.0, 0, rules)
    world = World(Scenario((1, 1), (plan,), 3, 0, (), ()))
    world.cluster.lasting = True

    async def lose() -> None:
        life = asyncio.get_running_loop().create_task(world.live())
        await asyncio.sleep(20)
        assert [phase for _, phase in world.running()] == ["Running"] * 2
        world.cluster.lose_node(machine)
        world.cluster.add_node(f"{machine}x", 1)
        await life

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(lose())
    status = world.cluster.statuses[plan.uid]
    said = f"Host EC2 (instance {machine}) terminated."
    if action == "EXIT":
        assert (status["state"], status["statusReason"]) == ("FAILED", said)
        assert (len(status["attempts"]), world.cluster.attempts[plan.uid]) == (1, 1)
    else:
        assert status["state"] == "SUCCEEDED"
        assert world.cluster.attempts[plan.uid] == 2
