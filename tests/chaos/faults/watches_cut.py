"""Every watch is cut, again and again."""

from __future__ import annotations

from chaos.ground import Ground

NAME = "watches-cut"


def inject(ground: Ground) -> None:
    """Cuts at moments by chance, a second apart on average; an operator that is just starting is waited for."""

    def cut() -> bool:
        ended = ground.proxy.cut_connections(watches_only=True)
        ground.strike(NAME, count=ended)
        return ended > 0

    for _ in range(6 if ground.bounded else 20):
        ground.pause(ground.chance.uniform(0.1, 2.0))
        # It watches whether there is work or not: no more of it need be submitted.
        ground.until(cut, ground.strike_seconds)
