"""What one pass of the scheduler looks at, and what it answers: frozen data, integers only.

Resources are milli-CPU, bytes and counts (`domain.quantities`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from batchwright.domain.observations import Node
from batchwright.domain.quantities import Resources
from batchwright.scheduling.fairshare import FairShare
from batchwright.scheduling.quota import QuotaShare


@dataclass(frozen=True, slots=True, order=True)
class Toleration:
    """A toleration of a pod (core/v1 Toleration); an empty key with Exists tolerates every taint."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Expression:
    """One requirement of a node affinity (core/v1 NodeSelectorRequirement); `is_field`: of matchFields."""

    key: str
    operator: str
    values: tuple[str, ...] = ()
    is_field: bool = False


Term = tuple[Expression, ...]


@dataclass(frozen=True, slots=True, order=True)
class Shape:
    """What a pod asks of a node. Equal shapes are judged once a pass. Of `affinity` one term must match. `apart`, for
    nodes that are to be launched: at most so many of them, and nobody else, on one; 0 for any number."""

    resources: tuple[tuple[str, int], ...]
    node_selector: tuple[tuple[str, str], ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    affinity: tuple[Term, ...] = ()
    apart: int = 0


@dataclass(frozen=True, slots=True, order=True)
class Topology:
    """That machines are to have the same value of a label: all of them, or as few values as may be."""

    key: str
    is_required: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Gang:
    """The nodes of a multi-node job, which start together or not at all: in the order of their ranks, so many of each
    shape. At most `per_node` of them share a machine; `topology` has the widest label first."""

    parts: tuple[tuple[Shape, int], ...]
    per_node: int = 1
    topology: tuple[Topology, ...] = ()

    @property
    def size(self) -> int:
        """How many nodes there are."""
        return sum(count for _, count in self.parts)

    @property
    def counts(self) -> dict[Shape, int]:
        """How many nodes of each shape there are."""
        found: dict[Shape, int] = {}
        for shape, count in self.parts:
            found[shape] = found.get(shape, 0) + count
        return found

    @property
    def has_required(self) -> bool:
        """Whether all machines must share a label."""
        return any(level.is_required for level in self.topology)

    @property
    def largest(self) -> Shape:
        """The shape that asks most."""
        return max(self.counts, key=lambda shape: sorted(shape.resources))

    @property
    def total(self) -> Shape:
        """What all of them ask together: what limits and shares count."""
        found: dict[str, int] = {}
        for shape, count in self.parts:
            for name, amount in shape.resources:
                found[name] = found.get(name, 0) + amount * count
        return Shape(tuple(sorted(found.items())))


Turn = tuple[bool, int, datetime, int, str]
Arrival = tuple[bool, datetime, int, str]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A RUNNABLE job, or `count` elements of an array. Order in a share of a queue is `turn`.

    `environment` is the one it has been sent to already, where its other elements are. `depth` is how many arrays come
    before it in a chain of element-wise dependencies: such a chain has one arrival, and what is further along goes
    first, so that elements flow through to the end instead of piling up behind each stage. `share` is its
    shareIdentifier or its quota share; `priority` its schedulingPriority, which counts within the share alone.
    `returning` work was preempted, and goes to the front. `seconds` is how long it runs at most, if that is known.
    A multi-node job is one candidate with a `gang`, of which `shape` is the total.
    """

    uid: str
    name: str
    created_at: datetime
    shape: Shape
    count: int = 1
    environment: str | None = None
    depth: int = 0
    share: str = ""
    priority: int = 0
    returning: bool = False
    seconds: float | None = None
    consumables: tuple[tuple[str, int], ...] = ()
    gang: Gang | None = None

    @property
    def turn(self) -> Turn:
        """Sorts candidates in the order they are tried."""
        return not self.returning, -self.priority, self.created_at, -self.depth, self.uid

    @property
    def arrival(self) -> Arrival:
        """Sorts candidates of several queues; schedulingPriority counts for nothing there."""
        return not self.returning, self.created_at, -self.depth, self.uid


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue with what waits in it; `environments` in the order they are tried. `max_running` jobs and elements of it
    may have started at one time; with `preempts`, its jobs may take the place of those of queues of lower priority,
    and in any case `preempts_after` so many seconds of waiting."""

    name: str
    priority: int
    environments: tuple[str, ...]
    waiting: tuple[Candidate, ...] = ()
    fair_share: FairShare | None = None
    quota_shares: tuple[QuotaShare, ...] = ()
    max_running: int | None = None
    preempts: bool = False
    preempts_after: float = 0.0


@dataclass(frozen=True, slots=True)
class Environment:
    """Nodes by labels; `tolerations` are given to its pods; `max_vcpus` in milli-CPU, None for what the nodes have."""

    name: str
    is_open: bool = True
    node_selector: tuple[tuple[str, str], ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    max_vcpus: int | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """A kind of node that an environment may start: the node as it would be, and the milli-vCPUs of its instance, of
    which the node's allocatable is less. Its name is the kind's."""

    node: Node
    vcpus: int


@dataclass(frozen=True, slots=True, eq=False)
class Growth:
    """What a MANAGED environment is to have, and may have besides.

    `most` and `left` are the milli-vCPUs its instances may have in all, and more than now; `coming` are nodes on their
    way, as they will be, and how many of each; `unused` are ready nodes that nothing of ours has ever been on, as they
    were to be: what they were started for and cannot go there would be asked for again and again; `leaving` are pods
    that run on nodes of it that go soon, and how many of each: there has to be room for them elsewhere before that.
    `barred` are offers that nobody has to give at present. Without `is_known` nobody has said yet what there is.
    """

    most: int
    left: int
    offers: tuple[Offer, ...] = ()
    barred: tuple[Offer, ...] = ()
    coming: tuple[tuple[Node, int], ...] = ()
    unused: tuple[Node, ...] = ()
    leaving: tuple[tuple[Shape, int], ...] = ()
    is_known: bool = True
    version: int = 0


@dataclass(frozen=True, slots=True)
class Demand:
    """So many pods of the shape wait for nodes that the environment may start. `version` is that of the Growth which
    this was worked out with."""

    environment: str
    shape: Shape
    count: int
    version: int = 0


@dataclass(frozen=True, slots=True)
class Held:
    """What was sent to an environment and has not ended: `count` pods, of which `unbound` have no node yet.

    `nodes` says how many are on which; `ends_at` (seconds since the epoch) when the last of them ends at the latest,
    None if nobody knows; `started` when the work was sent; `leaving` how many of `nodes` were preempted and have
    not gone yet, which `count` has no more; what `is_fixed` cannot be preempted.

    A multi-node job is held as one: `shape` is its total, `nodes` has each machine once, `amounts` what is its own
    there in all, and `reserved` where those of its nodes will be that have no pod bound yet.
    """

    uid: str
    queue: str
    environment: str
    shape: Shape
    count: int = 1
    unbound: int = 0
    share: str = ""
    priority: int = 0
    nodes: tuple[tuple[str, int], ...] = ()
    started: float = 0.0
    ends_at: float | None = None
    leaving: tuple[tuple[str, int], ...] = ()
    consumables: tuple[tuple[str, int], ...] = ()
    is_fixed: bool = False
    reserved: tuple[tuple[str, Shape, int], ...] = ()
    amounts: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = ()

    def on(self, node: str) -> tuple[tuple[str, int], ...]:
        """What one of its pods, or all of a multi-node job's, takes of a node it is on."""
        return dict(self.amounts).get(node, ()) if self.amounts else self.shape.resources


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The cluster at one moment. `occupied` is what bound pods, ours and others', take from each node; `consumables`
    the total of each resource that is counted; `now` in seconds since the epoch; `growth` of environments that grow."""

    nodes: tuple[Node, ...]
    occupied: Mapping[str, Resources]
    environments: Mapping[str, Environment]
    queues: tuple[Queue, ...]
    held: tuple[Held, ...] = ()
    consumables: Mapping[str, int] = field(default_factory=dict)
    now: float = 0.0
    growth: Mapping[str, Growth] = field(default_factory=dict)


class WaitKind(Enum):
    """Why a RUNNABLE job was not started in this pass."""

    NO_ROOM = "no room"  # it is the first that cannot start: it has a claim on what gets free
    BEHIND = "behind"  # an earlier job, or one of a queue of higher priority, has the claim
    NEVER_FITS = "never fits"  # no node is big enough even when empty
    TOO_FEW = "too few nodes"  # there are not as many machines, or not close enough, as its nodes need
    OVER_MAXIMUM = "over maximum"  # it asks for more than the maxvCpus of its environments
    UNSUITABLE = "unsuitable"  # no node has the labels, or lets the pod on with its taints
    NODES_AWAY = "nodes away"  # only nodes that are not ready, or cordoned, are big enough
    NO_NODES = "no nodes"  # its environments have no nodes, or are disabled
    AT_MAXIMUM = "at maximum"  # its environments run as many vCPUs as they may
    QUEUE_FULL = "queue full"  # its queue runs as many jobs and elements as it may
    QUOTA = "quota"  # its quota share has no room left, nor anything to borrow
    RESERVED = "reserved"  # what is left is kept for shares that use nothing yet
    CONSUMABLE = "consumable"  # not enough is left of a consumable resource
    NODES_COMING = "nodes coming"  # a node that it fits is on its way, or about to be
    INSUFFICIENT = "insufficient capacity"  # every node that would do is sold out for the moment

    @property
    def reason(self) -> str:
        """One word in CamelCase, as conditions have it."""
        return self.value.title().replace(" ", "")


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Why one environment cannot take the job now. `best` is the node that comes closest: free or, if `largest`, all
    it has; `missing` is what that node is short of; None when no node of the environment may take the pod at all.
    `used` and `limit` are the environment's milli-vCPUs where its maxvCpus stands in the way. `of` says of what there
    are `nodes`."""

    environment: str
    nodes: int
    best: Resources | None = None
    missing: Resources = field(default_factory=dict)
    used: int = 0
    limit: int | None = None
    of: str = "nodes"


@dataclass(frozen=True, slots=True)
class Wait:
    """The answer for a job that was not started. `detail` says which limit stands in the way, with its numbers. Of a
    `gang`, `spaces` are the environments with how many of its nodes they could take at once."""

    kind: WaitKind
    shortfalls: tuple[Shortfall, ...] = ()
    detail: str = ""
    gang: Gang | None = None
    spaces: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Start:
    """Start this job, or so many more elements of an array, in this environment; `node` is where the pass counted the
    first of them. `machines` are those of all nodes of a multi-node job, by rank."""

    uid: str
    environment: str
    node: str
    count: int = 1
    machines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Preempt:
    """Take so many pods of this work back, to make room for the job `by`; `why` in words. `node` is where they have to
    be, empty where it does not matter."""

    uid: str
    count: int
    by: str
    why: str
    node: str = ""


class Answers(Mapping[str, Wait]):
    """The wait of every job that was not started, by uid."""

    @abstractmethod
    def kind_of(self, uid: str) -> WaitKind | None:
        """What stands in the job's way, without the arithmetic; None if it does not wait."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pass decided: plain data, printable as a dry run. `heads` are the first of each queue that wait for room,
    and so have a claim; `firsts` those that were tried first, and could not start for whatever reason. `demand` is what
    environments are to grow by, beside what is on its way, the most urgent first; `expecting` are nodes that something
    is to come to, where environments grow. At `again_at` (seconds since the epoch) another pass may decide otherwise
    though nothing has happened."""

    starts: tuple[Start, ...]
    preempts: tuple[Preempt, ...]
    heads: Mapping[str, str]
    firsts: Mapping[str, str]
    waits: Answers
    demand: tuple[Demand, ...] = ()
    expecting: frozenset[str] = frozenset()
    again_at: float | None = None
