"""Where the instances of a MANAGED ComputeEnvironment come from. AWS Batch has one way, and so no word for it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from batchwright.api.v1alpha1.common import Model
from batchwright.api.v1alpha1.validation import AtLeast, Matching, Rule

ProviderName = Literal["EC2_FLEET", "AUTO_SCALING_GROUPS", "EKS_NODE_GROUPS", "SIMULATED"]
GroupName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255),
    Matching(r"^[^:,/]+$", "must be the name of a group, not its ARN"),
]
GroupNames = Annotated[tuple[GroupName, ...], Field(max_length=20), AtLeast(1, "give at least one group")]
NodeGroupName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=63),
    Matching(r"^[A-Za-z0-9][A-Za-z0-9_-]*$", "must be the name of a node group, not its ARN"),
]
NodeGroupNames = Annotated[tuple[NodeGroupName, ...], Field(max_length=20), AtLeast(1, "give at least one node group")]
ClusterName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100),
    Matching(r"^[0-9A-Za-z][A-Za-z0-9_-]*$", "must be the name of an EKS cluster"),
]


class Eks(Model):
    """An EKS cluster, which is the one that the operator is in, and managed node groups of it."""

    cluster_name: ClusterName = Field(description="clusterName of the EKS cluster that nodes join.")
    node_groups: NodeGroupNames | None = Field(
        default=None,
        description="nodeGroups that exist already, by name, and that this environment alone sizes. Absent: node "
        "groups of ours, by instance type.",
    )


NAMES_GROUPS = "has(self.autoScalingGroups) || (has(self.eks) && has(self.eks.nodeGroups))"
_PROVIDER = "has(self.provider) && self.provider == "
_GROUPS_OWN = (
    "instanceTypes",
    "subnets",
    "imageId",
    "ec2Configuration",
    "launchTemplate",
    "securityGroupIds",
    "instanceRole",
    "ec2KeyPair",
    "placementGroup",
    "bidPercentage",
    "allocationStrategy",
    "tags",
)
_SAYS_OWN = " || ".join(f"has(self.computeResources.{name})" for name in _GROUPS_OWN)
_EKS = f"!({_PROVIDER}'EKS_NODE_GROUPS') || "
_NO_SPOT_STRATEGY = (
    "!has(self.computeResources) || !has(self.computeResources.allocationStrategy) "
    "|| !self.computeResources.allocationStrategy.startsWith('SPOT_')"
)
_OTHER_STRATEGY = "leave allocationStrategy out, take one without SPOT_, or provider EC2_FLEET"
GROUP_RULES = (
    Rule(
        f"!has(self.autoScalingGroups) || ({_PROVIDER}'AUTO_SCALING_GROUPS')",
        "autoScalingGroups are for provider AUTO_SCALING_GROUPS",
        field_path=".autoScalingGroups",
        reason="FieldValueForbidden",
    ),
    Rule(
        f"has(self.eks) == ({_PROVIDER}'EKS_NODE_GROUPS')",
        "eks is for provider EKS_NODE_GROUPS, which needs it",
        field_path=".eks",
    ),
    Rule(
        f"!({NAMES_GROUPS}) || !has(self.computeResources) || !({_SAYS_OWN})",
        "what instances are made of is said by the groups that are named: leave all of computeResources out but type, "
        "minvCpus, maxvCpus, desiredvCpus and scalingPolicy",
        field_path=".computeResources",
        reason="FieldValueForbidden",
    ),
    Rule(
        f"!has(self.nodeJoin) || !({NAMES_GROUPS} || ({_PROVIDER}'EKS_NODE_GROUPS'))",
        "how instances join is said by the groups that are named, and by EKS for its node groups: leave nodeJoin out",
        field_path=".nodeJoin",
        reason="FieldValueForbidden",
    ),
    Rule(
        f"{_EKS}has(self.eks) && has(self.eks.nodeGroups) || has(self.computeResources) "
        "&& has(self.computeResources.instanceRole) && self.computeResources.instanceRole.startsWith('arn:')",
        "node groups of ours need computeResources.instanceRole, the ARN of the nodes' role",
        field_path=".computeResources.instanceRole",
        reason="FieldValueRequired",
    ),
    Rule(
        f"!({_PROVIDER}'AUTO_SCALING_GROUPS') || {_NO_SPOT_STRATEGY}",
        "Auto Scaling groups of ours have one type and subnet each, so that no Spot pool is chosen by its depth: "
        f"{_OTHER_STRATEGY}",
        field_path=".computeResources.allocationStrategy",
        reason="FieldValueForbidden",
    ),
    Rule(
        f"{_EKS}{_NO_SPOT_STRATEGY}",
        f"EKS chooses among the zones of a Spot node group by itself, and is told no strategy: {_OTHER_STRATEGY}",
        field_path=".computeResources.allocationStrategy",
        reason="FieldValueForbidden",
    ),
    Rule(
        f"{_EKS}!has(self.computeResources) || !has(self.computeResources.bidPercentage)",
        "EKS node groups take no bidPercentage",
        field_path=".computeResources.bidPercentage",
        reason="FieldValueForbidden",
    ),
    Rule(
        f"{_EKS}!has(self.computeResources) || !(has(self.computeResources.imageId) "
        "|| (has(self.computeResources.ec2Configuration) "
        "&& self.computeResources.ec2Configuration.exists(each, has(each.imageIdOverride))))",
        "EKS node groups take EKS's own images, by imageType: leave imageId and imageIdOverride out, or give a "
        "launchTemplate with an image that joins by itself",
        field_path=".computeResources",
        reason="FieldValueForbidden",
    ),
    Rule(
        f"{_EKS}!has(self.computeResources) || !has(self.computeResources.ec2Configuration) "
        "|| !self.computeResources.ec2Configuration.exists(each, has(each.imageKubernetesVersion))",
        "EKS makes node groups of its cluster's own version only: leave imageKubernetesVersion out",
        field_path=".computeResources.ec2Configuration",
        reason="FieldValueForbidden",
    ),
)
