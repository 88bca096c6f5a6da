"""Rights are taken away one by one (403), and given back: to make Jobs, to write statuses, to touch pods, to watch."""

from __future__ import annotations

from chaos.ground import Ground
from chaos.strikes import Answer, Asked, Rule

NAME = "right-revoked"
FORBIDDEN = Answer(403, "Forbidden", 'User "batchwright" cannot do this in API group ""')
RIGHTS = ("jobs", "batchjobs/status", "pods", "pods/status", "events", "controllerrevisions")


def inject(ground: Ground) -> None:
    """Each right in turn; then all reads, with the watches cut, so that they are asked for anew."""
    for right in RIGHTS:

        def is_meant(asked: Asked, right: str = right) -> bool:
            return asked.is_write and asked.resource == right

        ground.strike_for(NAME, Rule(FORBIDDEN, is_meant), ground.lasting(1.5, 5), right)
    ground.proxy.cut_connections(watches_only=True)
    ground.strike_for(NAME, Rule(FORBIDDEN, lambda asked: not asked.is_write), ground.lasting(3, 10), "reads")
