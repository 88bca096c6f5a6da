"""kopf's part: the process, and the watches of the kinds that people declare.

`on.event` only: no change handlers, no annotations, no finalizers or timers of kopf's on users' objects (ADR 0002).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import kopf
import structlog

from batchwright import names
from batchwright.cluster.client import ApiClient
from batchwright.cluster.connection import Connection
from batchwright.cluster.decoding import ShallowResponse
from batchwright.cluster.hearing import Hearing
from batchwright.cluster.lease import Leadership, Terms, new_identity
from batchwright.controllers.leading import lead
from batchwright.controllers.operator import HearEnd, Operator, declared_resources
from batchwright.health import DECLARED_WATCH_SECONDS, Health
from batchwright.settings import Settings

logger = structlog.get_logger(__name__)
# From the end of all our work to the end of the process.
LAST_SECONDS = 30.0


def build_registry(
    api: ApiClient, settings: Settings, failed: Callable[[BaseException], None], hear_end: HearEnd = lambda *_: None
) -> tuple[kopf.OperatorRegistry, Health]:
    """The handlers of one operator on `api`, and its health; `failed` hears of the error that ended its engine,
    `hear_end` of each job that has ended."""
    registry = kopf.OperatorRegistry()
    operator = Operator(api, settings, hear_end)
    # Connections of its own: a renewal must not wait behind a flood of other writes.
    lease_api = ApiClient(api.connection, connections=2)
    lease_api.hear_write = api.hear_write
    leadership: Leadership | None = None
    if settings.leader_election:
        terms = Terms(settings.lease_namespace, settings.lease_name, settings.lease_seconds)
        leadership = Leadership(lease_api, terms, new_identity())
    health = Health(operator, leadership, settings)
    running: list[asyncio.Task[None]] = []

    def ended(task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            failed(error)

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession:
        return await make_session(api.connection, operator.hearing)

    @kopf.on.startup(registry=registry)
    async def start(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False
        settings.persistence.finalizer = f"{names.GROUP}/kopf"
        settings.watching.server_timeout = 300
        settings.watching.client_timeout = DECLARED_WATCH_SECONDS
        await api.__aenter__()
        await lease_api.__aenter__()
        work = operator.run() if leadership is None else lead(operator, leadership, api)
        running.append(asyncio.create_task(work))
        running[0].add_done_callback(ended)
        waiting = [asyncio.create_task(operator.started.wait())]
        if leadership is not None:
            waiting.append(asyncio.create_task(leadership.standing_by.wait()))
        await asyncio.wait({running[0], *waiting}, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        health.ready.set()

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await api.close()
        await lease_api.close()
        # kopf's watchers may wait for ever for a login that nobody answers any more: a process that neither works nor
        # ends would be the worst of all.
        asyncio.get_running_loop().call_later(LAST_SECONDS, end_now)

    for resource in declared_resources():
        _watch(registry, operator, resource.plural, resource.kind)
    return registry, health


def end_now() -> None:
    """Ends the process at once, whatever still holds it: the next one begins anew."""
    logger.error("the operator has stopped, and its process does not end by itself: ended")
    os._exit(1)


def _watch(registry: kopf.OperatorRegistry, operator: Operator, plural: str, kind: str) -> None:
    @kopf.on.event(names.GROUP, names.VERSION, plural, registry=registry)
    async def see(event: kopf.RawEvent, body: kopf.Body, **_: Any) -> None:
        operator.see_declared(kind, event["type"], body)


@dataclass(frozen=True, kw_only=True)
class Session(kopf.AiohttpSession):
    """A session of kopf's own. Two with the same credentials are equal: kopf gives up, and the process ends, when what
    it is given is what the API server has just refused."""

    authorization: str
    aiohttp_session: aiohttp.ClientSession = field(compare=False, repr=False)


async def make_session(connection: Connection, hearing: Hearing) -> Session:
    """A session on our connection, of which `hearing` is told; kopf asks for another when the API server no longer
    takes the token."""
    token = await connection.authorization() or ""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=connection.ssl_context),
        headers={"Authorization": token} if token else {},
        response_class=ShallowResponse,
        trace_configs=[hearing.trace()],
    )
    return Session(
        server=connection.server,
        default_namespace=connection.namespace,
        authorization=token,
        aiohttp_session=session,
    )
