"""Writes take seconds to arrive, so that the world has gone on when they do; the operator is killed meanwhile."""

from __future__ import annotations

from chaos.ground import Ground
from chaos.strikes import Delay, Rule, writes

NAME = "requests-late"


def inject(ground: Ground) -> None:
    """One write of three comes 3 s late."""
    for _ in range(1 if ground.bounded else 3):
        ground.strike_for(NAME, Rule(Delay(3.0), writes, share=0.35), ground.lasting(7, 9))
        ground.restart_operator()
