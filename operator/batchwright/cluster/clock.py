"""The time by which deadlines are judged: this machine's clock, unless the API server's says otherwise.

Starts and ends of pods are told in the cluster's time. A machine whose clock is hours off would end attempts that have
hours left, so the Date of each answer is heard: it bounds the difference between the server's clock and our monotonic
one, which nobody turns. Up to `TOLERANCE_SECONDS` apart (Date is in whole seconds) our own clock is the better one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

TOLERANCE_SECONDS = 3.0


class Clock:
    """The time now, in UTC. `wall` and `monotonic` are this machine's clocks, in seconds."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self.monotonic = monotonic
        self._heard = ""
        # The server's time less our monotonic clock's.
        self._offset: float | None = None

    def hear(self, date: str | None, sent: float) -> None:
        """An answer with this Date header came to a request that was sent at `sent` by the monotonic clock."""
        # Most answers of a second say the same.
        if not date or date == self._heard:
            return
        try:
            told = parsedate_to_datetime(date).timestamp()
        except ValueError:
            return
        self._heard = date
        earliest, latest = told - self.monotonic(), told + 1.0 - sent
        if self._offset is None:
            self._offset = earliest
        self._offset = min(max(self._offset, earliest), latest)

    def now(self) -> datetime:
        """The time now."""
        wall = self._wall()
        if self._offset is not None:
            server = self.monotonic() + self._offset
            if abs(server - wall) > TOLERANCE_SECONDS:
                wall = server
        return datetime.fromtimestamp(wall, UTC)
