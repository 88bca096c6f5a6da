"""The operator as a process: logging, signals, probes, and its end.

Crash-only: a failure anywhere in the engine ends the process with an error, and the next one rebuilds everything from
the API server.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys

import kopf
import structlog
import uvloop
from kopf._core.engines.peering import Identity
from prometheus_client import REGISTRY, disable_created_metrics
from prometheus_client.aiohttp import make_aiohttp_handler

from batchwright import names
from batchwright.cluster.client import ApiClient
from batchwright.controllers.gauges import read_gauges
from batchwright.handlers import build_registry
from batchwright.joblog import add_job
from batchwright.metrics import Gauges, count_write
from batchwright.serving import Address, addresses, serving
from batchwright.settings import Settings
from batchwright.tracing import make_tracer


def run_operator(
    *,
    liveness: str | None,
    metrics: str | None = None,
    verbose: bool,
    json_logs: bool,
    context: str | None,
    kubeconfig: str | None,
    settings: Settings,
) -> None:
    """Runs until SIGTERM or SIGINT. `liveness` is a URL such as http://0.0.0.0:8080/healthz to answer probes on,
    `metrics` one for Prometheus: None for /metrics beside the probes, an empty text for nowhere.

    Raises ConnectionSetupError when there is no cluster, ServingError, LeadershipLost, and whatever else ended the
    engine.
    """
    configure_logging(verbose=verbose, json_logs=json_logs)
    where = addresses(liveness, metrics)
    spare_the_collector()
    # A request costs half of what it does on asyncio's own loop (docs/benchmarks.md).
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(where, context, kubeconfig, settings))


async def _run(
    where: tuple[Address | None, Address | None], context: str | None, kubeconfig: str | None, settings: Settings
) -> None:
    api = await ApiClient.connect(context, kubeconfig)
    api.hear_write = count_write
    failure: list[BaseException] = []
    stop = asyncio.Event()

    def failed(error: BaseException) -> None:
        failure.append(error)
        stop.set()

    tracer = make_tracer()
    hear_end = tracer.tell if tracer is not None else lambda *_: None
    registry, health = build_registry(api, settings, failed, hear_end)
    # One more series for each, of which nobody makes use.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library does not say that it returns nothing
    gauges = Gauges(lambda: read_gauges(health.operator, health.leadership))
    handlers = (health.answer, make_aiohttp_handler(REGISTRY))
    async with serving({address: handler for address, handler in zip(where, handlers, strict=True) if address}):
        REGISTRY.register(gauges)
        try:
            await _work(registry, stop)
        finally:
            REGISTRY.unregister(gauges)
            if tracer is not None:
                await asyncio.to_thread(tracer.close)
    if failure:
        raise cause_of(failure[0])


def cause_of(error: BaseException) -> BaseException:
    """What ended a group of tasks, if it was one error: who reads the log is told it in a line, where it is ours."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


async def _work(registry: kopf.OperatorRegistry, stop: asyncio.Event) -> None:
    await kopf.operator(
        registry=registry,
        clusterwide=True,
        standalone=True,
        # Only peering needs one, and kopf's own way to find it fails for a uid that has no passwd entry.
        identity=Identity(names.FIELD_MANAGER),
        stop_flag=stop,
    )


def spare_the_collector() -> None:
    """Has Python's cyclic collector look less often: records live long and hold no cycles, and with its defaults it
    goes over all of them again and again, a quarter of the time of a scheduling pass from scratch."""
    gc.set_threshold(100_000, 50, 100)


def configure_logging(*, verbose: bool, json_logs: bool) -> None:
    """structlog for our own lines, and kopf's through the same handler's stream."""
    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(stream=sys.stderr, level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("kopf", "aiohttp", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.DEBUG if verbose else logging.WARNING)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        add_job,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer = structlog.processors.JSONRenderer() if json_logs else structlog.dev.ConsoleRenderer(colors=False)
    if json_logs:
        # kopf's and Python's own lines too: one object a line, whoever wrote it.
        formatter = structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
        for handler in logging.getLogger().handlers:
            handler.setFormatter(formatter)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        processors=[*shared, renderer],
    )
