"""containerProperties: AWS Batch's shorthand for a job's container (AWS: ContainerProperties)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from batchwright.api.v1alpha1.common import (
    SUBDOMAIN,
    Command,
    Environment,
    EnvironmentName,
    ForeignName,
    HostPathName,
    Model,
    Path,
    ResourceRequirements,
    Text,
    Word,
)
from batchwright.api.v1alpha1.validation import Matching, Rule, list_map, rules

# A key of a Kubernetes Secret, "secret/key".
SecretKey = Annotated[
    str,
    StringConstraints(min_length=3, max_length=512),
    Matching(
        f"^{SUBDOMAIN}/[-._a-zA-Z0-9]+$",
        "must be 'secret/key', a key of a Kubernetes Secret of the same namespace; a value of AWS Secrets Manager or "
        "Parameter Store (an ARN) must be synced into a Secret first, for example with External Secrets",
    ),
]
RoleArn = Annotated[
    str,
    StringConstraints(min_length=20, max_length=2048),
    Matching(
        r"^arn:[a-z-]+:iam::[0-9]{12}:role/[!-~]+$",
        "must be the ARN of an IAM role, such as arn:aws:iam::123456789012:role/reader",
    ),
]
VolumeName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=63),
    Matching(
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "must be lower case letters, digits and '-', beginning and ending with a letter or digit",
    ),
]
UserId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=21),
    Matching(
        r"^[0-9]{1,10}(:[0-9]{1,10})?$",
        "must be a user id, or 'user:group', in numbers such as 1000 or 1000:1000 (Kubernetes takes no names)",
    ),
    Rule(
        "self.split(':').all(id, !id.matches('^[0-9]{1,10}$') || int(id) <= 2147483647)",
        "a user or group id is at most 2147483647",
    ),
]


class Secret(Model):
    """A variable whose value is a key of a Secret in the job's namespace."""

    name: EnvironmentName = Field(description="name of the environment variable.")
    value_from: SecretKey = Field(
        description='valueFrom is "secret/key": a key of a Secret in the job\'s namespace. For AWS Secrets Manager or '
        "Parameter Store, sync the value into a Secret first (for example with External Secrets)."
    )


class HostPath(Model):
    """A directory or file of the node."""

    source_path: HostPathName | None = Field(
        default=None, description="sourcePath on the node; absent: a directory of the pod."
    )


class EfsVolume(Model):
    """An EFS file system, mounted by the EFS CSI driver."""

    file_system_id: Annotated[
        str,
        StringConstraints(min_length=1, max_length=128),
        Matching(r"^fs-[0-9a-f]+$", "must be the id of an EFS file system, such as fs-0123456789abcdef0"),
    ] = Field(description="fileSystemId of the EFS file system.")
    root_directory: Path = Field(default="/", description="rootDirectory inside the file system. Default /.")


class ClaimVolume(Model):
    """A PersistentVolumeClaim of the job's namespace (beyond AWS)."""

    claim_name: ForeignName = Field(description="claimName of a PersistentVolumeClaim in the job's namespace.")
    read_only: bool = Field(default=False, description="readOnly mounts the claim read-only.")


class Volume(Model):
    """A volume of the job."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "[has(self.host), has(self.efsVolumeConfiguration), has(self.persistentVolumeClaim)]"
                ".filter(x, x).size() <= 1",
                "give at most one of host, efsVolumeConfiguration, persistentVolumeClaim",
            )
        )
    )

    name: VolumeName = Field(description="name that mountPoints refer to.")
    host: HostPath | None = Field(
        default=None, description="host: a path of the node; without one, an empty directory."
    )
    efs_volume_configuration: EfsVolume | None = Field(
        default=None, description="efsVolumeConfiguration: an EFS file system."
    )
    persistent_volume_claim: ClaimVolume | None = Field(
        default=None, description="persistentVolumeClaim: a claim of the job's namespace."
    )


class MountPoint(Model):
    """Where a volume appears in the container."""

    source_volume: Word = Field(description="sourceVolume is the name of a volume.")
    container_path: Path = Field(description="containerPath to mount it at.")
    read_only: bool = Field(default=False, description="readOnly mounts it read-only.")


class Device(Model):
    """A device of the node."""

    host_path: HostPathName = Field(description="hostPath of the device on the node.")
    container_path: Path | None = Field(default=None, description="containerPath; default: the same as hostPath.")
    permissions: Annotated[tuple[Literal["READ", "WRITE", "MKNOD"], ...], Field(max_length=3)] = Field(
        default=(), description="permissions, accepted as AWS has them; Kubernetes has no finer grain than the pod's."
    )


class Tmpfs(Model):
    """A memory file system."""

    container_path: Path = Field(description="containerPath to mount it at.")
    size: int = Field(ge=1, le=1048576, description="size in MiB.")
    mount_options: Annotated[tuple[Word, ...], Field(max_length=64)] = Field(
        default=(), description="mountOptions, accepted as AWS has them; Kubernetes has no such options."
    )


class LinuxParameters(Model):
    """Linux settings of the container."""

    devices: Annotated[tuple[Device, ...], Field(max_length=64)] = Field(default=(), description="devices of the node.")
    init_process_enabled: bool = Field(
        default=False,
        description="initProcessEnabled: a first process that reaps (the pod's shared process namespace).",
    )
    shared_memory_size: int | None = Field(
        default=None, ge=1, le=1048576, description="sharedMemorySize of /dev/shm in MiB."
    )
    tmpfs: Annotated[tuple[Tmpfs, ...], Field(max_length=32, json_schema_extra=list_map("containerPath"))] = Field(
        default=(), description="tmpfs mounts."
    )
    max_swap: int | None = Field(
        default=None, ge=0, description="maxSwap, accepted; swap is the node's setting in Kubernetes."
    )
    swappiness: int | None = Field(
        default=None, ge=0, le=100, description="swappiness, accepted; swap is the node's setting in Kubernetes."
    )


class Ulimit(Model):
    """A resource limit of the container's processes."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "self.hardLimit == -1 || (self.softLimit != -1 && self.softLimit <= self.hardLimit)",
                "softLimit must not be above hardLimit",
                field_path=".softLimit",
            )
        )
    )

    name: Word = Field(description="name, such as nofile or memlock.")
    hard_limit: int = Field(ge=-1, description="hardLimit; -1 is unlimited.")
    soft_limit: int = Field(ge=-1, description="softLimit; -1 is unlimited.")


