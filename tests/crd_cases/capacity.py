"""ComputeEnvironments of type MANAGED: what must be refused, and what is taken."""

from __future__ import annotations

import pytest

from crd_cases import Manifest, ce

SUBNET = "subnet-0123456789abcdef0"
R = "spec.computeResources"


def managed(provider: str | None = None, **resources: object) -> Manifest:
    """A MANAGED environment of On-Demand instances with these fields of computeResources besides."""
    given = {"type": "EC2", "maxvCpus": 16, "subnets": [SUBNET], **resources}
    found = {key: value for key, value in given.items() if value is not None}
    return ce(type="MANAGED", computeResources=found, **({"provider": provider} if provider else {}))


def joined(**join: object) -> Manifest:
    """One with this nodeJoin."""
    return ce(type="MANAGED", computeResources={"type": "EC2", "maxvCpus": 1, "subnets": [SUBNET]}, nodeJoin=join)


def grouped(
    provider: str | None, eks: Manifest | None = None, groups: list[str] | None = None, **over: object
) -> Manifest:
    """One of this provider, of groups that exist."""
    told = {"provider": provider, "eks": eks, "autoScalingGroups": groups, **over}
    given = {"computeResources": {"type": "EC2", "maxvCpus": 16}, **told}
    return ce(type="MANAGED", **{key: value for key, value in given.items() if value is not None})


SCALING, NODES = "AUTO_SCALING_GROUPS", "EKS_NODE_GROUPS"
# Those that go by the depth of pools, which is EC2 Fleet's to know.
SPOT_STRATEGIES = ("SPOT_CAPACITY_OPTIMIZED", "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED", "SPOT_PRICE_CAPACITY_OPTIMIZED")
ORDERED = "BEST_FIT_PROGRESSIVE_ORDERED"
ROLE = "arn:aws:iam::123456789012:role/nodes"


def with_subnets(**resources: object) -> Manifest:
    """computeResources of groups of ours."""
    return {"type": "EC2", "maxvCpus": 16, "subnets": [SUBNET], **resources}


TEMPLATE = {"launchTemplateName": "own"}
EKS = {
    "clusterName": "c",
    "apiServerEndpoint": "https://c.example",
    "certificateAuthority": "Y2E=",
    "serviceCidr": "10.0.0.0/16",
}

