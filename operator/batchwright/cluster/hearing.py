"""When something was last heard of each collection that kopf watches, as `Informer.heard_at` says it of our own.

kopf says nothing of that, so its session is listened to: a question about the collection (that a watch is asked for
anew is a sign that it lives, also where the API server does not answer), the beginning of an answer, and all that comes
of one, bookmarks too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

import aiohttp

from batchwright.cluster.decoding import ShallowResponse
from batchwright.cluster.resources import Resource

_GROUPS: Final = "/apis/"


class Hearing:
    """Of these resources, by a clock in seconds."""

    def __init__(self, resources: Iterable[Resource], clock: Callable[[], float] = time.monotonic) -> None:
        self._plurals = {resource.path(): resource.plural for resource in resources}
        self._clock = clock
        self._heard_at: dict[str, float] = {}

    def begin(self) -> None:
        """From now on each of them has to be heard of, also one that kopf never asked for."""
        now = self._clock()
        for plural in self._plurals.values():
            self._heard_at.setdefault(plural, now)

    def hear(self, path: str) -> None:
        """Something was heard of the path of a URL, which may have a proxy's before it."""
        plural = self._plurals.get(_GROUPS + path.rpartition(_GROUPS)[2])
        if plural is not None:
            self._heard_at[plural] = self._clock()

    def ages(self) -> dict[str, float]:
        """The seconds since, by plural; of what was never heard of, nothing."""
        now = self._clock()
        return {plural: now - at for plural, at in self._heard_at.items()}

    def trace(self) -> aiohttp.TraceConfig:
        """What has a session of ShallowResponses tell this."""
        config = aiohttp.TraceConfig()
        config.on_request_start.append(self._asked)
        config.on_request_end.append(self._answered)
        return config

    async def _asked(self, _session: Any, _context: Any, asked: aiohttp.TraceRequestStartParams) -> None:
        self.hear(asked.url.path)

    async def _answered(self, _session: Any, _context: Any, answered: aiohttp.TraceRequestEndParams) -> None:
        path = answered.url.path
        self.hear(path)
        if isinstance(answered.response, ShallowResponse):
            answered.response.tell(partial(self.hear, path))
