"""What is known of a job that did not end: its Kubernetes Job, its pods, and the operator's last words about it."""

from __future__ import annotations

from typing import Any

from batchwright.names import LABEL_JOB_ID
from chaos.ground import Ground
from chaos.logrecords import records

LAST_WORDS = 6


def circumstances(ground: Ground, name: str, log: str) -> str:
    """A line for whoever has to find out why."""
    found = ground.api.find("BatchJob", name, ground.namespace)
    if found is None:
        return "its BatchJob is gone"
    of_job = {"labelSelector": f"{LABEL_JOB_ID}={found['metadata']['uid']}"}
    works = [_work(each) for each in ground.api.list("Job", ground.namespace, **of_job)]
    pods = [_pod(each) for each in ground.api.list("Pod", ground.namespace, **of_job)]
    words = [_short(record) for record in records(log) if record.get("name") == name and _is_here(ground, record)]
    return f"spec {_wishes(found['spec'])}, Jobs {works}, pods {pods}, log {words[-LAST_WORDS:]}"


def _wishes(spec: dict[str, Any]) -> dict[str, Any]:
    return {key: spec[key] for key in ("cancel", "terminate", "dependsOn", "arrayProperties") if key in spec}


def _work(job: dict[str, Any]) -> dict[str, Any]:
    told = ("activeDeadlineSeconds", "suspend", "parallelism", "completions")
    metadata, status = job["metadata"], job.get("status", {})
    return {
        **{key: job["spec"][key] for key in told if key in job["spec"]},
        **{key: status[key] for key in ("startTime", "active", "failed", "succeeded", "terminating") if key in status},
        "conditions": [each["type"] for each in status.get("conditions", ()) if each["status"] == "True"],
        "deleted": metadata.get("deletionTimestamp"),
        "writers": [
            (each["manager"], each.get("subresource", ""), each["time"]) for each in metadata.get("managedFields", ())
        ],
    }


def _pod(pod: dict[str, Any]) -> dict[str, Any]:
    metadata, status = pod["metadata"], pod.get("status", {})
    return {
        "name": metadata["name"],
        "phase": status.get("phase"),
        "node": pod["spec"].get("nodeName"),
        "deleted": metadata.get("deletionTimestamp"),
        "finalizers": metadata.get("finalizers", []),
    }


def _is_here(ground: Ground, record: dict[str, Any]) -> bool:
    return record.get("namespace") in (None, ground.namespace)


def _short(record: dict[str, Any]) -> str:
    said = {key: value for key, value in record.items() if key not in ("namespace", "name", "logger", "job_id")}
    return str(said)[:300]
