"""Stories of how a queue is shared, on simulated nodes: fair share, quota shares, preemption, limits, backfill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

import manifests
from operatorprocess import OperatorProcess
from stage import Stage, count_of
from watches import PodObserver, until


@pytest.fixture
def pods(stage: Stage) -> Iterator[PodObserver]:
    made = PodObserver(stage.api, stage.namespace)
    yield made
    made.stop()
    assert not made.gaps


def policy(stage: Stage, **fairshare: Any) -> str:
    """A SchedulingPolicy of the stage's own; its name."""
    name = f"{stage.namespace}-fair"
    stage.declare(manifests.scheduling_policy(name, **fairshare))
    return name


def running(stage: Stage, name: str) -> int:
    return count_of(stage.status(name), "RUNNING") + count_of(stage.status(name), "STARTING")


def test_two_arrays_share_by_weight_element_by_element(stage: Stage, pods: PodObserver) -> None:
    """AWS Batch User Guide, fair-share scheduling: a weight of 0.5 gets twice the vCPUs of a weight of 1."""
    stage.nodes(3, cpu=4)
    stage.environment()
    weights = [{"shareIdentifier": "gold*", "weightFactor": 0.5}, {"shareIdentifier": "tin", "weightFactor": 1.0}]
    stage.queue(schedulingPolicy=policy(stage, shareDecaySeconds=600, shareDistribution=weights))
    # So long that slots are what they compete for, and not the Job controller's time.
    stage.simulated(simulate={"seconds": "3"})
    tin = stage.submit("tin", arrayProperties={"size": 90}, shareIdentifier="tin")
    stage.wait("tin", lambda status: count_of(status, "RUNNING") >= 10)
    gold = stage.submit("gold", arrayProperties={"size": 60}, shareIdentifier="gold1")
    stage.wait_final("gold", seconds=200)
    # While both wanted all there is, the gold share had about two of three slots: 60 elements of it, 30 of the other.
    beside = sum(1 for pod in pods.of(tin) if pod.bound is not None) - 12
    assert 15 <= beside <= 60, beside
    assert stage.wait_final("tin", seconds=200)["state"] == "SUCCEEDED"
    for name, job_id in (("tin", tin), ("gold", gold)):
        assert set(pods.ran(job_id).values()) == {1}, f"elements of {name} ran more than once"


def test_a_job_without_its_share_is_refused(stage: Stage) -> None:
    stage.nodes()
    stage.environment()
    stage.queue(schedulingPolicy=policy(stage))
    stage.queue("plain")
    stage.simulated()
    stage.submit("nobody")
    assert "shareIdentifier must be specified" in stage.wait("nobody", "FAILED")["statusReason"]
    stage.submit("somebody", queue="plain", shareIdentifier="a")
    assert "has none" in stage.wait("somebody", "FAILED")["statusReason"]


def test_usage_is_noted_and_survives_a_restart(stage: Stage, operator: OperatorProcess) -> None:
    stage.nodes(cpu=2)
    stage.environment()
    name = stage.queue(schedulingPolicy=policy(stage))
    stage.simulated(cpu="2", simulate={"seconds": "4"})
    stage.submit("first", shareIdentifier="a")
    stage.wait_final("first")
    operator.kill()
    operator.start()

    def noted(queue: dict[str, Any]) -> bool:
        listed = (queue.get("status") or {}).get("fairshare") or [{}]
        return float(listed[0].get("usage", 0)) > 4

    # It is noted once a minute.
    stage.submit("second", shareIdentifier="a")
    stage.wait_final("second")
    stage.api.wait_for("JobQueue", name, None, noted, 90)


def shares(**borrows: tuple[int, dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "capacityLimits": [{"capacityUnit": "vcpu", "maxCapacity": amount}],
            "resourceSharingConfiguration": sharing,
        }
        for name, (amount, sharing) in borrows.items()
    ]


LENDS = {"strategy": "LEND"}
BORROWS = {"strategy": "LEND_AND_BORROW", "borrowLimit": -1}


