"""A work queue of keys: each is reconciled by one worker at a time, again when it changed meanwhile or failed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from batchwright.errors import ApiError

logger = structlog.get_logger(__name__)
Key = tuple[str, str]
RETRY_SECONDS = 2.0


class Reconciler:
    """Calls `reconcile(key)` for every key that was touched since its last call."""

    def __init__(self, kind: str, reconcile: Callable[[Key], Awaitable[None]]) -> None:
        self._kind = kind
        self._reconcile = reconcile
        self._queue: asyncio.Queue[Key] = asyncio.Queue()
        self._queued: set[Key] = set()

    def touch(self, key: Key) -> None:
        """The key needs a look."""
        if key not in self._queued:
            self._queued.add(key)
            self._queue.put_nowait(key)

    async def run(self) -> None:
        """Works until cancelled."""
        while True:
            key = await self._queue.get()
            self._queued.discard(key)
            try:
                await self._reconcile(key)
            except ApiError as error:
                logger.warning("reconcile failed", kind=self._kind, name=key[1], namespace=key[0], error=str(error))
                asyncio.get_running_loop().call_later(RETRY_SECONDS, self.touch, key)
            except Exception:
                logger.exception("reconcile failed", kind=self._kind, name=key[1], namespace=key[0])
