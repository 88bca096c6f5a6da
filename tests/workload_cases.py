"""JobDefinitions and BatchJobs that use every field which is rendered: for tests with and without an API server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from batchwright.api.v1alpha1 import BatchJobSpec, JobDefinitionSpec
from batchwright.domain.indexes import parse_indexes
from batchwright.domain.items import Column, ItemTable
from batchwright.workloads.array import ArrayWork
from batchwright.workloads.job import JobIdentity, Placement, build_job

UID = "4f9e2c1a-7b3d-4e5f-8a6b-0c1d2e3f4a5b"
PLACEMENT = Placement("nodes", {"disk": "ssd"}, ({"key": "batch", "operator": "Exists", "effect": "NoSchedule"},))


def requirements(vcpus: str = "0.25", memory: str = "128", gpus: str | None = None) -> list[dict[str, str]]:
    """resourceRequirements."""
    listed = [{"type": "VCPU", "value": vcpus}, {"type": "MEMORY", "value": memory}]
    return listed + ([{"type": "GPU", "value": gpus}] if gpus else [])


def container(**properties: object) -> dict[str, Any]:
    """A definition of a small container."""
    return {"containerProperties": {"image": "busybox:1.36", "resourceRequirements": requirements(), **properties}}


def template(*containers: dict[str, Any], **spec: object) -> dict[str, Any]:
    """A definition with a podTemplate."""
    listed = list(containers) or [{"name": "work", "image": "busybox"}]
    return {"podTemplate": {"spec": {"containers": listed, **spec}}}


def definition(given: dict[str, Any]) -> JobDefinitionSpec:
    """The spec as it is read from the API server."""
    return JobDefinitionSpec.model_validate(given)


def job(**given: object) -> BatchJobSpec:
    """A job of the definition `hello` in the queue `normal`."""
    return BatchJobSpec.model_validate({"jobQueue": "normal", "jobDefinition": "hello", **given})


def render(
    given: dict[str, Any],
    submitted: BatchJobSpec | None = None,
    *,
    name: str = "hello-1",
    uid: str = UID,
    namespace: str = "science",
    placement: Placement = PLACEMENT,
    array: ArrayWork | None = None,
) -> dict[str, Any]:
    """The Job of a definition and a submission."""
    identity = JobIdentity(uid, namespace, name)
    return build_job(identity, "normal", "hello:3", definition(given), submitted or job(), placement, array=array)


def array_work(size: int, indexes: str | None = None, table: ItemTable | None = None, **other: Any) -> ArrayWork:
    """An array of which all elements run, or only `indexes`."""
    runs = ((0, size - 1),) if indexes is None else parse_indexes(indexes)
    return ArrayWork(size, runs, **{"parallelism": 2, "gated": False, **other}, table=table)


def list_table(**columns: Sequence[str]) -> ItemTable:
    """The parameters of a list."""
    made = tuple(Column(name, 1, tuple(values)) for name, values in columns.items())
    return ItemTable(made, len(made[0].values))


@dataclass(frozen=True)
class Case:
    """One definition and one submission of it."""

    name: str
    definition: dict[str, Any]
    job: dict[str, Any] = field(default_factory=dict)
    job_name: str = "hello-1"


RETRY_SPOT = {
    "attempts": 5,
    "evaluateOnExit": [
        {"action": "RETRY", "onStatusReason": "Host EC2*"},
        {"action": "EXIT", "onReason": "*"},
    ],
}
RETRY_CODES = {"attempts": 3, "evaluateOnExit": [{"action": "exit", "onExitCode": "4*"}]}
RETRY_BY_TEXT = {
    "attempts": 4,
    "evaluateOnExit": [
        {"action": "RETRY", "onReason": "OutOfMemory*"},
        {"action": "EXIT", "onExitCode": "*"},
    ],
}
ROLE = "arn:aws:iam::123456789012:role/teams/Reader"

EVERYTHING = container(
    command=["sh", "-c", "echo Ref::greeting $$ $(hostname) ${HOME}"],
    resourceRequirements=requirements("1.5", "2Gi", "2"),
    environment=[{"name": "PLAIN", "value": "a $(b)"}, {"name": "EMPTY"}],
    secrets=[{"name": "TOKEN", "valueFrom": "vault/token.txt"}],
    volumes=[
        {"name": "scratch"},
        {"name": "host", "host": {"sourcePath": "/data"}},
        {"name": "pod-dir", "host": {}},
        {"name": "shared", "efsVolumeConfiguration": {"fileSystemId": "fs-0123456789abcdef0", "rootDirectory": "/in"}},
        {"name": "claim", "persistentVolumeClaim": {"claimName": "results", "readOnly": True}},
        {"name": "batchwright-shm"},
    ],
    mountPoints=[
        {"sourceVolume": "scratch", "containerPath": "/scratch"},
        {"sourceVolume": "host", "containerPath": "/host", "readOnly": True},
        {"sourceVolume": "shared", "containerPath": "/in"},
        {"sourceVolume": "claim", "containerPath": "/results", "readOnly": True},
    ],
    user="1000:2000",
    privileged=True,
    readonlyRootFilesystem=True,
    linuxParameters={
        "initProcessEnabled": True,
        "sharedMemorySize": 64,
        "tmpfs": [{"containerPath": "/tmp", "size": 32, "mountOptions": ["noexec"]}],
        "devices": [{"hostPath": "/dev/fuse", "permissions": ["READ"]}, {"hostPath": "/dev/a", "containerPath": "/b"}],
        "maxSwap": 10,
        "swappiness": 60,
    },
    ulimits=[{"name": "nofile", "hardLimit": -1, "softLimit": 1024}],
    jobRoleArn=ROLE,
    executionRoleArn="arn:aws:iam::123456789012:role/execution",
    logConfiguration={"logDriver": "awslogs", "options": {"awslogs-group": "x"}},
) | {
    "parameters": {"greeting": "hello"},
    "retryStrategy": RETRY_SPOT,
    "timeout": {"attemptDurationSeconds": 60},
    "tags": {"team": "a", "cost": "1"},
    "propagateTags": True,
}

WHOLE_TEMPLATE: dict[str, Any] = {
    "podTemplate": {
        "metadata": {
            "labels": {"app": "mine", "batchwright.io/job-id": "forged", "batchwright.io/retries": "true"},
            "annotations": {"kubectl.kubernetes.io/default-container": "work", "note": "kept"},
        },
        "spec": {
            "restartPolicy": "OnFailure",
            "nodeSelector": {"zone": "a"},
            "tolerations": [{"key": "mine", "operator": "Exists"}],
            "schedulingGates": [{"name": "example.com/wait"}],
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {}}
            ],
            "initContainers": [
                {"name": "fetch", "image": "busybox", "args": ["get", "Ref::input"]},
                {
                    "name": "proxy",
                    "image": "busybox",
                    "restartPolicy": "Always",
                    "resources": {"requests": {"cpu": "100m"}},
                },
            ],
            "containers": [
                {"name": "log", "image": "busybox"},
                {
                    "name": "work",
                    "image": "busybox",
                    "command": ["/bin/work", "Ref::input"],
                    "args": ["--depth", "Ref::depth"],
                    "env": [
                        {"name": "AWS_BATCH_JOB_ID", "value": "forged"},
                        {"name": "AWS_BATCH_JOB_ATTEMPT", "value": "7"},
                        {"name": "A", "value": "$(AWS_BATCH_JOB_ID)"},
                        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                    ],
                    "ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}],
                    "resources": {
                        "requests": {"cpu": "1", "memory": "1Gi"},
                        "limits": {"cpu": "2", "memory": "1Gi", "ephemeral-storage": "1Gi"},
                    },
                },
            ],
        },
    },
    "parameters": {"input": "s3://bucket/key", "depth": "3"},
}

CASES = (
    Case("smallest container", container()),
    Case("every container property", EVERYTHING),
    Case(
        "every override of a container",
        EVERYTHING,
        {
            "parameters": {"greeting": "bye"},
            "containerOverrides": {
                "command": ["say", "Ref::greeting"],
                "environment": [{"name": "TOKEN", "value": "plain"}, {"name": "NEW", "value": "1"}],
                "resourceRequirements": requirements("2", "512", "1"),
            },
            "retryStrategy": RETRY_CODES,
            "tags": {"team": "b"},
        },
    ),
    Case("service account", container(serviceAccountName="runner")),
    Case("ten attempts", container() | {"retryStrategy": {"attempts": 10}}),
    Case("exit on some codes", container() | {"retryStrategy": RETRY_CODES}),
    Case("rules on texts", container() | {"retryStrategy": RETRY_BY_TEXT}),
    Case(
        "every failure ends it",
        container() | {"retryStrategy": {"attempts": 2, "evaluateOnExit": [{"action": "EXIT", "onReason": "*"}]}},
    ),
    Case("smallest template", template()),
    Case("whole template", WHOLE_TEMPLATE),
    Case("whole template, retried", WHOLE_TEMPLATE, {"retryStrategy": RETRY_SPOT}),
    Case(
        "every override of a template",
        WHOLE_TEMPLATE,
        {
            "containerOverrides": {
                "command": ["/bin/other", "Ref::depth"],
                "environment": [{"name": "A", "value": "overridden"}],
                "resourceRequirements": requirements("4", "2048", "1"),
            },
            "retryStrategy": {"attempts": 3},
        },
    ),
    Case("pod-level resources", template(resources={"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}})),
    Case("longest name", container(), job_name="a" * 128),
    Case("name with dots", container(), job_name="7.b.c"),
)
