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
    """Calls `reconcile(key)` for every key that was touched since its last call; `refused` hears of what the API server
    did not let it do."""

    def __init__(
        self,
        kind: str,
        reconcile: Callable[[Key], Awaitable[None]],
        refused: Callable[[Key, ApiError], Awaitable[None]] | None = None,
    ) -> None:
        self._kind = kind
        self._reconcile = reconcile
        self._refused = refused
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
                cause = type(error).__name__
                logger.warning(
                    "reconcile failed", kind=self._kind, name=key[1], namespace=key[0], cause=cause, error=str(error)
                )
                asyncio.get_running_loop().call_later(RETRY_SECONDS, self.touch, key)
                if self._refused is not None:
                    await self._refused(key, error)
            except Exception:
                logger.exception("reconcile failed", kind=self._kind, name=key[1], namespace=key[0])