REFUSED = [
    pytest.param(ce(type="MANAGED"), R, "needs computeResources.type", id="ce-managed-nothing"),
    pytest.param(managed(type=None, subnets=None), R, "needs computeResources.type", id="ce-managed-no-type"),
    pytest.param(managed(maxvCpus=None), R, "needs computeResources.type and", id="ce-no-max"),
    pytest.param(managed(subnets=None), f"{R}.subnets", "subnets to start in", id="ce-no-subnets"),
    pytest.param(managed(subnets=[]), f"{R}.subnets", "subnets to start in", id="ce-subnets-empty"),
    pytest.param(managed(subnets=["vpc-1"]), f"{R}.subnets[0]", "must be a subnet id", id="ce-subnet-form"),
    pytest.param(managed("LAMBDA"), "spec.provider", "supported values", id="ce-provider"),
    pytest.param(managed(type="FARGATE"), f"{R}.type", "supported values", id="ce-fargate"),
    pytest.param(managed(minvCpus=17), f"{R}.minvCpus", "must not be above maxvCpus", id="ce-min-above-max"),
    pytest.param(managed(desiredvCpus=17), f"{R}.desiredvCpus", "from minvCpus to maxvCpus", id="ce-desired-high"),
    pytest.param(
        managed(minvCpus=4, desiredvCpus=3), f"{R}.desiredvCpus", "from minvCpus to maxvCpus", id="ce-desired-low"
    ),
    pytest.param(managed(bidPercentage=50), f"{R}.bidPercentage", "for type SPOT", id="ce-bid-on-demand"),
    pytest.param(managed(type="SPOT", bidPercentage=101), f"{R}.bidPercentage", "100", id="ce-bid-101"),
    pytest.param(
        managed(allocationStrategy="SPOT_CAPACITY_OPTIMIZED"),
        f"{R}.allocationStrategy",
        "for type SPOT",
        id="ce-strategy",
    ),
    *(
        pytest.param(
            grouped(SCALING, computeResources=with_subnets(type="SPOT", allocationStrategy=strategy)),
            f"{R}.allocationStrategy",
            "Auto Scaling groups of ours have one type and subnet each",
            id=f"ce-groups-{strategy}",
        )
        for strategy in SPOT_STRATEGIES
    ),
    *(
        pytest.param(
            grouped(
                NODES,
                {"clusterName": "c"},
                computeResources=with_subnets(type="SPOT", instanceRole=ROLE, allocationStrategy=strategy),
            ),
            f"{R}.allocationStrategy",
            "EKS chooses among the zones of a Spot node group by itself",
            id=f"ce-eks-{strategy}",
        )
        for strategy in SPOT_STRATEGIES
    ),
    pytest.param(managed(instanceTypes=[]), f"{R}.instanceTypes", "at least one type", id="ce-types-empty"),
    pytest.param(managed(instanceTypes=["M5"]), f"{R}.instanceTypes[0]", "must be an instance type", id="ce-type-form"),
    pytest.param(
        managed(launchTemplate={**TEMPLATE, "userdataType": "CLOUD_INIT"}),
        f"{R}.launchTemplate.userdataType",
        "supported values",
        id="ce-userdata",
    ),
    pytest.param(
        managed(launchTemplate={**TEMPLATE, "userdataType": "EKS_NODEADM"}),
        f"{R}.launchTemplate",
        "userdataType needs nodeJoin",
        id="ce-userdata-no-cluster",
    ),
    pytest.param(
        managed(
            launchTemplate={
                **TEMPLATE,
                "overrides": [{**TEMPLATE, "targetInstanceTypes": ["m5"], "userdataType": "EKS_BOOTSTRAP_SH"}],
            }
        ),
        f"{R}.launchTemplate",
        "userdataType needs nodeJoin",
        id="ce-userdata-override-no-cluster",
    ),
    pytest.param(
        joined(type="EKS_BOOTSTRAP_SH", clusterName="c"),
        "spec.nodeJoin",
        "EKS_BOOTSTRAP_SH needs clusterName, apiServerEndpoint",
        id="ce-join-bootstrap",
    ),
    pytest.param(managed(launchTemplate={}), f"{R}.launchTemplate", "give one of", id="ce-template-none"),
    pytest.param(
        managed(launchTemplate={**TEMPLATE, "launchTemplateId": "lt-1"}),
        f"{R}.launchTemplate",
        "give one of launchTemplateId",
        id="ce-template-both",
    ),
    pytest.param(
        managed(launchTemplate={**TEMPLATE, "overrides": [{**TEMPLATE, "targetInstanceTypes": ["optimal"]}]}),
        f"{R}.launchTemplate.overrides[0].targetInstanceTypes[0]",
        "not for optimal",
        id="ce-override-optimal",
    ),
    pytest.param(
        managed(scalingPolicy={"minScaleDownDelayMinutes": 19}),
        f"{R}.scalingPolicy.minScaleDownDelayMinutes",
        "0, or from 20",
        id="ce-delay-19",
    ),
    pytest.param(ce(provider="SIMULATED"), "spec.type", "are for type MANAGED", id="ce-unmanaged-provider"),
    pytest.param(ce(updatePolicy={}), "spec.type", "are for type MANAGED", id="ce-unmanaged-update-policy"),
    pytest.param(
        ce(computeResources={"type": "EC2", "maxvCpus": 1}), "spec.type", "are for type MANAGED", id="ce-unmanaged-type"
    ),
    pytest.param(ce(computeResources={"minvCpus": 0, "maxvCpus": 1}), f"{R}.type", "give type EC2", id="ce-min"),
    pytest.param(joined(type="EKS_NODEADM"), "spec.nodeJoin", "needs clusterName", id="ce-nodeadm"),
    pytest.param(joined(type="USER_DATA"), "spec.nodeJoin.userData", "which needs it", id="ce-user-data-none"),
    pytest.param(
        joined(type="LAUNCH_TEMPLATE", userData="x"),
        "spec.nodeJoin.userData",
        "is for type USER_DATA",
        id="ce-user-data",
    ),
    pytest.param(
        grouped("EC2_FLEET", groups=["a"]), "spec.autoScalingGroups", "for provider AUTO", id="ce-groups-fleet"
    ),
    pytest.param(grouped(SCALING, groups=[]), "spec.autoScalingGroups", "at least one group", id="ce-groups-empty"),
    pytest.param(
        grouped(SCALING, groups=["arn:aws:autoscaling:x"]),
        "spec.autoScalingGroups[0]",
        "not its ARN",
        id="ce-group-arn",
    ),
    pytest.param(grouped(SCALING), f"{R}.subnets", "subnets to start in", id="ce-groups-ours-no-subnets"),
    pytest.param(
        grouped(SCALING, groups=["a"], computeResources=with_subnets()), R, "said by the groups", id="ce-groups-subnets"
    ),
    pytest.param(
        grouped(SCALING, groups=["a"], nodeJoin={"type": "LAUNCH_TEMPLATE"}),
        "spec.nodeJoin",
        "leave nodeJoin out",
        id="ce-groups-join",
    ),
    pytest.param(grouped(NODES, groups=["a"]), "spec.eks", "which needs it", id="ce-eks-none"),
    pytest.param(
        grouped(None, {"clusterName": "c", "nodeGroups": ["a"]}),
        "spec.eks",
        "is for provider EKS",
        id="ce-eks-no-provider",
    ),
    pytest.param(grouped(NODES, {}), "spec.eks.clusterName", "Required value", id="ce-eks-no-cluster"),
    pytest.param(
        grouped(NODES, {"clusterName": "c", "nodeGroups": []}),
        "spec.eks.nodeGroups",
        "at least one node group",
        id="ce-eks-empty",
    ),
    pytest.param(
        grouped(NODES, {"clusterName": "c"}, computeResources=with_subnets()),
        f"{R}.instanceRole",
        "the ARN of the nodes' role",
        id="ce-eks-no-role",
    ),
    pytest.param(
        grouped(NODES, {"clusterName": "c"}, computeResources=with_subnets(instanceRole="nodes")),
        f"{R}.instanceRole",
        "the ARN of the nodes' role",
        id="ce-eks-role-name",
    ),
    pytest.param(
        grouped(
            NODES,
            {"clusterName": "c"},
            computeResources=with_subnets(instanceRole=ROLE),
            nodeJoin={"type": "LAUNCH_TEMPLATE"},
        ),
        "spec.nodeJoin",
        "leave nodeJoin out",
        id="ce-eks-join",
    ),
    pytest.param(
        grouped(
            NODES,
            {"clusterName": "c"},
            computeResources=with_subnets(instanceRole=ROLE, type="SPOT", bidPercentage=50),
        ),
        f"{R}.bidPercentage",
        "take no bidPercentage",
        id="ce-eks-bid",
    ),
    pytest.param(
        grouped(NODES, {"clusterName": "c"}, computeResources=with_subnets(instanceRole=ROLE, imageId="ami-1")),
        R,
        "EKS's own images",
        id="ce-eks-image",
    ),
    pytest.param(
        grouped(
            NODES,
            {"clusterName": "c"},
            computeResources=with_subnets(
                instanceRole=ROLE, ec2Configuration=[{"imageType": "EKS_AL2023", "imageIdOverride": "ami-1"}]
            ),
        ),
        R,
        "EKS's own images",
        id="ce-eks-image-override",
    ),
    pytest.param(
        grouped(
            NODES,
            {"clusterName": "c"},
            computeResources=with_subnets(
                instanceRole=ROLE, ec2Configuration=[{"imageType": "EKS_AL2023", "imageKubernetesVersion": "1.33"}]
            ),
        ),
        f"{R}.ec2Configuration",
        "its cluster's own version only",
        id="ce-eks-image-version",
    ),
    pytest.param(
        managed(ec2Configuration=[{"imageType": "EKS_AL2023", "imageKubernetesVersion": "v1.33.1"}]),
        f"{R}.ec2Configuration[0].imageKubernetesVersion",
        "must be a minor version of Kubernetes",
        id="ce-image-version-form",
    ),
    pytest.param(ce(autoScalingGroups=["a"]), "spec.type", "are for type MANAGED", id="ce-unmanaged-groups"),
]

