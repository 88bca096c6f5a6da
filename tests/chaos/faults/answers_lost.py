"""Writes are done, and the connection ends before their answer comes."""

from __future__ import annotations

from chaos.ground import Ground
from chaos.strikes import CutAfter, Rule, writes

NAME = "answers-lost"


def inject(ground: Ground) -> None:
    """Every other write."""
    ground.strike_for(NAME, Rule(CutAfter(), writes, share=0.5), ground.lasting(8, 25))
