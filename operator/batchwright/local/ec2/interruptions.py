"""EC2 takes an instance back: what EventBridge puts into an SQS queue before, and its end.

An event says when it was sent, and the instance ends two minutes after that: where less time is asked for, it comes
late, as events do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import boto3
import orjson
import structlog
from botocore.exceptions import BotoCoreError, ClientError

from batchwright.local.aws import ANY_KEY, INTERRUPTION_QUEUE

logger = structlog.get_logger(__name__)
WARNING_SECONDS = 120.0
INTERRUPTION, REBALANCE, MAINTENANCE, SILENT = "INTERRUPTION", "REBALANCE", "MAINTENANCE", "SILENT"
JSON = dict[str, Any]


class Interruptions:
    """Those of one endpoint; the queue is made when it is first needed."""

    def __init__(self, url: str, region: str) -> None:
        keys: dict[str, Any] = {"aws_access_key_id": ANY_KEY, "aws_secret_access_key": ANY_KEY}
        self._ec2: Any = boto3.client("ec2", endpoint_url=url, region_name=region, **keys)
        self._sqs: Any = boto3.client("sqs", endpoint_url=url, region_name=region, **keys)

    def prepare(self) -> str:
        """The URL of the queue, which is there from now on."""
        return str(self._sqs.create_queue(QueueName=INTERRUPTION_QUEUE)["QueueUrl"])

    def interrupt(self, instance: str, seconds: float = WARNING_SECONDS, how: str = INTERRUPTION) -> None:
        """Warns now, and ends the instance later; a REBALANCE ends nothing, and what is SILENT warns of nothing. Raises
        ClientError for an instance that does not exist, KeyError for a way that is none."""
        self._ec2.describe_instances(InstanceIds=[instance])
        event = _EVENTS[how](instance, datetime.now(UTC) + timedelta(seconds=seconds))
        if event is not None:
            self._sqs.send_message(QueueUrl=self.prepare(), MessageBody=orjson.dumps(event).decode())
        if how == REBALANCE:
            return
        timer = threading.Timer(seconds, self._end, [instance])
        timer.daemon = True
        timer.start()

    def _end(self, instance: str) -> None:
        try:
            self._ec2.terminate_instances(InstanceIds=[instance])
        except (ClientError, BotoCoreError) as error:
            logger.warning("interrupted instance not ended", instance=instance, error=str(error))


def _interruption(instance: str, ends_at: datetime) -> JSON:
    return {
        "source": "aws.ec2",
        "detail-type": "EC2 Spot Instance Interruption Warning",
        "time": (ends_at - timedelta(seconds=WARNING_SECONDS)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "detail": {"instance-id": instance, "instance-action": "terminate"},
    }


def _rebalance(instance: str, _: datetime) -> JSON:
    return {
        "source": "aws.ec2",
        "detail-type": "EC2 Instance Rebalance Recommendation",
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "detail": {"instance-id": instance},
    }


def _maintenance(instance: str, ends_at: datetime) -> JSON:
    return {
        "source": "aws.health",
        "detail-type": "AWS Health Event",
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "detail": {
            "service": "EC2",
            "eventTypeCode": "AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED",
            "eventTypeCategory": "scheduledChange",
            "statusCode": "upcoming",
            "startTime": format_datetime(ends_at, usegmt=True),
            "affectedEntities": [{"entityValue": instance}],
        },
    }


_EVENTS: dict[str, Callable[[str, datetime], JSON | None]] = {
    INTERRUPTION: _interruption,
    REBALANCE: _rebalance,
    MAINTENANCE: _maintenance,
    SILENT: lambda *_: None,
}
