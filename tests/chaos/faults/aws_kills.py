"""The operator is killed when a launch was made, and it has not heard of it yet."""

from __future__ import annotations

from chaos import bought
from chaos.ground import Ground

NAME = "aws-kills"
BUYS = True
WAIT_SECONDS = 60


def inject(ground: Ground) -> None:
    """Answers to launches take long; as soon as there are instances, kill -9."""
    cloud = bought.market_of(ground).cloud
    environment = bought.environments(ground)[0]
    for _ in range(1 if ground.bounded else 5):
        had = len(cloud.instances(environment))
        cloud.switch(late_seconds=15.0)
        try:
            bought.submit(ground)
            if not ground.until(lambda had=had: len(cloud.instances(environment)) > had, WAIT_SECONDS):  # type: ignore[misc]
                continue  # What was there did for the work.
            ground.restart_operator()
            ground.strike(NAME, "killed between launch and record")
        finally:
            cloud.switch(late_seconds=0.0)
        ground.until(lambda: not ground.open_jobs(), 60)
