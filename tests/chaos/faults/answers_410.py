"""410 Gone in place of lists and watches, and watches cut, so that all is listed anew."""

from __future__ import annotations

from chaos.ground import Ground
from chaos.strikes import Answer, Rule, reads

NAME = "answers-410"
EXPIRED = Answer(410, "Expired", "too old resource version")


def inject(ground: Ground) -> None:
    """Half of all reads are answered so, while watches are cut."""
    for _ in range(2 if ground.bounded else 5):
        ground.proxy.cut_connections(watches_only=True)
        ground.strike_for(NAME, Rule(EXPIRED, reads, share=0.5), 3)
