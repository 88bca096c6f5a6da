"""What the probes are told: how old the last look at the cluster is, and whether that is too old."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from batchwright.cluster.lease import Leadership
from batchwright.controllers.operator import Operator, declared_resources
from batchwright.errors import BatchwrightError
from batchwright.settings import Settings

# How long kopf waits for anything on a watch before it asks anew. Of a kind that nobody touches it may hear nothing for
# as long, and is well.
DECLARED_WATCH_SECONDS: Final = 330.0
MARGIN_SECONDS: Final = 70.0
_DECLARED: Final = frozenset(resource.plural for resource in declared_resources())


@dataclass
class Health:
    """Of one operator. `ready` is set once it works, or stands by: one that stands by is as ready as it can be."""

    operator: Operator
    leadership: Leadership | None
    settings: Settings
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    def report(self) -> dict[str, Any]:
        """The ages. Raises BatchwrightError when one of them is too high, or when it has not started yet."""
        if not self.ready.is_set():
            raise BatchwrightError("the operator is starting")
        # One that stands by passes over nothing.
        most = self.settings.stale_pass_seconds if self.operator.started.is_set() else math.inf
        silences = [
            checked_age(age, self.most_silence(plural), f"the watch of {plural} has been silent")
            for plural, age in self.operator.watch_ages().items()
        ]
        found: dict[str, Any] = {
            "pass_age_seconds": checked_age(self.operator.engine.pass_age_seconds(), most, "there has been no pass"),
            "watch_age_seconds": max(silences, default=0.0),
        }
        if self.leadership is not None:
            found["leads"] = self.leadership.held.is_set()
            found["lease_age_seconds"] = round(self.leadership.silence_seconds(), 1)
        return found

    def most_silence(self, plural: str) -> float:
        """For how long the watch of a resource may be silent: of those that kopf watches, longer than kopf waits."""
        least = DECLARED_WATCH_SECONDS + MARGIN_SECONDS if plural in _DECLARED else 0.0
        return max(least, self.settings.stale_watch_seconds)

    async def answer(self, _: web.Request) -> web.Response:
        """The report, or 503 and why not."""
        try:
            return web.json_response(self.report())
        except BatchwrightError as error:
            return web.json_response({"error": str(error)}, status=503)


def checked_age(seconds: float, most: float, what: str) -> float:
    """The age as a probe shows it. Raises BatchwrightError, which fails the probe, if it is more than `most`."""
    if seconds > most:
        raise BatchwrightError(f"{what} for {seconds:.0f} s, and {most:.0f} s are the most")
    return round(seconds, 1)
