"""Traces of jobs by OpenTelemetry (OTLP over HTTP), where OTEL_EXPORTER_OTLP_ENDPOINT says where to.

The packages come with the extra `otel`, and are imported only then. Spans are made of a job's timestamps once it has
ended, and sent by a thread of the SDK's: a collector that does not answer delays nothing, and loses spans.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import structlog

from batchwright.api.v1alpha1 import BatchJobStatus
from batchwright.controllers.jobtraces import JobSpan, spans_of
from batchwright.domain.observations import Job

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

logger = structlog.get_logger(__name__)
SERVICE: Final = "batchwright"
ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
# A flood of jobs may end within the five seconds between two exports; the SDK's own default is 2048.
MOST_SPANS: Final = 50_000
CLOSING_SECONDS: Final = 5.0


class Tracer:
    """Sends the spans of jobs that have ended to `processor`."""

    def __init__(self, processor: SpanProcessor, resource: Resource) -> None:
        self._processor = processor
        self._resource = resource

    def tell(self, job: Job, status: BatchJobStatus) -> None:
        """The job has ended as this status says."""
        try:
            for span in spans_of(job, status):
                self._processor.on_end(_readable(span, self._resource))
        except Exception:
            # A defect here must not stand in the way of jobs.
            logger.exception("job not traced", job_id=job.uid, namespace=job.namespace, job=job.name)

    def close(self) -> None:
        """Sends what is left, for `CLOSING_SECONDS` at most; the SDK itself would try for minutes."""
        closing = threading.Thread(target=self._processor.shutdown, name="end of traces", daemon=True)
        closing.start()
        closing.join(CLOSING_SECONDS)
        if closing.is_alive():
            logger.warning("traces not sent: the collector does not take them")


def make_tracer(environment: Mapping[str, str] = os.environ) -> Tracer | None:
    """A tracer, where the environment names an endpoint; None without, or without the packages."""
    is_wanted = any(environment.get(name) for name in ENDPOINTS)
    if not is_wanted or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        logger.warning("no traces: install batchwright[otel]", missing=error.name)
        return None
    most = None if environment.get("OTEL_BSP_MAX_QUEUE_SIZE") else MOST_SPANS
    named = {"service.version": version(SERVICE)}
    if not environment.get("OTEL_SERVICE_NAME"):
        named["service.name"] = SERVICE
    return Tracer(BatchSpanProcessor(OTLPSpanExporter(), max_queue_size=most), Resource.create(named))


def _readable(span: JobSpan, resource: Resource) -> ReadableSpan:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags

    def context(trace_id: int, span_id: int) -> SpanContext:
        return SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))

    return ReadableSpan(
        span.name,
        context=context(span.trace_id, span.span_id),
        parent=None if span.parent_id is None else context(span.trace_id, span.parent_id),
        resource=resource,
        attributes=span.attributes,
        links=[Link(context(*needed)) for needed in span.needs],
        status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.OK),
        start_time=_nanoseconds(span.start),
        end_time=_nanoseconds(span.end),
        instrumentation_scope=InstrumentationScope(SERVICE, version(SERVICE)),
    )


def _nanoseconds(when: datetime) -> int:
    return int(when.timestamp() * 1_000_000) * 1000
