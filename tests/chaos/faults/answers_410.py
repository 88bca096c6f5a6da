"""410 Gone, as the first event of watches that were cut: their place is forgotten, and all is listed anew."""

from __future__ import annotations

from chaos.ground import Ground
from chaos.strikes import Answer, Rule

NAME = "answers-410"
EXPIRED = Answer(410, "Expired", "too old resource version")


def inject(ground: Ground) -> None:
    """Half of all watches, while they are cut again and again. A list without a place is never answered so."""
    for _ in range(2 if ground.bounded else 5):
        ground.proxy.cut_connections(watches_only=True)
        ground.strike_for(NAME, Rule(EXPIRED, lambda asked: asked.is_watch, share=0.5), 3)
