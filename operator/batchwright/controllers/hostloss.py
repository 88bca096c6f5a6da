"""Act, for what runs on instances that end: its pods are told lost, so that its jobs wait again.

A pod that is lost with its instance gets one of two marks. Whether it costs an attempt is decided then, by the job's
rules: where a rule of evaluateOnExit matches `Host EC2 (instance …) terminated.` it does, as in AWS Batch; where none
does, the first rule of the podFailurePolicy ignores the failure (docs/adr/0015). What ran on a node that ceased to
answer is charged always: it may be what broke the node, and would buy one instance after the other.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from batchwright import names
from batchwright.capacity.fleet import Seen
from batchwright.cluster import projections
from batchwright.cluster.client import JSON, STRATEGIC_PATCH, ApiClient
from batchwright.cluster.events import EventRecorder, Subject
from batchwright.cluster.resources import BATCH_JOBS, NODES, PODS
from batchwright.controllers.store import Store
from batchwright.domain.actions import Notice
from batchwright.domain.reasons import host_terminated
from batchwright.domain.retry import Outcome, is_decided
from batchwright.domain.texts import timestamp
from batchwright.errors import NotFound


class HostLoss:
    """Tells pods of ours that their host ends, or has ended."""

    def __init__(self, api: ApiClient, store: Store, events: EventRecorder) -> None:
        self._api, self._store, self._events = api, store, events

    async def end_node(self, node: str, instance: str, *, is_guilty: bool = False) -> None:
        """Deletes the Node of an instance that has ended. Its pods of ours are told lost first, as Kubernetes' pod
        garbage collector does, which waits for forty seconds before it believes that a node is gone (pod-gc,
        quarantine). `is_guilty`: an attempt is charged, whatever the rules say."""
        await self._tell(node, instance, f"The instance of node {node} has ended", has_ended=True, is_guilty=is_guilty)
        try:
            await self._api.delete(NODES, None, node)
        except NotFound:
            return

    async def drain(self, seen: Seen, why: str) -> None:
        """Marks the pods of ours on a node whose instance is about to end: who sees the mark notes the attempt, and
        deletes the pod with its grace period (docs/adr/0007)."""
        await self._tell(seen.node, seen.instance.id, f"Instance {seen.instance.id}: {why}", has_ended=False)

    async def _tell(self, node: str, instance: str, message: str, *, has_ended: bool, is_guilty: bool = False) -> None:
        fields = f"spec.nodeName={node},status.phase!=Succeeded,status.phase!=Failed"
        told: Counter[str] = Counter()
        for pod in await self._api.list_all(PODS, labels=names.LABEL_JOB_ID, fields=fields):
            is_told = projections.pod(pod).mark is not None
            if is_told and not has_ended:
                continue
            job = pod["metadata"]["labels"][names.LABEL_JOB_ID]
            charged = is_guilty or self._is_charged(job, Outcome(None, message, host_terminated(instance)))
            # What was marked before ends as that says.
            mark = None if is_told else names.POD_CONDITION_HOST_CHARGED if charged else names.POD_CONDITION_HOST_ENDED
            if await self._mark(pod, mark, message, has_ended=has_ended):
                told[job] += not is_told
        for job, count in told.items():
            await self._post(job, instance, count)

    def _is_charged(self, job: str, ended: Outcome) -> bool:
        entry = self._store.entries.get(job)
        return entry is not None and entry.pinned is not None and is_decided(entry.pinned.rules.evaluate_on_exit, ended)

    async def _mark(self, pod: JSON, mark: str | None, message: str, *, has_ended: bool) -> bool:
        """Whether it was there to be told."""
        status: JSON = {"phase": "Failed"} if has_ended else {}
        if mark is not None:
            condition = {
                "type": mark,
                "status": "True",
                "reason": "InstanceTerminated",
                "message": message,
                "lastTransitionTime": timestamp(datetime.now(UTC)),
            }
            status["conditions"] = [condition]
        metadata = pod["metadata"]
        try:
            await self._api.patch(
                PODS,
                metadata["namespace"],
                metadata["name"],
                {"metadata": {"uid": metadata["uid"]}, "status": status},
                subresource="status",
                content_type=STRATEGIC_PATCH,
                answer=False,
            )
        except NotFound:
            return False
        return True

    async def _post(self, uid: str, instance: str, count: int) -> None:
        entry = self._store.entries.get(uid)
        if entry is None or not count:
            return
        job = entry.job
        text = f"{host_terminated(instance)} {count} of its pods ran there"
        subject = Subject(BATCH_JOBS, job.namespace, job.name, job.uid)
        await self._events.post(subject, Notice("HostTerminated", text, warning=True))
