"""How instances are bought: in few calls, without a loop where it is forbidden, and at the price that jobs are told.

The operator is this module's own, with short delays; the instances are the embedded AWS endpoint's.
"""

from __future__ import annotations

import json
import time

import pytest

from batchwright import names
from batchwright.local import cluster as local_cluster
from cloud import Cloud, bought, status_of, until
from commandline import CommandLine
from operatorprocess import OperatorProcess
from reckoning import reckoned
from stage import Stage

DENIALS = 1000
# What m5.xlarge costs On-Demand in the endpoint's price list.
ON_DEMAND = 0.192
VCPUS = 1.5
# Of jobs that wait already, the passes that find them all may take a few launches.
MOST_LAUNCHES = 5


def test_what_iam_denies_is_said_and_not_asked_for_in_a_loop(
    scene: Stage, cloud: Cloud, buyer: OperatorProcess
) -> None:
    cloud.switch(denied=DENIALS)
    environment = bought(scene, cloud)
    scene.queue()
    scene.simulated()
    scene.submit("one")

    def calls() -> int:
        return DENIALS - int(cloud.switches()["denied"])

    text = "You are not authorized to perform this operation."
    until(calls, "nothing is launched")
    began = time.monotonic()
    shown = until(
        lambda: (found := status_of(scene, environment)).get("status") == "INVALID" and found, "it does not say so"
    )
    assert shown["statusReason"].startswith("CLIENT_ERROR - ")
    assert text in shown["statusReason"]
    conditions = {each["type"]: (each["status"], each["reason"]) for each in shown["conditions"]}
    assert conditions["Ready"] == ("False", "UnauthorizedOperation")
    assert conditions["Stalled"] == ("True", "UnauthorizedOperation")
    assert text in scene.wait_cluster_event(environment, "Denied")
    assert "pendingLaunch" not in shown
    until(lambda: calls() > 1, "it is not asked again", 90)
    assert time.monotonic() - began > 50, "a minute is given to whoever mends it"
    assert calls() == 2
    assert not cloud.instances(environment)
    errors = buyer.metrics().value("batchwright_provider_errors_total", environment=environment)
    assert errors is not None
    assert errors <= 2

    cloud.switch(denied=0)
    tags = {"spec": {"computeResources": {"tags": {"mended": "true"}}}}
    scene.api.patch("ComputeEnvironment", environment, None, tags)
    # A change is a reason to ask at once.
    assert scene.wait_final("one", 45)["state"] == "SUCCEEDED"
    until(lambda: status_of(scene, environment)["status"] == "VALID", "it still says that it may not")


@pytest.mark.timeout(300)
def test_three_hundred_jobs_that_wait_make_few_launches(scene: Stage, cloud: Cloud) -> None:
    scene.queue()
    scene.simulated(simulate={"seconds": "5"})
    for number in range(300):
        scene.submit(f"job-{number}")
    environment = bought(scene, cloud, maxvCpus=512, instanceTypes=["m5.4xlarge"])

    statuses = scene.wait_all_final(300, 200)

    assert {each["state"] for each in statuses.values()} == {"SUCCEEDED"}
    made = cloud.instances(environment)
    launches = {tag["Value"] for each in made for tag in each["Tags"] if tag["Key"] == names.TAG_LAUNCH}
    assert 1 <= len(launches) <= MOST_LAUNCHES, launches
    # Fifteen jobs and what is kept for the node fill one.
    assert 20 <= len(made) <= 25


@pytest.mark.timeout(300)
def test_the_same_jobs_cost_less_on_spot(scene: Stage, cloud: Cloud, grown: local_cluster.Cluster) -> None:
    """And either way what their pods took of nodes, at the price of the launch."""
    scene.simulated(cpu=f"{VCPUS * 1000:.0f}m", simulate={"seconds": "6"})
    jobs: dict[str, list[str]] = {}
    for kind in ("EC2", "SPOT"):
        # Nodes have to be there still when their prices are read.
        stay = {"minScaleDownDelayMinutes": 20}
        queue = kind.lower()
        scene.queue(queue, bought(scene, cloud, queue, type=kind, scalingPolicy=stay))
        for number in range(4):
            name = f"{queue}-{number}"
            jobs.setdefault(kind, []).append(scene.submit(name, queue=queue))
    statuses = scene.wait_all_final(8, 120)

    costs: dict[str, float] = {}
    for kind, listed in jobs.items():
        queue = kind.lower()
        used = [statuses[f"{queue}-{number}"]["usage"] for number in range(4)]
        for job_id, each in zip(listed, used, strict=True):
            seconds, cost = reckoned(scene, job_id, VCPUS)
            assert float(each["vcpuSeconds"]) == pytest.approx(seconds, rel=0.01)
            assert float(each["cost"]) == pytest.approx(cost, rel=0.01)
        costs[kind] = sum(float(each["cost"]) for each in used)
    assert 0 < costs["SPOT"] < costs["EC2"]

    for kind in ("EC2", "SPOT"):
        made = cloud.instances(f"{scene.namespace}-{kind.lower()}")
        prices = {tag["Value"] for each in made for tag in each["Tags"] if tag["Key"] == names.ANNOTATION_PRICE}
        offered = {str(ON_DEMAND)} if kind == "EC2" else spot_prices(cloud)
        assert prices
        assert {float(each) for each in prices} <= {float(each) for each in offered}

    line = CommandLine(grown, scene.api, scene.namespace)  # type: ignore[arg-type]
    told, _ = line.run("cost", "--by", "queue", "-o", "json")
    by_queue = {each["queue"]: float(each["cost"]) for each in json.loads(told)["items"]}
    want = {f"{scene.namespace}-{kind.lower()}": pytest.approx(cost, abs=1e-11) for kind, cost in costs.items()}
    assert by_queue == want


def spot_prices(cloud: Cloud) -> set[str]:
    """What the endpoint says of m5.xlarge."""
    found = cloud.client().describe_spot_price_history(InstanceTypes=["m5.xlarge"], ProductDescriptions=["Linux/UNIX"])
    return {each["SpotPrice"] for each in found["SpotPriceHistory"]}
