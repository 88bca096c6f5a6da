"""BatchJob: one submission of a job to a queue."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from batchwright.api.v1alpha1.array import ArrayProperties, ArrayPropertiesDetail, ElementsRequests
from batchwright.api.v1alpha1.common import (
    Conditions,
    DefinitionName,
    Model,
    ObjectName,
    Parameters,
    Reason,
    RetryStrategy,
    Tags,
    Text,
    Timeout,
    Timestamp,
    Word,
)
from batchwright.api.v1alpha1.consumableresource import ConsumableResourceProperties
from batchwright.api.v1alpha1.container import ContainerOverrides
from batchwright.api.v1alpha1.multinode import NodeOverrides, NodePropertiesDetail
from batchwright.api.v1alpha1.quotashare import QuotaShareName
from batchwright.api.v1alpha1.schedulingpolicy import ShareIdentifier
from batchwright.api.v1alpha1.usage import JobUsage
from batchwright.api.v1alpha1.validation import Rule, rules

JobState = Literal["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"]

# Fields that may not change once a job is submitted; terminate and cancel may be set, once each.
IMMUTABLE_REQUIRED = ("jobQueue", "jobDefinition")
IMMUTABLE_OPTIONAL = (
    "arrayProperties",
    "parameters",
    "dependsOn",
    "containerOverrides",
    "nodeOverrides",
    "retryStrategy",
    "timeout",
    "tags",
    "propagateTags",
    "shareIdentifier",
    "schedulingPriorityOverride",
    "quotaShareName",
    "consumableResourcePropertiesOverride",
    "preemptionConfiguration",
)
SET_ONCE = ("terminate", "cancel")
# Requests about elements may be added, and not changed or taken back.
APPEND_ONLY = ("terminateElements", "cancelElements")


def _unchanging() -> list[Rule]:
    listed = [_immutable(f"self.{field} == oldSelf.{field}", field) for field in IMMUTABLE_REQUIRED]
    listed += [
        _immutable(
            f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})",
            field,
        )
        for field in IMMUTABLE_OPTIONAL
    ]
    listed += [
        Rule(
            f"!has(oldSelf.{field}) || (has(self.{field}) && self.{field} == oldSelf.{field})",
            f"{field} can be set once and not taken back",
            field_path=f".{field}",
            reason="FieldValueForbidden",
        )
        for field in SET_ONCE
    ]
    listed += [
        Rule(
            f"!has(oldSelf.{field}) || (has(self.{field}) && "
            f"oldSelf.{field}.all(old, self.{field}.exists(new, new.indexes == old.indexes)))",
            f"{field} can be added to and not taken back",
            field_path=f".{field}",
            reason="FieldValueForbidden",
        )
        for field in APPEND_ONLY
    ]
    listed += [
        Rule(
            f"!has(self.{field}) || self.{field}.size() == 0 || has(self.arrayProperties)",
            f"{field} is for array jobs: give {field.removesuffix('Elements')} instead",
            field_path=f".{field}",
        )
        for field in APPEND_ONLY
    ]
    listed += [
        Rule(
            "!has(self.dependsOn) || has(self.arrayProperties) || "
            "self.dependsOn.all(needed, has(needed.name) || has(needed.jobId))",
            "SEQUENTIAL without a name or jobId orders the elements of an array: give arrayProperties",
            field_path=".dependsOn",
        ),
        Rule(
            "!has(self.nodeOverrides) || !has(self.containerOverrides)",
            "containerOverrides is for jobs of one node: give nodeOverrides.nodePropertyOverrides",
            field_path=".containerOverrides",
            reason="FieldValueForbidden",
        ),
        Rule(
            "!has(self.nodeOverrides) || !has(self.arrayProperties)",
            "an array job has no nodes: leave nodeOverrides out, or arrayProperties",
            field_path=".nodeOverrides",
            reason="FieldValueForbidden",
        ),
        Rule(
            "!has(self.quotaShareName) || !has(self.shareIdentifier)",
            "give shareIdentifier (for a queue with a schedulingPolicy) or quotaShareName (for one with quotaShares), "
            "not both",
            field_path=".quotaShareName",
            reason="FieldValueForbidden",
        ),
    ]
    return listed


def _immutable(cel: str, field: str) -> Rule:
    message = f"a BatchJob's {field} cannot change: submit a new BatchJob"
    return Rule(cel, message, field_path=f".{field}", reason="FieldValueForbidden")


DependencyType = Literal["N_TO_N", "SEQUENTIAL"]
DependencyCondition = Literal["Succeeded", "Completed", "Failed"]


class JobDependency(Model):
    """A job, or the elements of one, that must end first (AWS: JobDependency)."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "!(has(self.name) && has(self.jobId))",
                "give exactly one of name and jobId",
            ),
            Rule(
                "has(self.name) || has(self.jobId) || (has(self.type) && self.type == 'SEQUENTIAL')",
                "give exactly one of name and jobId (only type SEQUENTIAL goes without)",
            ),
        )
    )

    name: ObjectName | None = Field(
        default=None, description="name of a BatchJob of the same namespace, which need not exist yet."
    )
    job_id: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = Field(
        default=None, description="jobId (the uid) of a BatchJob of the same namespace."
    )
    type: DependencyType | None = Field(
        default=None,
        description="type: absent, the whole job; N_TO_N, each element waits for the same element of that job (of "
        "several, or one of several, where one size divides the other); SEQUENTIAL, each element of this array waits "
        "for the one before it, and with a name or jobId the first one for that job.",
    )
    condition: DependencyCondition | None = Field(
        default=None,
        description="condition of what is waited for: Succeeded (the default), Completed (it has ended, well or not) "
        "or Failed.",
    )


