"""Traces of jobs: the spans of a job's life, and what a collector receives of them."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

import builders as b
from batchwright import tracing
from batchwright.api.v1alpha1 import BatchJobStatus
from batchwright.controllers.jobtraces import JobSpan, span_of, spans_of, trace_of
from batchwright.domain.texts import timestamp
from batchwright.tracing import Tracer, make_tracer
from otlpcollector import Collector, collecting

NEEDED = "99999999-2222-3333-4444-555555555555"


def ended(state: str = "SUCCEEDED", **wire: Any) -> BatchJobStatus:
    return b.status(state, createdAt=timestamp(b.at(0)), stoppedAt=timestamp(b.at(90)), **wire)


def attempt(since: float | None, until: float, code: int | None = 0, **wire: Any) -> dict[str, Any]:
    container = {"podName": "hello-1-abc", "nodeName": "n1"} | ({} if code is None else {"exitCode": code})
    started = {} if since is None else {"startedAt": timestamp(b.at(since))}
    return {"container": container, **started, "stoppedAt": timestamp(b.at(until)), **wire}


def shown(spans: tuple[JobSpan, ...]) -> list[tuple[str, float, float, str]]:
    def after(when: datetime) -> float:
        return (when - b.NOW).total_seconds()

    return [(each.name, after(each.start), after(each.end), each.error) for each in spans]


@pytest.mark.parametrize(
    ("status", "want"),
    [
        pytest.param(
            ended(startedAt=timestamp(b.at(30)), attempts=[attempt(30, 90)]),
            [("job", 0, 90, ""), ("wait", 0, 30, ""), ("attempt", 30, 90, "")],
            id="one attempt",
        ),
        pytest.param(
            ended(
                "FAILED",
                statusReason="Task failed",
                attempts=[attempt(30, 40, 1, statusReason="exit 1"), attempt(None, 50, None), attempt(60, 90, 137)],
            ),
            [
                ("job", 0, 90, "Task failed"),
                ("wait", 0, 30, ""),
                ("attempt", 30, 40, "exit 1"),
                ("attempt", 50, 50, "failed"),
                ("attempt", 60, 90, "failed"),
            ],
            id="three attempts, of which one had no container",
        ),
        pytest.param(
            ended("FAILED", statusReason="Dependent Job failed"),
            [("job", 0, 90, "Dependent Job failed"), ("wait", 0, 90, "")],
            id="never started",
        ),
        pytest.param(
            ended(startedAt=timestamp(b.at(20))),
            [("job", 0, 90, ""), ("wait", 0, 20, ""), ("run", 20, 90, "")],
            id="an array",
        ),
        pytest.param(
            ended(attempts=[attempt(-3, 95)]),
            [("job", 0, 95, ""), ("wait", 0, 0, ""), ("attempt", -3, 95, "")],
            id="a node whose clock is off",
        ),
    ],
)
def test_spans(status: BatchJobStatus, want: list[tuple[str, float, float, str]]) -> None:
    assert shown(spans_of(b.job(), status)) == want


def test_the_trace_is_the_job_id_and_leads_to_what_was_needed() -> None:
    needed = {"name": "before", "jobId": NEEDED, "state": "SUCCEEDED"}
    whole, *parts = spans_of(b.job(), ended(dependsOn=[needed], attempts=[attempt(1, 2), attempt(3, 4)]))
    assert f"{whole.trace_id:032x}" == b.UID.replace("-", "")
    assert {each.parent_id for each in parts} == {whole.span_id}
    assert {each.trace_id for each in parts} == {whole.trace_id}
    assert len({each.span_id for each in (whole, *parts)}) == 4
    assert whole.needs == ((uuid.UUID(NEEDED).int, span_of(NEEDED, "job")),)
    assert whole.attributes["batchwright.queue"] == "normal"
    assert whole.attributes["k8s.namespace.name"] == "default"
    assert parts[1].attributes == {
        "batchwright.attempt": 1,
        "k8s.pod.name": "hello-1-abc",
        "k8s.node.name": "n1",
        "process.exit.code": 0,
    }


@given(st.text(min_size=1, max_size=40), st.sampled_from(["job", "wait", "attempt-1"]))
def test_numbers_fit_and_are_none_of_those_that_mean_nothing(job_id: str, part: str) -> None:
    assert 0 <= trace_of(job_id) < 1 << 128
    assert 0 < span_of(job_id, part) < 1 << 64
    assert span_of(job_id, part) == span_of(job_id, part)


def test_what_the_sdk_exports() -> None:
    exporter = InMemorySpanExporter()
    tracer = Tracer(SimpleSpanProcessor(exporter), Resource.create({"service.name": "batchwright"}))
    tracer.tell(b.job(), ended("FAILED", statusReason="Task failed", attempts=[attempt(30, 90, 3)]))
    whole, wait, run = exporter.get_finished_spans()
    assert [each.name for each in (whole, wait, run)] == ["job", "wait", "attempt"]
    assert (whole.status.status_code, whole.status.description) == (StatusCode.ERROR, "Task failed")
    assert wait.status.status_code is StatusCode.OK
    assert whole.parent is None
    assert run.parent is not None
    assert whole.context is not None
    assert run.parent.span_id == whole.context.span_id
    assert (run.end_time or 0) - (run.start_time or 0) == 60 * 10**9
    assert run.attributes is not None
    assert run.attributes["process.exit.code"] == 3


@pytest.mark.parametrize(
    "environment",
    [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}],
    ids=["nothing said", "empty", "disabled"],
)
def test_nobody_is_told_unless_somebody_asked(environment: dict[str, str]) -> None:
    assert make_tracer(environment) is None


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


def test_a_collector_that_does_not_answer_delays_the_end_by_seconds_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        tracer = make_tracer()
        assert tracer is not None
        monkeypatch.setattr(tracing, "CLOSING_SECONDS", 1.0)
        tracer.tell(b.job(), ended(attempts=[attempt(30, 90)]))
        began = time.monotonic()
        with structlog.testing.capture_logs() as lines:
            tracer.close()
        assert 0.9 < time.monotonic() - began < 5
        assert [line["event"] for line in lines] == ["traces not sent: the collector does not take them"]


def test_a_collector_receives_a_job_by_otlp(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "k8s.cluster.name=here")
    tracer = make_tracer()
    assert tracer is not None
    tracer.tell(b.job(), ended(attempts=[attempt(30, 90)]))
    tracer.close()
    [(path, request)] = collector.got
    assert path == "/v1/traces"
    [resource] = request.resource_spans
    said = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert said["service.name"] == "batchwright"
    assert said["k8s.cluster.name"] == "here"
    [scope] = resource.scope_spans
    assert [span.name for span in scope.spans] == ["job", "wait", "attempt"]
    assert {span.trace_id.hex() for span in scope.spans} == {b.UID.replace("-", "")}
    assert scope.spans[1].parent_span_id == scope.spans[0].span_id
