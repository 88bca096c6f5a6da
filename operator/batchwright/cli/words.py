"""Why a job is where it is, in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from batchwright.cli.array_text import explain_array
from batchwright.cli.arrays import is_array
from batchwright.cli.facts import Dependency, Facts
from batchwright.cli.formats import duration, ordinal, parse_time, reason_of, state_of

JSON = dict[str, Any]
UNSEEN_SECONDS: Final = 10.0
NORMAL_WAITS: Final = (None, "ContainerCreating", "PodInitializing")
# The condition outlives our gate until kube-scheduler has looked at the pod.
GATED: Final = ("SchedulingGated",)


def explain(facts: Facts, at: datetime) -> list[str]:
    """Sentences, the most telling first; what to do about it where there is something to do."""
    job = facts.job
    said = reason_of(job)
    sentences = _by_state(facts, at)
    if said and not any(said in sentence for sentence in sentences):
        sentences.append(said)
    return sentences


def _by_state(facts: Facts, at: datetime) -> list[str]:
    job, state = facts.job, state_of(facts.job)
    status = job.get("status") or {}
    if is_array(job) and state not in ("SUBMITTED", "SUCCEEDED", "FAILED"):
        return explain_array(facts, pod_troubles(facts.pods))
    match state:
        case "SUBMITTED":
            return _submitted(facts, at)
        case "PENDING":
            return _pending(facts.dependencies)
        case "RUNNABLE":
            return _runnable(facts)
        case "STARTING":
            return ["Its pod is being started.", *pod_troubles(facts.pods)]
        case "RUNNING":
            started = parse_time(status.get("startedAt"))
            span = f" for {duration((at - started).total_seconds())}" if started else ""
            return [f"It has been running{span}."]
        case "FAILED":
            by = "It was cancelled." if status.get("isCancelled") else "It was terminated."
            return [by] if status.get("isCancelled") or status.get("isTerminated") else []
    return []


def _submitted(facts: Facts, at: datetime) -> list[str]:
    job, queue_name = facts.job, facts.job["spec"]["jobQueue"]
    sentences = []
    if facts.queue is None:
        sentences.append(f"There is no queue {queue_name}: create it, or see `batchwright queues`.")
    elif (facts.queue.get("spec") or {}).get("state") == "DISABLED":
        sentences.append(f"Queue {queue_name} is DISABLED and takes no new jobs.")
    if facts.definition is None:
        name = str(job["spec"]["jobDefinition"]).partition(":")[0]
        missing = f"There is no job definition {name} in this namespace"
        sentences.append(f"{missing}: create it, or see `batchwright definitions`.")
    created = parse_time(job["metadata"].get("creationTimestamp"))
    waited = (at - created).total_seconds() if created else 0.0
    if not (job.get("status") or {}).get("state") and waited >= UNSEEN_SECONDS:
        sentences.append(f"No operator has looked at it for {duration(waited)}: is Batchwright's operator running?")
    if sentences or (job.get("status") or {}).get("statusReason"):
        return sentences
    return ["It is about to be looked at."]


def _pending(dependencies: Sequence[Dependency]) -> list[str]:
    open_ones = [each for each in dependencies if each.is_open]
    if not open_ones:
        return ["All it depends on has ended as it should; it is about to become RUNNABLE."]
    named = [f"{each.name} ({each.state or 'no such job yet'})" for each in open_ones[:10]]
    more = f" and {len(open_ones) - 10} more" if len(open_ones) > 10 else ""
    return [f"It waits for {', '.join(named)}{more}."]


def _runnable(facts: Facts) -> list[str]:
    queue = facts.job["spec"]["jobQueue"]
    if facts.position is None:
        return [f"It waits in queue {queue}."]
    place, length = facts.position.place, facts.position.length
    ahead = "no job is ahead of it" if place == 1 else f"{place - 1} ahead of it"
    return [f"It is the {ordinal(place)} of {length} in queue {queue}: {ahead}."]


def pod_troubles(pods: Sequence[JSON]) -> list[str]:
    """What keeps pods from running, as kube-scheduler and kubelet report it."""
    troubles: list[tuple[str, JSON]] = []
    for pod in pods:
        status, name = pod.get("status") or {}, pod["metadata"]["name"]
        if status.get("phase") != "Pending":
            continue
        conditions = status.get("conditions") or []
        troubles += [
            (name, each)
            for each in conditions
            if (each.get("type"), each.get("status")) == ("PodScheduled", "False") and each.get("reason") not in GATED
        ]
        containers = (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or [])
        waits = [(each.get("state") or {}).get("waiting") or {} for each in containers]
        troubles += [(name, wait) for wait in waits if wait.get("reason") not in NORMAL_WAITS]
    return [f"Pod {name}: {cause.get('reason')}: {cause.get('message', '')}".rstrip(": ") for name, cause in troubles]
