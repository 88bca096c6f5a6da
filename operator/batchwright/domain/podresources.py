"""What a pod asks of its node, by the arithmetic of kube-scheduler (k8s.io/component-helpers/resource, PodRequests).

The greater of what runs together (containers and sidecars) and of the init containers' peak, a sidecar counting from
where it stands in the list (KEP-753); a pod-level request in place of that (KEP-2837); then the overhead. A limit
without a request is the request, as the API server's defaults have it. Malformed specs raise WorkloadError with the
field's path, which is meant for podTemplates that no API server has seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from batchwright.domain.quantities import CPU, MEMORY, PODS, Resources, add, resources_from_wire
from batchwright.errors import QuantityError, WorkloadError

ROOT = "spec"


def pod_requests(pod_spec: Mapping[str, Any]) -> Resources:
    """The effective request of a pod, with "pods": 1. Raises WorkloadError."""
    total = _aggregate(pod_spec)
    total = total | _pod_level(pod_spec, total)
    return add(add(total, _resource_list(pod_spec.get("overhead"), f"{ROOT}.overhead")), {PODS: 1})


def _aggregate(pod_spec: Mapping[str, Any]) -> Resources:
    """What the containers ask together."""
    running: Resources = {}
    for container, path in _containers(pod_spec, "containers"):
        running = add(running, _requests(container, path))
    sidecars: Resources = {}
    peak: Resources = {}
    for container, path in _containers(pod_spec, "initContainers"):
        asked = _requests(container, path)
        if container.get("restartPolicy") == "Always":
            running = add(running, asked)
            sidecars = add(sidecars, asked)
            peak = _greater(peak, sidecars)
        else:
            peak = _greater(peak, add(asked, sidecars))
    return _greater(running, peak)


def _pod_level(pod_spec: Mapping[str, Any], aggregate: Resources) -> Resources:
    """The pod's own requests; its limits for what neither it nor a container requests."""
    path = f"{ROOT}.resources"
    own = _mapping(pod_spec.get("resources"), path)
    requests = _resource_list(own.get("requests"), f"{path}.requests")
    limits = _resource_list(own.get("limits"), f"{path}.limits")
    defaulted = {name: amount for name, amount in limits.items() if name not in aggregate}
    # Other resources at pod level are refused by the API server.
    return {name: amount for name, amount in (defaulted | requests).items() if _is_pod_level(name)}


def _is_pod_level(name: str) -> bool:
    return name in (CPU, MEMORY) or name.startswith("hugepages-")


def _requests(container: Mapping[str, Any], path: str) -> Resources:
    resources = _mapping(container.get("resources"), f"{path}.resources")
    limits = _resource_list(resources.get("limits"), f"{path}.resources.limits")
    return limits | _resource_list(resources.get("requests"), f"{path}.resources.requests")


def _containers(pod_spec: Mapping[str, Any], field: str) -> list[tuple[Mapping[str, Any], str]]:
    listed = pod_spec.get(field)
    if listed is None:
        return []
    if isinstance(listed, str) or not isinstance(listed, Sequence):
        raise WorkloadError(f"{ROOT}.{field} must be a list of containers")
    paths = [f"{ROOT}.{field}[{index}]" for index in range(len(listed))]
    return [(_mapping(container, path), path) for container, path in zip(listed, paths, strict=True)]


def _resource_list(value: Any, path: str) -> Resources:
    try:
        return resources_from_wire(_mapping(value, path))
    except QuantityError as error:
        raise WorkloadError(f"{path}.{error}") from error


def _mapping(value: Any, path: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise WorkloadError(f"{path} must be an object")
    return value


def _greater(first: Resources, second: Resources) -> Resources:
    return first | {name: max(amount, first.get(name, 0)) for name, amount in second.items()}
