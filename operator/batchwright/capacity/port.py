"""What a provider of nodes can do, and what it answers.

The contract, tested by one suite for every provider (tests/unit/capacity/test_contract.py): a launch whose answer is
lost can be found again by its token; `describe` shows every instance of this cluster until it has ended, whoever
launched it; nothing here is a matter of order or of how often it is asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import orjson

from batchwright.api.v1alpha1.computeresources import AllocationStrategy, ComputeResources
from batchwright.api.v1alpha1.nodejoin import NodeJoin
from batchwright.domain.metering import Price
from batchwright.domain.observations import Taint

CapacityType = Literal["ON_DEMAND", "SPOT"]
InstanceState = Literal["pending", "running", "shutting-down", "terminated"]
Scope = Literal["pool", "place", "own"]
# What makes no difference to an instance that runs: a change of these replaces nothing (AWS: scaling updates).
_SCALING = {"minvCpus", "maxvCpus", "desiredvCpus", "scalingPolicy"}


@dataclass(frozen=True, slots=True)
class InstanceType:
    """A type of instance: milli-vCPUs and bytes of the whole, before anything is kept back for the node itself."""

    name: str
    vcpus: int
    memory: int
    architecture: str = "amd64"
    gpus: int = 0
    pods: int = 110
    disk: int = 20 << 30


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of instance in one zone, bought in one way. `price` is in US dollars an hour, None if nobody says; `place`
    is the provider's word for where (a subnet, a group). `zone` is empty where the provider alone chooses it; `pool` is
    what gives instances to nobody else."""

    type: InstanceType
    zone: str
    capacity: CapacityType
    price: float | None = None
    place: str = ""
    pool: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """The pool that it comes from, in whatever subnet."""
        return (self.capacity, self.type.name, self.zone, *((self.pool,) if self.pool else ()))


@dataclass(frozen=True)
class Blueprint:
    """What the instances of an environment are made of. `labels` and `taints` are what their nodes begin with; `groups`
    are existing ones that they come from, and `eks` the EKS cluster of node groups."""

    environment: str
    uid: str
    resources: ComputeResources
    labels: dict[str, str]
    taints: tuple[Taint, ...] = ()
    join: NodeJoin | None = None
    groups: tuple[str, ...] = ()
    eks: str = ""

    @property
    def digest(self) -> str:
        """Tells instances that are made of the same from others."""
        resources = {key: value for key, value in self.resources.to_wire().items() if key not in _SCALING}
        join = None if self.join is None else self.join.to_wire()
        taints = [[taint.key, taint.value, taint.effect] for taint in self.taints]
        content: Any = [resources, self.labels, taints, join]
        if self.groups or self.eks:
            content += [self.groups, self.eks]
        return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]

    @property
    def capacity(self) -> CapacityType:
        """How the environment buys."""
        return "SPOT" if self.resources.type == "SPOT" else "ON_DEMAND"

    @property
    def strategy(self) -> AllocationStrategy:
        """The allocationStrategy in force."""
        default: AllocationStrategy = (
            "SPOT_PRICE_CAPACITY_OPTIMIZED" if self.capacity == "SPOT" else "BEST_FIT_PROGRESSIVE"
        )
        return self.resources.allocation_strategy or default


@dataclass(frozen=True, slots=True)
class Order:
    """So many instances of any of these kinds, the preferred first. `token` makes it known again."""

    token: str
    count: int
    kinds: tuple[Kind, ...]


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance that belongs to this cluster. `environment` is the uid of its environment, `token` that of its
    order, `digest` that of its blueprint; times are seconds since the epoch; `price` is what an hour of it costs, as it
    was when it was launched, None if the provider has not noted it.

    `is_stopped`: it has gone without having ended, and is to be. `was_taken`: it ended because somebody wanted it to,
    or EC2 took it back; `reason` is the provider's word for why.

    `is_awaited`: it has been asked for, and is not there yet; its id is not the one it will have. Of one in a `group`,
    `spare` is by how many the group may get smaller, and `ordered` the key of the kind that it was ordered as."""

    id: str
    environment: str
    type: str
    zone: str
    capacity: CapacityType
    launched_at: float
    state: InstanceState = "pending"
    token: str = ""
    digest: str = ""
    environment_name: str = ""
    reason: str = ""
    price: Price | None = None
    group: str = ""
    spare: int | None = None
    ordered: tuple[str, ...] = ()
    vcpus: int = 0
    is_awaited: bool = False
    is_stopped: bool = False
    was_taken: bool = False

    @property
    def key(self) -> tuple[str, ...]:
        """The key of the kind that it is one of."""
        return self.ordered or (self.capacity, self.type, self.zone)

    @property
    def is_live(self) -> bool:
        """Whether it runs, or is to."""
        return self.state in ("pending", "running")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a part of an order was not filled. With `is_capacity` there is none to be had for the moment of `kinds`
    (`is_lasting`: for a long one); else somebody has to do something about it. `scope` is for whom: of the pool for
    nobody, at the place for nobody, or for this environment alone, by what it bids or is made of."""

    code: str
    message: str
    is_capacity: bool
    kinds: tuple[Kind, ...] = ()
    scope: Scope = "pool"
    is_lasting: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an order: some of it, all of it, or nothing."""

    instances: tuple[Instance, ...] = ()
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class Warned:
    """Somebody says that an instance is to go, at `leaves_at` (seconds since the epoch) if that is known. `handle` is
    what `settle` takes."""

    instance: str
    kind: Literal["SPOT_INTERRUPTION", "REBALANCE", "STATE_CHANGE", "MAINTENANCE"]
    handle: str = field(default="", compare=False)
    leaves_at: float | None = None


class Provider(Protocol):
    """A source of nodes. Every method may raise CapacityError or one of its kinds."""

    name: str

    async def kinds(self, blueprint: Blueprint) -> tuple[Kind, ...]:
        """What the environment may start, with prices as they are now. Raises Misconfigured for what does not exist."""
        ...

    async def launch(self, blueprint: Blueprint, order: Order) -> Outcome:
        """Starts instances. LaunchUncertain when it may or may not have: `describe` will show them, if it has."""
        ...

    async def terminate(self, ids: Collection[str]) -> None:
        """Ends instances. Those that have ended, or do not exist, are no error."""
        ...

    async def describe(self) -> tuple[Instance, ...]:
        """Every instance of this cluster that has not been gone for long."""
        ...

    async def refused(self) -> tuple[tuple[str, Refusal], ...]:
        """What of earlier orders came to nothing after `launch` had answered, by the uid of the environment. It has
        been taken back: nothing comes of it later. Each is told once."""
        ...

    async def tidy(self, kept: Mapping[str, str]) -> None:
        """Gives up what was made or taken over for environments that are not there any more, or were made of something
        else, and that holds no instance. `kept` are the digests by the uids of those that are there."""
        ...

    async def warnings(self) -> tuple[Warned, ...]:
        """What is known of instances that are to go; each is told until it is settled."""
        ...

    async def settle(self, handled: Collection[Warned]) -> None:
        """These have been acted upon."""
        ...
