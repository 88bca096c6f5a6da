"""What the operator knows of one BatchJob on its way."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from batchwright.api.v1alpha1 import BatchJobStatus, JobDefinitionSpec
from batchwright.cluster.client import JSON
from batchwright.controllers.nodepods import Nodes
from batchwright.domain.dependencies import Link
from batchwright.domain.elements import Elements
from batchwright.domain.elementwise import Edge
from batchwright.domain.items import ItemTable
from batchwright.domain.lifecycle import Rules
from batchwright.domain.observations import FINAL_STATES, Job, Pod, Work
from batchwright.names import NOT_CREATED, WAITING
from batchwright.scheduling.limits import Blocked
from batchwright.scheduling.snapshot import Gang, Shape, Start, WaitKind
from batchwright.workloads.nodes import NodeLayout


@dataclass(slots=True)
class Pinned:
    """The revision a job runs, and what follows from it. `problem` says why it cannot be rendered."""

    name: str
    definition: JobDefinitionSpec
    rules: Rules
    shape: Shape | None
    problem: str | None = None
    needs_gate: bool = False
    priority: int = 0
    consumables: tuple[tuple[str, int], ...] = ()
    roles: tuple[str, ...] = ()
    layout: NodeLayout | None = None
    gang: Gang | None = None
    spares_lost: bool = False


@dataclass(slots=True)
class Array:
    """What an entry has more if it is an array: its elements, what they wait for, and their parameters.

    `told` is how many results its dependents have heard of, `offered` the version of the elements that a status write
    was offered for, `adjusted_at` when the parallelism of the Kubernetes Job was last written, `leaving` the uids of
    pods that were preempted and have not gone. `arrival` and `depth` are its place in a chain of arrays
    (scheduling.snapshot.Candidate).
    """

    elements: Elements
    table: ItemTable | None = None
    edges: dict[Link | None, Edge] = field(default_factory=dict)
    told: int = 0
    offered: int = -1
    arrival: datetime | None = None
    depth: int = 0
    adjusted_at: datetime | None = None
    leaving: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Entry:
    """A BatchJob on its way. `held` is the status the API server holds, `status` the one it should have; `preempting`
    says why it is being suspended, if it is, and `making_room` whether that is a preemption;
    `runnable_since` since when it, or more of its elements, could start but for room."""

    job: Job
    status: BatchJobStatus
    held: JSON
    pinned: Pinned | None = None
    work: Work | None = None
    work_seen: bool = False
    work_uid: str = ""
    pods: dict[str, Pod] = field(default_factory=dict)
    pods_complete: bool = False
    refused: str | None = None
    cycle: str | None = None
    start: Start | None = None
    creating: bool = False
    not_before: datetime | None = None
    obstacle: str = ""
    waits: str = ""
    waits_kind: WaitKind | None = None
    waits_at: datetime | None = None
    runnable_since: datetime | None = None
    wake_at: datetime | None = None
    doing: set[str] = field(default_factory=set)
    array: Array | None = None
    items_problem: str = ""
    items_due: datetime | None = None
    nodes: Nodes | None = None
    preempting: str = ""
    making_room: bool = False
    resuming: bool = False
    blocked: Blocked | None = None
    expired: str | None = None

    @property
    def waits_reason(self) -> str:
        """Why it waits, in one word."""
        if self.waits_kind is not None:
            return self.waits_kind.reason
        return NOT_CREATED if self.waits else WAITING

    @property
    def is_array(self) -> bool:
        """Whether the job has elements."""
        return self.job.spec.array_properties is not None

    @property
    def noted(self) -> frozenset[str]:
        """The pods whose attempts the API server has on record."""
        return frozenset(each["container"].get("podName", "") for each in self.held.get("attempts") or ())

    @property
    def is_final(self) -> bool:
        """Whether the job is done, written or not."""
        return self.status.state in FINAL_STATES
