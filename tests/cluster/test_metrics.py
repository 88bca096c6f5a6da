"""The operator is scraped while jobs wait, run and end: what Prometheus reads is what happened.

So is what a collector of traces gets.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubecluster import Cluster
from metriclist import described
from operatorprocess import OperatorProcess
from otlpcollector import Collector, collecting
from scrapes import Scrape
from stage import Stage
from watches import until

WAIT_SECONDS = 40


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


@pytest.fixture
def operator(cluster: Cluster, bare_stage: Stage, collector: Collector, tmp_path: Path) -> Iterator[OperatorProcess]:
    """An operator that sends traces, and a stage with one node, an environment and a queue."""
    bare_stage.nodes(1)
    bare_stage.environment()
    bare_stage.queue()
    told = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    process = OperatorProcess(cluster.kubeconfig, tmp_path / "operator.log", environment=told)
    process.start()
    yield process
    process.stop()


def scrape_until(operator: OperatorProcess, condition: Callable[[Scrape], bool]) -> Scrape:
    """The first scrape of which the condition holds."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition(found := operator.metrics()):
        assert time.monotonic() < deadline, sorted(map(str, found.samples.items()))
        time.sleep(0.3)
    return found


def waiting(found: Scrape, queue: str) -> dict[str, float]:
    """How many jobs of the queue wait, by why."""
    return {why: count for why, count in found.by("batchwright_jobs_waiting", "reason", queue=queue).items() if count}


def test_a_queue_is_seen_to_fill_and_to_empty(bare_stage: Stage, operator: OperatorProcess) -> None:
    normal, queue = bare_stage, f"{bare_stage.namespace}-queue"
    normal.simulated(simulate={"seconds": "5"}, cpu="2")
    normal.simulated("failing", simulate={"seconds": "1", "exit-code": "3"}, cpu="100m")
    before = operator.metrics()
    assert {each.name.removesuffix("_total") for each in described()} <= before.families
    for number in range(3):
        normal.submit(f"wide-{number}", "hello")

    # Two of three fit on the node.
    full = scrape_until(operator, lambda found: found.value("batchwright_jobs", queue=queue, state="RUNNING") == 2)
    assert full.by("batchwright_jobs", "state", queue=queue) == {
        **dict.fromkeys(("SUBMITTED", "PENDING", "STARTING"), 0),
        "RUNNABLE": 1,
        "RUNNING": 2,
    }
    assert (full.value("batchwright_oldest_runnable_job_age_seconds", queue=queue) or 0) > 0
    why = scrape_until(operator, lambda found: waiting(found, queue).keys() == {"NoRoom"})
    assert waiting(why, queue) == {"NoRoom": 1}
    assert full.value("batchwright_cost_dollars_total", queue=queue, share="") == 0
    assert full.value("batchwright_leader") == 1
    assert (full.value("batchwright_pass_age_seconds") or 0) < 60
    ages = full.by("batchwright_watch_age_seconds", "resource")
    # Those that kopf watches, too.
    assert {"batchjobs", "jobs", "pods", "nodes", "jobqueues", "computeenvironments", "jobdefinitions"} <= ages.keys()
    assert max(ages.values()) < 100

    normal.submit("broken", "failing")
    normal.submit("array", "hello", arrayProperties={"size": 4})
    runnable = {"queue": queue, "state": "RUNNABLE"}
    scrape_until(operator, lambda found: (found.value("batchwright_array_elements", **runnable) or 0) > 0)
    for name in ("wide-0", "wide-1", "wide-2", "broken", "array"):
        normal.wait_final(name)
    empty = scrape_until(operator, lambda found: found.total("batchwright_jobs", queue=queue) == 0)
    assert empty.total("batchwright_jobs_finished_total", queue=queue, state="SUCCEEDED") == 4
    failed = empty.by("batchwright_jobs_finished_total", "cause", queue=queue, state="FAILED")
    assert {cause: count for cause, count in failed.items() if count} == {"Exited": 1}
    assert empty.value("batchwright_job_wait_seconds_count", queue=queue) == 5
    assert empty.value("batchwright_job_run_seconds_count", queue=queue) == 5
    assert (empty.value("batchwright_job_run_seconds_sum", queue=queue) or 0) > 3 * 4
    # The third of the wide ones waited for one of the others.
    assert (empty.value("batchwright_job_wait_seconds_sum", queue=queue) or 0) > 4
    made = [each.total("batchwright_api_writes_total", method="POST", resource="jobs") for each in (before, empty)]
    assert made[1] - made[0] == 5
    assert empty.total("batchwright_api_writes_total", method="PATCH", resource="batchjobs/status") >= 10
    assert empty.total("batchwright_decision_errors_total") == 0
    assert empty.total("batchwright_api_write_errors_total", resource="batchjobs/status") == 0

    # No label is the name of a job, and what has finished leaves no series but those of its queue.
    labels = {value for _, has in empty.samples for _, value in has}
    assert not labels & {"wide-0", "broken", "array", normal.namespace}


def test_an_array_that_waits_for_capacity_is_seen_to(bare_stage: Stage, operator: OperatorProcess) -> None:
    """It is PENDING like one that runs, so that no count of states tells."""
    normal, queue = bare_stage, f"{bare_stage.namespace}-queue"
    normal.simulated(simulate={"seconds": "5"}, cpu="4")
    normal.submit("wide", "hello")
    scrape_until(operator, lambda found: found.value("batchwright_jobs", queue=queue, state="RUNNING") == 1)
    normal.submit("array", "hello", arrayProperties={"size": 2})
    waits = scrape_until(operator, lambda found: waiting(found, queue) == {"NoRoom": 1})
    assert waits.value("batchwright_jobs", queue=queue, state="RUNNABLE") == 0
    for name in ("wide", "array"):
        normal.wait_final(name)
    scrape_until(operator, lambda found: not waiting(found, queue))


def test_a_collector_gets_the_life_of_a_job(bare_stage: Stage, operator: OperatorProcess, collector: Collector) -> None:
    bare_stage.simulated(
        "flaky", simulate={"seconds": "1", "exit-code": "5", "fail-attempts": "1"}, retryStrategy={"attempts": 2}
    )
    first = bare_stage.submit("first", "flaky")
    second = bare_stage.submit("second", "flaky", dependsOn=[{"name": "first"}])
    status = bare_stage.wait_final("second")
    trace = second.replace("-", "")
    until(lambda: len(collector.spans(trace)) >= 4, "no trace", 10)
    whole, wait, failed, succeeded = sorted(
        collector.spans(trace), key=lambda span: (span.name != "job", span.end_time_unix_nano)
    )
    assert [span.name for span in (whole, wait, failed, succeeded)] == ["job", "wait", "attempt", "attempt"]
    assert {span.parent_span_id for span in (wait, failed, succeeded)} == {whole.span_id}
    assert [span.status.code for span in (whole, failed, succeeded)] == [1, 2, 1]
    said = {each.key: each.value for each in succeeded.attributes}
    assert said["k8s.pod.name"].string_value == status["attempts"][1]["container"]["podName"]
    assert said["process.exit.code"].int_value == 0
    assert [link.trace_id.hex() for link in whole.links] == [first.replace("-", "")]
    # It was told once, and could wait no less than the job it depended on took.
    assert len(collector.spans(trace)) == 4
    assert wait.end_time_unix_nano - wait.start_time_unix_nano >= 10**9
