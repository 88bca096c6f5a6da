"""Spot interruptions, rebalance recommendations, state changes and maintenance: EventBridge events from an SQS queue.

A message is deleted when it has been acted upon, or when it is none that anybody could act upon; notices get lost, so
instance states and nodes are looked at too. Of AWS Health only scheduled changes of instances count: an issue that is
there already shows in the nodes, and what has been closed is over (AWS Health User Guide, EventBridge schema).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson
import structlog

from batchwright.capacity.ec2.client import JSON, Aws
from batchwright.capacity.port import Warned

logger = structlog.get_logger(__name__)
MOST = 10
ROUNDS = 10
VISIBILITY_SECONDS = 20
EXCERPT = 200
INTERRUPTION_SECONDS = 120.0
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
        dropped: list[str] = []
        for _ in range(ROUNDS):
            answer = await self._aws.call(
                "receive_message",
                QueueUrl=await self._where(),
                MaxNumberOfMessages=MOST,
                VisibilityTimeout=VISIBILITY_SECONDS,
            )
            messages = answer.get("Messages", [])
            for message in messages:
                try:
                    warned = parse(message)
                except ValueError as error:
                    said = str(message.get("Body"))[:EXCERPT]
                    logger.warning("message that is no event, dropped", error=str(error), message=said)
                    warned = []
                found += warned
                if not warned:
                    dropped.append(message["ReceiptHandle"])
            if len(messages) < MOST:
                break
        if dropped:
            logger.info("messages that ask for nothing, dropped", count=len(dropped))
            await self._delete(dropped)
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
    """The instances that a message is about; none for an event that asks for nothing. Raises ValueError for what is no
    event."""
    event = orjson.loads(message.get("Body") or "")
    if not isinstance(event, dict) or not isinstance(event.get("detail"), dict):
        raise ValueError("an object with detail-type and detail is expected, as EventBridge sends it")
    kind, detail = _KINDS.get(str(event.get("detail-type"))), event["detail"]
    sent = _time(event.get("time"))
    ids, leaves_at = [detail.get("instance-id")], None
    if kind == "SPOT_INTERRUPTION":
        leaves_at = None if sent is None else sent + INTERRUPTION_SECONDS
    elif kind == "STATE_CHANGE":
        ids = ids if detail.get("state") in _ENDING else []
        leaves_at = sent
    elif kind == "MAINTENANCE":
        ids, leaves_at = _affected(detail), _time(detail.get("startTime"))
    if kind is None:
        return []
    named = [each for each in ids if isinstance(each, str) and each.startswith("i-")]
    return [Warned(each, kind, message["ReceiptHandle"], leaves_at) for each in named]


def _affected(detail: JSON) -> list[Any]:
    """The instances of a change that AWS Health has scheduled."""
    if detail.get("service") != "EC2" or detail.get("eventTypeCategory") != "scheduledChange":
        return []
    entities = detail.get("affectedEntities")
    if detail.get("statusCode") == "closed" or not isinstance(entities, list):
        return []
    return [each.get("entityValue") for each in entities if isinstance(each, dict)]


def _time(text: object) -> float | None:
    """Seconds since the epoch; EventBridge writes ISO 8601, AWS Health as in mails."""
    if not isinstance(text, str):
        return None
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            found = read(text)
        except ValueError:
            continue
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    return None
