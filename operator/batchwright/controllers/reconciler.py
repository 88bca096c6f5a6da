"""A work queue of keys: each is reconciled by one worker at a time, again when it changed meanwhile or failed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext

import structlog

from batchwright import metrics
from batchwright.errors import ApiError

logger = structlog.get_logger(__name__)
Key = tuple[str, str]
RETRY_SECONDS = 2.0
MOST_RETRY_SECONDS = 300.0


def back_off(failures: int) -> float:
    """How long to wait after so many defects in a row, in seconds: another look may meet another world."""
    return min(MOST_RETRY_SECONDS, RETRY_SECONDS * 2.0 ** min(failures - 1, 32))


class Reconciler:
    """Calls `reconcile(key)` for every key that was touched since its last call, again where it failed; `refused` hears
    of what the API server did not let it do, and `about` says which job the lines of the log are about."""

    def __init__(
        self,
        kind: str,
        reconcile: Callable[[Key], Awaitable[None]],
        refused: Callable[[Key, ApiError], Awaitable[None]] | None = None,
        about: Callable[[Key], AbstractContextManager[None]] = lambda _: nullcontext(),
    ) -> None:
        self._kind = kind
        self._reconcile = reconcile
        self._refused = refused
        self._about = about
        self._errors = metrics.RECONCILE_ERRORS.labels(kind)
        self._failures: dict[Key, int] = {}
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
            with self._about(key):
                await self._look(key)

    async def _look(self, key: Key) -> None:
        namespace, name = key
        try:
            await self._reconcile(key)
            self._failures.pop(key, None)
        except ApiError as error:
            cause = type(error).__name__
            logger.warning(
                "reconcile failed", kind=self._kind, name=name, namespace=namespace, cause=cause, error=str(error)
            )
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self.touch, key)
            if self._refused is not None:
                await self._refused(key, error)
        except Exception:
            # A defect of ours. What it is about stays as it is; nothing else may ever touch it.
            self._errors.inc()
            self._failures[key] = self._failures.get(key, 0) + 1
            logger.exception("reconcile failed", kind=self._kind, name=name, namespace=namespace)
            asyncio.get_running_loop().call_later(back_off(self._failures[key]), self.touch, key)
