"""Which pod is which attempt of a job, and what state its container is in. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from batchwright import names

JSON = dict[str, Any]


def attempt_of(pod: JSON) -> int:
    """The attempt a pod is, from 1: one more than its index's failures before it, the ignored included (KEP-3850)."""
    annotations = pod["metadata"].get("annotations") or {}
    failures = int(annotations.get(names.POD_FAILURE_COUNT, 0))
    return failures + int(annotations.get(names.POD_IGNORED_FAILURE_COUNT, 0)) + 1


def find_pod(job: JSON, pods: Sequence[JSON], attempt: int | None) -> JSON | None:
    """The pod of that attempt, or of the last; None when it is gone (or not there yet)."""
    pods = [pod for pod in pods if not was_refused(pod)]
    if attempt is None:
        return max(pods, key=_order, default=None)
    recorded = (job.get("status") or {}).get("attempts") or []
    if attempt <= len(recorded):
        name = (recorded[attempt - 1].get("container") or {}).get("podName")
        if name:
            return next((pod for pod in pods if pod["metadata"]["name"] == name), None)
    return next((pod for pod in sorted(pods, key=_order, reverse=True) if attempt_of(pod) == attempt), None)


def is_gated(pod: JSON) -> bool:
    """Whether the pod has not been released."""
    return bool(pod["spec"].get("schedulingGates"))


def was_refused(pod: JSON) -> bool:
    """Whether the pod was ended without having been released: then it was no attempt."""
    return is_gated(pod) and (pod.get("status") or {}).get("phase") == "Failed"


def main_container(pod: JSON) -> str:
    """The container whose exit decides the attempt."""
    annotated = (pod["metadata"].get("annotations") or {}).get(names.DEFAULT_CONTAINER)
    return str(annotated or pod["spec"]["containers"][0]["name"])


def containers(pod: JSON) -> list[str]:
    """Every container that can have a log."""
    spec = pod["spec"]
    return [each["name"] for each in (spec.get("initContainers") or []) + spec["containers"]]


def has_log(pod: JSON, container: str) -> bool:
    """Whether the container runs, or ran. One that was given up before it ran ends `terminated` without an id."""
    state = _state(pod, container)
    return "running" in state or bool((state.get("terminated") or {}).get("containerID"))


def has_started(pod: JSON, container: str) -> bool:
    """Whether waiting for the container's start is over: it runs, ran, or will never run (then it has no log)."""
    return has_log(pod, container) or is_over(pod, container)


def is_over(pod: JSON, container: str) -> bool:
    """Whether the container will write no more."""
    phase = (pod.get("status") or {}).get("phase")
    return "terminated" in _state(pod, container) or phase in ("Succeeded", "Failed")


def _state(pod: JSON, container: str) -> JSON:
    status = pod.get("status") or {}
    listed = (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or [])
    return next((each.get("state") or {} for each in listed if each["name"] == container), {})


def _order(pod: JSON) -> tuple[int, str, str]:
    return attempt_of(pod), pod["metadata"]["creationTimestamp"], pod["metadata"]["uid"]