class Request(Model):
    """A request to end the job."""

    reason: Reason = Field(description="reason, which becomes the job's statusReason.")


class PreemptionConfiguration(Model):
    """What becomes of the job when it is preempted (AWS: ServiceJobPreemptionConfiguration)."""

    preemption_retries_before_termination: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="preemptionRetriesBeforeTermination: how often the job goes back to RUNNABLE when it is preempted, "
        "before it fails. Absent: every time.",
    )


class BatchJobSpec(Model):
    """What is submitted; immutable but for the requests to end the job or elements of it."""

    model_config = ConfigDict(json_schema_extra=rules(*_unchanging()))

    job_queue: ObjectName = Field(description="jobQueue is the name of the JobQueue the job waits in.")
    job_definition: DefinitionName = Field(
        description='jobDefinition is "name" (its latest revision when the job is first seen) or "name:revision".'
    )
    parameters: Parameters = Field(
        default_factory=dict, description="parameters for Ref::name in the command, over the definition's."
    )
    array_properties: ArrayProperties | None = Field(
        default=None, description="arrayProperties make the job an array of elements that run alike."
    )
    depends_on: Annotated[tuple[JobDependency, ...], Field(max_length=500)] = Field(
        default=(), description="dependsOn: jobs that must end before this one, or an element of it, becomes RUNNABLE."
    )
    container_overrides: ContainerOverrides | None = Field(
        default=None, description="containerOverrides: changes to the definition's main container."
    )
    node_overrides: NodeOverrides | None = Field(
        default=None, description="nodeOverrides: changes to the nodes of a multi-node definition."
    )
    retry_strategy: RetryStrategy | None = Field(
        default=None, description="retryStrategy in place of the definition's."
    )
    timeout: Timeout | None = Field(default=None, description="timeout in place of the definition's.")
    share_identifier: ShareIdentifier | None = Field(
        default=None,
        description="shareIdentifier: whose share of the queue the job uses; for a queue with a schedulingPolicy, "
        "where it must be given.",
    )
    scheduling_priority_override: int | None = Field(
        default=None,
        ge=0,
        le=9999,
        description="schedulingPriorityOverride in place of the definition's schedulingPriority.",
    )
    quota_share_name: QuotaShareName | None = Field(
        default=None,
        description="quotaShareName: the quota share the job runs in; for a queue with quotaShares, where it must be "
        "given.",
    )
    consumable_resource_properties_override: ConsumableResourceProperties | None = Field(
        default=None,
        description="consumableResourcePropertiesOverride in place of the definition's consumableResourceProperties.",
    )
    preemption_configuration: PreemptionConfiguration | None = Field(
        default=None, description="preemptionConfiguration: what becomes of the job when it is preempted."
    )
    tags: Tags = Field(default_factory=dict, description="tags, kept with the job.")
    propagate_tags: bool | None = Field(
        default=None,
        description="propagateTags copies tags to the pods as annotations; absent: as the definition says.",
    )
    terminate: Request | None = Field(
        default=None, description="terminate ends the job in any state that is not final."
    )
    cancel: Request | None = Field(
        default=None,
        description="cancel ends the job if it is SUBMITTED, PENDING or RUNNABLE; a job that has started goes on. Of "
        "an array, it ends the elements that have not started.",
    )
    terminate_elements: ElementsRequests = Field(
        default=(), description="terminateElements ends single elements of an array; the others go on."
    )
    cancel_elements: ElementsRequests = Field(
        default=(), description="cancelElements ends single elements of an array that have not started."
    )


