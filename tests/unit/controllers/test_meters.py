"""Who pays for which pod, what is told when, and what an operator that starts makes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

import builders as b
from batchwright.api.v1alpha1 import ComputeEnvironmentSpec, JobQueueSpec
from batchwright.controllers.declared import Declared
from batchwright.controllers.store import Store
from batchwright.domain.metering import LAG_SECONDS, Price
from batchwright.domain.observations import FinishedJob, Pod
from batchwright.domain.quantities import CPU, MEMORY

QUEUE = {"computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "nodes"}]}
NODE = b.node("n1", cpu=4000, memory=16 * b.GIB)
PRICED = replace(NODE, price=Price(3.6))
# A quarter of the node's vCPUs, and half of its memory.
REQUEST = {CPU: 1000, MEMORY: 8 * b.GIB}
ARRAY = b.spec(arrayProperties={"size": 40})


def queue(**status: Any) -> Declared[JobQueueSpec]:
    return Declared("q", "", "normal", 1, JobQueueSpec.model_validate(QUEUE), QUEUE, status)


def store_at(seconds: float, *, begun: bool = True, **job: Any) -> Store:
    """A store that knows the job, its Kubernetes Job and its queue, `seconds` after all began."""
    made = Store()
    made.queues[("", "normal")] = queue()
    made.meters.clock = lambda: b.at(seconds)
    made.put_job(b.UID, b.job(**job))
    made.put_work("work-1", b.work())
    if begun:
        made.meters.begin(made)
    return made


def at(store: Store, seconds: float) -> None:
    store.meters.clock = lambda: b.at(seconds)


def running(index: int = 0, *, began: float = 0, **over: Any) -> Pod:
    return b.running_pod(0, started=began + 1, accepted_at=b.at(began), index=index, request=REQUEST, **over)


def ended(index: int = 0, *, began: float = 0, seconds: float = 10, phase: str = "Succeeded", **over: Any) -> Pod:
    over = {"exit_code": 0 if phase == "Succeeded" else 1, "stopped_at": b.at(began + seconds), **over}
    return replace(running(index, began=began), phase=phase, running=False, **over)


def wire(store: Store, *, final: bool = True) -> dict[str, Any]:
    usage = store.meters.job_usage(b.UID, is_final=final)
    return {} if usage is None else usage.to_wire()


def shares(store: Store) -> dict[str, dict[str, Any]]:
    return {each.share: each.to_wire() for each in store.meters.queue_usage("normal", store)}


def test_an_attempt_costs_its_part_of_its_node_from_the_kubelets_word_to_its_containers_end() -> None:
    store = store_at(60)
    store.put_node("node", PRICED)
    store.put_pod("pod-0", running())
    store.put_pod("pod-0", ended())
    # Half of the node's memory: half of 3.6 $ an hour, for ten seconds.
    want = {"vcpuSeconds": "10", "memoryGiBSeconds": "80", "cost": "0.005"}
    assert wire(store).items() >= want.items()
    assert shares(store)[""].items() >= want.items()


def test_attempts_that_failed_or_were_taken_away_count_and_are_lost() -> None:
    store = store_at(30)
    store.put_node("node", PRICED)
    store.put_pod("a", ended(phase="Failed"))
    store.put_pod("b", running(began=20))
    store.put_pod("b", None)
    store.put_pod("c", ended(began=30, seconds=5))
    found = wire(store)
    assert (found["vcpuSeconds"], found["lostVcpuSeconds"], found["lostCost"]) == ("25", "20", "0.01")


@pytest.mark.parametrize("record", [ended(), ended(phase="Failed")], ids=["succeeded", "failed"])
def test_a_pod_is_counted_once_however_often_it_is_told_of(record: Pod) -> None:
    store = store_at(60)
    store.put_node("node", PRICED)
    for _ in range(3):
        store.put_pod("pod-0", record)
    assert wire(store)["vcpuSeconds"] == "10"


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(b.pod(node="n1", request=REQUEST), id="no kubelet has it yet"),
        pytest.param(running(gated=True), id="gated"),
        pytest.param(running(owner="forged"), id="somebody else's Job"),
        pytest.param(running(job_id="other"), id="another job's"),
        pytest.param(running(namespace="attacker"), id="another namespace's"),
    ],
)
def test_what_is_not_charged(record: Pod) -> None:
    store = store_at(60)
    store.put_node("node", PRICED)
    store.put_pod("pod-0", record)
    assert wire(store) == {}


def test_while_it_runs_the_status_says_what_it_holds() -> None:
    store = store_at(10 + LAG_SECONDS)
    store.put_node("node", PRICED)
    store.put_pod("pod-0", running())
    assert wire(store, final=False) == {
        "vcpuSeconds": "10",
        "memoryGiBSeconds": "80",
        "cost": "0.005",
        "updatedAt": "2026-03-01T12:00:10.000Z",
        "holding": {"vcpus": "1", "memoryGiB": "8", "hourlyCost": "1.8"},
        "elements": [],
    }


def test_elements_are_counted_by_tenths_of_the_array() -> None:
    store = store_at(60, spec=ARRAY)
    store.put_node("node", PRICED)
    for index in (0, 3, 4, 39):
        store.put_pod(f"pod-{index}", ended(index))
    found = wire(store)
    assert [(each["indexes"], each["vcpuSeconds"]) for each in found["elements"]] == [
        ("0-3", "20"),
        ("4-7", "10"),
        ("36-39", "10"),
    ]
    assert found["vcpuSeconds"] == "40"


def test_an_array_of_some_elements_keeps_their_indexes() -> None:
    store = store_at(60, spec=b.spec(arrayProperties={"size": 40, "indexes": "7,30-31"}))
    store.put_node("node", PRICED)
    store.put_pod("pod-1", ended(1))
    assert [each["indexes"] for each in wire(store)["elements"]] == ["28-31"]


PRICES = [
    pytest.param(NODE, {}, None, "10", None, id="none"),
    pytest.param(NODE, {"hourlyPrice": "7.2"}, "0.01", None, None, id="the environment's"),
    pytest.param(PRICED, {"hourlyPrice": "7.2"}, "0.005", None, None, id="the node's goes before"),
    pytest.param(replace(NODE, price=Price(3.6, True)), {}, "0.005", None, "0.005", id="estimated"),
    pytest.param(replace(NODE, price=Price(0.0)), {}, "0", None, None, id="for nothing"),
]


@pytest.mark.parametrize(("node", "environment", "want_cost", "want_unpriced", "want_estimated"), PRICES)
def test_where_a_price_comes_from(
    node: Any, environment: Any, want_cost: str | None, want_unpriced: str | None, want_estimated: str | None
) -> None:
    store = store_at(60)
    spec = ComputeEnvironmentSpec.model_validate(environment)
    store.environments[("", "nodes")] = Declared("e", "", "nodes", 1, spec, environment, {})
    store.put_node("node", node)
    store.put_pod("pod-0", ended())
    found = wire(store)
    assert (found.get("cost"), found.get("unpricedVcpuSeconds"), found.get("estimatedCost")) == (
        want_cost,
        want_unpriced,
        want_estimated,
    )


def test_a_price_that_comes_after_the_pod_counts_from_its_begin() -> None:
    store = store_at(60)
    store.put_pod("early", running())
    store.put_node("node", NODE)
    store.put_pod("late", running(1))
    store.meters.tell_price(NODE.instance, "n1", Price(3.6), store)
    store.put_node("node", replace(NODE, price=Price(100.0)))
    for uid, index in (("early", 0), ("late", 1)):
        store.put_pod(uid, ended(index))
    assert wire(store)["cost"] == "0.01"
    assert "unpricedVcpuSeconds" not in wire(store)


def restarted(store: Store, seconds: float, pods: dict[str, Pod], **job: Any) -> Store:
    """What an operator makes of the same cluster that starts then; nodes are listed after pods."""
    again = store_at(seconds, begun=False, **job)
    again.queues[("", "normal")] = queue(usage=list(shares(store).values()))
    for uid, pod in pods.items():
        again.put_pod(uid, pod)
    again.put_node("node", PRICED)
    again.meters.begin(again)
    return again


def test_an_operator_that_starts_goes_on_where_the_last_status_was_written() -> None:
    store = store_at(20, spec=ARRAY)
    store.put_node("node", PRICED)
    pods = {"a": ended(0), "b": running(1, began=5), "c": running(39, began=8)}
    for uid, pod in pods.items():
        store.put_pod(uid, pod)
    written = b.status("PENDING", usage=wire(store, final=False), arrayProperties={"size": 40})
    # Nobody looks: one ends, another comes.
    later = pods | {"b": ended(1, began=5, seconds=25), "d": running(2, began=31)}
    again = restarted(store, 40, later, spec=ARRAY, status=written)
    later |= {"c": ended(39, began=8, seconds=40), "d": ended(2, began=31, seconds=9)}
    for uid, pod in later.items():
        again.put_pod(uid, pod)
    found = wire(again)
    at(again, 60)
    assert found["vcpuSeconds"] == str(10 + 25 + 40 + 9)
    assert [each["vcpuSeconds"] for each in found["elements"]] == [str(10 + 25 + 9), "40"]
    assert shares(again)[""]["vcpuSeconds"] == found["vcpuSeconds"]


def test_what_was_used_before_the_size_was_known_is_not_lost() -> None:
    noted = {"vcpuSeconds": "50", "memoryGiBSeconds": "0", "updatedAt": "2026-03-01T12:00:00Z"}
    part = {"indexes": "0-3", "vcpuSeconds": "20", "memoryGiBSeconds": "0"}
    for elements in ([], [part]):
        store = store_at(60, spec=ARRAY, status=b.status("PENDING", usage=noted | {"elements": elements}))
        store.put_node("node", PRICED)
        store.put_pod("pod-0", ended())
        assert wire(store)["vcpuSeconds"] == "60"


def test_what_ended_without_a_trace_counts_until_the_last_status() -> None:
    store = store_at(20)
    store.put_node("node", PRICED)
    store.put_pod("a", running())
    written = b.status("RUNNING", usage=wire(store, final=False))
    gone = ended(phase="Failed", stopped_at=None, exit_code=None)
    assert wire(restarted(store, 500, {"a": gone}, status=written))["vcpuSeconds"] == str(20 - LAG_SECONDS)


def test_a_finished_jobs_pods_are_told_to_its_share_alone() -> None:
    store = store_at(60)
    store.finish(FinishedJob(b.UID, "default", "hello-1", "SUCCEEDED", "normal", b.NOW, share="red"))
    store.put_node("node", PRICED)
    store.put_pod("pod-0", ended())
    assert wire(store) == {}
    assert shares(store)["red"]["vcpuSeconds"] == "10"


def test_shares_stay_when_the_job_is_deleted() -> None:
    store = store_at(60, spec=b.spec(shareIdentifier="red"))
    store.put_node("node", PRICED)
    store.put_pod("pod-0", ended())
    store.put_job(b.UID, None)
    store.meters.forget(b.UID)
    store.put_pod("pod-0", None)
    at(store, 3600 + timedelta(hours=1).total_seconds())
    assert shares(store)["red"]["vcpuSeconds"] == "10"


def counted(share: str) -> dict[str, float]:
    names = ("vcpu_seconds", "memory_gibibyte_seconds", "gpu_seconds", "cost_dollars", "lost_cost_dollars")
    labels = {"queue": "normal", "share": share}
    return {name: REGISTRY.get_sample_value(f"batchwright_{name}_total", labels) or 0.0 for name in names}


def served(share: str) -> float | None:
    return REGISTRY.get_sample_value("batchwright_cost_dollars_total", {"queue": "normal", "share": share})


def test_a_share_is_counted_from_zero_on_before_its_first_amount() -> None:
    """An increase from nothing is none to Prometheus."""
    assert served("fresh") is None
    store = store_at(60, spec=b.spec(shareIdentifier="fresh"))
    store.put_node("node", PRICED)
    store.put_pod("pod-0", ended())
    assert served("fresh") == 0
    store.meters.count("normal", store)
    assert served("fresh") == pytest.approx(0.005)


def test_shares_that_an_operator_before_this_one_has_noted_begin_at_zero() -> None:
    store = store_at(60)
    noted = {"share": "noted", "vcpuSeconds": "1000", "memoryGiBSeconds": "1", "updatedAt": "2026-03-01T11:59:59Z"}
    store.queues[("", "normal")] = queue(usage=[noted])
    store.meters.begin_shares("normal", store)
    assert served("noted") == 0


def test_a_queue_that_is_not_there_has_no_series_of_its_own() -> None:
    store = store_at(60, spec=b.spec(jobQueue="typo"))
    store.put_node("node", PRICED)
    store.put_pod("pod-0", ended())
    assert REGISTRY.get_sample_value("batchwright_cost_dollars_total", {"queue": "typo", "share": ""}) is None


def test_metrics_count_what_this_process_saw() -> None:
    before = counted("metered")
    store = store_at(60, spec=b.spec(shareIdentifier="metered"))
    noted = {"share": "metered", "vcpuSeconds": "1000", "memoryGiBSeconds": "1", "updatedAt": "2026-03-01T11:59:59Z"}
    store.queues[("", "normal")] = queue(usage=[noted])
    store.put_node("node", PRICED)
    store.put_pod("pod-0", ended(phase="Failed"))
    for _ in range(2):
        store.meters.count("normal", store)
    more = {name: value - before[name] for name, value in counted("metered").items()}
    assert more == pytest.approx(
        {
            "vcpu_seconds": 10,
            "memory_gibibyte_seconds": 80,
            "gpu_seconds": 0,
            "cost_dollars": 0.005,
            "lost_cost_dollars": 0.005,
        }
    )
    assert shares(store)["metered"]["vcpuSeconds"] == "1010"
