"""The status of queues and environments."""

from __future__ import annotations

import pytest

import builders as b
from batchwright.api.v1alpha1 import ComputeEnvironmentSpec, JobQueueSpec, SchedulingPolicySpec
from batchwright.domain.declarations import environment_status, policy_status, queue_status
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
    condition, *_ = found.conditions
    assert (condition.type, condition.reason) == ("Ready", want_reason)
    assert condition.status == ("True" if want_status == "VALID" else "False")


@pytest.mark.parametrize(
    ("environments", "has_policy", "is_stalled"),
    [
        pytest.param({"e1": "VALID", "e2": "VALID"}, True, False, id="valid"),
        pytest.param({"e1": "VALID"}, True, False, id="an environment is not there yet"),
        pytest.param({"e1": "VALID", "e2": "VALID"}, False, False, id="its policy is not there yet"),
        pytest.param({"e1": "VALID", "e2": "INVALID"}, True, True, id="an environment that somebody must mend"),
        pytest.param({"e2": "INVALID"}, False, True, id="that, and others are not there yet"),
    ],
)
def test_a_queue_is_stalled_where_waiting_does_not_help(
    environments: dict[str, str], has_policy: bool, is_stalled: bool
) -> None:
    """kstatus takes Stalled for a failure: what was applied together may come in any order."""
    held = {"conditions": [{"type": "Stalled", "status": "True", "lastTransitionTime": "2026-03-01T11:00:00.000Z"}]}
    found = queue_status(queue_spec("e1", "e2"), 1, environments, held, b.NOW, has_policy=has_policy)
    stalled = [each for each in found.conditions if each.type == "Stalled"]
    assert [(each.status, each.reason, each.message) for each in stalled] == (
        [("True", found.conditions[0].reason, found.status_reason)] if is_stalled else []
    )
    assert all(each.last_transition_time == "2026-03-01T11:00:00.000Z" for each in stalled)


@pytest.mark.parametrize(("names", "is_stalled"), [(("a", "b"), False), (("a*", "ab"), True)])
def test_a_policy_that_contradicts_itself_is_stalled(names: tuple[str, str], is_stalled: bool) -> None:
    entries = [{"shareIdentifier": name, "weightFactor": 1} for name in names]
    spec = SchedulingPolicySpec.model_validate({"fairsharePolicy": {"shareDistribution": entries}})
    found = policy_status(spec, 1, {}, b.NOW)
    assert ("Stalled" in [each.type for each in found.conditions]) == is_stalled


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
