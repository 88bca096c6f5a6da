"""Pods of a simulated cluster (`gangcluster`) as on the wire, and how kube-scheduler binds those of a PodGroup."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any

import builders as b
from batchwright import names
from batchwright.cluster.client import JSON
from batchwright.domain.texts import timestamp

CPU = 1000
NAMESPACE = "default"


def pod_of(job: JSON, number: int, now: float) -> JSON:
    """The pod that the Job controller makes for an Indexed Job of one completion."""
    template = copy_of(job["spec"]["template"])
    metadata = template["metadata"] | {
        "name": f"{job['metadata']['name']}-0-{number:05d}",
        "namespace": NAMESPACE,
        "uid": f"Pod-{number}",
        "creationTimestamp": timestamp(b.at(now)),
        "ownerReferences": [
            {"apiVersion": "batch/v1", "kind": "Job", "controller": True, "uid": job["metadata"]["uid"]}
        ],
    }
    metadata.setdefault("annotations", {})
    metadata["annotations"] |= {names.POD_INDEX: "0", names.POD_FAILURE_COUNT: str(job["status"].get("failed", 0))}
    return {"metadata": metadata, "spec": template["spec"], "status": {"phase": "Pending"}}


def is_over(pod: JSON) -> bool:
    return pod["status"]["phase"] in ("Succeeded", "Failed")


def owner_of(pod: JSON) -> str:
    return str(pod["metadata"]["ownerReferences"][0]["uid"])


def cpu_of(pod: JSON) -> int:
    return CPU * int(pod["spec"]["containers"][0]["resources"]["requests"]["cpu"])


def begun(now: float, *, is_ready: bool) -> JSON:
    """The status of a pod that runs; one with a probe becomes ready later."""
    at = timestamp(b.at(now))
    container = {"name": "main", "state": {"running": {"startedAt": at}}, "ready": is_ready}
    return {"phase": "Running", "podIP": "10.0.0.1", "startTime": at, "containerStatuses": [container]}


def is_ready(pod: JSON) -> bool:
    """Whether the probe of a pod that runs has passed."""
    return bool(pod["status"]["containerStatuses"][0]["ready"])


def ended(code: int, now: float) -> JSON:
    at = timestamp(b.at(now))
    given = {"exitCode": code, "reason": "Error" if code else "Completed", "startedAt": at, "finishedAt": at}
    return {
        "containerStatuses": [{"name": "main", "state": {"terminated": given | {"startedAt": timestamp(b.at(now))}}}]
    }


def copy_of(item: Any) -> Any:
    """Deep, of what JSON has."""
    if isinstance(item, dict):
        return {key: copy_of(value) for key, value in item.items()}
    return [copy_of(value) for value in item] if isinstance(item, list | tuple) else item


def machine_of(pod: JSON) -> str:
    """The machine that the pod is pinned to."""
    terms = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    [machine] = terms["nodeSelectorTerms"][0]["matchFields"][0]["values"]
    return str(machine)


def group_of(pod: JSON) -> str:
    """The name of the PodGroup that the pod is of, empty for none."""
    named = pod["spec"].get("schedulingGroup")
    return "" if named is None else str(named["podGroupName"])


def is_of_its_group(made: JSON, siblings: Sequence[JSON]) -> bool:
    """Whether of nodes that belong together, and none of which is bound, all are in one group or none is."""
    are_bound = any("nodeName" in pod["spec"] for pod in siblings)
    return are_bound or all(group_of(pod) == group_of(made) for pod in siblings)


def bound_together(group: JSON, pods: Iterable[JSON], machines: Container[str]) -> list[JSON]:
    """The pods of the group that are bound now: all that wait, if they and those that are bound and have not ended are
    as many as the group wants, and there is a machine for each."""
    alive = [pod for pod in pods if group_of(pod) == group["metadata"]["name"] and not is_over(pod)]
    waiting = [pod for pod in alive if "nodeName" not in pod["spec"]]
    if len(alive) < group["spec"]["schedulingPolicy"]["gang"]["minCount"]:
        return []
    fit = all("deletionTimestamp" not in pod["metadata"] and machine_of(pod) in machines for pod in waiting)
    return waiting if fit else []
