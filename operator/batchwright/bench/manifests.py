"""The objects that benchmarks submit and declare: the same pods for every contender."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from batchwright import names
from batchwright.cluster.resources import (
    BATCH_JOBS,
    COMPUTE_ENVIRONMENTS,
    JOB_DEFINITIONS,
    JOB_QUEUES,
    Resource,
)

JSON = dict[str, Any]

NAMESPACE: Final = "default"
QUEUE: Final = "normal"
ENVIRONMENT: Final = "nodes"
DEFINITION: Final = "hello"
POD_SECONDS: Final = 0.1


def pod_template(seconds: float = POD_SECONDS, cpu: str = "100m") -> JSON:
    """A simulated pod that takes so many seconds and asks so much."""
    container = {"name": "main", "image": "simulated", "resources": {"requests": {"cpu": cpu, "memory": "64Mi"}}}
    return {
        "metadata": {"annotations": {names.SIMULATE_SECONDS: f"{seconds:g}"}},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }


def plain_job(name: str, template: JSON, completions: int = 1, parallelism: int = 1) -> JSON:
    """An Indexed Job, one attempt for each index, as the operator would make it."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "completionMode": "Indexed",
            "completions": completions,
            "parallelism": parallelism,
            "backoffLimitPerIndex": 0,
            "template": template,
        },
    }


def batch_job(name: str, **spec: object) -> JSON:
    """A BatchJob; of DEFINITION in QUEUE where nothing else is said."""
    return _object(BATCH_JOBS, name, {"jobQueue": QUEUE, "jobDefinition": DEFINITION, **spec}, NAMESPACE)


def compute_environment(name: str = ENVIRONMENT, **spec: object) -> tuple[Resource, JSON]:
    """A ComputeEnvironment of all simulated nodes."""
    return COMPUTE_ENVIRONMENTS, _object(COMPUTE_ENVIRONMENTS, name, {"nodeSelector": {"type": "kwok"}, **spec})


def job_queue(name: str = QUEUE, **spec: object) -> tuple[Resource, JSON]:
    """A JobQueue into ENVIRONMENT."""
    order = [{"order": 1, "computeEnvironment": ENVIRONMENT}]
    return JOB_QUEUES, _object(JOB_QUEUES, name, {"computeEnvironmentOrder": order, **spec})


def job_definition(name: str = DEFINITION, template: JSON | None = None, **spec: object) -> tuple[Resource, JSON]:
    """A JobDefinition of a pod."""
    return JOB_DEFINITIONS, _object(
        JOB_DEFINITIONS, name, {"podTemplate": template or pod_template(), **spec}, NAMESPACE
    )


def multinode_definition(name: str = DEFINITION, **spec: object) -> tuple[Resource, JSON]:
    """A JobDefinition of several nodes."""
    return JOB_DEFINITIONS, _object(JOB_DEFINITIONS, name, {"type": "multinode", **spec}, NAMESPACE)


def usual_declarations() -> tuple[tuple[Resource, JSON], ...]:
    """An environment, a queue and a definition."""
    return compute_environment(), job_queue(), job_definition()


def _object(resource: Resource, name: str, spec: Mapping[str, object], namespace: str | None = None) -> JSON:
    metadata = {"name": name} if namespace is None else {"name": name, "namespace": namespace}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "spec": dict(spec)}
