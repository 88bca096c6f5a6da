"""What a MANAGED ComputeEnvironment may launch: AWS's ComputeResource, field by field.

AWS Batch API reference, ComputeResource, LaunchTemplateSpecification, Ec2Configuration, UpdatePolicy.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from batchwright.api.v1alpha1.common import Model, Tags
from batchwright.api.v1alpha1.validation import AtLeast, Matching, Rule, rules

AllocationStrategy = Literal[
    "BEST_FIT",
    "BEST_FIT_PROGRESSIVE",
    "BEST_FIT_PROGRESSIVE_ORDERED",
    "SPOT_CAPACITY_OPTIMIZED",
    "SPOT_PRICE_CAPACITY_OPTIMIZED",
    "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED",
]
MOST_VCPUS = 1_000_000_000
# A family (c7g), a type (c7g.2xlarge, u-6tb1.metal), or one of AWS's words (optimal, default_x86_64, default_arm64).
InstanceType = Annotated[
    str,
    StringConstraints(min_length=1, max_length=32),
    Matching(
        r"^(optimal|default_x86_64|default_arm64|[a-z][a-z0-9-]*([.][a-z0-9-]+)?)$",
        "must be an instance type such as m5.large, a family such as m5, or optimal, default_x86_64, default_arm64",
    ),
]
TargetInstanceType = Annotated[
    InstanceType,
    Rule(
        "!(self in ['optimal', 'default_x86_64', 'default_arm64'])",
        "an override is for instance types and families, not for optimal, default_x86_64 or default_arm64",
    ),
]
InstanceTypes = Annotated[tuple[InstanceType, ...], Field(max_length=100), AtLeast(1, "give at least one type")]
ResourceId = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Subnet = Annotated[ResourceId, Matching(r"^subnet-[0-9a-z]+$", "must be a subnet id such as subnet-0123456789abcdef0")]
SecurityGroup = Annotated[
    ResourceId, Matching(r"^sg-[0-9a-z]+$", "must be a security group id such as sg-0123456789abcdef0")
]
ImageId = Annotated[ResourceId, Matching(r"^ami-[0-9a-z]+$", "must be an image id such as ami-0123456789abcdef0")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]
KubernetesVersion = Annotated[
    str,
    StringConstraints(min_length=1, max_length=16),
    Matching(r"^1[.][1-9][0-9]{0,2}$", "must be a minor version of Kubernetes such as 1.33"),
]
UserdataType = Annotated[
    Literal["EKS_BOOTSTRAP_SH", "EKS_NODEADM"] | None,
    Field(description="userdataType: what the image reads. It goes before nodeJoin.type, which gives the cluster."),
]
_ONE_TEMPLATE = Rule(
    "has(self.launchTemplateId) != has(self.launchTemplateName)",
    "give one of launchTemplateId and launchTemplateName",
)


class LaunchTemplateOverride(Model):
    """Another launch template for some of the instance types."""

    model_config = ConfigDict(json_schema_extra=rules(_ONE_TEMPLATE))

    launch_template_id: ResourceId | None = Field(default=None, description="launchTemplateId of the template.")
    launch_template_name: Name | None = Field(default=None, description="launchTemplateName of the template.")
    version: ResourceId | None = Field(default=None, description="version: a number, $Latest or $Default.")
    userdata_type: UserdataType = None
    target_instance_types: Annotated[
        tuple[TargetInstanceType, ...], Field(max_length=100), AtLeast(1, "give at least one type")
    ] = Field(description="targetInstanceTypes: the types and families that this template is for.")


class LaunchTemplate(Model):
    """A launch template of one's own (AWS: LaunchTemplateSpecification); computeResources goes before it."""

    model_config = ConfigDict(json_schema_extra=rules(_ONE_TEMPLATE))

    launch_template_id: ResourceId | None = Field(default=None, description="launchTemplateId of the template.")
    launch_template_name: Name | None = Field(default=None, description="launchTemplateName of the template.")
    version: ResourceId | None = Field(
        default=None, description="version: a number, $Latest or $Default (the default)."
    )
    userdata_type: UserdataType = None
    overrides: Annotated[tuple[LaunchTemplateOverride, ...], Field(max_length=10)] = Field(
        default=(), description="overrides: other templates for some instance types, the first that matches."
    )


class Ec2Configuration(Model):
    """An image for instances (AWS: Ec2Configuration)."""

    image_type: Name = Field(
        description="imageType such as EKS_AL2023 or EKS_AL2023_NVIDIA (types with GPUs): the newest AMI that EKS "
        "publishes of it is taken, where no other image is given."
    )
    image_id_override: ImageId | None = Field(default=None, description="imageIdOverride: the AMI to take.")
    image_kubernetes_version: KubernetesVersion | None = Field(
        default=None,
        description="imageKubernetesVersion of the AMI that imageType chooses, such as 1.33. Default: that of the "
        "cluster. Not newer than the cluster's.",
    )


