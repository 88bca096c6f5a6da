"""Objects that must be accepted and read back as they were sent, with no more than the schema's defaults."""

from __future__ import annotations

import pytest

from crd_cases import asks, bj, ce, jd, jdc, jq, named
from manifests import container

BOTH = asks(VCPU="1", MEMORY="1")
EVERYTHING = container(
    command=["echo", "Ref::greeting", ""],
    resourceRequirements=asks(VCPU="0.25", MEMORY="2Gi", GPU="1"),
    environment=[{"name": "A", "value": ""}, {"name": "a.b-C d"}],
    secrets=[{"name": "PASSWORD", "valueFrom": "db.main/user.password_1"}],
    volumes=[
        {"name": "scratch"},
        {"name": "node", "host": {"sourcePath": "/data/..x"}},
        {"name": "efs", "efsVolumeConfiguration": {"fileSystemId": "fs-0a1b2c3d", "rootDirectory": "/jobs"}},
        {"name": "claim", "persistentVolumeClaim": {"claimName": "models", "readOnly": True}},
    ],
    mountPoints=[
        {"sourceVolume": "scratch", "containerPath": "/scratch"},
        {"sourceVolume": "claim", "containerPath": "/models", "readOnly": True},
    ],
    user="1000:2147483647",
    privileged=False,
    readonlyRootFilesystem=True,
    linuxParameters={
        "devices": [{"hostPath": "/dev/fuse", "containerPath": "/dev/fuse", "permissions": ["READ", "WRITE"]}],
        "initProcessEnabled": True,
        "sharedMemorySize": 1024,
        "tmpfs": [{"containerPath": "/tmp", "size": 64, "mountOptions": ["noexec"]}],
        "maxSwap": 0,
        "swappiness": 100,
    },
    ulimits=[
        {"name": "nofile", "hardLimit": 1024, "softLimit": 1024},
        {"name": "memlock", "hardLimit": -1, "softLimit": -1},
    ],
    jobRoleArn="arn:aws-cn:iam::123456789012:role/team/reader",
    executionRoleArn="arn:aws:iam::123456789012:role/puller",
    logConfiguration={"logDriver": "awslogs", "options": {"awslogs-group": "jobs"}},
)