def test_what_was_borrowed_is_taken_back(stage: Stage, pods: PodObserver) -> None:
    """A share borrows what another does not use; when that one needs it, the borrower's latest work goes back to
    RUNNABLE and is charged no attempt."""
    stage.nodes(2, cpu=2)
    stage.environment()
    stage.queue(quotaShares=shares(lab=(2, LENDS), shop=(2, BORROWS)))
    stage.simulated("long", simulate={"seconds": "15"})
    stage.simulated("short", simulate={"seconds": "1"})
    ids = {f"b{n}": stage.submit(f"b{n}", "long", quotaShareName="shop") for n in range(4)}
    for name in ids:
        stage.wait(name, "RUNNING")
    owners = {f"o{n}": stage.submit(f"o{n}", "short", quotaShareName="lab") for n in range(2)}
    for name in owners:
        assert stage.wait_final(name, seconds=12)["state"] == "SUCCEEDED"
    statuses = {name: stage.wait_final(name, seconds=90) for name in ids}
    assert {status["state"] for status in statuses.values()} == {"SUCCEEDED"}
    assert {len(status["attempts"]) for status in statuses.values()} == {1}
    assert sum(status.get("preemptions", 0) for status in statuses.values()) == 2
    assert Counter(sum(pods.ran(job_id).values()) for job_id in ids.values()) == {1: 2, 2: 2}
    assert any(reason == "Preempted" for name in ids for _, reason, _ in stage.events(name))


def test_elements_are_taken_back_and_finished_ones_stay(stage: Stage, pods: PodObserver) -> None:
    stage.nodes(2, cpu=4)
    stage.environment()
    stage.queue(quotaShares=shares(lab=(4, LENDS), shop=(4, BORROWS)))
    # So long that they do not end by themselves in the time that preemption waits.
    stage.simulated("element", simulate={"seconds": "12"})
    stage.simulated("short", simulate={"seconds": "1"})
    borrower = stage.submit("borrower", "element", arrayProperties={"size": 20}, quotaShareName="shop")
    stage.wait("borrower", lambda status: count_of(status, "SUCCEEDED") >= 1 and count_of(status, "RUNNING") >= 6)
    stage.submit("owner", "short", arrayProperties={"size": 4}, quotaShareName="lab")
    assert stage.wait_final("owner", seconds=60)["state"] == "SUCCEEDED"
    status = stage.wait_final("borrower", seconds=200)
    assert status["state"] == "SUCCEEDED"
    assert status["arrayProperties"]["succeededIndexes"] == "0-19"
    ran = pods.ran(borrower)
    assert set(ran) == set(range(20))
    assert 20 < sum(ran.values()) <= 28, "only what made room ran again"


def test_a_share_that_lends_nothing_keeps_its_own(stage: Stage) -> None:
    stage.nodes(2, cpu=2)
    stage.environment()
    stage.queue(quotaShares=shares(lab=(2, {"strategy": "RESERVE"}), shop=(2, BORROWS)))
    stage.simulated("long", simulate={"seconds": "60"})
    for n in range(2):
        stage.submit(f"b{n}", "long", quotaShareName="shop")
        stage.wait(f"b{n}", "RUNNING")
    stage.submit("b2", "long", quotaShareName="shop")
    reason = stage.wait("b2", lambda status: "quota" in status.get("statusReason", ""))["statusReason"]
    assert "limit 2 vCPU, used 2 vCPU, asked 1 vCPU, short by 1 vCPU" in reason, reason
    stage.submit("unknown", "long", quotaShareName="other")
    assert "quotaShareName must be one of" in stage.wait("unknown", "FAILED")["statusReason"]


def test_a_queue_of_higher_priority_takes_the_place_of_another(stage: Stage) -> None:
    stage.nodes(cpu=2)
    stage.environment()
    stage.queue("low", priority=1)
    stage.queue("high", priority=10, preemption={"lowerPriorityQueues": "ENABLED"})
    stage.simulated("long", simulate={"seconds": "12"})
    stage.simulated("short", cpu="2", simulate={"seconds": "1"})
    for n in range(2):
        stage.submit(f"low{n}", "long", queue="low")
    for n in range(2):
        stage.wait(f"low{n}", "RUNNING")
    stage.submit("high", "short", queue="high")
    assert stage.wait_final("high", seconds=15)["state"] == "SUCCEEDED"
    for n in range(2):
        status = stage.wait_final(f"low{n}", seconds=60)
        assert (status["state"], status.get("preemptions")) == ("SUCCEEDED", 1)


def test_consumable_resources_are_counted_and_given_back(stage: Stage, pods: PodObserver) -> None:
    stage.nodes(cpu=8)
    stage.environment()
    stage.queue()
    licences = f"{stage.namespace}-licences"
    stage.declare(manifests.consumable_resource(licences, totalQuantity=3))
    needs = {"consumableResourceList": [{"consumableResource": licences, "quantity": 1}]}
    stage.simulated("licensed", simulate={"seconds": "1"}, consumableResourceProperties=needs)
    stage.simulated("plain")
    job_id = stage.submit("licensed", "licensed", arrayProperties={"size": 9})
    until(lambda: pods.most[job_id] == 3, "three have a licence")
    stage.submit("other", "plain")
    assert stage.wait_final("other", seconds=20)["state"] == "SUCCEEDED", "who asks no licence does not wait for one"
    assert stage.wait_final("licensed", seconds=60)["state"] == "SUCCEEDED"
    assert pods.most[job_id] == 3

    def is_back(found: dict[str, Any]) -> bool:
        status = found.get("status") or {}
        return (status.get("availableQuantity"), status.get("inUseQuantity")) == (3, 0)

    stage.api.wait_for("ConsumableResource", licences, None, is_back, 20)


