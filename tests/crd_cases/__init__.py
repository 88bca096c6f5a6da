"""Tables of objects that the API server must refuse or accept, and the short builders they are written with.

A refused case is (manifest, path of the field named, text of the reason); each object is called `case`.
"""

from __future__ import annotations

from typing import Any

from manifests import (
    Manifest,
    batch_job,
    compute_environment,
    consumable_resource,
    container,
    job_definition,
    job_queue,
    scheduling_policy,
)

NAME = "case"


def bj(**spec: object) -> Manifest:
    """A BatchJob with these fields of its spec besides the required ones."""
    return batch_job(NAME, **spec)


def jd(**spec: object) -> Manifest:
    """A JobDefinition with exactly these fields of its spec."""
    return job_definition(NAME, "default", **spec)


def jdc(**properties: object) -> Manifest:
    """A JobDefinition with these containerProperties besides the required ones."""
    return jd(containerProperties=container(**properties))


def jq(**spec: object) -> Manifest:
    """A JobQueue with these fields of its spec besides the required ones."""
    return job_queue(NAME, **spec)


def ce(**spec: object) -> Manifest:
    """A ComputeEnvironment with these fields of its spec."""
    return compute_environment(NAME, **spec)


def sp(**fairshare: object) -> Manifest:
    """A SchedulingPolicy with these fields of its fairsharePolicy."""
    return scheduling_policy(NAME, **fairshare)


def cr(**spec: object) -> Manifest:
    """A ConsumableResource with these fields of its spec besides the required ones."""
    return consumable_resource(NAME, **spec)


def named(manifest: Manifest, name: str) -> Manifest:
    """The same under another name."""
    return manifest | {"metadata": manifest["metadata"] | {"name": name}}


def without(manifest: Manifest, field: str) -> Manifest:
    """The same without one field of its spec."""
    return manifest | {"spec": {key: value for key, value in manifest["spec"].items() if key != field}}


def asks(**values: str) -> list[dict[str, str]]:
    """resourceRequirements, by type."""
    return [{"type": kind, "value": value} for kind, value in values.items()]


def env(name: str) -> list[dict[str, str]]:
    """An environment of one variable."""
    return [{"name": name, "value": "x"}]


def retry(**pattern: str) -> dict[str, Any]:
    """A retryStrategy of one rule."""
    return {"attempts": 2, "evaluateOnExit": [{"action": "RETRY", **pattern}]}
