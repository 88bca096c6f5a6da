"""Token buckets, one for each API and region: EC2 refuses what is asked too often, and then refuses everything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class TokenBucket:
    """At most `burst` calls at once, and `rate` a second after that. Callers wait their turn in order."""

    def __init__(self, burst: float, rate: float, clock: Callable[[], float] | None = None) -> None:
        self._burst, self._rate, self._clock = burst, rate, clock
        self._tokens = burst
        self._counted_at: float | None = None
        self._turn = asyncio.Lock()

    async def take(self, count: float = 1.0) -> None:
        """Returns when so many tokens were there, and takes them."""
        async with self._turn:
            seconds = self._seconds_until(min(count, self._burst))
            if seconds > 0:
                await asyncio.sleep(seconds)
                self._seconds_until(0.0)
            self._tokens -= count

    def drain(self) -> None:
        """The other side says that it was too often: the bucket is empty."""
        self._seconds_until(0.0)
        self._tokens = min(self._tokens, 0.0)

    def _seconds_until(self, count: float) -> float:
        now = self._clock() if self._clock is not None else asyncio.get_running_loop().time()
        since = now - (self._counted_at if self._counted_at is not None else now)
        self._counted_at = now
        self._tokens = min(self._burst, self._tokens + since * self._rate)
        return max(0.0, (count - self._tokens) / self._rate)
