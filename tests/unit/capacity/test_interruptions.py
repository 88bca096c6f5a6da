"""What the embedded endpoint says of instances that go is what the operator reads: both ends of the SQS queue."""

from __future__ import annotations

import time

import pytest

from awsserver import REGION, Network
from batchwright.capacity.ec2.client import Aws
from batchwright.capacity.ec2.warnings import Warnings
from batchwright.local.aws import INTERRUPTION_QUEUE
from batchwright.local.ec2.interruptions import Interruptions


@pytest.fixture(scope="module")
def instance(network: Network) -> str:
    answer = network.client().run_instances(ImageId=network.image, MinCount=1, MaxCount=1, InstanceType="m5.large")
    return str(answer["Instances"][0]["InstanceId"])


@pytest.mark.parametrize(
    ("how", "kind", "seconds"),
    [
        pytest.param("INTERRUPTION", "SPOT_INTERRUPTION", 600.0, id="interruption"),
        pytest.param("REBALANCE", "REBALANCE", None, id="rebalance"),
        pytest.param("MAINTENANCE", "MAINTENANCE", 600.0, id="maintenance"),
        pytest.param("SILENT", None, None, id="a notice that is lost"),
    ],
)
async def test_what_is_said_is_what_is_read(
    network: Network, instance: str, how: str, kind: str | None, seconds: float | None
) -> None:
    interruptions = Interruptions(network.url, REGION)
    interruptions.prepare()
    warnings = Warnings(INTERRUPTION_QUEUE, Aws("sqs"))
    interruptions.interrupt(instance, 600.0, how)
    found = await warnings.read()
    assert [(each.instance, each.kind) for each in found] == ([(instance, kind)] if kind else [])
    for each in found:
        # Seconds are whole in both kinds of event.
        assert each.leaves_at == pytest.approx(time.time() + seconds, abs=5) if seconds else each.leaves_at is None
    await warnings.delete(found)
    assert await warnings.read() == ()


def test_a_way_that_is_none_is_refused(network: Network, instance: str) -> None:
    with pytest.raises(KeyError, match="FLOOD"):
        Interruptions(network.url, REGION).interrupt(instance, 1.0, "FLOOD")


def test_an_interruption_ends_the_instance(network: Network) -> None:
    answer = network.client().run_instances(ImageId=network.image, MinCount=1, MaxCount=1, InstanceType="m5.large")
    victim = answer["Instances"][0]["InstanceId"]
    Interruptions(network.url, REGION).interrupt(victim, 0.1, "SILENT")
    deadline = time.monotonic() + 20

    def state() -> str:
        found = network.client().describe_instances(InstanceIds=[victim])["Reservations"]
        return str(found[0]["Instances"][0]["State"]["Name"])

    while state() not in ("shutting-down", "terminated"):
        assert time.monotonic() < deadline, state()
        time.sleep(0.1)
