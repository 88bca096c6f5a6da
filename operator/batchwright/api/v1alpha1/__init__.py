"""Version v1alpha1 of the kinds. Field names and enum values are AWS Batch's wherever AWS has one."""

from batchwright.api.v1alpha1.batchjob import BatchJob, BatchJobSpec, BatchJobStatus
from batchwright.api.v1alpha1.computeenvironment import ComputeEnvironment, ComputeEnvironmentSpec
from batchwright.api.v1alpha1.consumableresource import ConsumableResource, ConsumableResourceSpec
from batchwright.api.v1alpha1.jobdefinition import JobDefinition, JobDefinitionSpec
from batchwright.api.v1alpha1.jobqueue import JobQueue, JobQueueSpec
from batchwright.api.v1alpha1.schedulingpolicy import SchedulingPolicy, SchedulingPolicySpec

__all__ = [
    "BatchJob",
    "BatchJobSpec",
    "BatchJobStatus",
    "ComputeEnvironment",
    "ComputeEnvironmentSpec",
    "ConsumableResource",
    "ConsumableResourceSpec",
    "JobDefinition",
    "JobDefinitionSpec",
    "JobQueue",
    "JobQueueSpec",
    "SchedulingPolicy",
    "SchedulingPolicySpec",
]
