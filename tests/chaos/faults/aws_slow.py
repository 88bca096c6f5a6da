"""Every answer of AWS comes seconds late, also that to a launch which was made at once."""

from __future__ import annotations

from chaos import bought
from chaos.ground import Ground

NAME = "aws-slow"
BUYS = True


def inject(ground: Ground) -> None:
    """Slow from before the work comes until all of it has ended, or for a while."""
    cloud = bought.market_of(ground).cloud
    cloud.switch(slow_seconds=0.7, late_seconds=2.0)
    try:
        had = len(cloud.instances(bought.environments(ground)[0]))
        bought.submit(ground)
        ground.pause(ground.lasting(5, 60))
        ground.until(lambda: len(cloud.instances(bought.environments(ground)[0])) > had, 60)
        ground.strike(NAME, "an instance launched", len(cloud.instances(bought.environments(ground)[0])) - had)
    finally:
        cloud.switch(slow_seconds=0.0, late_seconds=0.0)
