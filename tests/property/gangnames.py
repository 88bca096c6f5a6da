"""The names of a simulated cluster's multi-node jobs: the EndpointSlices that the operator writes."""

from __future__ import annotations

from collections.abc import Iterable

from batchwright import names
from batchwright.cluster.client import JSON
from batchwright.errors import NotFound
from property.gangpods import is_over


class Names:
    """What leads where, by the name of the slice and that of the pod."""

    def __init__(self) -> None:
        self.slices: dict[str, dict[str, str]] = {}

    def create(self, body: JSON) -> None:
        """As the API server takes it."""
        metadata = body["metadata"]
        assert metadata["labels"]["kubernetes.io/service-name"] == metadata["name"]
        self.slices[metadata["name"]] = _addresses(body)

    def patch(self, name: str, body: JSON) -> None:
        """The names lead elsewhere, or nowhere."""
        if name not in self.slices:
            raise NotFound("it is gone", 404)
        self.slices[name] = _addresses(body)

    def check(self, job_id: str, status: JSON, pods: Iterable[JSON]) -> None:
        """Who is told that all nodes of the job run finds them by their names."""
        if status.get("state") != "RUNNING" or "statusReason" in status:
            return
        own = [pod for pod in pods if pod["metadata"]["labels"][names.LABEL_JOB_ID] == job_id]
        alive = [pod for pod in own if not is_over(pod) and "startTime" in pod["status"]]
        mains = {
            pod["metadata"]["uid"]
            for pod in alive
            if names.LABEL_MAIN_POD not in pod["metadata"]["labels"] and _began(pod) == status.get("startedAt")
        }
        for pod in alive:
            metadata = pod["metadata"]
            if metadata["labels"].get(names.LABEL_MAIN_POD, metadata["uid"]) in mains:
                published = self.slices[pod["spec"]["subdomain"]]
                assert published[metadata["name"]] == pod["status"]["podIP"]


def _addresses(body: JSON) -> dict[str, str]:
    return {each["targetRef"]["name"]: address for each in body["endpoints"] for address in each["addresses"]}


def _began(pod: JSON) -> str:
    """When its container began."""
    return str(pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"])
