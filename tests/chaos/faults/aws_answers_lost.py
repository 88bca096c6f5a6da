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
            bought.keep_buying(ground, lambda: cloud.switches()["lost"] == 0)
        finally:
            ground.strike(NAME, "an answer lost", 1 - cloud.switches()["lost"])
            cloud.switch(lost=0)
