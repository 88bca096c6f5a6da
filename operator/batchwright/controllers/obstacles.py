"""Why Kubernetes Jobs have no pod, which only the Job controller's events say (quota, admission, an invalid pod).

Events are kept out of the API server's watch cache, so a list of them reads all of etcd's: one list answers every Job
that has asked meanwhile, and there is at most one every few seconds, however many Jobs are slow to get their pods.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import structlog

from batchwright.cluster.client import JSON, ApiClient
from batchwright.cluster.resources import EVENTS
from batchwright.domain.texts import bounded
from batchwright.errors import ApiError

logger = structlog.get_logger(__name__)
PAUSE_SECONDS = 5.0


class Obstacles:
    """Answers `ask(job uid, work uid)` by `tell(job uid, text)`; an empty text: nothing is known to be in the way."""

    def __init__(self, api: ApiClient, tell: Callable[[str, str], None]) -> None:
        self._api = api
        self._tell = tell
        self._asked: dict[str, str] = {}
        self._any = asyncio.Event()

    def ask(self, uid: str, work_uid: str) -> None:
        """The Kubernetes Job of this BatchJob has no pod."""
        self._asked[work_uid] = uid
        self._any.set()

    async def run(self) -> None:
        """Works until cancelled."""
        while True:
            await self._any.wait()
            self._any.clear()
            asked, self._asked = self._asked, {}
            try:
                words = latest_words(await self._read())
            except ApiError as error:
                # Whoever still has no pod asks again.
                logger.warning("events not read", error=str(error))
            else:
                for work_uid, uid in asked.items():
                    self._tell(uid, words.get(work_uid, ""))
            await asyncio.sleep(PAUSE_SECONDS)

    async def _read(self) -> list[JSON]:
        fields = "involvedObject.kind=Job,type=Warning,reason=FailedCreate"
        return await self._api.list_all(EVENTS, fields=fields)


def latest_words(events: Iterable[JSON]) -> dict[str, str]:
    """The latest message of the Job controller about each Job, by the Job's uid."""
    latest: dict[str, JSON] = {}
    for event in events:
        uid = event["involvedObject"].get("uid", "")
        if uid not in latest or _when(event) >= _when(latest[uid]):
            latest[uid] = event
    return {uid: bounded(f"Kubernetes makes no pod: {event.get('message', '')}") for uid, event in latest.items()}


def _when(event: JSON) -> str:
    return event.get("lastTimestamp") or event.get("eventTime") or ""
