"""Act, for capacity: cordons, the second look at a node before its instance ends, the Node objects of those gone."""

from __future__ import annotations

from datetime import UTC, datetime

from batchwright import names
from batchwright.capacity.fleet import Seen, Why
from batchwright.cluster import projections
from batchwright.cluster.client import STRATEGIC_PATCH, ApiClient
from batchwright.cluster.resources import NODES, PODS
from batchwright.domain.texts import timestamp
from batchwright.errors import NotFound


async def cordon(api: ApiClient, node: str, why: Why) -> None:
    """Lets nothing new on the node, and notes why: the note tells our cordons from a person's."""
    note = f"{why} {timestamp(datetime.now(UTC))}"
    body = {"metadata": {"annotations": {names.ANNOTATION_CORDONED: note}}, "spec": {"unschedulable": True}}
    try:
        await api.patch(NODES, None, node, body, answer=False)
    except NotFound:
        return


async def uncordon(api: ApiClient, node: str) -> None:
    """Takes our cordon back."""
    body = {"metadata": {"annotations": {names.ANNOTATION_CORDONED: None}}, "spec": {"unschedulable": None}}
    try:
        await api.patch(NODES, None, node, body, answer=False)
    except NotFound:
        return


async def label(api: ApiClient, node: str, labels: dict[str, str]) -> None:
    """Gives a node the labels that its kubelet did not bring along."""
    try:
        await api.patch(NODES, None, node, {"metadata": {"labels": labels}}, answer=False)
    except NotFound:
        return


async def is_really_empty(api: ApiClient, seen: Seen) -> bool:
    """Whether the API server itself knows of no pod on the node but daemons: the watch may lag behind it."""
    if not seen.node:
        return True
    fields = f"spec.nodeName={seen.node},status.phase!=Succeeded,status.phase!=Failed"
    found = await api.list_all(PODS, fields=fields)
    return all(projections.occupant(item).is_daemon for item in found)


async def delete_node(api: ApiClient, node: str) -> None:
    """Deletes the Node of an instance that has ended. Its pods of ours are told lost first, as Kubernetes' pod garbage
    collector does, which waits for forty seconds before it believes that a node is gone (pod-gc, quarantine)."""
    fields = f"spec.nodeName={node},status.phase!=Succeeded,status.phase!=Failed"
    for item in await api.list_all(PODS, labels=names.LABEL_JOB_ID, fields=fields):
        await _lose(api, item["metadata"]["namespace"], item["metadata"]["name"], node)
    try:
        await api.delete(NODES, None, node)
    except NotFound:
        return


async def _lose(api: ApiClient, namespace: str, pod: str, node: str) -> None:
    condition = {
        "type": names.POD_CONDITION_DISRUPTED,
        "status": "True",
        "reason": "InstanceTerminated",
        "message": f"The instance of node {node} has ended",
        "lastTransitionTime": timestamp(datetime.now(UTC)),
    }
    status = {"phase": "Failed", "conditions": [condition]}
    try:
        await api.patch(
            PODS,
            namespace,
            pod,
            {"status": status},
            subresource="status",
            content_type=STRATEGIC_PATCH,
            answer=False,
        )
    except NotFound:
        return
