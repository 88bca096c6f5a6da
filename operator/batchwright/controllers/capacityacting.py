"""Act, for capacity: cordons, the second look at a node before its instance ends."""

from __future__ import annotations

from datetime import UTC, datetime

from batchwright import names
from batchwright.capacity.fleet import Why
from batchwright.capacity.port import Instance
from batchwright.cluster import projections
from batchwright.cluster.client import ApiClient
from batchwright.cluster.resources import NODES, PODS
from batchwright.domain.actions import Notice
from batchwright.domain.texts import timestamp
from batchwright.errors import NotFound


async def cordon(api: ApiClient, node: str, why: Why, leaves_at: float | None = None) -> None:
    """Lets nothing new on the node, and notes why, and when its instance ends if that is known: the note tells our
    cordons from a person's, and what somebody warned of to the next operator."""
    note = f"{why} {timestamp(datetime.now(UTC))}"
    if leaves_at is not None:
        note += f" {timestamp(datetime.fromtimestamp(leaves_at, UTC))}"
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


async def is_really_empty(api: ApiClient, node: str, *, but_for_ours: bool = False) -> bool:
    """Whether the API server itself knows of no pod on the node but daemons (and, if so asked, pods of ours): the watch
    may lag behind it."""
    if not node:
        return True
    fields = f"spec.nodeName={node},status.phase!=Succeeded,status.phase!=Failed"
    found = await api.list_all(PODS, fields=fields)
    return all(
        projections.occupant(item).is_daemon
        or (but_for_ours and names.LABEL_JOB_ID in (item["metadata"].get("labels") or {}))
        for item in found
    )


def ended_early(instance: Instance) -> Notice:
    """Said of an instance that ended by itself before it was a node."""
    why = f": {instance.reason}" if instance.reason else ""
    text = f"Instance {instance.id} ({instance.type}) ended by itself before it was a node{why}"
    return Notice("Ended", text, warning=True)


def kept_for_others(node: str) -> Notice:
    """Said of a node that would go."""
    text = f"Node {node} is to go and stays, because pods run there that are not Batchwright's: delete or move them"
    return Notice("KeptForOthers", text, warning=True)
