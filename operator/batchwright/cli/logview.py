"""What `logs` shows next, by what has been seen of a job, or of an element of an array, and of its pods. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from batchwright import names
from batchwright.cli.arrays import terminal_state
from batchwright.cli.attempts import attempt_of, containers, find_pod, has_started, main_container, was_refused
from batchwright.cli.changes import Change, Listed
from batchwright.cli.element_pods import element_labels
from batchwright.cli.elements import build_element
from batchwright.cli.formats import FINISHED, STARTED, state_of
from batchwright.cli.nodes import NodeOfJob, node_labels
from batchwright.cluster.resources import BATCH_JOBS
from batchwright.errors import BatchwrightError

JSON = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """Which log, and how."""

    attempt: int | None
    container: str | None
    tail: int | None
    timestamps: bool


@dataclass(frozen=True)
class Subject:
    """Whose log it is: a job's, that of the element `index` of an array, or of the node `node` of a multi-node job."""

    job: JSON
    index: int | None = None
    node: int | None = None

    @property
    def name(self) -> str:
        """How it is addressed."""
        name = str(self.job["metadata"]["name"])
        if self.node is not None:
            return f"{name}#{self.node}"
        return name if self.index is None else f"{name}:{self.index}"

    @property
    def what(self) -> str:
        """The same in a sentence."""
        if self.node is not None:
            return f"node {self.name}"
        return f"job {self.name}" if self.index is None else f"element {self.name}"

    @property
    def labels(self) -> str:
        """The label selector of its pods."""
        if self.node is not None:
            return node_labels(self.job, self.node)
        if self.index is None:
            # Of a multi-node job the main node's.
            return f"{names.LABEL_JOB_ID}={self.job['metadata']['uid']},!{names.LABEL_MAIN_POD}"
        return element_labels(self.job, self.index)

    @property
    def has_ended(self) -> bool:
        """Whether it has SUCCEEDED or FAILED."""
        if self.index is None:
            return state_of(self.job) in FINISHED
        return terminal_state(self.job, self.index) is not None

    def state(self, pods: Sequence[JSON]) -> str:
        """Its state."""
        if self.node is not None:
            return NodeOfJob(self.job, self.node, pods).state
        return state_of(self.job) if self.index is None else build_element(self.job, self.index, pods).state

    @property
    def recorded(self) -> JSON:
        """The job whose status tells which pod was which attempt; of other nodes than the main one it does not."""
        return self.job if self.node is None else {}

    def attempts_made(self, pods: Sequence[JSON]) -> int | None:
        """Attempts so far; None when nobody knows any more."""
        if self.node is not None:
            return max(map(attempt_of, pods), default=None)
        if self.index is not None:
            return build_element(self.job, self.index, pods).made
        recorded = (self.job.get("status") or {}).get("attempts") or []
        return len(recorded) + (1 if state_of(self.job) in STARTED else 0)


@dataclass
class View:
    """The job and the pods of what is followed, as last seen."""

    subject: Subject
    pods: dict[str, JSON] = field(default_factory=dict)
    deleted: bool = False
    pods_listed: bool = False
    job_listed: bool = False

    @property
    def complete(self) -> bool:
        """Whether both have been seen at least once."""
        return self.pods_listed and self.job_listed

    @property
    def has_ended(self) -> bool:
        """Whether no attempt will follow."""
        return self.subject.has_ended

    def take(self, change: Change) -> None:
        """Takes a change in."""
        items = change.items if isinstance(change, Listed) else [change.item]
        gone = not isinstance(change, Listed) and change.deleted
        if change.resource is BATCH_JOBS:
            self.job_listed = True
            same = [item for item in items if item["metadata"]["uid"] == self.subject.job["metadata"]["uid"]]
            self.subject = replace(self.subject, job=same[0]) if same else self.subject
            self.deleted = self.deleted or (isinstance(change, Listed) and not same) or (bool(same) and gone)
            return
        self.pods_listed = True
        if isinstance(change, Listed):
            self.pods = {}
        for pod in items:
            self.pods[pod["metadata"]["uid"]] = pod
            if gone:
                del self.pods[pod["metadata"]["uid"]]

    def next_pod(self, wanted: Wanted, shown: set[str]) -> JSON | None:
        """The pod to show next: the last attempt's at first, then the one after it, once its container has started."""
        if not self.complete or (wanted.attempt is not None and shown):
            return None
        if not shown:
            pod = find_pod(self.subject.recorded, list(self.pods.values()), wanted.attempt)
        else:
            newest = max((attempt_of(pod) for uid, pod in self.pods.items() if uid in shown), default=0)
            later = [
                pod
                for uid, pod in self.pods.items()
                if uid not in shown and attempt_of(pod) > newest and not was_refused(pod)
            ]
            pod = min(later, key=attempt_of, default=None)
        return pod if pod is not None and has_started(pod, container_of(pod, wanted)) else None


def container_of(pod: JSON, wanted: Wanted) -> str:
    """The container whose log is wanted. Raises BatchwrightError when the pod has none of that name."""
    if wanted.container is None:
        return main_container(pod)
    if wanted.container not in containers(pod):
        raise BatchwrightError(f"--container {wanted.container}: the pod has {', '.join(containers(pod))}")
    return wanted.container
