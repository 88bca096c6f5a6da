"""ComputeEnvironment: where jobs may run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from batchwright.api.v1alpha1.common import Conditions, Labels, Model, State, Text, Word
from batchwright.api.v1alpha1.validation import Rule, rules


class Toleration(Model):
    """A toleration that pods in the environment get, as in a pod."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "has(self.key) || (has(self.operator) && self.operator == 'Exists')",
                "give key, or operator Exists to tolerate every taint",
                field_path=".key",
                reason="FieldValueRequired",
            ),
            Rule(
                "!has(self.value) || self.value == '' || !has(self.operator) || self.operator != 'Exists'",
                "value must not be given with operator Exists",
                field_path=".value",
                reason="FieldValueForbidden",
            ),
            Rule(
                "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
                "tolerationSeconds needs effect NoExecute",
                field_path=".effect",
            ),
        )
    )

    key: Word | None = Field(default=None, description="key of the taint; absent with operator Exists: every taint.")
    operator: Literal["Exists", "Equal"] = Field(
        default="Equal", description="operator: Equal or Exists. Default Equal."
    )
    value: Annotated[str, Field(max_length=63)] | None = Field(default=None, description="value of the taint.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="effect of the taint; absent: every effect."
    )
    toleration_seconds: int | None = Field(
        default=None, ge=0, description="tolerationSeconds a pod stays after a NoExecute taint appears."
    )


class ComputeResources(Model):
    """Bounds of an environment (AWS: ComputeResource)."""

    max_vcpus: int | None = Field(
        default=None,
        ge=0,
        le=1_000_000_000,
        alias="maxvCpus",
        description="maxvCpus that jobs may use in the environment at one time. Absent: whatever the nodes have.",
    )


class ComputeEnvironmentSpec(Model):
    """Desired state of a ComputeEnvironment."""

    type: Literal["UNMANAGED"] = Field(
        default="UNMANAGED", description="type UNMANAGED: existing nodes, chosen by nodeSelector and tolerations."
    )
    state: State = Field(
        default="ENABLED", description="state ENABLED takes new jobs; DISABLED lets running ones finish."
    )
    compute_resources: ComputeResources = Field(
        default=ComputeResources(), description="computeResources: bounds of the environment."
    )
    node_selector: Labels = Field(
        default_factory=dict,
        description="nodeSelector: the labels a node must have to belong to the environment. Empty: every node.",
    )
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = Field(
        default=(), description="tolerations given to the environment's pods, for nodes set apart by taints."
    )


class Capacity(Model):
    """What nodes have, in AWS's units."""

    nodes: int = Field(default=0, ge=0, description="nodes that are ready and schedulable.")
    vcpus: Annotated[str, Field(max_length=32)] = Field(
        default="0", alias="vcpus", description="vcpus allocatable on these nodes."
    )
    memory_mib: int = Field(default=0, ge=0, alias="memoryMiB", description="memoryMiB allocatable on these nodes.")
    gpus: int = Field(default=0, ge=0, description="gpus allocatable on these nodes.")


class ComputeEnvironmentStatus(Model):
    """Observed state of a ComputeEnvironment."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="observedGeneration is the generation of the spec this status speaks of."
    )
    status: Literal["CREATING", "UPDATING", "DELETING", "DELETED", "VALID", "INVALID"] | None = Field(
        default=None, description="status as AWS has it: VALID can take jobs, INVALID cannot."
    )
    status_reason: Text | None = Field(default=None, description="statusReason says why the status is what it is.")
    capacity: Capacity | None = Field(default=None, description="capacity of the environment's nodes.")
    conditions: Conditions = Field(default=(), description="conditions: Ready.")


class ComputeEnvironment(Model):
    """A ComputeEnvironment is a set of nodes that job queues send jobs to."""

    spec: ComputeEnvironmentSpec = Field(description="spec: what the environment shall be.")
    status: ComputeEnvironmentStatus | None = Field(default=None, description="status: what it is.")
