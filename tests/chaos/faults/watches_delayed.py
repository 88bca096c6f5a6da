"""Watches tell of everything seconds later, while requests are answered at once."""

from __future__ import annotations

from chaos.ground import Ground

NAME = "watches-delayed"


def inject(ground: Ground) -> None:
    """Delays by 3 s for a time; the operator is restarted within it once."""
    with ground.proxy.watches_delayed(3.0) as late:
        ground.pause(ground.lasting(4, 12))
        ground.restart_operator()
        ground.pause(ground.lasting(6, 18))
        ground.until_struck(lambda: bool(late))
    ground.strike_each(NAME, late)
