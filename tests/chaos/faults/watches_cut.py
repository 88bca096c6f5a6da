"""Every watch is cut, again and again."""

from __future__ import annotations

from chaos.ground import Ground

NAME = "watches-cut"


def inject(ground: Ground) -> None:
    """Cuts at moments by chance, a second apart on average."""
    for _ in range(6 if ground.bounded else 20):
        ground.pause(ground.chance.uniform(0.1, 2.0))
        ground.strike(NAME, count=ground.proxy.cut_connections(watches_only=True))