# Those that are charged are ten at most; the rest is for those that were lost with their instances.
MAX_ATTEMPTS = 32


class AttemptContainer(Model):
    """The container of one attempt."""

    exit_code: int | None = Field(default=None, description="exitCode; absent when there was none (lost node).")
    reason: Text | None = Field(default=None, description="reason: more on how the container ended.")
    pod_name: Word | None = Field(default=None, description="podName of the attempt.")
    node_name: Word | None = Field(default=None, description="nodeName the attempt ran on.")


class Attempt(Model):
    """One finished attempt (AWS: AttemptDetail)."""

    container: AttemptContainer = Field(description="container of the attempt.")
    started_at: Timestamp | None = Field(default=None, description="startedAt: when the container started.")
    stopped_at: Timestamp | None = Field(default=None, description="stoppedAt: when it ended.")
    status_reason: Text | None = Field(default=None, description="statusReason of the attempt.")
    uncharged: bool | None = Field(
        default=None, description="uncharged: it was lost with its instance, and counts not against retryStrategy."
    )


class ResolvedDependency(Model):
    """A dependency as it was found."""

    name: ObjectName = Field(description="name of the BatchJob.")
    job_id: Word = Field(description="jobId that the name meant when it was first found.")
    state: JobState = Field(description="state it had when last looked at while waiting.")


class BatchJobStatus(Model):
    """Where the job is."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="observedGeneration is the generation of the spec this status speaks of."
    )
    state: JobState | None = Field(
        default=None,
        description="state as AWS has it: SUBMITTED, PENDING, RUNNABLE, STARTING, RUNNING, SUCCEEDED, FAILED.",
    )
    status_reason: Text | None = Field(default=None, description="statusReason: why the job is in this state.")
    job_definition: DefinitionName | None = Field(
        default=None, description='jobDefinition as "name:revision": the revision this job runs.'
    )
    compute_environment: ObjectName | None = Field(default=None, description="computeEnvironment the job was sent to.")
    job_name: Word | None = Field(default=None, description="jobName of the Kubernetes Job that runs it.")
    created_at: Timestamp | None = Field(default=None, description="createdAt: when the job was submitted.")
    started_at: Timestamp | None = Field(default=None, description="startedAt: when its last attempt started.")
    stopped_at: Timestamp | None = Field(default=None, description="stoppedAt: when it ended.")
    attempts: Annotated[tuple[Attempt, ...], Field(max_length=MAX_ATTEMPTS)] = Field(
        default=(), description="attempts that have finished, the oldest first."
    )
    depends_on: Annotated[tuple[ResolvedDependency, ...], Field(max_length=500)] = Field(
        default=(), description="dependsOn: the dependencies found so far."
    )
    array_properties: ArrayPropertiesDetail | None = Field(
        default=None, description="arrayProperties: the elements of an array job."
    )
    usage: JobUsage | None = Field(
        default=None,
        description="usage: what its attempts used, those that failed or were preempted too, and its cost.",
    )
    node_properties: NodePropertiesDetail | None = Field(
        default=None, description="nodeProperties: the nodes of a multi-node job."
    )
    preemptions: int | None = Field(
        default=None, ge=0, description="preemptions: how often the job, or an element of it, was preempted."
    )
    is_cancelled: bool | None = Field(default=None, description="isCancelled: ended by a cancel request.")
    is_terminated: bool | None = Field(default=None, description="isTerminated: ended by a terminate request.")
    conditions: Conditions = Field(
        default=(),
        description="conditions: Complete, Failed; Scheduled, False, while the job waits for room.",
    )


class BatchJob(Model):
    """A BatchJob is one submission of a JobDefinition to a JobQueue."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "!has(self.spec.dependsOn) || "
                "!self.spec.dependsOn.exists(needed, has(needed.name) && needed.name == self.metadata.name)",
                "a job cannot depend on itself: to order the elements of an array, give type SEQUENTIAL and no name",
                field_path=".spec.dependsOn",
            )
        )
    )

    spec: BatchJobSpec = Field(description="spec: what is submitted.")
    status: BatchJobStatus | None = Field(default=None, description="status: where the job is.")
