"""The network is cut for a minute: connections are refused, then all is back."""

from __future__ import annotations

from chaos.ground import Ground

NAME = "network-cut"


def inject(ground: Ground) -> None:
    """Cut in the middle of the work."""
    ground.pause(ground.chance.uniform(0.5, 3.0))
    seconds = ground.lasting(8, 60)
    with ground.proxy.network_down(silent=False) as refused:
        ground.pause(seconds)
        ground.until_struck(lambda: bool(refused))
    ground.strike_each(NAME, refused)
    ground.note(NAME, f"cut for {seconds:.0f} s")
