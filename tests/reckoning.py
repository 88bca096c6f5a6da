"""What a job cost, reckoned from outside: from its pods as the API server shows them, and their nodes' prices."""

from __future__ import annotations

from datetime import datetime

from apiserver import Manifest
from batchwright.domain.quantities import parse_cpu_milli
from batchwright.names import ANNOTATION_PRICE
from stage import Stage


def reckoned(scene: Stage, job_id: str, vcpus: float) -> tuple[float, float]:
    """The vCPU-seconds and the cost of all pods of a job, of which each asks so many vCPUs."""
    nodes = {each["metadata"]["name"]: each for each in scene.api.list("Node")}
    seconds = cost = 0.0
    for pod in scene.pods(job_id):
        took = lasted(pod)
        node = nodes[pod["spec"]["nodeName"]]
        price = float(node["metadata"]["annotations"][ANNOTATION_PRICE])
        part = 1000 * vcpus / parse_cpu_milli(node["status"]["allocatable"]["cpu"])
        seconds += vcpus * took
        cost += price / 3600 * part * took
    return seconds, cost


def lasted(pod: Manifest) -> float:
    """The seconds from when the kubelet took it until its container ended."""
    status = pod["status"]
    ended = status["containerStatuses"][0]["state"]["terminated"]["finishedAt"]
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(status["startTime"])).total_seconds()
