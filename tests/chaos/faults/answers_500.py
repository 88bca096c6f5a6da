"""500 Internal Server Error in place of any answer: some for a time, then all for seconds."""

from __future__ import annotations

from chaos.ground import Ground
from chaos.strikes import Answer, Rule

NAME = "answers-500"
BROKEN = Answer(500, "InternalError", "Internal error occurred: etcdserver: request timed out")


def inject(ground: Ground) -> None:
    """Two of five requests, then all; the operator is restarted in between."""
    ground.strike_for(NAME, Rule(BROKEN, share=0.4), ground.lasting(4, 15))
    ground.restart_operator()
    ground.strike_for(NAME, Rule(BROKEN), ground.lasting(6, 20))
