"""The PodGroup of the nodes that are not the main one, and where there is none."""

from __future__ import annotations

from typing import Any

import pytest

import builders as b
from batchwright import names
from batchwright.api.v1alpha1 import JobDefinitionSpec
from batchwright.workloads.gang import MainPod, build_node
from batchwright.workloads.job import JobIdentity
from batchwright.workloads.nodes import NodeLayout, node_layout
from batchwright.workloads.podgroup import build_pod_group
from workload_cases import PLACEMENT, UID

IDENTITY = JobIdentity(UID, "lab", "train")
MAIN = MainPod("train-4f9e2c1a", "train-4f9e2c1a-0-abcde", "pod-uid", "10.1.2.3", 0)
PLAIN: dict[str, Any] = {}


def layout(*specs: dict[str, Any], nodes: int = 4, main: int = 0) -> NodeLayout:
    """Nodes with these in their pods' specs, one range each; the last range has all that follow."""
    last = len(specs) - 1
    ranges = [
        {
            "targetNodes": f"{number}:" if number == last else str(number),
            "podTemplate": {"spec": {"containers": [{"name": "a", "image": "x"}], **spec}},
        }
        for number, spec in enumerate(specs)
    ]
    properties = {"numNodes": nodes, "mainNode": main, "nodeRangeProperties": ranges}
    definition = JobDefinitionSpec.model_validate({"type": "multinode", "nodeProperties": properties})
    found = node_layout(definition, b.spec())
    assert found is not None
    return found


def test_the_group_is_of_all_but_the_main_node_and_goes_with_its_pod() -> None:
    body = build_pod_group(IDENTITY, layout(PLAIN, nodes=4), MAIN)
    assert body is not None
    assert (body["apiVersion"], body["kind"]) == ("scheduling.k8s.io/v1beta1", "PodGroup")
    assert body["spec"] == {"schedulingPolicy": {"gang": {"minCount": 3}}}
    metadata = body["metadata"]
    assert (metadata["name"], metadata["namespace"]) == (MAIN.name, "lab")
    assert metadata["labels"][names.LABEL_MAIN_POD] == MAIN.uid
    [owner] = metadata["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Pod", MAIN.name, MAIN.uid)
    assert "blockOwnerDeletion" not in owner


HIGH = {"priorityClassName": "high"}


@pytest.mark.parametrize(
    ("specs", "main", "priority"),
    [
        pytest.param([HIGH], 0, "high", id="a priority class"),
        pytest.param([PLAIN, HIGH], 0, "high", id="the main node has another"),
        pytest.param([HIGH, PLAIN], 0, None, id="only the main node has one"),
        pytest.param([PLAIN, {"schedulerName": "default-scheduler"}, PLAIN], 3, None, id="what is said and not said"),
        pytest.param([{"nodeSelector": {"a": "b"}}, PLAIN, {"hostNetwork": True}], 0, None, id="they differ otherwise"),
    ],
)
def test_what_the_nodes_share_is_the_groups(specs: list[dict[str, Any]], main: int, priority: str | None) -> None:
    body = build_pod_group(IDENTITY, layout(*specs, main=main), MAIN)
    assert body is not None
    assert body["spec"].get("priorityClassName") == priority


@pytest.mark.parametrize(
    ("specs", "nodes"),
    [
        pytest.param([PLAIN], 1, id="no other node"),
        pytest.param([PLAIN], 2, id="one other node is all of them"),
        pytest.param([PLAIN, HIGH, PLAIN], 4, id="priority classes differ"),
        pytest.param([PLAIN, PLAIN, {"schedulerName": "volcano"}], 4, id="schedulers differ"),
        pytest.param([PLAIN, {"preemptionPolicy": "Never"}, PLAIN], 4, id="preemption policies differ"),
        pytest.param([PLAIN, {"schedulingGroup": {"podGroupName": "mine"}}], 4, id="a group of their own"),
        pytest.param([PLAIN, {"evictionResponders": [{"name": "x"}]}], 4, id="evictionResponders exclude a group"),
    ],
)
def test_there_is_no_group(specs: list[dict[str, Any]], nodes: int) -> None:
    assert build_pod_group(IDENTITY, layout(*specs, nodes=nodes), MAIN) is None


@pytest.mark.parametrize(
    ("group", "want"),
    [
        pytest.param("", None, id="none"),
        pytest.param(MAIN.name, {"podGroupName": MAIN.name}, id="one"),
    ],
)
def test_a_node_says_of_which_group_it_is(group: str, want: dict[str, str] | None) -> None:
    pod = build_node(IDENTITY, "normal", "train:1", layout(PLAIN), 2, PLACEMENT, "m2", MAIN, group)
    assert pod["spec"].get("schedulingGroup") == want
