"""What is seen of the cluster, as frozen records: the inputs of every decision.

Projections in `cluster/projections.py` make them from the API server's JSON and drop all else: a slim record costs
under 1 KB where the object costs 26 (design, section 7). Times are UTC datetimes; None means not yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from batchwright.api.v1alpha1 import BatchJobSpec, BatchJobStatus, JobDefinitionSpec
from batchwright.domain.metering import Price
from batchwright.domain.quantities import Resources
from batchwright.names import POD_CONDITION_HOST_ENDED, POD_CONDITION_PREEMPTED

FINAL_STATES = ("SUCCEEDED", "FAILED")


@dataclass(frozen=True, slots=True)
class Job:
    """A BatchJob that has not finished. `uid` is its jobId."""

    uid: str
    namespace: str
    name: str
    generation: int
    created_at: datetime
    spec: BatchJobSpec
    status: BatchJobStatus
    deleting: bool = False


@dataclass(frozen=True, slots=True)
class FinishedArray:
    """How the elements of a finished array ended: what is left of it for those that depend on them."""

    size: int
    succeeded: str
    failed: str

    @classmethod
    def of(cls, detail: Mapping[str, Any] | None) -> FinishedArray | None:
        """That of a status's arrayProperties; None without."""
        if detail is None:
            return None
        return cls(detail["size"], detail.get("succeededIndexes", ""), detail.get("failedIndexes", ""))


@dataclass(frozen=True, slots=True)
class FinishedJob:
    """All that is kept of a BatchJob that has finished."""

    uid: str
    namespace: str
    name: str
    state: str
    queue: str
    stopped_at: datetime | None
    array: FinishedArray | None = None
    share: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """The Kubernetes Job of a BatchJob. `failure` is its Failed condition's message; `gated` whether its pods come with
    our gate; `ending` whether it was told to end, `suspended` whether it was preempted and waits again, `preemptions`
    how often it was; then positions, as "0-41,57"; `placement` are the machines of a multi-node job, by rank, and
    `given_back` is how often it was suspended for another reason than to make room."""

    uid: str
    namespace: str
    name: str
    job_id: str
    environment: str
    created_at: datetime
    failed: int = 0
    succeeded: int = 0
    complete: bool = False
    failure: str | None = None
    deleting: bool = False
    request: Resources = field(default_factory=dict)
    parallelism: int = 1
    gated: bool = False
    ending: bool = False
    suspended: bool = False
    preemptions: int = 0
    completed_indexes: str = ""
    failed_indexes: str = ""
    placement: str = ""
    given_back: int = 0

    @property
    def is_finished(self) -> bool:
        """Whether the Job controller is done with it."""
        return self.complete or self.failure is not None


@dataclass(frozen=True, slots=True)
class Mark:
    """A pod condition of ours that is True: why we ended the attempt."""

    type: str
    message: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of ours. `owner` is the uid of the Kubernetes Job that made it; the container is the main one; `index` and
    `failures` are the Job controller's annotations. Of a multi-node job, `main` is the uid of the main node's pod that
    this one belongs to, `index` the number of its node, and `unready` whether a container runs whose probes have not
    passed."""

    uid: str
    namespace: str
    name: str
    job_id: str
    created_at: datetime
    owner: str = ""
    main: str = ""
    address: str = ""
    index: int = 0
    failures: int = 0
    node: str = ""
    phase: str = "Pending"
    deleting: bool = False
    gated: bool = False
    accepted_at: datetime | None = None
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    running: bool = False
    unready: bool = False
    exit_code: int | None = None
    container_reason: str = ""
    container_message: str = ""
    waiting_reason: str = ""
    waiting_message: str = ""
    pod_reason: str = ""
    pod_message: str = ""
    unschedulable: str = ""
    disruption: str = ""
    mark: Mark | None = None
    request: Resources = field(default_factory=dict)

    @property
    def is_finished(self) -> bool:
        """Whether the pod is in a final phase."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def is_up(self) -> bool:
        """Whether it has started, as a node of a multi-node job: it runs and is ready, or has ended."""
        return self.is_finished or (self.started_at is not None and not self.unready)

    @property
    def is_preempted(self) -> bool:
        """Whether it was taken back to make room: it is no attempt."""
        return self.mark is not None and self.mark.type == POD_CONDITION_PREEMPTED

    @property
    def lost_its_host(self) -> bool:
        """Whether its instance ends, through no fault of its own: the attempt is none of those that are counted."""
        return self.mark is not None and self.mark.type == POD_CONDITION_HOST_ENDED


@dataclass(frozen=True, slots=True)
class Occupant:
    """A pod that is not ours: what it takes from its node. A daemon goes with its node, and keeps none."""

    uid: str
    node: str
    request: Resources
    is_daemon: bool = False


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint of a node."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class Node:
    """A node; `instance` is its EC2 instance id where it has one, else its name. `cordoned` says why and when the
    operator cordoned it; `price` what an hour of it costs, where it says so. One that is `pressed` (for memory, disk,
    a network) runs what it has, and takes nothing new."""

    name: str
    instance: str
    labels: dict[str, str]
    taints: tuple[Taint, ...]
    allocatable: Resources
    ready: bool
    schedulable: bool
    cordoned: str = ""
    price: Price | None = None
    pressed: bool = False

    @property
    def usable(self) -> bool:
        """Whether it takes new pods."""
        return self.ready and self.schedulable and not self.pressed


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision of a JobDefinition. `owner` is the uid of the definition it was made for."""

    uid: str
    namespace: str
    definition: str
    number: int
    owner: str
    spec: JobDefinitionSpec
