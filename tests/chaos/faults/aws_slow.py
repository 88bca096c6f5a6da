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
        had = bought.launched(ground)
        bought.keep_buying(ground, lambda: bought.launched(ground) > had)
        ground.pause(ground.lasting(2, 60))
        ground.strike(NAME, "an instance launched", bought.launched(ground) - had)
    finally:
        cloud.switch(slow_seconds=0.0, late_seconds=0.0)