# (manifest, defaults the API server adds to the spec)
ACCEPTED = [
    pytest.param(bj(), {}, id="bj-least"),
    pytest.param(named(bj(), "n" * 128), {}, id="bj-name-of-128"),
    pytest.param(bj(jobQueue="q" * 128, jobDefinition="d" * 128 + ":999999999"), {}, id="bj-longest-names"),
    pytest.param(bj(jobQueue="team.a-1", jobDefinition="0.x:1"), {}, id="bj-dotted-names"),
    pytest.param(bj(dependsOn=[]), {}, id="bj-no-dependencies"),
    pytest.param(bj(dependsOn=[{"name": f"j{n}"} for n in range(500)]), {}, id="bj-500-dependencies"),
    pytest.param(bj(dependsOn=[{"jobId": "3f0c6b0e-0000-4000-8000-000000000000"}]), {}, id="bj-needs-id"),
    pytest.param(
        bj(
            parameters={"input": "s3://bucket/a b", "k" * 256: "v" * 8192},
            containerOverrides={
                "command": ["a"],
                "environment": [{"name": "X", "value": "1"}],
                "resourceRequirements": asks(VCPU="2.5"),
            },
            retryStrategy={
                "attempts": 10,
                "evaluateOnExit": [
                    {"action": "RETRY", "onStatusReason": "Host EC2*"},
                    {"action": "exit", "onExitCode": "*", "onReason": "CannotPullContainerError:*"},
                    {"action": "Retry", "onExitCode": "13*"},
                    {"action": "EXIT", "onExitCode": "0"},
                    {"action": "EXIT", "onReason": "*"},
                ],
            },
            timeout={"attemptDurationSeconds": 1},
            shareIdentifier="UserA1",
            schedulingPriorityOverride=9999,
            consumableResourcePropertiesOverride={
                "consumableResourceList": [{"consumableResource": f"r{n}", "quantity": 10**15} for n in range(50)]
            },
            preemptionConfiguration={"preemptionRetriesBeforeTermination": 100},
            tags={f"Cost Centre {n}": "v" * 256 for n in range(50)},
            propagateTags=False,
            terminate={"reason": "r" * 1024},
            cancel={"reason": "never mind"},
        ),
        {},
        id="bj-everything",
    ),
    pytest.param(bj(retryStrategy={}), {}, id="bj-retry-empty"),
    pytest.param(bj(containerOverrides={}), {}, id="bj-overrides-empty"),
    pytest.param(jdc(), {"type": "container"}, id="jd-least"),
    pytest.param(named(jdc(), "n" * 128), {"type": "container"}, id="jd-name-of-128"),
    pytest.param(
        jd(
            type="container",
            containerProperties=EVERYTHING,
            parameters={"greeting": "hello"},
            retryStrategy={"attempts": 1},
            timeout={"attemptDurationSeconds": 31536000},
            schedulingPriority=9999,
            consumableResourceProperties={"consumableResourceList": [{"consumableResource": "a.b", "quantity": 1}]},
            tags={"team": "a"},
            propagateTags=True,
        ),
        {},
        id="jd-everything",
    ),
    pytest.param(
        jd(
            podTemplate={
                "metadata": {"labels": {"a": "b"}},
                "spec": {"containers": [{"name": "m", "x": {"y": [1, 2.5]}}]},
            }
        ),
        {"type": "container"},
        id="jd-template-is-open",
    ),
    *(
        pytest.param(
            jdc(resourceRequirements=asks(VCPU=vcpu, MEMORY=memory, GPU=gpu)), {"type": "container"}, id=f"jd-{case}"
        )
        for case, vcpu, memory, gpu in [
            ("smallest", "0.001", "1", "1"),
            ("largest", "999999.999", "999999999Gi", "99999"),
            ("mebibytes", "1.5", "2048Mi", "8"),
        ]
    ),
    pytest.param(
        jdc(serviceAccountName="runner.team-a", resourceRequirements=BOTH), {"type": "container"}, id="jd-account"
    ),
    pytest.param(jq(), {"state": "ENABLED", "priority": 0}, id="jq-least"),
    pytest.param(
        jq(
            state="DISABLED",
            priority=1000000,
            computeEnvironmentOrder=[{"order": n, "computeEnvironment": f"a{n}"} for n in range(64)],
            schedulingPolicy="fair",
            maxConcurrency=1_000_000_000,
            preemption={"lowerPriorityQueues": "ENABLED"},
            namespaceSelector={"example.com/team": "a", "empty": ""},
            allowedJobRoles=["*", "arn:aws:iam::123456789012:role/reader", "arn:*:role/batch/*"],
            retention={"podSeconds": 0, "jobSeconds": 0},
        ),
        {},
        id="jq-everything",
    ),
    pytest.param(jq(retention={}, namespaceSelector={}), {"state": "ENABLED", "priority": 0}, id="jq-empty-objects"),
    pytest.param(ce(), {"type": "UNMANAGED", "state": "ENABLED"}, id="ce-least"),
    pytest.param(
        ce(
            type="UNMANAGED",
            state="DISABLED",
            computeResources={"maxvCpus": 256},
            hourlyPrice="0.192",
            nodeSelector={"node.kubernetes.io/instance-type": "m5.large", "k" * 63: "v" * 63},
            tolerations=[
                {"operator": "Exists"},
                {"key": "batch", "value": "yes", "effect": "NoSchedule"},
                {"key": "batch", "operator": "Equal", "value": "no", "effect": "NoExecute", "tolerationSeconds": 60},
            ],
        ),
        {},
        id="ce-everything",
    ),
]