class ScalingPolicy(Model):
    """When idle instances go (AWS: ComputeScalingPolicy)."""

    min_scale_down_delay_minutes: Annotated[
        int,
        Field(ge=0, le=10080),
        Rule("self == 0 || self >= 20", "minScaleDownDelayMinutes is 0, or from 20 to 10080"),
    ] = Field(
        default=0,
        description="minScaleDownDelayMinutes an instance stays after its last job has ended: 20 to 10080; 0 for the "
        "operator's own delay of a minute.",
    )


class UpdatePolicy(Model):
    """How instances are replaced when what they are made of changes (AWS: UpdatePolicy)."""

    terminate_jobs_on_update: bool = Field(
        default=False, description="terminateJobsOnUpdate ends the jobs of old instances at once."
    )
    job_execution_timeout_minutes: int = Field(
        default=30,
        ge=1,
        le=7200,
        description="jobExecutionTimeoutMinutes that jobs of old instances may still run. Default 30.",
    )


class ComputeResources(Model):
    """Bounds of an environment and, of a MANAGED one, its instances (AWS: ComputeResource)."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "!has(self.minvCpus) || (has(self.maxvCpus) && self.minvCpus <= self.maxvCpus)",
                "minvCpus must not be above maxvCpus",
                field_path=".minvCpus",
            ),
            Rule(
                "!has(self.desiredvCpus) || (has(self.maxvCpus) && self.desiredvCpus <= self.maxvCpus "
                "&& (!has(self.minvCpus) || self.desiredvCpus >= self.minvCpus))",
                "desiredvCpus must be from minvCpus to maxvCpus",
                field_path=".desiredvCpus",
            ),
            Rule(
                "!has(self.bidPercentage) || (has(self.type) && self.type == 'SPOT')",
                "bidPercentage is for type SPOT",
                field_path=".bidPercentage",
                reason="FieldValueForbidden",
            ),
            Rule(
                "!has(self.allocationStrategy) || !self.allocationStrategy.startsWith('SPOT_') "
                "|| (has(self.type) && self.type == 'SPOT')",
                "strategies that begin with SPOT_ are for type SPOT",
                field_path=".allocationStrategy",
            ),
            Rule(
                "has(self.type) || !(has(self.minvCpus) || has(self.desiredvCpus) || has(self.instanceTypes) "
                "|| has(self.subnets) || has(self.launchTemplate))",
                "give type EC2 or SPOT: without one only maxvCpus counts",
                field_path=".type",
                reason="FieldValueRequired",
            ),
        )
    )

    type: Literal["EC2", "SPOT"] | None = Field(
        default=None, description="type of a MANAGED environment's instances: EC2 (On-Demand) or SPOT."
    )
    allocation_strategy: AllocationStrategy | None = Field(
        default=None,
        description="allocationStrategy: which instance types are taken. Default BEST_FIT_PROGRESSIVE, and "
        "SPOT_PRICE_CAPACITY_OPTIMIZED for type SPOT.",
    )
    min_vcpus: int | None = Field(
        default=None,
        ge=0,
        le=MOST_VCPUS,
        alias="minvCpus",
        description="minvCpus that stay, jobs or none, also while the environment is DISABLED. Default 0.",
    )
    max_vcpus: int | None = Field(
        default=None,
        ge=0,
        le=MOST_VCPUS,
        alias="maxvCpus",
        description="maxvCpus that jobs may use in the environment at one time; of a MANAGED one, those of its "
        "instances, which the last of them may exceed. Absent: whatever the nodes have.",
    )
    desired_vcpus: int | None = Field(
        default=None,
        ge=0,
        le=MOST_VCPUS,
        alias="desiredvCpus",
        description="desiredvCpus to begin with; from there on the jobs decide.",
    )
    instance_types: InstanceTypes | None = Field(
        default=None,
        description="instanceTypes: types, families, optimal, default_x86_64 or default_arm64. Default optimal.",
    )
    image_id: ImageId | None = Field(default=None, description="imageId: the AMI; ec2Configuration goes before it.")
    subnets: Annotated[tuple[Subnet, ...], Field(max_length=16)] | None = Field(
        default=None, description="subnets that instances start in."
    )
    security_group_ids: Annotated[tuple[SecurityGroup, ...], Field(max_length=16)] | None = Field(
        default=None, description="securityGroupIds of the instances."
    )
    instance_role: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = Field(
        default=None, description="instanceRole: name or ARN of the instances' profile."
    )
    ec2_key_pair: Name | None = Field(default=None, description="ec2KeyPair to log in to instances with.")
    tags: Tags | None = Field(default=None, description="tags of the instances and their volumes.")
    placement_group: Name | None = Field(default=None, description="placementGroup of the instances.")
    bid_percentage: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="bidPercentage of the On-Demand price that a Spot instance may cost at most. Default 100.",
    )
    launch_template: LaunchTemplate | None = Field(
        default=None, description="launchTemplate of one's own, for what is not said here."
    )
    ec2_configuration: Annotated[tuple[Ec2Configuration, ...], Field(max_length=2)] = Field(
        default=(), description="ec2Configuration: images for instances, and for those with GPUs."
    )
    scaling_policy: ScalingPolicy | None = Field(default=None, description="scalingPolicy: when idle instances go.")
