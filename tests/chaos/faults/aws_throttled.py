"""AWS refuses calls for being too many, launches too."""

from __future__ import annotations

from chaos import bought
from chaos.ground import Ground

NAME = "aws-throttled"
BUYS = True


def inject(ground: Ground) -> None:
    """A number of calls in a row."""
    cloud = bought.market_of(ground).cloud
    calls = 4 if ground.bounded else 40
    bought.submit(ground)
    cloud.switch(throttled=calls)
    try:
        # After each a round is left out, for ten seconds where a launch was refused.
        ground.until(lambda: cloud.switches()["throttled"] == 0, 240)
    finally:
        ground.strike(NAME, "a call refused", calls - cloud.switches()["throttled"])
        cloud.switch(throttled=0)
