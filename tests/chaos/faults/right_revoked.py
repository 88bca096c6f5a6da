"""Rights are taken away one by one, and given back: to make Jobs, to write statuses, to touch pods, to watch.

The API server's own RBAC refuses: such a request goes on as that of a user who has no rights at all.
"""

from __future__ import annotations

from chaos.ground import Ground
from chaos.strikes import As, Asked, Rule

NAME = "right-revoked"
REVOKED = As("batchwright-without-rights")
RIGHTS = ("jobs", "batchjobs/status", "pods", "pods/status", "events", "controllerrevisions")


def inject(ground: Ground) -> None:
    """Each right in turn; then all reads, with the watches cut, so that they are asked for anew."""
    for right in RIGHTS:

        def is_meant(asked: Asked, right: str = right) -> bool:
            return asked.is_write and asked.resource == right

        ground.strike_for(NAME, Rule(REVOKED, is_meant), ground.lasting(1.5, 5), right)
    ground.proxy.cut_connections(watches_only=True)
    ground.strike_for(NAME, Rule(REVOKED, lambda asked: not asked.is_write), ground.lasting(3, 10), "reads")
