"""What kopf does not tell of what people declare: what went in a gap of its watch, and which of two of a name is left.

kopf lists anew after a gap, and tells what is there, not what is gone. It keeps the order of what it tells of one
object, not of two: when an object is deleted and made anew under its name, the end of the first may come last. So after
either, all is listed once more, and what the store has is put right by that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from batchwright.cluster.client import ApiClient
from batchwright.cluster.resources import Resource
from batchwright.controllers.declared import Declared
from batchwright.controllers.reconciler import Key
from batchwright.errors import ApiError

logger = structlog.get_logger(__name__)
# Long enough for kopf to hand over the rest of its list.
SETTLE_SECONDS = 3.0
RETRY_SECONDS = 10.0
Known = Mapping[Key, Declared[Any]]


class Relisting:
    """Puts the store right. `known` has what is in it by kind; `tell` hears (kind, "ADDED" or "DELETED", object)."""

    def __init__(
        self,
        api: ApiClient,
        known: Mapping[Resource, Known],
        tell: Callable[[str, str, Mapping[str, Any]], None],
    ) -> None:
        self._api = api
        self._known = known
        self._tell = tell
        self._is_due = False
        self._task: asyncio.Task[None] | None = None

    def soon(self) -> None:
        """All is to be listed, once what is being told now has been."""
        self._is_due = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._relist())

    async def _relist(self) -> None:
        pause = SETTLE_SECONDS
        while self._is_due:
            await asyncio.sleep(pause)
            self._is_due = False
            pause = SETTLE_SECONDS
            for resource, known in self._known.items():
                try:
                    await self._compare(resource, known)
                except ApiError as error:
                    logger.warning("not listed", kind=resource.kind, cause=type(error).__name__, error=str(error))
                    self._is_due, pause = True, RETRY_SECONDS

    async def _compare(self, resource: Resource, known: Known) -> None:
        before = {key: record.uid for key, record in known.items()}
        listed = {_key(item): item for item in await self._api.list_all(resource)}
        for key in {*before, *listed}:
            record, item = known.get(key), listed.get(key)
            if (None if record is None else record.uid) != before.get(key):
                # Something was told of it while the list was on its way: that is newer.
                continue
            if item is None and record is not None:
                self._tell(resource.kind, "DELETED", {"metadata": _name(record)})
            elif item is not None and (record is None or record.uid != item["metadata"]["uid"]):
                self._tell(resource.kind, "ADDED", item)


def _key(item: Mapping[str, Any]) -> Key:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _name(record: Declared[Any]) -> dict[str, str]:
    return {"namespace": record.namespace, "name": record.name, "uid": record.uid}