ACCEPTED = [
    pytest.param(grouped(SCALING, groups=["a", "b c"]), {"state": "ENABLED"}, id="ce-groups"),
    pytest.param(grouped(SCALING, computeResources=with_subnets()), {"state": "ENABLED"}, id="ce-groups-ours"),
    pytest.param(grouped(NODES, {"clusterName": "c", "nodeGroups": ["a"]}), {"state": "ENABLED"}, id="ce-eks-groups"),
    pytest.param(
        grouped(NODES, {"clusterName": "c"}, computeResources=with_subnets(instanceRole=ROLE)),
        {"state": "ENABLED"},
        id="ce-eks-ours",
    ),
    pytest.param(
        grouped(SCALING, computeResources=with_subnets(type="SPOT", allocationStrategy=ORDERED)),
        {"state": "ENABLED"},
        id="ce-groups-ordered",
    ),
    pytest.param(
        grouped(
            NODES,
            {"clusterName": "c"},
            computeResources=with_subnets(type="SPOT", instanceRole=ROLE, allocationStrategy="BEST_FIT_PROGRESSIVE"),
        ),
        {"state": "ENABLED"},
        id="ce-eks-progressive",
    ),
    pytest.param(managed(), {"state": "ENABLED"}, id="ce-managed-least"),
    pytest.param(
        managed(ec2Configuration=[{"imageType": "EKS_AL2023_NVIDIA", "imageKubernetesVersion": "1.33"}]),
        {"state": "ENABLED"},
        id="ce-image-version",
    ),
    pytest.param(managed("SIMULATED", subnets=None), {"state": "ENABLED"}, id="ce-simulated-least"),
    pytest.param(
        managed(
            "EC2_FLEET",
            type="SPOT",
            allocationStrategy="SPOT_CAPACITY_OPTIMIZED_PRIORITIZED",
            minvCpus=0,
            maxvCpus=1_000_000_000,
            desiredvCpus=0,
            instanceTypes=["optimal", "default_arm64", "m5", "c7gn.16xlarge", "u-6tb1.metal"],
            imageId="ami-0123456789abcdef0",
            securityGroupIds=["sg-0123456789abcdef0"],
            instanceRole="arn:aws:iam::123456789012:instance-profile/nodes",
            ec2KeyPair="mine",
            tags={"team": "weather"},
            placementGroup="near",
            bidPercentage=60,
            launchTemplate={
                "launchTemplateId": "lt-0123456789abcdef0",
                "version": "$Latest",
                "overrides": [
                    {"launchTemplateName": "gpu", "version": "3", "targetInstanceTypes": ["p4d", "g5.xlarge"]}
                ],
            },
            ec2Configuration=[{"imageType": "EKS_AL2023", "imageIdOverride": "ami-0123456789abcdef0"}],
            scalingPolicy={"minScaleDownDelayMinutes": 20},
        ),
        {"state": "ENABLED"},
        id="ce-managed-everything",
    ),
    pytest.param(joined(type="EKS_NODEADM", **EKS), {"state": "ENABLED"}, id="ce-nodeadm-whole"),
    pytest.param(joined(type="USER_DATA", userData="join @LABELS@"), {"state": "ENABLED"}, id="ce-user-data-whole"),
    pytest.param(
        ce(
            type="MANAGED",
            computeResources={
                "type": "EC2",
                "maxvCpus": 1,
                "subnets": [SUBNET],
                "launchTemplate": {
                    **TEMPLATE,
                    "userdataType": "EKS_BOOTSTRAP_SH",
                    "overrides": [{**TEMPLATE, "targetInstanceTypes": ["m5"], "userdataType": "EKS_NODEADM"}],
                },
            },
            nodeJoin={"type": "EKS_BOOTSTRAP_SH", **EKS},
        ),
        {"state": "ENABLED"},
        id="ce-userdata-types",
    ),
]
