"""What a decision may ask for, as data: printable, comparable, carried out elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from batchwright.domain.observations import Pod, Work


@dataclass(frozen=True, slots=True)
class EndAttempt:
    """End the attempt in this pod, marked with a condition that the Job's podFailurePolicy knows."""

    pod: Pod
    mark: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ReleasePod:
    """Take the admission gate off this pod; with a `machine`, let it on that one only."""

    pod: Pod
    machine: str = ""


@dataclass(frozen=True, slots=True)
class DeleteWork:
    """Delete the Kubernetes Job, its pods first, with their grace period."""

    work: Work


@dataclass(frozen=True, slots=True)
class EndWork:
    """End the Kubernetes Job of an array: its pods stop, and those that have finished stay, with their logs."""

    work: Work


@dataclass(frozen=True, slots=True)
class SuspendWork:
    """Stop the pods of the Kubernetes Job of a single job, which waits again; its attempts stay as they are."""

    work: Work


@dataclass(frozen=True, slots=True)
class MakeNodes:
    """Make the pods of a multi-node job's other nodes, but those that are `present`: its main node runs."""

    work: Work
    main: Pod
    present: frozenset[str]


@dataclass(frozen=True, slots=True)
class PublishNames:
    """Publish the names of these pods of a multi-node job, of those that have an address; the main node's first."""

    work: Work
    pods: tuple[Pod, ...]


@dataclass(frozen=True, slots=True)
class StopNodes:
    """Stop the nodes that belong to these pods of main nodes, by uid."""

    mains: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Take all nodes of a multi-node job back: it waits again, for a while at first, and for all its room."""

    work: Work
    why: str


@dataclass(frozen=True, slots=True)
class ReadPods:
    """Ask the API server for the pods of this Job: it is finished, and the watch has not shown how."""

    work: Work


@dataclass(frozen=True, slots=True)
class ReadObstacle:
    """Ask the API server why this Job has no pod: only its events say so (quota, admission, an invalid pod)."""

    work: Work


Action = (
    EndAttempt
    | ReleasePod
    | DeleteWork
    | EndWork
    | SuspendWork
    | MakeNodes
    | PublishNames
    | StopNodes
    | GiveBack
    | ReadPods
    | ReadObstacle
)


@dataclass(frozen=True, slots=True)
class Notice:
    """An event on the user's object."""

    reason: str
    message: str
    warning: bool = False
