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


def array(name: str = "sim", *, size: int | None = 10, spec: JSON | None = None, **status: Any) -> JSON:
    """An array; `counts`, `succeeded`, `failed` and `failures` make its status.arrayProperties."""
    made = job(name)
    given = dict(spec or {})
    sized = {} if size is None else {"size": size}
    made["spec"] |= given | {"arrayProperties": sized | given.get("arrayProperties", {})}
    counts, succeeded, failed = (status.pop(key, None) for key in ("counts", "succeeded", "failed"))
    detail = {
        "statusSummary": counts,
        "succeededIndexes": succeeded,
        "failedIndexes": failed,
        "failures": status.pop("failures", None),
    }
    detail = {key: value for key, value in detail.items() if value is not None}
    if status or detail:
        made["status"] = status | {"arrayProperties": sized | detail}
    return made


def element_pod(position: int, *, gated: bool = False, exit_code: int | None = None, **facts: Any) -> JSON:
    """A pod of an array's element at `position`; with an exit code it has ended, and ran for a minute on node n1."""
    if exit_code is not None:
        facts |= {"phase": "Failed" if exit_code else "Succeeded", "state": "terminated"}
    made = pod(f"sim-{position}-{facts.get('failures', 0)}", **facts)
    made["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] = str(position)
    made["spec"]["nodeName"] = "n1"
    if gated:
        made["spec"]["schedulingGates"] = [{"name": "batchwright.io/admission"}]
    state = made["status"]["containerStatuses"][0]["state"]
    if "running" in state:
        state["running"] = {"startedAt": "2026-01-01T11:00:00Z"}
    if exit_code is not None:
        times = {"startedAt": "2026-01-01T11:00:00Z", "finishedAt": "2026-01-01T11:01:00Z"}
        state["terminated"] |= {"exitCode": exit_code, "reason": "Error" if exit_code else "Completed"} | times
    return made


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
