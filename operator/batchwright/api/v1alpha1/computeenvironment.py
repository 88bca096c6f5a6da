"""ComputeEnvironment: where jobs may run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from batchwright.api.v1alpha1.common import Conditions, Labels, Model, State, Text, Timestamp, Word
from batchwright.api.v1alpha1.computeresources import ComputeResources, UpdatePolicy
from batchwright.api.v1alpha1.nodejoin import NodeJoin
from batchwright.api.v1alpha1.providers import GROUP_RULES, NAMES_GROUPS, Eks, GroupNames, ProviderName
from batchwright.api.v1alpha1.usage import Decimal
from batchwright.api.v1alpha1.validation import Rule, list_map, rules


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


_MANAGED = "self.type != 'MANAGED' || "
_RESOURCES = "has(self.computeResources) && "


class ComputeEnvironmentSpec(Model):
    """Desired state of a ComputeEnvironment."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "self.type == oldSelf.type",
                "type is fixed: delete the environment and make it anew",
                field_path=".type",
                reason="FieldValueForbidden",
            ),
            Rule(
                f"{_MANAGED}({_RESOURCES}has(self.computeResources.type) && has(self.computeResources.maxvCpus))",
                "a MANAGED environment needs computeResources.type and computeResources.maxvCpus",
                field_path=".computeResources",
                reason="FieldValueRequired",
            ),
            Rule(
                f"{_MANAGED}(has(self.provider) && self.provider == 'SIMULATED') || {NAMES_GROUPS} || ({_RESOURCES}"
                "has(self.computeResources.subnets) && self.computeResources.subnets.size() > 0)",
                "instances need computeResources.subnets to start in",
                field_path=".computeResources.subnets",
                reason="FieldValueRequired",
            ),
            Rule(
                "self.type == 'MANAGED' || !(has(self.provider) || has(self.updatePolicy) || has(self.nodeJoin) || "
                f"has(self.autoScalingGroups) || has(self.eks) || ({_RESOURCES}has(self.computeResources.type)))",
                "provider, updatePolicy, nodeJoin and computeResources.type are for type MANAGED",
                field_path=".type",
            ),
            Rule(
                f"!({_RESOURCES}has(self.computeResources.launchTemplate) && "
                "(has(self.computeResources.launchTemplate.userdataType) || "
                "(has(self.computeResources.launchTemplate.overrides) && "
                "self.computeResources.launchTemplate.overrides.exists(each, has(each.userdataType))))) || "
                "(has(self.nodeJoin) && self.nodeJoin.type.startsWith('EKS_'))",
                "userdataType needs nodeJoin of type EKS_NODEADM or EKS_BOOTSTRAP_SH, which gives the cluster",
                field_path=".computeResources.launchTemplate",
            ),
            *GROUP_RULES,
        )
    )

    type: Literal["MANAGED", "UNMANAGED"] = Field(
        default="UNMANAGED",
        description="type MANAGED: nodes that are started for the jobs that wait, and ended when idle. UNMANAGED: "
        "existing nodes, chosen by nodeSelector and tolerations.",
    )
    provider: ProviderName | None = Field(
        default=None,
        description="provider of a MANAGED environment's nodes (AWS has no word for it). EC2_FLEET, the default: "
        "instances by EC2 Fleet. AUTO_SCALING_GROUPS: by Auto Scaling groups, of ours or of autoScalingGroups. "
        "EKS_NODE_GROUPS: by EKS managed node groups, of ours or of eks.nodeGroups. SIMULATED: nodes without machines, "
        "for trying things out with kwok.",
    )
    auto_scaling_groups: GroupNames | None = Field(
        default=None,
        description="autoScalingGroups that exist already, by name, and that this environment alone sizes; it says "
        "nothing then of what instances are made of. Absent: groups of ours, by instance type and subnet.",
    )
    eks: Eks | None = Field(default=None, description="eks: the cluster of managed node groups, and which of them.")
    state: State = Field(
        default="ENABLED", description="state ENABLED takes new jobs; DISABLED lets running ones finish."
    )
    compute_resources: ComputeResources = Field(
        default=ComputeResources(), description="computeResources: bounds of the environment, and its instances."
    )
    update_policy: UpdatePolicy | None = Field(
        default=None, description="updatePolicy: how instances are replaced when the environment changes."
    )
    node_join: NodeJoin | None = Field(
        default=None, description="nodeJoin: how instances become nodes of the cluster (AWS has no word for it)."
    )
    node_selector: Labels = Field(
        default_factory=dict,
        description="nodeSelector: the labels a node must have to belong to the environment. Empty: every node. Of a "
        "MANAGED environment: labels that its nodes are given, besides its own.",
    )
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = Field(
        default=(), description="tolerations given to the environment's pods, for nodes set apart by taints."
    )
    hourly_price: Decimal | None = Field(
        default=None,
        description="hourlyPrice: what an hour of one of its nodes costs, in US dollars, for nodes without the "
        "annotation batchwright.io/hourly-price. Without either, jobs there have no cost.",
    )