class LogConfiguration(Model):
    """Where logs go on AWS; here they stay with the cluster's own logging."""

    log_driver: Word = Field(description="logDriver, accepted; the cluster's own logging takes the logs.")
    options: Annotated[dict[Word, Text], Field(max_length=64)] = Field(
        default_factory=dict, description="options, accepted."
    )


class ContainerProperties(Model):
    """The container of a job, in AWS Batch's words."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "!has(self.mountPoints) || self.mountPoints.all(m, has(self.volumes) && "
                "self.volumes.exists(v, v.name == m.sourceVolume))",
                "every sourceVolume must be the name of one of volumes",
                field_path=".mountPoints",
            ),
            Rule(
                "!has(self.serviceAccountName) || !has(self.jobRoleArn)",
                "serviceAccountName must not be given with jobRoleArn, which makes a ServiceAccount of its own",
                field_path=".serviceAccountName",
                reason="FieldValueForbidden",
            ),
        )
    )

    image: Annotated[
        str, StringConstraints(min_length=1, max_length=2048), Matching(r"^\S+$", "must not contain blanks")
    ] = Field(description="image of the container.")
    command: Command | None = Field(
        default=None,
        description="command: the arguments of the image's entrypoint, as in AWS (Kubernetes' args). "
        "Ref::name is replaced by the parameter of that name.",
    )
    resource_requirements: Annotated[
        ResourceRequirements,
        Rule("self.exists(r, r.type == 'VCPU')", "VCPU must be given", reason="FieldValueRequired"),
        Rule("self.exists(r, r.type == 'MEMORY')", "MEMORY must be given", reason="FieldValueRequired"),
    ] = Field(description="resourceRequirements: VCPU and MEMORY, and GPU where needed.")
    environment: Environment = Field(default=(), description="environment variables.")
    secrets: Annotated[tuple[Secret, ...], Field(max_length=256, json_schema_extra=list_map("name"))] = Field(
        default=(), description="secrets: environment variables from Kubernetes Secrets."
    )
    volumes: Annotated[tuple[Volume, ...], Field(max_length=64, json_schema_extra=list_map("name"))] = Field(
        default=(), description="volumes of the job."
    )
    mount_points: Annotated[
        tuple[MountPoint, ...], Field(max_length=64, json_schema_extra=list_map("containerPath"))
    ] = Field(default=(), description="mountPoints of the volumes.")
    user: UserId | None = Field(
        default=None, description='user id, or "user:group", in numbers (Kubernetes takes no names).'
    )
    privileged: bool = Field(default=False, description="privileged gives the container the node's full access.")
    readonly_root_filesystem: bool = Field(
        default=False, description="readonlyRootFilesystem makes the root file system read-only."
    )
    linux_parameters: LinuxParameters | None = Field(default=None, description="linuxParameters of the container.")
    ulimits: Annotated[tuple[Ulimit, ...], Field(max_length=32, json_schema_extra=list_map("name"))] = Field(
        default=(),
        description="ulimits, handed to the node by the annotation of the NRI ulimit adjuster: they act where a node "
        "runs that plugin, since Kubernetes itself has no ulimits.",
    )
    job_role_arn: RoleArn | None = Field(
        default=None, description="jobRoleArn: the IAM role of the job, by a ServiceAccount with the IRSA annotation."
    )
    execution_role_arn: RoleArn | None = Field(
        default=None, description="executionRoleArn, accepted; in Kubernetes the node pulls images and writes logs."
    )
    service_account_name: ForeignName | None = Field(
        default=None, description="serviceAccountName of the pods (as in AWS's eksProperties); not with jobRoleArn."
    )
    log_configuration: LogConfiguration | None = Field(default=None, description="logConfiguration, accepted.")


class ContainerOverrides(Model):
    """What this job changes in its definition's main container (AWS: ContainerOverrides)."""

    command: Command | None = Field(default=None, description="command in place of the definition's.")
    environment: Environment = Field(
        default=(), description="environment variables added to, or in place of, the definition's by name."
    )
    resource_requirements: ResourceRequirements = Field(
        default=(), description="resourceRequirements in place of the definition's by type."
    )
