"""From a finished pod to an attempt in AWS Batch's words.

Clients match these texts (reference: AWS Batch User Guide, job retries; Nextflow, Cromwell and redun read them), so a
lost host must read `Host EC2 (instance …) terminated.` and have no exit code, whatever Kubernetes called it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from batchwright import names
from batchwright.api.v1alpha1.batchjob import MAX_ATTEMPTS, Attempt, AttemptContainer
from batchwright.domain import reasons
from batchwright.domain.actions import EndAttempt
from batchwright.domain.observations import Mark, Pod
from batchwright.domain.retry import Outcome
from batchwright.domain.texts import bounded, timestamp

# status.reason of pods that the node or the control plane took away.
HOST_REASONS = frozenset(
    {"Evicted", "NodeLost", "Preempting", "Shutdown", "Terminated", "NodeShutdown", "NodeAffinity"}
)
# Ours, of pods whose instance ends; which of them says whether an attempt is charged.
HOST_MARKS = frozenset({names.POD_CONDITION_HOST_ENDED, names.POD_CONDITION_HOST_CHARGED})
# The kubelet lost sight of the container (a node that was rebooted); the exit code beside it is made up.
LOST_CONTAINER_REASONS = frozenset({"ContainerStatusUnknown"})
# The runtime could not start the process at all: the image's fault or the command's.
START_REASONS = frozenset({"StartError", "ContainerCannotRun"})


def was_lost(pod: Pod) -> bool:
    """Whether a finished pod went with its machine, or was taken from it, and not for another reason of ours."""
    if pod.phase == "Succeeded":
        return False
    if pod.mark is not None:
        return pod.mark.type in HOST_MARKS
    return bool(pod.disruption) or pod.pod_reason in HOST_REASONS or pod.container_reason in LOST_CONTAINER_REASONS


def outcome(pod: Pod, instances: Mapping[str, str]) -> Outcome:
    """How the attempt in this finished pod ended. `instances` maps node names to instance ids."""
    # Before the phase: a process that answers our SIGTERM with exit code 0 has been ended all the same.
    if pod.mark is not None and pod.mark.type == names.POD_CONDITION_TIMEOUT:
        return Outcome(pod.exit_code, "", reasons.ATTEMPT_TIMED_OUT)
    if pod.mark is not None and pod.mark.type == names.POD_CONDITION_NODE_FAILED:
        return lost_node(pod.mark.message) or Outcome(pod.exit_code, "", bounded(pod.mark.message))
    if pod.mark is not None and pod.mark.type == names.POD_CONDITION_TERMINATED and pod.phase == "Failed":
        return Outcome(pod.exit_code, "", bounded(pod.mark.message))
    if pod.phase == "Succeeded":
        return Outcome(0 if pod.exit_code is None else pod.exit_code, "", reasons.ESSENTIAL_CONTAINER_EXITED)
    if pod.mark is not None and pod.mark.type == names.POD_CONDITION_START_FAILED:
        return Outcome(None, bounded(pod.mark.message), reasons.TASK_FAILED_TO_START)
    if pod.mark is not None and pod.mark.type in HOST_MARKS:
        return Outcome(None, bounded(pod.mark.message), reasons.host_terminated(instances.get(pod.node, pod.node)))
    if pod.disruption or pod.pod_reason in HOST_REASONS:
        detail = pod.disruption or f"{pod.pod_reason}: {pod.pod_message}"
        return Outcome(None, bounded(detail), reasons.host_terminated(instances.get(pod.node, pod.node)))
    if pod.container_reason in LOST_CONTAINER_REASONS:
        return Outcome(None, bounded(pod.container_message), reasons.host_terminated(instances.get(pod.node, pod.node)))
    if pod.container_reason in START_REASONS:
        return Outcome(
            pod.exit_code, bounded(reasons.cannot_start(pod.container_message)), reasons.TASK_FAILED_TO_START
        )
    if pod.container_reason == "OOMKilled":
        return Outcome(pod.exit_code, reasons.OUT_OF_MEMORY, reasons.ESSENTIAL_CONTAINER_EXITED)
    if pod.exit_code is not None:
        plain = "" if pod.container_reason in ("Error", "Completed") else pod.container_reason
        return Outcome(pod.exit_code, bounded(plain), reasons.ESSENTIAL_CONTAINER_EXITED)
    detail = ": ".join(part for part in (pod.pod_reason, pod.pod_message) if part)
    return Outcome(None, bounded(detail), reasons.TASK_FAILED_TO_START)


def lost_node(text: str) -> Outcome | None:
    """How an attempt ended by the loss of a node of a multi-node job, `Node 2: Host EC2 (instance …) terminated.`; None
    for every other text. What the main node made of its end says nothing then."""
    which, _, why = text.partition(": ")
    return Outcome(None, which, bounded(why)) if why.startswith(reasons.HOST_TERMINATED_PREFIX) else None


def attempt(pod: Pod, instances: Mapping[str, str]) -> Attempt:
    """The finished pod as an entry of `status.attempts`."""
    ended = outcome(pod, instances)
    return Attempt(
        container=AttemptContainer(
            exit_code=ended.exit_code,
            reason=ended.reason or None,
            pod_name=pod.name,
            node_name=pod.node or None,
        ),
        started_at=timestamp(pod.started_at) if pod.started_at else None,
        stopped_at=timestamp(pod.stopped_at) if pod.stopped_at else None,
        status_reason=ended.status_reason,
        uncharged=True if pod.lost_its_host and pod.phase != "Succeeded" else None,
    )


def is_of_another_node(entry: Attempt) -> bool:
    """Whether the attempt ended by the loss of a node, for which we stopped the main one."""
    host = (entry.status_reason or "").startswith(reasons.HOST_TERMINATED_PREFIX)
    return host and (entry.container.reason or "").startswith(reasons.NODE_FAILED_PREFIX)


def charged(recorded: Iterable[Attempt]) -> int:
    """How many of these count against retryStrategy.attempts."""
    return sum(not entry.uncharged for entry in recorded)


def ending(action: EndAttempt, instances: Mapping[str, str]) -> Attempt:
    """The attempt that is about to be ended, as far as it is known before."""
    return attempt(replace(action.pod, mark=Mark(action.mark, action.message)), instances)


def merge(recorded: tuple[Attempt, ...], finished: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """`recorded` with those of `finished` that are new, told apart by pod name: an attempt is recorded once. One
    that was noted before its end is completed. Of those that are not charged, which have no end, the oldest go."""
    known = {entry.container.pod_name for entry in recorded}
    ended = {entry.container.pod_name: entry for entry in finished}
    completed = tuple(entry if entry.stopped_at else ended.get(entry.container.pod_name, entry) for entry in recorded)
    every = completed + tuple(entry for entry in finished if entry.container.pod_name not in known)
    if len(every) <= MAX_ATTEMPTS:
        return every
    # By time, so that one whose pod is still there is left out again.
    every = tuple(sorted(every, key=lambda entry: entry.started_at or ""))
    excess = [position for position, entry in enumerate(every) if entry.uncharged][: len(every) - MAX_ATTEMPTS]
    return tuple(entry for position, entry in enumerate(every) if position not in excess)
