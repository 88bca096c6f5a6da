"""The status of queues and environments."""

from __future__ import annotations

import pytest

import builders as b
from batchwright.api.v1alpha1 import ComputeEnvironmentSpec, JobQueueSpec
from batchwright.domain.declarations import environment_status, queue_status
from batchwright.domain.observations import Node


def queue_spec(*environments: str, **wire: object) -> JobQueueSpec:
    order = [{"order": n, "computeEnvironment": name} for n, name in enumerate(environments, 1)]
    return JobQueueSpec.model_validate({"computeEnvironmentOrder": order, **wire})


@pytest.mark.parametrize(
    ("nodes", "wire", "want_reason", "want_capacity"),
    [
        pytest.param((), {}, "NoNodes", (0, "0", 0, 0), id="no nodes"),
        pytest.param(
            (b.node("a"), b.node("b", cpu=2500)), {}, "NodesReady", (2, "6.5", 16384, 0), id="two nodes are summed"
        ),
        pytest.param(
            (b.node("a", allocatable={"cpu": 1000, "memory": b.GIB, "nvidia.com/gpu": 4}),),
            {},
            "NodesReady",
            (1, "1", 1024, 4),
            id="GPUs",
        ),
        pytest.param((b.node(),), {"state": "DISABLED"}, "Disabled", (1, "4", 8192, 0), id="disabled"),
    ],
)
def test_environment(
    nodes: tuple[Node, ...], wire: dict[str, object], want_reason: str, want_capacity: tuple[object, ...]
) -> None:
    found = environment_status(ComputeEnvironmentSpec.model_validate(wire), 3, nodes, {}, b.NOW)
    assert found.status == "VALID"
    assert found.observed_generation == 3
    assert found.conditions[0].reason == want_reason
    assert found.capacity is not None
    capacity = found.capacity
    assert (capacity.nodes, capacity.vcpus, capacity.memory_mib, capacity.gpus) == want_capacity


def test_an_environment_without_nodes_says_which_labels_are_missing() -> None:
    spec = ComputeEnvironmentSpec(node_selector={"disk": "ssd", "arch": "arm"})
    found = environment_status(spec, 1, (), {}, b.NOW)
    assert found.status_reason is not None
    assert "arch=arm, disk=ssd" in found.status_reason


@pytest.mark.parametrize(
    ("spec", "environments", "want_status", "want_reason", "want_text"),
    [
        pytest.param(queue_spec("e1"), {"e1": "VALID"}, "VALID", "Ready", "JobQueue takes jobs", id="valid"),
        pytest.param(
            queue_spec("e1", "e2"),
            {"e1": "VALID"},
            "INVALID",
            "EnvironmentProblem",
            "ComputeEnvironment e2 not found",
            id="missing environment",
        ),
        pytest.param(
            queue_spec("e1", "e2"),
            {"e2": "INVALID"},
            "INVALID",
            "EnvironmentProblem",
            "ComputeEnvironment e1 not found; ComputeEnvironment e2 is INVALID",
            id="every problem is named, in order",
        ),
        pytest.param(
            queue_spec("e1", state="DISABLED"),
            {"e1": "VALID"},
            "VALID",
            "Disabled",
            "JobQueue is DISABLED",
            id="disabled",
        ),
    ],
)
def test_queue(
    spec: JobQueueSpec, environments: dict[str, str], want_status: str, want_reason: str, want_text: str
) -> None:
    found = queue_status(spec, 1, environments, {}, b.NOW)
    assert (found.status, found.status_reason) == (want_status, want_text)
    (condition,) = found.conditions
    assert condition.reason == want_reason
    assert condition.status == ("True" if want_status == "VALID" else "False")


def test_texts_are_bounded_however_much_is_wrong() -> None:
    names = [f"{n:03d}-{'x' * 100}" for n in range(64)]
    queue = queue_status(queue_spec(*names), 1, {}, {}, b.NOW)
    labels = {f"{n:03d}-{'k' * 50}": "v" * 60 for n in range(64)}
    environment = environment_status(ComputeEnvironmentSpec(node_selector=labels), 1, (), {}, b.NOW)
    for found in (queue, environment):
        assert found.status_reason is not None
        assert len(found.status_reason) == 1024
        assert len(found.conditions[0].message) == 1024


def test_a_condition_keeps_its_time_while_the_verdict_is_the_same() -> None:
    first = queue_status(queue_spec("e1"), 1, {"e1": "VALID"}, {}, b.NOW)
    held = first.to_wire()
    same = queue_status(queue_spec("e1"), 2, {"e1": "VALID"}, held, b.at(60))
    assert same.conditions[0].last_transition_time == first.conditions[0].last_transition_time
    assert queue_status(queue_spec("e1"), 1, {"e1": "VALID"}, held, b.at(60)) == first
    other = queue_status(queue_spec("e1"), 2, {}, held, b.at(60))
    assert other.conditions[0].last_transition_time == "2026-03-01T12:01:00.000Z"
