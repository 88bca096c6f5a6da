"""429 Too Many Requests in place of any answer: some for a time, then all for seconds."""

from __future__ import annotations

from chaos.ground import Ground
from chaos.strikes import Answer, Rule

NAME = "answers-429"
BUSY = Answer(429, "TooManyRequests", "the server has received too many requests", retry_after=1)


def inject(ground: Ground) -> None:
    """Two of five requests, then all; the operator is restarted in between."""
    ground.strike_for(NAME, Rule(BUSY, share=0.4), ground.lasting(4, 15))
    ground.restart_operator()
    ground.strike_for(NAME, Rule(BUSY), ground.lasting(6, 20))