class Capacity(Model):
    """What nodes have, in AWS's units."""

    nodes: int = Field(default=0, ge=0, description="nodes that are ready and schedulable.")
    vcpus: Annotated[str, Field(max_length=32)] = Field(
        default="0", alias="vcpus", description="vcpus allocatable on these nodes."
    )
    memory_mib: int = Field(default=0, ge=0, alias="memoryMiB", description="memoryMiB allocatable on these nodes.")
    gpus: int = Field(default=0, ge=0, description="gpus allocatable on these nodes.")


class InstanceStatus(Model):
    """One instance of a MANAGED environment."""

    id: Word = Field(description="id of the instance.")
    instance_type: Word = Field(description="instanceType of the instance.")
    zone: Annotated[str, Field(max_length=64)] = Field(default="", description="zone it is in.")
    state: Literal["STARTING", "READY", "DRAINING", "TERMINATING"] = Field(
        description="state STARTING until its node is ready, READY, DRAINING when it is to go, TERMINATING."
    )
    node: Annotated[str, Field(max_length=253)] | None = Field(default=None, description="node it has become.")
    launched_at: Timestamp | None = Field(default=None, description="launchedAt is when it was started.")


class PendingLaunch(Model):
    """A launch that was begun, and of which the answer is not known yet."""

    token: Word = Field(description="token that the request and its instances carry.")
    count: int = Field(ge=0, description="count of instances asked for.")
    created_at: Timestamp = Field(description="createdAt is when it was begun.")


class ComputeEnvironmentStatus(Model):
    """Observed state of a ComputeEnvironment."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="observedGeneration is the generation of the spec this status speaks of."
    )
    status: Literal["CREATING", "UPDATING", "DELETING", "DELETED", "VALID", "INVALID"] | None = Field(
        default=None,
        description="status as AWS has it: VALID can take jobs, UPDATING too, while instances of before the last "
        "change are there; INVALID cannot.",
    )
    status_reason: Text | None = Field(default=None, description="statusReason says why the status is what it is.")
    capacity: Capacity | None = Field(default=None, description="capacity of the environment's nodes.")
    desired_vcpus: int | None = Field(
        default=None,
        ge=0,
        alias="desiredvCpus",
        description="desiredvCpus of a MANAGED environment: those of its instances, and of those it wants besides.",
    )
    instance_count: int | None = Field(default=None, ge=0, description="instanceCount of a MANAGED environment.")
    starting_count: int | None = Field(
        default=None, ge=0, description="startingCount: instances of which the node is not ready yet."
    )
    instances: Annotated[tuple[InstanceStatus, ...], Field(max_length=100, json_schema_extra=list_map("id"))] = Field(
        default=(), description="instances of a MANAGED environment, the first hundred by age."
    )
    pending_launch: PendingLaunch | None = Field(
        default=None, description="pendingLaunch is written before a launch, so that a restart does not repeat it."
    )
    conditions: Conditions = Field(
        default=(),
        description="conditions: Ready; Stalled, True, where somebody has to mend it; Scaling if it is MANAGED.",
    )


class ComputeEnvironment(Model):
    """A ComputeEnvironment is a set of nodes that job queues send jobs to."""

    spec: ComputeEnvironmentSpec = Field(description="spec: what the environment shall be.")
    status: ComputeEnvironmentStatus | None = Field(default=None, description="status: what it is.")
