"""A slim informer: list, watch, and records of it in somebody's hands, for as long as the process lives.

Beside kopf because of the cost: kopf handles some hundred pod events a second, this some ten thousand (ADR 0002).
Hazards it is made for: a watch that dies in silence (bookmarks come about once a minute, so silence is an error), a
server that closes the watches of a slow client (resume, not the end), and a resourceVersion that has grown too old
(410: list again, and tell of what has gone meanwhile).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import structlog
from pydantic import ValidationError

from batchwright.cluster.client import ApiClient
from batchwright.cluster.resources import Resource
from batchwright.errors import ApiError, ApiUnavailable, BatchwrightError, Gone

Record = TypeVar("Record")
# Of a watch event's line, as the API server writes it: the type comes first, the object's own uid before its owners'.
_MODIFIED = b'{"type":"MODIFIED"'
_UID = re.compile(rb'"uid":"([^"]+)","resourceVersion":"([^"]+)"')
_HEAD = 1024
logger = structlog.get_logger(__name__)
LONGEST_PAUSE = 10.0
SHORTEST_WATCH = 1.0


def _longer(pause: float) -> float:
    return min(LONGEST_PAUSE, max(0.2, pause * 2))


class Informer(Generic[Record]):
    """Keeps `sink` told of every object of a resource: (uid, record), and (uid, None) once it is gone; `misread` hears
    of those that `project` does not understand, which else are logged. Changes of which the line `says_nothing` are not
    decoded, nor those of objects that are settled."""

    def __init__(
        self,
        api: ApiClient,
        resource: Resource,
        project: Callable[[dict[str, Any]], Record],
        sink: Callable[[str, Record | None], None],
        *,
        labels: str | None = None,
        fields: str | None = None,
        is_settled: Callable[[Record], bool] | None = None,
        says_nothing: Callable[[bytes], bool] | None = None,
        misread: Callable[[Resource, dict[str, Any], Exception], None] | None = None,
        gather_seconds: float = 0.04,
    ) -> None:
        self.resource = resource
        self.synced = asyncio.Event()
        self.heard_at = time.monotonic()
        self._api = api
        self._project = project
        self._sink = sink
        self._labels = labels
        self._fields = fields
        self._known: set[str] = set()
        self._is_settled, self._says_nothing = is_settled, says_nothing
        self._misread = misread
        self._gather_seconds = gather_seconds
        self._settled: set[bytes] = set()
        # Where the watch goes on from.
        self._version: str | None = None

    async def run(self) -> None:
        """Lists and watches until cancelled; no error of the API server ends it."""
        self._version = None
        pause = 0.0
        while True:
            try:
                if self._version is None:
                    self._version = await self._list()
                    self.synced.set()
                began, silent = time.monotonic(), True
                self.heard_at = began
                async for event in self._api.watch(
                    self.resource,
                    self._version,
                    labels=self._labels,
                    fields=self._fields,
                    skip=self._skips,
                    gather_seconds=self._gather_seconds,
                ):
                    self._version = event["object"]["metadata"]["resourceVersion"]
                    self._take(event)
                    pause, silent = 0.0, False
                if silent and time.monotonic() - began < SHORTEST_WATCH:
                    # Asking again at once would be a flood (client-go's reflector calls it a very short watch).
                    raise ApiUnavailable(f"watch of {self.resource.plural}: the server ended it at once")
            except Gone:
                self._version = None
                pause = _longer(pause)
                await asyncio.sleep(pause)
            except ApiError as error:
                # Out of reach, or refused for now (RBAC not there yet): say so, and try again.
                pause = _longer(pause)
                logger.warning("watch interrupted", resource=self.resource.plural, error=str(error), retry_in=pause)
                await asyncio.sleep(pause)

    async def _list(self) -> str:
        # All pages first, then the sink without an await: no decision may see half of a list. Each page is projected as
        # it comes, for the objects themselves take twenty times the memory.
        records: dict[str, Record | None] = {}
        version = ""
        async for page in self._api.pages(self.resource, labels=self._labels, fields=self._fields):
            version = page["metadata"]["resourceVersion"]
            for item in page["items"]:
                records[item["metadata"]["uid"]] = self._projected(item)
            self.heard_at = time.monotonic()
        for uid, record in records.items():
            if record is not None:
                self._sink(uid, record)
        seen = set(records)
        for uid in self._known - seen:
            self._sink(uid, None)
        self._known = seen
        self._settled = {uid for uid in self._settled if uid.decode() in seen}
        return version

    def _skips(self, line: bytes) -> bool:
        """Whether the event changes an object of which everything is known, or says nothing new: it is not decoded."""
        if not line.startswith(_MODIFIED):
            return False
        found = _UID.search(line, 0, _HEAD)
        if found is None:
            return False
        if found[1] in self._settled or (self._says_nothing is not None and self._says_nothing(line)):
            # Heard all the same: a watch that goes on from before it would be given it again, or be too old.
            self._version, self.heard_at = found[2].decode(), time.monotonic()
            return True
        return False

    def _take(self, event: dict[str, Any]) -> None:
        self.heard_at = time.monotonic()
        kind = event["type"]
        if kind == "BOOKMARK":
            return
        if kind == "DELETED":
            uid = event["object"]["metadata"]["uid"]
            self._known.discard(uid)
            self._settled.discard(uid.encode())
            self._sink(uid, None)
        else:
            self._known.add(event["object"]["metadata"]["uid"])
            self._put(event["object"])

    def _put(self, item: dict[str, Any]) -> None:
        record = self._projected(item)
        if record is not None:
            self._sink(item["metadata"]["uid"], record)

    def _projected(self, item: dict[str, Any]) -> Record | None:
        metadata = item["metadata"]
        try:
            record = self._project(item)
            if self._is_settled is not None and self._is_settled(record):
                self._settled.add(metadata["uid"].encode())
            return record
        except (BatchwrightError, ValidationError, KeyError, ValueError) as error:
            # One object that another version wrote must not stop the watch of all the others.
            if self._misread is not None:
                self._misread(self.resource, item, error)
            else:
                name, namespace = metadata.get("name"), metadata.get("namespace")
                logger.error(
                    "object not understood", kind=self.resource.kind, namespace=namespace, name=name, error=str(error)
                )
            return None
