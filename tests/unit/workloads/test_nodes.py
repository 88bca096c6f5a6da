"""Which node of a multi-node job runs what."""

from __future__ import annotations

from typing import Any

import pytest

import builders as b
from batchwright.api.v1alpha1 import JobDefinitionSpec
from batchwright.errors import WorkloadError
from batchwright.workloads.nodes import node_index, node_layout, node_rank


def container(name: str, **over: Any) -> dict[str, Any]:
    asked = [{"type": "VCPU", "value": "2"}, {"type": "MEMORY", "value": "128"}]
    return {"image": name, "resourceRequirements": asked, **over}


def definition(*ranges: tuple[str, str], nodes: int = 4, main: int = 0, **over: Any) -> JobDefinitionSpec:
    listed = [{"targetNodes": target, "container": container(image)} for target, image in ranges]
    properties = {"numNodes": nodes, "mainNode": main, "nodeRangeProperties": listed, **over}
    return JobDefinitionSpec.model_validate({"type": "multinode", "nodeProperties": properties})


def multinode(*listed: dict[str, Any], nodes: int) -> JobDefinitionSpec:
    properties = {"numNodes": nodes, "mainNode": 0, "nodeRangeProperties": list(listed)}
    return JobDefinitionSpec.model_validate({"type": "multinode", "nodeProperties": properties})


def images(given: JobDefinitionSpec, **job: Any) -> list[str]:
    """The image of every node, by number."""
    layout = node_layout(given, b.spec(**job))
    assert layout is not None
    found = {}
    for rank, kind in enumerate(layout.kinds):
        assert kind.definition.container_properties is not None
        found[layout.index_of(rank)] = kind.definition.container_properties.image
    return [found[index] for index in sorted(found)]


RANGES = [
    pytest.param(definition(("0:", "a")), {}, ["a"] * 4, id="one range for all"),
    pytest.param(definition(("0", "m"), ("1:", "w")), {}, ["m", "w", "w", "w"], id="main and the others"),
    pytest.param(definition((":1", "a"), ("2:3", "b")), {}, ["a", "a", "b", "b"], id="open at the front"),
    pytest.param(definition(("0:3", "a"), ("1:2", "b")), {}, ["a", "b", "b", "a"], id="nested: the narrower counts"),
    pytest.param(definition(("1:2", "b"), ("0:3", "a")), {}, ["a", "b", "b", "a"], id="whatever their order"),
    pytest.param(
        definition(("0:", "a"), ("0:2", "b"), ("1:1", "c")), {}, ["b", "c", "b", "a"], id="nested in what is nested"
    ),
    pytest.param(
        definition(("0", "m"), ("1:", "w")), {"nodeOverrides": {"numNodes": 2}}, ["m", "w"], id="fewer than defined"
    ),
    pytest.param(definition(("0", "m"), ("1:", "w")), {"nodeOverrides": {"numNodes": 6}}, ["m", *["w"] * 5], id="more"),
]


@pytest.mark.parametrize(("given", "job", "want"), RANGES)
def test_ranges(given: JobDefinitionSpec, job: dict[str, Any], want: list[str]) -> None:
    assert images(given, **job) == want


REFUSALS = [
    pytest.param(
        definition(("0:1", "a"), ("3:", "b")), {}, "no targetNodes covers node 2 of 4", id="a gap that CEL would refuse"
    ),
    pytest.param(
        definition(("0", "m"), ("1:3", "w")),
        {"nodeOverrides": {"numNodes": 6}},
        "needs a definition with an open-ended range",
        id="numNodes without an open-ended range",
    ),
    pytest.param(
        definition(("0:1", "m"), ("2:", "w")),
        {"nodeOverrides": {"numNodes": 2}},
        "nodeOverrides.numNodes 2 must be above 2, where targetNodes 2: begins",
        id="numNodes below a range",
    ),
    pytest.param(
        definition(("0:", "w"), main=3),
        {"nodeOverrides": {"numNodes": 3}},
        "nodeOverrides.numNodes 3 leaves no node 3, which is mainNode",
        id="numNodes below mainNode",
    ),
    pytest.param(
        definition(("0:", "w")),
        {"nodeOverrides": {"nodePropertyOverrides": [{"targetNodes": "2:7"}]}},
        "nodePropertyOverrides[0].targetNodes 2:7: the job has nodes 0 to 3",
        id="an override of nodes there are not",
    ),
    pytest.param(
        definition(("0:", "w")), {"containerOverrides": {}}, "give nodeOverrides.nodePropertyOverrides", id="container"
    ),
    pytest.param(definition(("0:", "w")), {"arrayProperties": {"size": 2}}, "cannot be an array", id="an array"),
    pytest.param(
        JobDefinitionSpec.model_validate({"containerProperties": container("x")}),
        {"nodeOverrides": {"numNodes": 2}},
        "the definition has no nodeProperties",
        id="overrides of a job of one node",
    ),
]


@pytest.mark.parametrize(("given", "job", "want"), REFUSALS)
def test_refusals(given: JobDefinitionSpec, job: dict[str, Any], want: str) -> None:
    with pytest.raises(WorkloadError) as refused:
        node_layout(given, b.spec(**job))
    assert want in str(refused.value)


def test_the_main_node_comes_first() -> None:
    layout = node_layout(definition(("0:1", "a"), ("2:", "b"), main=2), b.spec())
    assert layout is not None
    assert [layout.index_of(rank) for rank in range(4)] == [2, 0, 1, 3]
    assert [layout.rank_of(index) for index in (2, 0, 1, 3)] == [0, 1, 2, 3]


@pytest.mark.parametrize("main", [0, 3, 9])
def test_ranks_and_numbers_are_one_to_one(main: int) -> None:
    numbers = [node_index(rank, main) for rank in range(10)]
    assert sorted(numbers) == list(range(10))
    assert [node_rank(number, main) for number in numbers] == list(range(10))


def test_overrides_change_the_nodes_they_name() -> None:
    change = {"targetNodes": "1:2", "containerOverrides": {"command": ["x"]}}
    layout = node_layout(definition(("0:", "a")), b.spec(nodeOverrides={"nodePropertyOverrides": [change]}))
    assert layout is not None
    assert [kind.job.container_overrides is not None for kind in layout.kinds] == [False, True, True, False]


def test_slots() -> None:
    gpus = [{"type": kind, "value": value} for kind, value in (("VCPU", "8"), ("MEMORY", "128"), ("GPU", "4"))]
    listed = [
        {"targetNodes": "0", "container": container("a")},
        {"targetNodes": "1", "container": container("a", resourceRequirements=gpus)},
        {"targetNodes": "2:", "container": container("a"), "slots": 7},
    ]
    properties = {"numNodes": 4, "mainNode": 0, "nodeRangeProperties": listed}
    layout = node_layout(
        JobDefinitionSpec.model_validate({"type": "multinode", "nodeProperties": properties}), b.spec()
    )
    assert layout is not None
    assert [kind.slots for kind in layout.kinds] == [2, 4, 7, 7]


def test_what_is_wrong_with_a_range_is_said_with_its_path() -> None:
    listed = [{"targetNodes": "0:", "podTemplate": {"spec": {"containers": [{"name": "x", "resources": 3}]}}}]
    properties = {"numNodes": 2, "mainNode": 0, "nodeRangeProperties": listed}
    layout = node_layout(
        JobDefinitionSpec.model_validate({"type": "multinode", "nodeProperties": properties}), b.spec()
    )
    assert layout is not None
    with pytest.raises(WorkloadError, match=r"nodeProperties.nodeRangeProperties\[0\]: "):
        _ = layout.kinds[0].request
