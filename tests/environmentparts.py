"""One MANAGED environment with a provider that answers as it is told."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from batchwright.api.v1alpha1 import ComputeEnvironmentSpec
from batchwright.capacity.port import Blueprint, Instance, Kind, Order, Outcome, Refusal, Warned
from batchwright.capacity.soldout import SoldOut
from batchwright.controllers.declared import Declared
from batchwright.controllers.environment import ManagedEnvironment
from batchwright.controllers.store import Store
from batchwright.domain.actions import Notice
from batchwright.domain.declarations import Problem
from batchwright.domain.observations import Node
from batchwright.errors import (
    CapacityError,
)
from batchwright.scheduling.snapshot import Demand, Shape
from batchwright.settings import Settings
from capacityparts import kind

SMALL = Shape((("cpu", 1800), ("memory", 1 << 30)))
FIRST, SECOND = kind("m5.large", 2, 8), kind("r5.large", 2, 16)
PASSED = Refusal("InsufficientInstanceCapacity", "none left", True, (FIRST,))
LASTING = Refusal("UnauthorizedOperation", "You may not", False, (FIRST,))


class Cloud:
    """A provider that gives what is asked for, unless `answer` says otherwise. `log` is shared with whoever writes."""

    name = "EC2_FLEET"

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.instances: list[Instance] = []
        self.orders: list[Order] = []
        self.ended: list[str] = []
        self.answer: CapacityError | Outcome | None = None
        self.kinds_error: CapacityError | None = None
        self.asked_kinds = 0
        self.is_late = False

    async def kinds(self, blueprint: Blueprint) -> tuple[Kind, ...]:
        self.asked_kinds += 1
        if self.kinds_error is not None:
            raise self.kinds_error
        return (FIRST, SECOND)

    async def launch(self, blueprint: Blueprint, order: Order) -> Outcome:
        self.log.append("launch")
        self.orders.append(order)
        if isinstance(self.answer, CapacityError):
            raise self.answer
        if self.answer is not None:
            return self.answer
        made = [self.instance(blueprint, order, number) for number in range(order.count)]
        self.instances += made
        return Outcome(tuple(made))

    def instance(self, blueprint: Blueprint, order: Order, number: int) -> Instance:
        first = order.kinds[0]
        known = {"token": order.token, "digest": blueprint.digest, "environment_name": "env"}
        identity = f"group/{number}" if self.is_late else f"i-{len(self.instances) + number}"
        made = Instance(
            identity, "uid-env", first.type.name, first.zone, first.capacity, time.time(), "running", **known
        )
        return replace(made, is_awaited=self.is_late, vcpus=first.type.vcpus)

    async def terminate(self, ids: Collection[str]) -> None:
        self.ended += ids
        self.instances = [each for each in self.instances if each.id not in ids]

    async def describe(self) -> tuple[Instance, ...]:
        return tuple(self.instances)

    async def refused(self) -> tuple[tuple[str, Refusal], ...]:
        return ()

    async def tidy(self, kept: Mapping[str, str]) -> None: ...

    async def warnings(self) -> tuple[Warned, ...]:
        return ()

    async def settle(self, handled: Collection[Warned]) -> None: ...


class Events:
    def __init__(self) -> None:
        self.notices: list[Notice] = []

    async def post(self, _: object, notice: Notice) -> None:
        self.notices.append(notice)


class Api:
    async def list_all(self, *_: object, **__: object) -> list[Any]:
        return []

    async def patch(self, *_: object, **__: object) -> None: ...

    async def delete(self, *_: object, **__: object) -> None: ...


class World:
    """One environment of 64 vCPUs at most, with a queue that wants what `wants` says of it."""

    def __init__(self, status: dict[str, Any] | None = None, **resources: Any) -> None:
        self.log: list[str] = []
        self.cloud, self.events, self.store = Cloud(self.log), Events(), Store()
        self.resources, self.status, self.generation = resources, status or {}, 1
        self.count = 0
        # Rounds look at the clock themselves when they end.
        self.now = time.time()
        # When instances were launched, if not at that time.
        self.launched: dict[str, float] = {}
        self.write_error: Exception | None = None
        self.stale = False
        self.environment = self.start()

    @property
    def known(self) -> Declared[ComputeEnvironmentSpec]:
        found = {"type": "EC2", "maxvCpus": 64, "subnets": ["subnet-a"], "imageId": "ami-1", **self.resources}
        spec = ComputeEnvironmentSpec.model_validate({"type": "MANAGED", "computeResources": found})
        return Declared("uid-env", "", "env", self.generation, spec, {}, self.status)

    def start(self) -> ManagedEnvironment:
        """The environment, as an operator that has just started has it."""

        async def write() -> None:
            if self.write_error is not None:
                raise self.write_error
            pending = self.store.supplies["env"].pending
            self.log.append("write" if pending is None else f"write {pending.count}")

        self.environment = ManagedEnvironment(
            Api(),  # type: ignore[arg-type]
            self.store,
            Settings(),
            self.events,  # type: ignore[arg-type]
            SoldOut(),
            self.known,
            demand=self.demand,
            changed=lambda: None,
            publish=lambda: None,
            write=write,
        )
        return self.environment

    def demand(self) -> tuple[Demand, ...]:
        version = self.store.growth["env"].version - (1 if self.stale else 0)
        return (Demand("env", SMALL, self.count, version),) if self.count else ()

    async def round(self, seconds: float = 0.0, nodes: tuple[Node, ...] = ()) -> None:
        for each in nodes:
            self.store.put_node(each.name, each)
        found = {each.instance: each for each in nodes}
        listed = [replace(each, launched_at=self.launched.get(each.id, self.now)) for each in self.cloud.instances]
        await self.environment.round(self.known, self.cloud, listed, found, self.now + seconds)

    @property
    def problem(self) -> Problem | None:
        return self.store.supplies["env"].problem

    @property
    def reasons(self) -> list[str]:
        return [each.reason for each in self.events.notices]
