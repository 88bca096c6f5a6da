"""Which nodes are an environment's, and what its pods need to go there."""

from __future__ import annotations

from batchwright.api.v1alpha1 import ComputeEnvironmentSpec
from batchwright.names import LABEL_ENVIRONMENT, label_value


def node_labels(name: str, spec: ComputeEnvironmentSpec) -> dict[str, str]:
    """What the environment's nodes are known by; those of a MANAGED one are its own alone."""
    if spec.type != "MANAGED":
        return spec.node_selector
    return spec.node_selector | {LABEL_ENVIRONMENT: label_value(name)}


def pod_tolerations(name: str, spec: ComputeEnvironmentSpec) -> tuple[dict[str, object], ...]:
    """What the environment's pods tolerate: of a MANAGED one also the taint that its nodes keep others out with."""
    declared = tuple(each.to_wire() for each in spec.tolerations)
    if spec.type != "MANAGED":
        return declared
    return (*declared, {"key": LABEL_ENVIRONMENT, "operator": "Equal", "value": label_value(name)})
