"""The metrics' names, labels and bounds."""

from __future__ import annotations

import re
import uuid
from typing import get_args

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

from batchwright import metrics
from batchwright.capacity.fleet import Alert
from batchwright.cluster.client import resource_of
from batchwright.metrics import Gauges, Reading
from metriclist import Described, described
from scrapes import Scrape

# Labels whose values administrators, Kubernetes or this program choose. No job, pod, instance, node or user is one.
BOUNDED = {
    *("queue", "state", "share", "environment", "cause", "warning", "method", "resource", "code", "ready", "version"),
    *("kind", "reason"),
}
UNITS = ("_seconds", "_seconds_total", "_dollars_total", "_total", "_info")
# Plain counts of things.
COUNTS = {
    *("batchwright_leader", "batchwright_jobs", "batchwright_array_elements", "batchwright_status_writes_pending"),
    *("batchwright_nodes", "batchwright_instances", "batchwright_jobs_waiting"),
}


@pytest.mark.parametrize("metric", described(), ids=[each.name for each in described()])
def test_every_metric_keeps_the_conventions(metric: Described) -> None:
    name, text = metric.name, metric.text
    assert re.fullmatch(r"batchwright_[a-z]+(_[a-z]+)*", name)
    assert name.endswith(UNITS) or name in COUNTS
    assert (metric.kind == "counter") == name.endswith("_total")
    assert set(metric.labels) <= BOUNDED
    assert re.match(r"^(v?[A-Z0-9]).*\.$", text)


def test_every_gauge_is_among_those_that_are_served() -> None:
    assert {id(each) for each in vars(metrics).values() if isinstance(each, metrics.Gauge)} == set(
        map(id, metrics.GAUGES)
    )


def test_gauges_are_read_at_each_scrape_and_not_before() -> None:
    asked = []

    def read() -> list[Reading]:
        asked.append(1)
        return [Reading(metrics.LEADER, 1), Reading(metrics.JOBS, len(asked), ("q", "RUNNING"))]

    registry = CollectorRegistry()
    registry.register(Gauges(read))
    assert asked == []
    for count in (1, 2):
        found = Scrape.of(generate_latest(registry).decode())
        assert found.value("batchwright_jobs", queue="q", state="RUNNING") == count
        assert found.value("batchwright_leader") == 1


@pytest.mark.parametrize(
    ("path", "want"),
    [
        ("/api/v1/pods", "pods"),
        ("/api/v1/namespaces/default/pods/hello/status", "pods/status"),
        ("/api/v1/namespaces/default", "namespaces"),
        ("/api/v1/nodes/n1", "nodes"),
        ("/apis/batch/v1/namespaces/default/jobs", "jobs"),
        ("/apis/batch/v1/namespaces/namespaces/jobs/namespaces", "jobs"),
        ("/apis/batchwright.io/v1alpha1/namespaces/default/batchjobs/a/status", "batchjobs/status"),
        ("/apis/batchwright.io/v1alpha1/jobqueues/q/status", "jobqueues/status"),
        ("/apis/batchwright.io/v1alpha1/computeenvironments/e", "computeenvironments"),
    ],
)
def test_a_write_is_counted_under_its_resource_and_no_name(path: str, want: str) -> None:
    assert resource_of(path) == want


def test_writes_and_their_errors_are_counted() -> None:
    resource = f"r{uuid.uuid4().hex}"
    for failed in (None, 409, 0):
        metrics.count_write("PATCH", resource, failed)
    labels = {"method": "PATCH", "resource": resource}
    assert REGISTRY.get_sample_value("batchwright_api_writes_total", labels) == 3
    errors = "batchwright_api_write_errors_total"
    assert [REGISTRY.get_sample_value(errors, {**labels, "code": code}) for code in ("409", "0", "None")] == [
        1,
        1,
        None,
    ]


def test_of_too_many_shares_the_rest_has_one_series() -> None:
    queue = f"q{uuid.uuid4().hex}"
    named = [metrics.share_label(queue, f"user-{number}") for number in range(metrics.MOST_SHARES + 50)]
    assert len(set(named)) == metrics.MOST_SHARES + 1
    assert named[-1] == metrics.OTHER_SHARES
    assert metrics.share_label(queue, "user-0") == "user-0"
    assert metrics.share_label(f"{queue}-2", "user-149") == "user-149"


def series(**labels: str) -> set[str]:
    """The names of all series that have these labels."""
    wanted = labels.items()
    return {
        sample.name for family in REGISTRY.collect() for sample in family.samples if wanted <= sample.labels.items()
    }


def of(label: str) -> set[str]:
    """The names of all counted metrics with that label, as their first series are called."""
    gauges = {gauge.name for gauge in metrics.GAUGES}
    found = {each for each in described() if label in each.labels and each.name not in gauges}
    return {f"{each.name}_count" if each.kind == "histogram" else each.name for each in found}


def test_a_queue_has_its_counters_from_the_beginning_and_takes_all_along() -> None:
    queue = f"q{uuid.uuid4().hex}"
    metrics.begin_queue(queue)
    # What shares used is counted by share, from the first of each on.
    assert of("queue") - of("share") <= series(queue=queue)
    for metric in (metrics.VCPU_SECONDS, metrics.MEMORY_SECONDS, metrics.GPU_SECONDS, metrics.COST, metrics.LOST_COST):
        metric.labels(queue, metrics.share_label(queue, "red"))
    assert of("queue") <= series(queue=queue)
    metrics.forget_queue(queue)
    assert series(queue=queue) == set()


def test_an_environment_has_its_counters_from_the_beginning_and_takes_all_along() -> None:
    environment = f"e{uuid.uuid4().hex}"
    metrics.begin_environment(environment)
    assert of("environment") <= series(environment=environment)
    assert {"interrupted", "maintenance", "rebalance"} == set(get_args(Alert))
    metrics.forget_environment(environment)
    assert series(environment=environment) == set()
