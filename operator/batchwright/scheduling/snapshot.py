"""What one pass of the scheduler looks at, and what it answers: frozen data, integers only.

Resources are milli-CPU, bytes and counts (`domain.quantities`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from batchwright.domain.observations import Node
from batchwright.domain.quantities import Resources


@dataclass(frozen=True, slots=True, order=True)
class Toleration:
    """A toleration of a pod (core/v1 Toleration); an empty key with Exists tolerates every taint."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Shape:
    """What a pod asks of a node. Equal shapes are evaluated once a pass."""

    resources: tuple[tuple[str, int], ...]
    node_selector: tuple[tuple[str, str], ...] = ()
    tolerations: tuple[Toleration, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A RUNNABLE job, or `count` elements of an array. Order in a queue is `turn`.

    `environment` is the one it has been sent to already, where its other elements are. `depth` is how many arrays come
    before it in a chain of element-wise dependencies: such a chain has one arrival, and what is further along goes
    first, so that elements flow through to the end instead of piling up behind each stage.
    """

    uid: str
    name: str
    created_at: datetime
    shape: Shape
    count: int = 1
    environment: str | None = None
    depth: int = 0

    @property
    def turn(self) -> tuple[datetime, int, str]:
        """Sorts candidates in the order they are tried."""
        return self.created_at, -self.depth, self.uid


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue with what waits in it, in order; `environments` in the order they are tried."""

    name: str
    priority: int
    environments: tuple[str, ...]
    waiting: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Environment:
    """Nodes by labels; `tolerations` are given to its pods."""

    name: str
    is_open: bool = True
    node_selector: tuple[tuple[str, str], ...] = ()
    tolerations: tuple[Toleration, ...] = ()


@dataclass(frozen=True, slots=True)
class Unbound:
    """Pods that were sent to an environment and have no node yet: they hold room somewhere in it."""

    environment: str
    shape: Shape
    count: int = 1


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The cluster at one moment. `occupied` is what bound pods, ours and others', take from each node."""

    nodes: tuple[Node, ...]
    occupied: Mapping[str, Resources]
    environments: Mapping[str, Environment]
    queues: tuple[Queue, ...]
    unbound: tuple[Unbound, ...] = ()


class WaitKind(Enum):
    """Why a RUNNABLE job was not started in this pass."""

    NO_ROOM = "no room"  # it is the first that cannot start: it has a claim on what gets free
    BEHIND = "behind"  # an earlier job, or one of a queue of higher priority, has the claim
    NEVER_FITS = "never fits"  # no node is big enough even when empty
    UNSUITABLE = "unsuitable"  # no node has the labels, or lets the pod on with its taints
    NODES_AWAY = "nodes away"  # only nodes that are not ready, or cordoned, are big enough
    NO_NODES = "no nodes"  # its environments have no nodes, or are disabled


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Why one environment cannot take the job now. `best` is the node that comes closest: free or, if `largest`, all
    it has; `missing` is what that node is short of; None when no node of the environment may take the pod at all."""

    environment: str
    nodes: int
    best: Resources | None = None
    missing: Resources = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wait:
    """The answer for a job that was not started. `shortfalls` only for those that were looked at."""

    kind: WaitKind
    shortfalls: tuple[Shortfall, ...] = ()


@dataclass(frozen=True, slots=True)
class Start:
    """Start this job, or so many more elements of an array, in this environment; `node` is where the pass counted the
    first of them."""

    uid: str
    environment: str
    node: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pass decided: plain data, printable as a dry run."""

    starts: tuple[Start, ...]
    waits: Mapping[str, Wait]