def test_caps_of_queue_and_environment(stage: Stage, pods: PodObserver) -> None:
    stage.nodes(2, cpu=8)
    stage.environment(computeResources={"maxvCpus": 6})
    stage.queue("capped", maxConcurrency=2)
    stage.queue("free")
    stage.simulated(simulate={"seconds": "1"})
    capped = stage.submit("capped", queue="capped", arrayProperties={"size": 6})
    free = stage.submit("free", queue="free", arrayProperties={"size": 14})
    for name in ("capped", "free"):
        assert stage.wait_final(name, seconds=90)["state"] == "SUCCEEDED"
    assert pods.most[capped] <= 2
    assert pods.most[free] <= 6
    stage.simulated("huge", cpu="7")
    stage.submit("huge", "huge", queue="free")
    reason = stage.wait("huge", lambda status: "MAX_RESOURCE" in status.get("statusReason", ""))["statusReason"]
    assert "at most 6 vCPU" in reason


def test_a_small_job_runs_past_a_big_one_that_waits(stage: Stage) -> None:
    """The big one waits for the node of 4; the small one fits where the big one never could."""
    stage.nodes(cpu=4)
    stage.nodes(cpu=1)
    stage.environment()
    stage.queue()
    stage.simulated("long", cpu="3", simulate={"seconds": "8"})
    stage.simulated("big", cpu="4")
    stage.simulated("small")
    stage.submit("long", "long")
    stage.wait("long", "RUNNING")
    stage.submit("big", "big")
    stage.wait("big", lambda status: "Next in" in status.get("statusReason", ""))
    for n in range(3):
        stage.submit(f"small{n}", "small")
    for n in range(3):
        assert stage.wait_final(f"small{n}", seconds=20)["state"] == "SUCCEEDED"
    assert stage.wait_final("big", seconds=40)["state"] == "SUCCEEDED"


def test_scheduling_priority_comes_before_arrival(stage: Stage) -> None:
    stage.nodes(cpu=1)
    stage.environment()
    stage.queue()
    stage.simulated("first", simulate={"seconds": "4"})
    stage.simulated(simulate={"seconds": "1"}, schedulingPriority=1)
    stage.submit("first", "first")
    stage.wait("first", "RUNNING")
    stage.submit("low")
    stage.wait("low", "RUNNABLE")
    stage.submit("high", schedulingPriorityOverride=100)
    low, high = stage.wait_final("low"), stage.wait_final("high")
    assert high["startedAt"] < low["startedAt"]


def test_a_job_that_waits_too_long_for_a_reason_is_cancelled(stage: Stage) -> None:
    stage.nodes(cpu=2)
    stage.environment()
    reason = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
    action = {"reason": reason, "state": "RUNNABLE", "maxTimeSeconds": 3, "action": "CANCEL"}
    stage.queue(jobStateTimeLimitActions=[action])
    stage.simulated("huge", cpu="64")
    stage.simulated("fine")
    stage.submit("huge", "huge")
    status = stage.wait("huge", "FAILED")
    assert status["statusReason"] == f"Canceled by JobStateTimeLimit action due to reason: {reason}"
    stage.submit("fine", "fine")
    assert stage.wait_final("fine")["state"] == "SUCCEEDED"


def test_a_node_affinity_is_honoured(stage: Stage) -> None:
    stage.nodes(cpu=2)
    stage.environment()
    stage.queue()
    other = stage.nodes(cpu=2)
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": other}
    required = {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    }
    stage.simulated(cpu="2", simulate={"seconds": "4"}, pod={"affinity": {"nodeAffinity": required}})
    stage.submit("j0")
    stage.wait("j0", "RUNNING")
    stage.submit("j1")
    stage.wait("j1", lambda status: "0 vCPU free" in status.get("statusReason", ""))
    for n in range(2):
        status = stage.wait_final(f"j{n}")
        assert (status["state"], status["attempts"][0]["container"]["nodeName"]) == ("SUCCEEDED", other[0])
