"""Connections end before the request reaches the server."""

from __future__ import annotations

from chaos.ground import Ground
from chaos.strikes import CutBefore, Rule

NAME = "requests-lost"


def inject(ground: Ground) -> None:
    """Every other request."""
    ground.strike_for(NAME, Rule(CutBefore(), share=0.5), ground.lasting(6, 25))
