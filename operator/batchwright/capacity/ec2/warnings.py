"""Spot interruptions, rebalance recommendations, state changes and maintenance: EventBridge events from an SQS queue.

A message is deleted when it has been acted upon, or when it is none that anybody could act upon; notices get lost, so
instance states and nodes are looked at too.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import orjson
import structlog

from batchwright.capacity.ec2.client import JSON, Aws
from batchwright.capacity.port import Warned

logger = structlog.get_logger(__name__)
MOST = 10
ROUNDS = 10
VISIBILITY_SECONDS = 20
_KINDS: dict[str, Any] = {
    "EC2 Spot Instance Interruption Warning": "SPOT_INTERRUPTION",
    "EC2 Instance Rebalance Recommendation": "REBALANCE",
    "EC2 Instance State-change Notification": "STATE_CHANGE",
    "AWS Health Event": "MAINTENANCE",
}
_ENDING = {"shutting-down", "terminated", "stopping", "stopped"}


class Warnings:
    """The queue of that name or URL."""

    def __init__(self, queue: str, aws: Aws | None = None) -> None:
        self._queue = queue
        self._aws = aws or Aws("sqs")
        self._url = queue if queue.startswith(("http://", "https://")) else ""

    async def read(self) -> tuple[Warned, ...]:
        """What is in the queue; junk is dropped. Raises CapacityError."""
        found: list[Warned] = []
        junk: list[str] = []
        for _ in range(ROUNDS):
            answer = await self._aws.call(
                "receive_message",
                QueueUrl=await self._where(),
                MaxNumberOfMessages=MOST,
                VisibilityTimeout=VISIBILITY_SECONDS,
            )
            messages = answer.get("Messages", [])
            for message in messages:
                warned = parse(message)
                found += warned
                if not warned:
                    junk.append(message["ReceiptHandle"])
            if len(messages) < MOST:
                break
        if junk:
            logger.info("messages that concern no instance", count=len(junk))
            await self._delete(junk)
        return tuple(found)

    async def delete(self, handled: Collection[Warned]) -> None:
        """These have been acted upon."""
        await self._delete(sorted({each.handle for each in handled if each.handle}))

    async def _delete(self, handles: list[str]) -> None:
        for begin in range(0, len(handles), MOST):
            entries = [
                {"Id": str(number), "ReceiptHandle": handle}
                for number, handle in enumerate(handles[begin : begin + MOST])
            ]
            await self._aws.call("delete_message_batch", QueueUrl=await self._where(), Entries=entries)

    async def _where(self) -> str:
        if not self._url:
            self._url = (await self._aws.call("get_queue_url", QueueName=self._queue))["QueueUrl"]
        return self._url


def parse(message: JSON) -> list[Warned]:
    """The instances that a message is about; none for what is no event of these kinds."""
    try:
        event = orjson.loads(message.get("Body") or "")
    except orjson.JSONDecodeError:
        return []
    if not isinstance(event, dict) or event.get("detail-type") not in _KINDS:
        return []
    kind, detail = _KINDS[event["detail-type"]], event.get("detail")
    if not isinstance(detail, dict) or (kind == "STATE_CHANGE" and detail.get("state") not in _ENDING):
        return []
    ids = [detail.get("instance-id")]
    if kind == "MAINTENANCE":
        entities = detail.get("affectedEntities")
        ids = (
            [each.get("entityValue") for each in entities if isinstance(each, dict)]
            if isinstance(entities, list)
            else []
        )
    return [Warned(each, kind, message["ReceiptHandle"]) for each in ids if isinstance(each, str) and each[:2] == "i-"]
