"""Valid manifests of our kinds, as a user writes them; tests change what they are about."""

from __future__ import annotations

from typing import Any

from batchwright.names import API_VERSION

Manifest = dict[str, Any]


def compute_environment(name: str = "nodes", /, **spec: object) -> Manifest:
    """A ComputeEnvironment of every node."""
    return {"apiVersion": API_VERSION, "kind": "ComputeEnvironment", "metadata": {"name": name}, "spec": spec}


def job_queue(name: str = "normal", /, **spec: object) -> Manifest:
    """A JobQueue that sends jobs to the environment `nodes`."""
    order = [{"order": 1, "computeEnvironment": "nodes"}]
    return {
        "apiVersion": API_VERSION,
        "kind": "JobQueue",
        "metadata": {"name": name},
        "spec": {"computeEnvironmentOrder": order, **spec},
    }


def scheduling_policy(name: str = "fair", /, **fairshare: object) -> Manifest:
    """A SchedulingPolicy of this fairsharePolicy."""
    spec = {"fairsharePolicy": fairshare}
    return {"apiVersion": API_VERSION, "kind": "SchedulingPolicy", "metadata": {"name": name}, "spec": spec}


def consumable_resource(name: str = "licences", /, **spec: object) -> Manifest:
    """A ConsumableResource of ten, where nothing else is said."""
    spec = {"totalQuantity": 10, **spec}
    return {"apiVersion": API_VERSION, "kind": "ConsumableResource", "metadata": {"name": name}, "spec": spec}


def container(**properties: object) -> dict[str, Any]:
    """The containerProperties of a small container."""
    asked = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "128"}]
    return {"image": "busybox", "resourceRequirements": asked, **properties}


def job_definition(name: str = "hello", namespace: str = "default", /, **spec: object) -> Manifest:
    """A JobDefinition of a small container; a spec of one's own replaces it."""
    return {
        "apiVersion": API_VERSION,
        "kind": "JobDefinition",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec or {"containerProperties": container()},
    }


def batch_job(name: str = "hello-1", namespace: str = "default", /, **spec: object) -> Manifest:
    """A BatchJob of the definition `hello` in the queue `normal`."""
    return {
        "apiVersion": API_VERSION,
        "kind": "BatchJob",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"jobQueue": "normal", "jobDefinition": "hello", **spec},
    }
