"""The AWS endpoint is out of reach: connections end, in the middle of calls too."""

from __future__ import annotations

from chaos import bought
from chaos.ground import Ground

NAME = "aws-gone"
BUYS = True


def inject(ground: Ground) -> None:
    """Cut as instances are about to be launched."""
    link = bought.market_of(ground).link
    for _ in range(1 if ground.bounded else 4):
        before = link.refused
        bought.submit(ground)
        ground.pause(ground.chance.uniform(0.1, 1.5))
        with link.cut():
            ground.pause(ground.lasting(5, 30))
            ground.until(lambda before=before: link.refused > before, 20)  # type: ignore[misc]
        ground.strike(NAME, "a connection refused", link.refused - before)
