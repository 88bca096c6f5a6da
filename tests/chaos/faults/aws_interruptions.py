"""EC2 takes instances back under running jobs, with a warning that comes late or not at all."""

from __future__ import annotations

from dataclasses import replace

from chaos import bought
from chaos.ground import Ground, Want

NAME = "aws-interruptions"
BUYS = True
SIZE = 4


def inject(ground: Ground) -> None:
    """One of the instances each time, under an array of elements that have one attempt."""
    cloud = bought.market_of(ground).cloud
    environment = bought.environments(ground)[1]
    for number in range(2 if ground.bounded else 8):
        name = f"taken{number}"
        job = ground.submit(name, "longer", queue="taken", arrayProperties={"size": SIZE})
        ground.want(name, job, Want("SUCCEEDED"))

        def runs(job: str = job) -> bool:
            running: int = sum(pod["status"].get("phase") == "Running" for pod in ground.pods(job))
            return running == SIZE

        if not ground.until(runs, 90):
            continue
        victim = ground.chance.choice(cloud.instances(environment, "running"))["InstanceId"]
        how = "SILENT" if number % 2 else "INTERRUPTION"
        cloud.interrupt(victim, 0.0 if number % 2 else 4.0, how)
        # What still runs may have elements there, and each of them runs once more.
        for lost in [each for each in ground.open_jobs() if each.startswith("taken")]:
            ground.want(lost, ground.ids[lost], replace(ground.wants[lost], most=ground.wants[lost].most + 1))
        ground.strike(NAME, "an instance lost, " + ("unannounced" if number % 2 else "with a warning"))
        ground.until(lambda victim=victim: _has_ended(ground, environment, victim), 30)  # type: ignore[misc]


def _has_ended(ground: Ground, environment: str, victim: str) -> bool:
    live = bought.market_of(ground).cloud.instances(environment, "pending", "running")
    return victim not in [each["InstanceId"] for each in live]
