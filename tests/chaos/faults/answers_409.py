"""409 Conflict in place of an answer to a write, also while the operator starts."""

from __future__ import annotations

from chaos.ground import Ground
from chaos.strikes import Answer, Rule, writes

NAME = "answers-409"
CONFLICT = Answer(409, "Conflict", "the object has been modified; please apply your changes to the latest version")


def inject(ground: Ground) -> None:
    """Two writes of five are answered so."""
    ground.strike_for(NAME, Rule(CONFLICT, writes, share=0.4), ground.lasting(5, 15))
    ground.restart_operator()
    ground.strike_for(NAME, Rule(CONFLICT, writes, share=0.4), ground.lasting(8, 15))
