"""Texts of AWS Batch that clients match, letter by letter (AWS Batch User Guide: job states, job retries).

The attempt's `statusReason`: the first four. The container's `reason`: the other ones.
"""

from __future__ import annotations

from typing import Final

ESSENTIAL_CONTAINER_EXITED: Final = "Essential container in task exited"
ATTEMPT_TIMED_OUT: Final = "Job attempt duration exceeded timeout"
TASK_FAILED_TO_START: Final = "Task failed to start"
DEPENDENT_JOB_FAILED: Final = "Dependent Job failed"
# Ours: condition Failed asked for a failure that did not come.
DEPENDENT_JOB_SUCCEEDED: Final = "Dependent Job succeeded"
ARRAY_CHILD_FAILED: Final = "Array Child Job failed"

# Ours: failurePolicy AnyNode.
NODE_FAILED_PREFIX: Final = "Node "
HOST_TERMINATED_PREFIX: Final = "Host EC2 (instance "
# What the reasons of attempts begin with; all others are those of requests and dependencies.
OF_ATTEMPTS: Final = (ESSENTIAL_CONTAINER_EXITED, ATTEMPT_TIMED_OUT, TASK_FAILED_TO_START, HOST_TERMINATED_PREFIX)

OUT_OF_MEMORY: Final = "OutOfMemoryError: Container killed due to memory usage"
CANNOT_PULL_PREFIX: Final = "CannotPullContainerError: "
CANNOT_START_PREFIX: Final = "CannotStartContainerError: "


def host_terminated(instance: str) -> str:
    """statusReason of an attempt whose node was lost; `instance` is the EC2 instance id, or the node's name."""
    return f"{HOST_TERMINATED_PREFIX}{instance}) terminated."


def cannot_pull(message: str) -> str:
    """Container reason when the image cannot be had; `message` is the kubelet's."""
    return f"{CANNOT_PULL_PREFIX}{message}"


def cannot_start(message: str) -> str:
    """Container reason when the container cannot be made or started; `message` is the kubelet's."""
    return f"{CANNOT_START_PREFIX}{message}"
