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
    """Take the admission gate off this pod."""

    pod: Pod


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
class ReadPods:
    """Ask the API server for the pods of this Job: it is finished, and the watch has not shown how."""

    work: Work


@dataclass(frozen=True, slots=True)
class ReadObstacle:
    """Ask the API server why this Job has no pod: only its events say so (quota, admission, an invalid pod)."""

    work: Work


Action = EndAttempt | ReleasePod | DeleteWork | EndWork | SuspendWork | ReadPods | ReadObstacle


@dataclass(frozen=True, slots=True)
class Notice:
    """An event on the user's object."""

    reason: str
    message: str
    warning: bool = False
