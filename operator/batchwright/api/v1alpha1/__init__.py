"""Version v1alpha1 of the kinds. Field names and enum values are AWS Batch's wherever AWS has one."""

from batchwright.api.v1alpha1.batchjob import BatchJob, BatchJobSpec, BatchJobStatus
from batchwright.api.v1alpha1.computeenvironment import ComputeEnvironment, ComputeEnvironmentSpec
from batchwright.api.v1alpha1.jobdefinition import JobDefinition, JobDefinitionSpec
from batchwright.api.v1alpha1.jobqueue import JobQueue, JobQueueSpec

__all__ = [
    "BatchJob",
    "BatchJobSpec",
    "BatchJobStatus",
    "ComputeEnvironment",
    "ComputeEnvironmentSpec",
    "JobDefinition",
    "JobDefinitionSpec",
    "JobQueue",
    "JobQueueSpec",
]
