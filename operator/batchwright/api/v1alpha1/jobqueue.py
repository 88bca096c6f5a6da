"""JobQueue: where jobs wait, in which order, and for which environments."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from batchwright.api.v1alpha1.common import Conditions, Labels, Model, ObjectName, State, Text, Timestamp
from batchwright.api.v1alpha1.quotashare import QuotaShares
from batchwright.api.v1alpha1.schedulingpolicy import MAX_SHARES, ShareIdentifier
from batchwright.api.v1alpha1.usage import QueueUsage
from batchwright.api.v1alpha1.validation import Between, Matching, Rule, list_map, rules

BlockReason = Literal[
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
]


# A pattern of the ARNs of IAM roles.
RolePattern = Annotated[
    str,
    StringConstraints(min_length=1, max_length=2048),
    Matching(
        r"^([*]|arn:[!-~]+)$",
        "must be the ARN of an IAM role, in which * stands for any characters, such as "
        "arn:aws:iam::123456789012:role/batch/*, or * alone for every role",
    ),
]


class ComputeEnvironmentOrder(Model):
    """One environment of a queue."""

    order: int = Field(ge=0, le=1000, description="order in which environments are tried, the lowest first.")
    compute_environment: ObjectName = Field(description="computeEnvironment is the name of a ComputeEnvironment.")


class Retention(Model):
    """How long finished work is kept."""

    pod_seconds: int = Field(
        default=3600,
        ge=0,
        le=31536000,
        description="podSeconds the pods of a finished job (and so its logs) are kept. Default 3600.",
    )
    job_seconds: int | None = Field(
        default=None,
        ge=0,
        le=315360000,
        description="jobSeconds a finished BatchJob is kept before it is deleted. Default: for ever, because a "
        "BatchJob kept in Git would be made, and so run, again.",
    )


class QueuePreemption(Model):
    """When the queue's jobs take the place of others, and of whom (beyond AWS)."""

    lower_priority_queues: State = Field(
        default="DISABLED",
        description="lowerPriorityQueues ENABLED: jobs of this queue may take the place of running jobs of queues of "
        "lower priority, in environments they share. Default DISABLED.",
    )
    after_seconds: int = Field(
        default=2,
        ge=0,
        le=86_400,
        description="afterSeconds a job waits before others are preempted for it, by priority or for its quota: what "
        "ends by itself meanwhile is not lost. Default 2.",
    )


class JobStateTimeLimitAction(Model):
    """What becomes of a job that waits too long for one reason (AWS: JobStateTimeLimitAction)."""

    reason: BlockReason = Field(description="reason for which the job waits.")
    state: Literal["RUNNABLE"] = Field(description="state the job waits in: RUNNABLE.")
    max_time_seconds: Annotated[
        int, Between(1, 86400, "must be 1 to 86400 seconds: leave the action out to let jobs wait as long as it takes")
    ] = Field(description="maxTimeSeconds the job may wait for this reason, 1 to 86400. (AWS asks for 600 or more.)")
    action: Literal["CANCEL", "TERMINATE"] = Field(
        description="action: CANCEL or TERMINATE, which for a job that has not started are the same."
    )


