"""The network swallows everything for a minute: connections stay, and no answer ever comes on them."""

from __future__ import annotations

from chaos.ground import Ground

NAME = "network-silent"


def inject(ground: Ground) -> None:
    """Silent in the middle of the work; what was held back goes nowhere."""
    ground.pause(ground.chance.uniform(0.5, 3.0))
    seconds = ground.lasting(8, 60)
    with ground.proxy.network_down(silent=True) as held:
        ground.pause(seconds)
        ground.until_struck(lambda: bool(held))
    ground.strike_each(NAME, held)
    ground.note(NAME, f"silent for {seconds:.0f} s")
