"""A MANAGED environment in virtual time: instances come for what waits, cost their price, are taken back, and go idle.

The scheduler, what it asks of the environment, what is launched for that and which instances go are the operator's own
(`scheduling`, `capacity.launching`, `capacity.fleet`); so is what a job pays (`domain.metering`). Simple are: every
launch succeeds, prices stand still, an instance takes the same time to become a node each time, and one that is taken
back goes at once, with what runs on it, which waits again.

Invariant: the same trace, market and seed give the same result; each instance's end is drawn from the seed and its
number, so that a change of one does not change all that follow.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from batchwright.api.v1alpha1.computeresources import ComputeResources
from batchwright.capacity.fleet import SETTLE_SECONDS, Bounds, Seen, growth_of, retire
from batchwright.capacity.launching import Choice, launch_price, plan_launches
from batchwright.capacity.nodes import node_of
from batchwright.capacity.port import Blueprint, CapacityType, Instance, Kind
from batchwright.domain.metering import PER_DOLLAR, rate_of
from batchwright.domain.observations import Node
from batchwright.domain.quantities import CPU
from batchwright.errors import SimulationError
from batchwright.scheduling.snapshot import Start
from batchwright.simulation.adapter import MILLI, PolicyScheduler
from batchwright.simulation.policy import Policy
from batchwright.simulation.replay import Decision
from batchwright.simulation.workload import Job, Machines

# EC2 charges by the second, and for a minute at least.
LEAST_SECONDS: Final = 60.0
_HOUR: Final = 3600.0
_MOST_LAUNCHES: Final = 1000


@dataclass(frozen=True)
class Market:
    """What may be bought: `kinds` at their prices, up to `max_vcpus`; `boot_seconds` until an instance is a node; how
    long one stays idle; and how many of a hundred are taken back in an hour, on average."""

    capacity: CapacityType
    kinds: tuple[Kind, ...]
    max_vcpus: int
    boot_seconds: float = 60.0
    idle_seconds: float = 60.0
    taken_percent: float = 0.0
    seed: int = 1


@dataclass
class _Machine:
    """An instance; `jobs` are the uids of what runs there, and since when."""

    instance: Instance
    kind: Kind
    node: Node
    ready_at: float
    taken_at: float
    is_ready: bool = False
    was_used: bool = False
    idle_since: float | None = None
    cordoned_at: float | None = None
    jobs: dict[str, float] = field(default_factory=dict)


@dataclass
class Bill:
    """What was paid: dollars in all, and the part of it that jobs' parts of nodes make up; how many instances, for how
    many seconds, and how many of them were taken back."""

    cost: float = 0.0
    of_jobs: float = 0.0
    instances: int = 0
    seconds: float = 0.0
    taken: int = 0


class ElasticScheduler(PolicyScheduler):
    """A scheduler for `replay` that has the instances it buys. Raises SimulationError when the policy has several
    environments, or no kind takes one of the jobs."""

    def __init__(self, policy: Policy, market: Market, jobs: Iterable[Job]) -> None:
        super().__init__(policy, Machines(0, 0), jobs)
        if len(self._state.environments) != 1:
            raise SimulationError(
                f"the policy's queues name {', '.join(sorted(self._state.environments))}: instances are bought for one "
                "ComputeEnvironment, so name one"
            )
        [self._environment] = self._state.environments.values()
        self.bill = Bill()
        self._market = market
        resources = ComputeResources.model_validate({"type": "SPOT" if market.capacity == "SPOT" else "EC2"})
        self._blueprint = Blueprint(self._environment.name, self._environment.name, resources, {})
        self._choices = [Choice(kind, node_of(kind, self._blueprint)) for kind in market.kinds]
        self._by_key = {choice.kind.key: choice for choice in self._choices}
        self._bounds = Bounds(0, MILLI * market.max_vcpus, None, idle_seconds=market.idle_seconds)
        self._bounds = replace(self._bounds, digest=self._blueprint.digest, start_seconds=math.inf)
        self._machines: dict[str, _Machine] = {}
        self._version = 0

    def decide(self, now: float) -> Decision:
        """Takes in what has happened to instances, passes, and buys what the pass lacks, until it lacks nothing."""
        preempts = self._happen(now)
        starts: list[int] = []
        for _ in range(_MOST_LAUNCHES):
            self._tell()
            decided = super().decide(now)
            starts += decided.starts
            preempts += [each for each in decided.preempts if each not in preempts]
            if not self._launch(now):
                break
        self._retire(now)
        due = [each for machine in self._machines.values() for each in self._due(machine) if each > now]
        due += [decided.again_at] if decided.again_at is not None else []
        return Decision(starts, preempts, again_at=min(due, default=None))

    def close(self, end: float) -> Bill:
        """What was paid in all, once the last job has ended: what is left goes when it has been idle for its time."""
        for name, machine in list(self._machines.items()):
            since = end if machine.idle_since is None else machine.idle_since
            self._charge(machine, max(end, since + self._market.idle_seconds + SETTLE_SECONDS))
            del self._machines[name]
        return self.bill

    # Instances.

    def _happen(self, now: float) -> list[int]:
        """Instances become nodes, and are taken back; the jobs that are lost with them."""
        lost: list[int] = []
        for name, machine in list(self._machines.items()):
            if machine.taken_at <= now:
                for uid in list(machine.jobs):
                    lost.append(self._jobs[uid].id)
                    self._requeue(uid, now)
                self.bill.taken += 1
                self._remove(name, now)
            elif not machine.is_ready and machine.ready_at <= now:
                machine.is_ready, machine.idle_since = True, now
                self._state.put_node(name, machine.node)
        return lost

    def _tell(self) -> None:
        fleet = [self._seen(name, machine) for name, machine in self._machines.items()]
        growth = growth_of(fleet, self._choices, (), self._bounds, self._version)
        self._state.tell_growth({self._environment.name: growth})

    def _launch(self, now: float) -> bool:
        asked = [(each.shape, each.count) for each in self.demand]
        live = sum(machine.kind.type.vcpus for machine in self._machines.values())
        left = MILLI * self._market.max_vcpus - live
        batches = plan_launches(asked, self._choices, self._environment, self._blueprint.strategy, left)
        for batch in batches:
            for _ in range(batch.count):
                self._buy(batch.kinds[0], now)
        return bool(batches)

    def _buy(self, kind: Kind, now: float) -> None:
        self.bill.instances += 1
        name = f"i-{self.bill.instances:017x}"
        instance = Instance(name, self._blueprint.uid, kind.type.name, kind.zone, kind.capacity, now, "running")
        node = replace(self._by_key[kind.key].node, name=name, instance=name)
        taken_at = math.inf
        if self._market.taken_percent > 0:
            chance = random.Random(f"{self._market.seed}/{name}")
            taken_at = now + chance.expovariate(self._market.taken_percent / 100 / _HOUR)
        self._machines[name] = _Machine(instance, kind, node, now + self._market.boot_seconds, taken_at)

    def _retire(self, now: float) -> None:
        decided = retire([self._seen(name, each) for name, each in self._machines.items()], self._bounds, now)
        for seen in decided.uncordon:
            self._cordon(seen.node, None)
        for seen, _ in decided.cordon:
            self._cordon(seen.node, now)
        for seen, _ in decided.ended:
            self._remove(seen.instance.id, now)

    def _cordon(self, name: str, now: float | None) -> None:
        machine = self._machines[name]
        machine.cordoned_at = now
        self._state.put_node(name, replace(machine.node, schedulable=now is None))

    def _remove(self, name: str, now: float) -> None:
        self._charge(self._machines.pop(name), now)
        self._state.put_node(name, None)
        self._used.pop(name, None)

    def _charge(self, machine: _Machine, now: float) -> None:
        seconds = max(LEAST_SECONDS, now - machine.instance.launched_at)
        self.bill.seconds += seconds
        self.bill.cost += launch_price(machine.kind).hourly * seconds / _HOUR

    def _due(self, machine: _Machine) -> Iterable[float]:
        yield machine.taken_at
        if not machine.is_ready:
            yield machine.ready_at
        elif machine.cordoned_at is not None:
            yield machine.cordoned_at + SETTLE_SECONDS
        elif machine.idle_since is not None:
            yield machine.idle_since + self._market.idle_seconds

    def _seen(self, name: str, machine: _Machine) -> Seen:
        return Seen(
            machine.instance,
            machine.kind.type.vcpus,
            name if machine.is_ready else "",
            is_ready=machine.is_ready,
            ours=len(machine.jobs),
            was_used=machine.was_used,
            idle_since=machine.idle_since,
            cordoned=None if machine.cordoned_at is None else "idle",
            cordoned_at=machine.cordoned_at or 0.0,
        )

    # Jobs on them.

    def _start(self, start: Start, now: float) -> None:
        super()._start(start, now)
        machine = self._machines[start.node]
        machine.jobs[start.uid] = now
        machine.was_used, machine.idle_since = True, None

    def _leave(self, uid: str, now: float) -> None:
        [(name, _)] = self._state.held[uid].nodes
        super()._leave(uid, now)
        machine = self._machines[name]
        began = machine.jobs.pop(uid)
        if not machine.jobs:
            machine.idle_since = now
        request = {CPU: self._jobs[uid].cpus * MILLI}
        rate = rate_of(request, machine.node.allocatable, launch_price(machine.kind))
        self.bill.of_jobs += rate.cost * (now - began) / PER_DOLLAR
