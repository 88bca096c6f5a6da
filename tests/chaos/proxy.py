"""A reverse proxy between the operator and the API server: it counts, and by its rules it cuts, delays and answers.

TLS on both sides, HTTP/1.1, watches streamed as they come. It lives on a thread with a loop of its own, so that a test
can block while it works. Its own rights are those of the kubeconfig it was given; the operator has none.

Invariants: a request is passed on at most once; what the operator is killed over never reaches the server after the
next operator was started, unless it had been passed on before the kill (as packets under way would have been).
Hazard: rules are read on the proxy's thread; replace the list, never change it in place.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import uvloop
from aiohttp import web
from yarl import URL

from batchwright.cluster.connection import load_connection
from batchwright.local.ports import free_ports
from chaos.certificate import ADDRESS, write_certificate, write_kubeconfig
from chaos.strikes import Answer, As, Asked, CutAfter, CutBefore, Delay, Kill, Rule

LARGEST_BODY = 64 << 20
START_SECONDS = 20
# Kubernetes, "User impersonation".
IMPERSONATE = "Impersonate-User"
UNTOUCHED = frozenset({"host", "connection", "authorization", "transfer-encoding", "content-length", "expect"})
Result = TypeVar("Result")


class Proxy:
    """One proxy to the API server of `upstream`; `kubeconfig` is how to reach the proxy."""

    def __init__(self, upstream: Path, directory: Path, seed: int, kill: Callable[[], None]) -> None:
        self.kubeconfig = directory / "proxy.kubeconfig"
        self.counts: Counter[str] = Counter()
        self._upstream, self._directory, self._kill = upstream, directory, kill
        self._chance = random.Random(seed)
        self._rules: tuple[Rule, ...] = ()
        self._number = 0
        self._watch_delay = 0.0
        # What was delayed, refused or held since a hindrance began.
        self._met: Counter[str] = Counter()
        self._connections: set[asyncio.Transport] = set()
        self._watches: set[asyncio.Transport] = set()
        self._loop = uvloop.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._refuses = False
        self._thread = threading.Thread(target=self._run, name="chaos proxy", daemon=True)

    def start(self) -> None:
        """Serves; returns once connections are taken."""
        self._thread.start()
        if not self._ready.wait(START_SECONDS) or self._failure is not None:
            raise RuntimeError(f"the proxy did not start: {self._failure!r}")

    def stop(self) -> None:
        """Ends every connection, and the thread."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_SECONDS)

    @contextmanager
    def rule(self, rule: Rule) -> Iterator[Rule]:
        """The rule holds within the block, after those that hold already."""
        self._rules = (*self._rules, rule)
        try:
            yield rule
        finally:
            self._rules = tuple(each for each in self._rules if each is not rule)

    def count_from_here(self) -> None:
        """The operator's next write is number 1."""
        self._number = 0

    def cut_connections(self, *, watches_only: bool = False) -> int:
        """Ends the connections there are; how many they were."""

        async def cut() -> int:
            ended = list(self._watches if watches_only else self._connections)
            for transport in ended:
                transport.abort()
            return len(ended)

        return self._await(cut())

    @contextmanager
    def watches_delayed(self, seconds: float) -> Iterator[Counter[str]]:
        """Within the block each part of a watch comes so much later; what did is counted."""
        self._met, self._watch_delay = Counter(), seconds
        try:
            yield self._met
        finally:
            self._watch_delay = 0.0

    @contextmanager
    def network_down(self, *, silent: bool) -> Iterator[Counter[str]]:
        """Within the block nothing passes: connections are refused, or (`silent`) no answer ever comes on them. What
        was refused or held is counted."""
        self._met = Counter()
        if silent:
            self._await(self._hold())
        else:
            self._refuses = True
            self.cut_connections()
        try:
            yield self._met
        finally:
            self._refuses = False
            self._await(self._let_go())
            if silent:
                self.cut_connections()

    async def _hold(self) -> None:
        self._passes.clear()

    async def _let_go(self) -> None:
        self._passes.set()

    async def _pass(self, asked: Asked) -> None:
        """Waits for as long as nothing passes."""
        if not self._passes.is_set():
            self._met[f"held {asked.what}"] += 1
        await self._passes.wait()

    def _await(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_SECONDS)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:
            self._failure = error
            self._ready.set()
            raise
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._passes = asyncio.Event()
        self._passes.set()
        upstream = await load_connection(None, str(self._upstream))
        self._server = upstream.server
        connector = aiohttp.TCPConnector(ssl=upstream.ssl_context, limit=0)
        forever = aiohttp.ClientTimeout(total=None, sock_connect=10)
        async with aiohttp.ClientSession(
            connector=connector, auto_decompress=False, timeout=forever, cookie_jar=aiohttp.DummyCookieJar()
        ) as self._session:
            app = web.Application(client_max_size=LARGEST_BODY)
            app.router.add_route("*", "/{path:.*}", self._handle)
            # Watches of an operator that is gone end at once; its writes go on (see the shield).
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
            await runner.setup()
            certificate, key = write_certificate(self._directory)
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(certificate, key)
            [port] = free_ports(1, ADDRESS)
            await web.TCPSite(runner, ADDRESS, port, ssl_context=tls).start()
            write_kubeconfig(self.kubeconfig, port, certificate)
            self._ready.set()
            await self._stop.wait()
            for transport in list(self._connections):
                transport.abort()
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        transport = request.transport
        if transport is None or self._refuses:
            self._met[f"refused {_wish(request).what}"] += 1
            return _cut(request)
        self._connections.add(transport)
        try:
            return await self._treat(request, transport)
        finally:
            self._connections.discard(transport)

    async def _treat(self, request: web.Request, transport: asyncio.Transport) -> web.StreamResponse:
        body = await request.read()
        asked = self._asked(request)
        strike = next((each.strike for each in self._rules if each.wants(asked, self._chance.random())), None)
        match strike:
            case CutBefore():
                return _cut(request)
            case Kill(after=False):
                self._kill()
                return _cut(request)
            case Answer(status=410) if asked.is_watch:
                # As the API server does: the watch begins, and its only event is the error.
                line = b'{"type":"ERROR","object":' + strike.body() + b"}\n"
                return web.Response(body=line, content_type="application/json")
            case Answer():
                headers = {} if strike.retry_after is None else {"Retry-After": str(strike.retry_after)}
                return web.Response(
                    status=strike.status, body=strike.body(), content_type="application/json", headers=headers
                )
            case Delay():
                await asyncio.sleep(strike.seconds)
        await self._pass(asked)
        if transport.is_closing():
            return _cut(request)
        try:
            passing = self._pass_on(request, transport, body, asked, strike)
            return await (asyncio.shield(passing) if asked.is_write else passing)
        except (aiohttp.ClientError, ConnectionError, TimeoutError):
            # The API server is away, or one of the two ends hung up: the other shall see no less.
            return _cut(request)

    def _asked(self, request: web.Request) -> Asked:
        number = 0
        if request.method != "GET":
            self._number += 1
            number = self._number
        asked = _wish(request, number)
        self.counts[asked.what] += 1
        return asked

    async def _pass_on(
        self, request: web.Request, transport: asyncio.Transport, body: bytes, asked: Asked, strike: object
    ) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in UNTOUCHED}
        if isinstance(strike, As):
            headers[IMPERSONATE] = strike.user
        url = URL(self._server + request.raw_path, encoded=True)
        async with self._session.request(request.method, url, data=body or None, headers=headers) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in UNTOUCHED}
            if asked.is_watch and answer.status == 200:
                return await self._stream(request, transport, answer, kept, asked)
            payload = await answer.read()
            if isinstance(strike, Kill):
                self._kill()
            if isinstance(strike, CutAfter | Kill):
                return _cut(request)
            await self._pass(asked)
            return web.Response(status=answer.status, body=payload, headers=kept)

    async def _stream(
        self,
        request: web.Request,
        transport: asyncio.Transport,
        answer: aiohttp.ClientResponse,
        headers: dict[str, str],
        asked: Asked,
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=headers)
        response.enable_chunked_encoding()
        self._watches.add(transport)
        try:
            await response.prepare(request)
            async for part in answer.content.iter_any():
                if self._watch_delay:
                    self._met[f"late {asked.what}"] += 1
                    await asyncio.sleep(self._watch_delay)
                await self._pass(asked)
                await response.write(part)
            await response.write_eof()
        finally:
            self._watches.discard(transport)
        return response


def _wish(request: web.Request, number: int = 0) -> Asked:
    return Asked(request.method, request.path, request.query.get("watch") == "true", number)


def _cut(request: web.Request) -> web.Response:
    """The connection ends without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=502)
