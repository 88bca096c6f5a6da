"""The answer to a launch is lost, which was made."""

from __future__ import annotations

from chaos import bought
from chaos.ground import Ground

NAME = "aws-answers-lost"
BUYS = True


def inject(ground: Ground) -> None:
    """One launch after the other, each for work of its own."""
    cloud = bought.market_of(ground).cloud
    for _ in range(1 if ground.bounded else 6):
        cloud.switch(lost=1)
        try:
            bought.submit(ground)
            # Instances that are there may do for the work: then there is more of it.
            while not ground.until(lambda: cloud.switches()["lost"] == 0, 15):
                bought.submit(ground)
        finally:
            ground.strike(NAME, "an answer lost", 1 - cloud.switches()["lost"])
            cloud.switch(lost=0)
