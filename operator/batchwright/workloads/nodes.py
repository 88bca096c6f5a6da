"""Which node of a multi-node job runs what: the definition's ranges with the job's overrides, resolved.

A node has a number (AWS Batch's node index) and a rank: the main node has rank 0, the others follow by number, so that
where the main node is number 0, as it mostly is, the two are the same. Names, hostfile and RANK go by rank.

Invariant: a node's pod is that of a single job whose definition is the range's, so that all else is as for single jobs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from batchwright.api.v1alpha1 import BatchJobSpec, JobDefinitionSpec
from batchwright.api.v1alpha1.multinode import NodeProperties
from batchwright.domain.quantities import CPU
from batchwright.errors import WorkloadError
from batchwright.names import GPU_RESOURCE
from batchwright.workloads.job import PodRequest, job_request


@dataclass(frozen=True)
class NodeKind:
    """What nodes of one range run, as a definition and a job of one node; `path` is the range's, for messages."""

    definition: JobDefinitionSpec
    job: BatchJobSpec
    path: str
    asked_slots: int | None

    @cached_property
    def request(self) -> PodRequest:
        """What such a pod needs. Raises WorkloadError."""
        try:
            return job_request(self.definition, self.job)
        except WorkloadError as error:
            raise WorkloadError(f"{self.path}: {error}") from error

    @property
    def slots(self) -> int:
        """How many processes such a node is for."""
        resources = self.request.resources
        return self.asked_slots or resources.get(GPU_RESOURCE) or max(1, resources.get(CPU, 0) // 1000)


@dataclass(frozen=True)
class NodeLayout:
    """All nodes: `main` is the number of the main one, `kinds` has what each runs, by rank."""

    main: int
    kinds: tuple[NodeKind, ...]
    properties: NodeProperties

    @property
    def size(self) -> int:
        """How many nodes there are."""
        return len(self.kinds)

    def index_of(self, rank: int) -> int:
        """The number of the node with this rank."""
        return node_index(rank, self.main)

    def rank_of(self, index: int) -> int:
        """The rank of the node with this number."""
        return node_rank(index, self.main)


def node_index(rank: int, main: int) -> int:
    """The number of the node with this rank."""
    if rank == 0:
        return main
    return rank - 1 if rank <= main else rank


def node_rank(index: int, main: int) -> int:
    """The inverse of `node_index`."""
    if index == main:
        return 0
    return index + 1 if index < main else index


def parse_target(text: str, size: int) -> tuple[int, int]:
    """The first and last node of targetNodes; an open end is the last of `size` nodes."""
    first, colon, last = text.partition(":")
    start = int(first) if first else 0
    if not colon:
        return start, start
    return start, int(last) if last else size - 1


def node_layout(definition: JobDefinitionSpec, job: BatchJobSpec) -> NodeLayout | None:
    """The nodes of the job; None for one that is no multi-node job. Raises WorkloadError."""
    properties, overrides = definition.node_properties, job.node_overrides
    if properties is None:
        if overrides is not None:
            raise WorkloadError("nodeOverrides is for multi-node jobs, and the definition has no nodeProperties")
        return None
    if job.container_overrides is not None:
        raise WorkloadError("containerOverrides is for jobs of one node: give nodeOverrides.nodePropertyOverrides")
    if job.array_properties is not None:
        raise WorkloadError("arrayProperties: a multi-node job cannot be an array; submit a job for each element")
    size = _size(definition, job)
    ranges = [
        (parse_target(each.target_nodes, size), number) for number, each in enumerate(properties.node_range_properties)
    ]
    changes = overrides.node_property_overrides if overrides is not None else ()
    changed = [(parse_target(each.target_nodes, size), number) for number, each in enumerate(changes)]
    for number, each in enumerate(changes):
        first, last = changed[number][0]
        if first > last or last >= size:
            raise WorkloadError(
                f"nodeOverrides.nodePropertyOverrides[{number}].targetNodes {each.target_nodes}: the job has nodes 0 "
                f"to {size - 1}"
            )
    known: dict[tuple[int, int | None], NodeKind] = {}
    kinds: list[NodeKind] = []
    for rank in range(size):
        index = node_index(rank, properties.main_node)
        found = _narrowest(ranges, index)
        if found is None:
            raise WorkloadError(f"nodeProperties.nodeRangeProperties: no targetNodes covers node {index} of {size}")
        key = (found, _narrowest(changed, index))
        if key not in known:
            known[key] = _kind(definition, job, *key)
        kinds.append(known[key])
    return NodeLayout(properties.main_node, tuple(kinds), properties)


def _size(definition: JobDefinitionSpec, job: BatchJobSpec) -> int:
    properties, overrides = definition.node_properties, job.node_overrides
    if properties is None:
        raise WorkloadError("nodeProperties must be given")
    wanted = overrides.num_nodes if overrides is not None else None
    size = properties.num_nodes if wanted is None else wanted
    if properties.main_node >= size:
        raise WorkloadError(f"nodeOverrides.numNodes {size} leaves no node {properties.main_node}, which is mainNode")
    if wanted is None or wanted == properties.num_nodes:
        return size
    targets = [each.target_nodes for each in properties.node_range_properties]
    if not any(each.endswith(":") for each in targets):
        raise WorkloadError(
            "nodeOverrides.numNodes needs a definition with an open-ended range of nodes, such as targetNodes 1:, and "
            f"this one has {', '.join(targets)}"
        )
    for each in targets:
        first = parse_target(each, size)[0]
        if first >= size:
            raise WorkloadError(f"nodeOverrides.numNodes {size} must be above {first}, where targetNodes {each} begins")
    return size


def _narrowest(ranges: list[tuple[tuple[int, int], int]], index: int) -> int | None:
    """Of the ranges with the node the narrowest, the last of several."""
    inside = [(last - first, -number) for (first, last), number in ranges if first <= index <= last]
    return -min(inside)[1] if inside else None


def _kind(definition: JobDefinitionSpec, job: BatchJobSpec, number: int, change: int | None) -> NodeKind:
    properties, overrides = definition.node_properties, job.node_overrides
    if properties is None:
        raise WorkloadError("nodeProperties must be given")
    found = properties.node_range_properties[number]
    single = definition.model_copy(
        update={
            "type": "container",
            "node_properties": None,
            "container_properties": found.container,
            "pod_template": found.pod_template,
        }
    )
    changed = (
        overrides.node_property_overrides[change].container_overrides
        if overrides is not None and change is not None
        else None
    )
    of_node = job.model_copy(update={"node_overrides": None, "container_overrides": changed})
    return NodeKind(single, of_node, f"nodeProperties.nodeRangeProperties[{number}]", found.slots)
