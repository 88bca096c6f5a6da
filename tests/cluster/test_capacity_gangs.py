"""Machines for a multi-node job are one launch; what comes of it in part is kept, and nothing is made of it alone."""

from __future__ import annotations

from batchwright.names import TAG_LAUNCH
from cloud import Cloud, bought, until
from stage import Stage


def launches_of(cloud: Cloud, environment: str) -> list[str]:
    """The launch that each instance came with."""
    tags = [{tag["Key"]: tag["Value"] for tag in each["Tags"]} for each in cloud.instances(environment)]
    return [each[TAG_LAUNCH] for each in tags]


def test_machines_for_all_nodes_are_one_launch(scene: Stage, cloud: Cloud) -> None:
    environment = bought(scene, cloud)
    scene.queue()
    scene.gang(nodes=4, main={"seconds": "3"})
    scene.submit("train", "gang")
    assert scene.wait_final("train", 120)["state"] == "SUCCEEDED"
    assert len(launches_of(cloud, environment)) == 4
    assert len(set(launches_of(cloud, environment))) == 1


def test_of_a_launch_that_is_filled_in_part_no_node_starts_before_the_rest_is_there(scene: Stage, cloud: Cloud) -> None:
    cloud.switch(most=3)
    environment = bought(scene, cloud)
    scene.queue()
    scene.gang(nodes=4, main={"seconds": "3"})
    job_id = scene.submit("train", "gang")
    seen: set[int] = set()

    def has_pods() -> bool:
        made = scene.pods(job_id)
        seen.add(len(cloud.instances(environment, "pending", "running")))
        return bool(made)

    until(has_pods, "nothing is made", 90)
    assert max(seen) == 4
    assert scene.wait_final("train", 90)["state"] == "SUCCEEDED"
    assert len(launches_of(cloud, environment)) == 4, "none was bought in vain"
    assert len(set(launches_of(cloud, environment))) == 2
