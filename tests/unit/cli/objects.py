"""Objects as the API server returns them, for the tests of the command line."""

from __future__ import annotations

from typing import Any

JSON = dict[str, Any]
DEFAULT_UID = "00000000-0000-0000-0000-{:012d}"


def job(name: str = "sim", *, number: int = 1, made: str = "2026-01-01T00:00:00Z", **status: object) -> JSON:
    """A BatchJob; `number` makes its uid, keyword arguments its status."""
    return {
        "metadata": {
            "name": name,
            "namespace": "lab",
            "uid": DEFAULT_UID.format(number),
            "resourceVersion": str(number),
            "creationTimestamp": made,
        },
        "spec": {"jobQueue": "normal", "jobDefinition": "hello"},
        **({"status": status} if status else {}),
    }


def pod(name: str, *, failures: int = 0, phase: str = "Running", state: str = "running", number: int = 1) -> JSON:
    """A pod of the job; `state` is that of its container: waiting, running or terminated (after it ran)."""
    detail = {"containerID": "containerd://1"} if state == "terminated" else {}
    return {
        "metadata": {
            "name": name,
            "namespace": "lab",
            "uid": f"pod-{name}",
            "resourceVersion": str(number),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {"batch.kubernetes.io/job-index-failure-count": str(failures)},
        },
        "spec": {"containers": [{"name": "main"}]},
        "status": {"phase": phase, "containerStatuses": [{"name": "main", "state": {state: detail}}]},
    }
