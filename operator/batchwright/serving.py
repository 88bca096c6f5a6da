"""What the operator answers over HTTP: probes and metrics, on one address or on two.

Beside kopf's own server of probes because that has room for one path (kopf._core.engines.probing). It answers from the
first moment: a probe of an operator that is still starting is told so, with 503.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from batchwright.errors import ServingError

logger = structlog.get_logger(__name__)
METRICS_PATH = "/metrics"
SHUTDOWN_SECONDS = 1.0


@dataclass(frozen=True)
class Address:
    """Where something is served."""

    host: str
    port: int
    path: str


def parse_address(url: str, option: str) -> Address:
    """The address of a URL such as http://0.0.0.0:8080/healthz. Raises ServingError, which names the `option`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ServingError(f"{option}: {url!r} is no URL: {error}") from None
    if parts.scheme != "http" or not host or not port or not parts.path.startswith("/") or parts.query:
        raise ServingError(f"{option}: {url!r} is not of the form http://HOST:PORT/PATH, such as {EXAMPLE}")
    return Address(host, port, parts.path)


EXAMPLE = "http://0.0.0.0:8080/metrics"


def addresses(liveness: str | None, metrics: str | None) -> tuple[Address | None, Address | None]:
    """Where probes and metrics are served. Without a word about metrics (None) it is beside the probes; an empty text
    says nowhere. Raises ServingError."""
    probes = parse_address(liveness, "--liveness") if liveness else None
    if metrics is None:
        beside = None if probes is None else Address(probes.host, probes.port, METRICS_PATH)
        return probes, None if beside == probes else beside
    found = parse_address(metrics, "--metrics") if metrics else None
    if found is not None and found == probes:
        raise ServingError(f"--metrics: {metrics} is where --liveness answers; give another path or port")
    return probes, found


@asynccontextmanager
async def serving(handlers: Mapping[Address, Handler]) -> AsyncIterator[None]:
    """Answers at these addresses meanwhile. Raises ServingError when one is taken."""
    apps: defaultdict[tuple[str, int], list[web.RouteDef]] = defaultdict(list)
    for address, handler in handlers.items():
        apps[address.host, address.port].append(web.get(address.path, handler))
    runners: list[web.AppRunner] = []
    try:
        for (host, port), routes in apps.items():
            app = web.Application()
            app.add_routes(routes)
            runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
            runners.append(runner)
            await runner.setup()
            try:
                await web.TCPSite(runner, host, port).start()
            except OSError as error:
                raise ServingError(f"cannot serve on {host}:{port}: {error.strerror or error}") from error
            logger.debug("serving", host=host, port=port, paths=[route.path for route in routes])
        yield
    finally:
        for runner in runners:
            await runner.cleanup()
