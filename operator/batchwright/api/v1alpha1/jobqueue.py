"""JobQueue: where jobs wait, in which order, and for which environments."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from batchwright.api.v1alpha1.common import Conditions, Labels, Model, ObjectName, State, Text
from batchwright.api.v1alpha1.validation import Rule, list_map


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


class JobQueueSpec(Model):
    """Desired state of a JobQueue."""

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
    namespace_selector: Labels | None = Field(
        default=None,
        description="namespaceSelector: labels a namespace must have for its jobs to be taken. Absent: "
        "every namespace.",
    )
    retention: Retention = Field(default=Retention(), description="retention of finished jobs and their pods.")


class JobQueueStatus(Model):
    """Observed state of a JobQueue."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="observedGeneration is the generation of the spec this status speaks of."
    )
    status: Literal["CREATING", "UPDATING", "DELETING", "DELETED", "VALID", "INVALID"] | None = Field(
        default=None, description="status as AWS has it: VALID when every environment exists and is valid."
    )
    status_reason: Text | None = Field(default=None, description="statusReason says why the status is what it is.")
    conditions: Conditions = Field(default=(), description="conditions: Ready.")


class JobQueue(Model):
    """A JobQueue holds jobs until an environment of its list has room for them."""

    spec: JobQueueSpec = Field(description="spec: what the queue shall be.")
    status: JobQueueStatus | None = Field(default=None, description="status: what it is.")
