"""Following a collection for as long as a command runs, whatever happens to the connection.

The API server ends watches at will, and forgets old versions (410). So: list, watch from there, watch again from the
last version seen, and list again when that is gone or the server was out of reach. Never polling.

Invariant: after any interruption the consumer first gets a Listed with everything there is, so what was missed in
between shows as a difference to what it knew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from batchwright.cli.session import Session
from batchwright.cluster.resources import Resource
from batchwright.errors import ApiUnavailable, Gone, Throttled

JSON = dict[str, Any]
SHORTEST_WATCH_SECONDS: Final = 0.5


@dataclass(frozen=True)
class Listed:
    """Everything there is now in one namespace (None: in all)."""

    resource: Resource
    namespace: str | None
    items: list[JSON]


@dataclass(frozen=True)
class Changed:
    """One object was made, changed or deleted."""

    resource: Resource
    item: JSON
    deleted: bool


Change = Listed | Changed


async def follow(
    session: Session,
    resource: Resource,
    namespace: str | None,
    *,
    labels: str | None = None,
    fields: str | None = None,
) -> AsyncGenerator[Change, None]:
    """Changes without end; the first is a Listed. Raises what cannot pass: Forbidden, NotFound (no such kind)."""
    from tenacity import AsyncRetrying, retry_if_exception_type, stop_never, wait_exponential_jitter

    patient = AsyncRetrying(
        retry=retry_if_exception_type((ApiUnavailable, Throttled)),
        stop=stop_never,  # every consumer has its own deadline, or a person with Ctrl-C
        wait=wait_exponential_jitter(multiplier=0.2, max=5),
        reraise=True,
    )
    while True:
        listed: list[JSON] = []
        version = ""
        async for attempt in patient.copy():
            with attempt:
                listed, version = await _list(session, resource, namespace, labels, fields)
        yield Listed(resource, namespace, listed)
        try:
            while True:
                begun = time.monotonic()
                events = session.api.watch(resource, version, namespace=namespace, labels=labels, fields=fields)
                async for event in events:
                    item = event["object"]
                    version = item["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        yield Changed(resource, item, event["type"] == "DELETED")
                await _breathe(begun)
        except (Gone, ApiUnavailable, Throttled):
            await _breathe(begun)


async def _breathe(begun: float) -> None:
    """A server (or a proxy) that ends watches as soon as they begin must not be asked without a pause."""
    if time.monotonic() - begun < SHORTEST_WATCH_SECONDS:
        await asyncio.sleep(SHORTEST_WATCH_SECONDS)


async def _list(
    session: Session, resource: Resource, namespace: str | None, labels: str | None, fields: str | None
) -> tuple[list[JSON], str]:
    items: list[JSON] = []
    version = ""
    async for page in session.api.pages(resource, namespace, labels=labels, fields=fields):
        items += page["items"]
        version = version or page["metadata"]["resourceVersion"]
    return items, version


async def merge(*sources: AsyncIterator[Change]) -> AsyncGenerator[Change, None]:
    """The changes of several sources as they come; what one raises is raised here, and the others are ended."""
    queue: asyncio.Queue[Change | BaseException] = asyncio.Queue()

    async def pump(source: AsyncIterator[Change]) -> None:
        try:
            async for change in source:
                queue.put_nowait(change)
        except Exception as error:  # noqa: BLE001 - handed to the consumer, who raises it
            queue.put_nowait(error)

    tasks = [asyncio.create_task(pump(source)) for source in sources]
    try:
        while True:
            change = await queue.get()
            if isinstance(change, BaseException):
                raise change
            yield change
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
