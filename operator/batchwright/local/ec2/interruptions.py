"""EC2 takes an instance back: the warning that EventBridge puts into an SQS queue, and its end two minutes later."""

from __future__ import annotations

import threading
from typing import Any

import boto3
import orjson
import structlog
from botocore.exceptions import BotoCoreError, ClientError

from batchwright.local.aws import ANY_KEY, INTERRUPTION_QUEUE

logger = structlog.get_logger(__name__)
WARNING_SECONDS = 120.0


class Interruptions:
    """Those of one endpoint; the queue is made when it is first needed."""

    def __init__(self, url: str, region: str) -> None:
        keys: dict[str, Any] = {"aws_access_key_id": ANY_KEY, "aws_secret_access_key": ANY_KEY}
        self._ec2: Any = boto3.client("ec2", endpoint_url=url, region_name=region, **keys)
        self._sqs: Any = boto3.client("sqs", endpoint_url=url, region_name=region, **keys)

    def prepare(self) -> str:
        """The URL of the queue, which is there from now on."""
        return str(self._sqs.create_queue(QueueName=INTERRUPTION_QUEUE)["QueueUrl"])

    def interrupt(self, instance: str, seconds: float = WARNING_SECONDS) -> None:
        """Warns now, and ends the instance later. Raises ClientError for an instance that does not exist."""
        self._ec2.describe_instances(InstanceIds=[instance])
        event = {
            "source": "aws.ec2",
            "detail-type": "EC2 Spot Instance Interruption Warning",
            "detail": {"instance-id": instance, "instance-action": "terminate"},
        }
        self._sqs.send_message(QueueUrl=self.prepare(), MessageBody=orjson.dumps(event).decode())
        timer = threading.Timer(seconds, self._end, [instance])
        timer.daemon = True
        timer.start()

    def _end(self, instance: str) -> None:
        try:
            self._ec2.terminate_instances(InstanceIds=[instance])
        except (ClientError, BotoCoreError) as error:
            logger.warning("interrupted instance not ended", instance=instance, error=str(error))