class JobQueueSpec(Model):
    """Desired state of a JobQueue."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "!has(self.schedulingPolicy) || !has(self.quotaShares) || self.quotaShares.size() == 0",
                "a queue is shared by its schedulingPolicy or by its quotaShares: give one of them, not both",
                field_path=".quotaShares",
                reason="FieldValueForbidden",
            )
        )
    )

    state: State = Field(
        default="ENABLED",
        description="state ENABLED takes jobs; in a DISABLED queue new jobs wait as SUBMITTED and queued ones go on.",
    )
    priority: int = Field(
        default=0, ge=0, le=1000000, description="priority among queues that share environments: the higher first."
    )
    compute_environment_order: Annotated[
        tuple[ComputeEnvironmentOrder, ...],
        Field(
            min_length=1,
            max_length=64,
            json_schema_extra=list_map("computeEnvironment"),
        ),
        Rule(
            "self.all(a, self.exists_one(b, b.order == a.order))",
            "each order may be used once: the environments are tried one after the other",
        ),
    ] = Field(description="computeEnvironmentOrder: the environments of this queue, tried in ascending order.")
    scheduling_policy: ObjectName | None = Field(
        default=None,
        description="schedulingPolicy is the name of a SchedulingPolicy, by which jobs share the queue. Absent, and "
        "without quotaShares: first in, first out.",
    )
    quota_shares: QuotaShares = Field(
        default=(), description="quotaShares: parts of the capacity, each for the jobs that name it."
    )
    max_concurrency: (
        Annotated[int, Between(1, 1_000_000_000, "must be 1 or more: leave it out for no limit")] | None
    ) = Field(
        default=None,
        description="maxConcurrency: at most so many jobs and elements of arrays are STARTING or RUNNING at one time; "
        "without it, as many as there is room for. Beyond AWS.",
    )
    preemption: QueuePreemption = Field(
        default=QueuePreemption(),
        description="preemption: when jobs of this queue take the place of others. Beyond AWS.",
    )
    job_state_time_limit_actions: Annotated[tuple[JobStateTimeLimitAction, ...], Field(max_length=10)] = Field(
        default=(), description="jobStateTimeLimitActions: what becomes of jobs that wait too long at the head."
    )
    namespace_selector: Labels | None = Field(
        default=None,
        description="namespaceSelector: labels a namespace must have for its jobs to be taken. Absent: "
        "every namespace.",
    )
    allowed_job_roles: Annotated[
        tuple[RolePattern, ...], Field(max_length=64, json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = Field(
        default=(),
        description="allowedJobRoles: the IAM roles that jobs of this queue may have as jobRoleArn, as ARNs in which "
        "* stands for any characters; * alone: every role. Default: none, and a job that asks for one waits.",
    )
    retention: Retention = Field(default=Retention(), description="retention of finished jobs and their pods.")


class ShareUsage(Model):
    """What a share has used, as of a time."""

    share_identifier: ShareIdentifier = Field(description="shareIdentifier of the share.")
    usage: Annotated[str, StringConstraints(min_length=1, max_length=32)] = Field(
        description="usage in vCPU-seconds, decayed to the time of updatedAt, as a decimal."
    )
    updated_at: Timestamp = Field(description="updatedAt: the time that usage speaks of.")


class JobQueueStatus(Model):
    """Observed state of a JobQueue."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="observedGeneration is the generation of the spec this status speaks of."
    )
    status: Literal["CREATING", "UPDATING", "DELETING", "DELETED", "VALID", "INVALID"] | None = Field(
        default=None, description="status as AWS has it: VALID when every environment exists and is valid."
    )
    status_reason: Text | None = Field(default=None, description="statusReason says why the status is what it is.")
    fairshare: Annotated[
        tuple[ShareUsage, ...], Field(max_length=MAX_SHARES, json_schema_extra=list_map("shareIdentifier"))
    ] = Field(
        default=(), description="fairshare: what each share has used, noted now and then so that a restart keeps it."
    )
    usage: Annotated[tuple[QueueUsage, ...], Field(max_length=MAX_SHARES)] = Field(
        default=(),
        description="usage: what the jobs of each share used since the queue was made, and its cost, those that are "
        "deleted too; noted now and then.",
    )
    blocked: Text | None = Field(
        default=None, description="blocked: why the job at the head cannot start. Absent: it can."
    )
    conditions: Conditions = Field(
        default=(), description="conditions: Ready; Stalled, True, where somebody has to mend it."
    )


class JobQueue(Model):
    """A JobQueue holds jobs until an environment of its list has room for them."""

    spec: JobQueueSpec = Field(description="spec: what the queue shall be.")
    status: JobQueueStatus | None = Field(default=None, description="status: what it is.")
