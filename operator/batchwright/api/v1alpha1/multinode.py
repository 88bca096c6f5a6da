"""Multi-node parallel jobs: what a definition says of its nodes (AWS: NodeProperties) and what a job changes of it
(AWS: NodeOverrides).

A node here is one pod of the job, as in AWS Batch; `nodesPerHost` says how many of them may share a machine. Nodes are
numbered from 0, and targetNodes are ranges of these numbers: "0:3", ":3", "4:", or a single "2". Where ranges overlap,
the narrowest counts.

Hazard: CEL sees to it that the ranges cover every node of a definition; what a job's numNodes makes of open-ended
ranges is judged when the job is looked at (`workloads.nodes`).
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, StringConstraints

from batchwright.api.v1alpha1.common import Model, OpenObject
from batchwright.api.v1alpha1.container import ContainerOverrides, ContainerProperties
from batchwright.api.v1alpha1.validation import PRESERVE, Between, Matching, Rule, exactly_one, list_map, rules

# AWS Batch service quotas: 1,000 nodes. It takes 5 node ranges; here as many as the API server lets rules cost.
MAX_NODES: Final = 1000
MAX_RANGES: Final = 8
MAX_LEVELS: Final = 4
DEFAULT_START_SECONDS: Final = 600

TargetNodes = Annotated[
    str,
    StringConstraints(min_length=1, max_length=7),
    Matching(
        r"^([0-9]{1,3}:[0-9]{0,3}|:[0-9]{1,3}|[0-9]{1,3})$",
        "must be a range of node numbers such as 0:3, :3, 4: (to the last node), or a single 2",
    ),
]
NumNodes = Annotated[int, Between(1, MAX_NODES, f"a multi-node job has 1 to {MAX_NODES} nodes")]
NodeNumber = Annotated[int, Between(0, MAX_NODES - 1, f"must be the number of a node, 0 to {MAX_NODES - 1}")]
LabelKey = Annotated[
    str,
    StringConstraints(min_length=1, max_length=317),
    Matching(
        r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        "must be the key of a node label, such as topology.kubernetes.io/zone",
    ),
]


def _first(target: str) -> str:
    """CEL: the first node of a range."""
    return f"({target}.startsWith(':') ? 0 : int({target}.split(':')[0]))"


def _last(target: str) -> str:
    """CEL: the last node of a range."""
    rest = f"({target}.contains(':') ? int({target}.split(':')[1]) : int({target}))"
    return f"({target}.endsWith(':') ? self.numNodes - 1 : {rest})"


class NodeRangeProperty(Model):
    """The pods of a range of nodes (AWS: NodeRangeProperty)."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one(("container", "podTemplate"))))

    target_nodes: TargetNodes = Field(
        description='targetNodes: the range, such as "0:3", ":3", "4:" or "2". Of ranges that overlap the narrowest '
        "counts."
    )
    container: ContainerProperties | None = Field(
        default=None, description="container of these nodes, in AWS Batch's words, as containerProperties."
    )
    pod_template: Annotated[OpenObject, Field(json_schema_extra=PRESERVE)] | None = Field(
        default=None, description="podTemplate: a whole PodTemplateSpec of these nodes."
    )
    slots: (
        Annotated[int, Between(1, 100_000, "must be 1 to 100000: leave it out for one a GPU, or one a vCPU")] | None
    ) = Field(
        default=None,
        description="slots of each of these nodes in the hostfile. Absent: its GPUs, or else its whole vCPUs, at least "
        "1.",
    )


class TopologyConstraint(Model):
    """That the nodes are to be close to each other."""

    key: LabelKey = Field(
        description="key of a label of the machines, such as topology.kubernetes.io/zone, or that of racks."
    )
    mode: Literal["Required", "Preferred"] = Field(
        default="Preferred",
        description="mode: Required, all nodes are on machines with the same value of the label, or the job waits; "
        "Preferred (the default), on as few values as may be.",
    )


class Rendezvous(Model):
    """The variables by which torchrun and its like find each other."""

    port: Annotated[int, Between(1, 65535, "must be a port, 1 to 65535")] = Field(
        default=29500, description="port of the main node, in MASTER_PORT. Default 29500."
    )


class NodeProperties(Model):
    """Makes the definition one of multi-node parallel jobs (AWS: NodeProperties)."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "self.mainNode < self.numNodes",
                "mainNode must be one of the nodes: less than numNodes",
                field_path=".mainNode",
            ),
            Rule(
                "self.nodeRangeProperties.all(r, "
                f"{_first('r.targetNodes')} <= {_last('r.targetNodes')} && {_last('r.targetNodes')} < self.numNodes)",
                "every targetNodes must be a range of nodes from 0 to numNodes - 1, the lower number first",
                field_path=".nodeRangeProperties",
            ),
            # By induction: node 0 is in a range, and so is the node behind the end of each.
            Rule(
                f"self.nodeRangeProperties.exists(r, {_first('r.targetNodes')} == 0) && "
                f"self.nodeRangeProperties.all(r, {_last('r.targetNodes')} + 1 >= self.numNodes || "
                f"self.nodeRangeProperties.exists(s, {_first('s.targetNodes')} <= {_last('r.targetNodes')} + 1 && "
                f"{_last('r.targetNodes')} + 1 <= {_last('s.targetNodes')}))",
                "the targetNodes together must cover every node from 0 to numNodes - 1",
                field_path=".nodeRangeProperties",
            ),
        )
    )

    num_nodes: NumNodes = Field(description=f"numNodes: how many nodes the job has, 1 to {MAX_NODES}.")
    main_node: NodeNumber = Field(
        description="mainNode: the number of the node that starts first, and whose end is the job's."
    )
    node_range_properties: Annotated[
        tuple[NodeRangeProperty, ...],
        Field(min_length=1, max_length=MAX_RANGES, json_schema_extra=list_map("targetNodes")),
    ] = Field(description="nodeRangeProperties: what each range of nodes runs. Together they cover every node.")
    failure_policy: Literal["MainNode", "AnyNode"] = Field(
        default="MainNode",
        description="failurePolicy (beyond AWS): MainNode (the default), only the main node's failure fails the "
        "attempt, as in AWS Batch; AnyNode, that of any node does.",
    )
    nodes_per_host: (
        Annotated[int, Between(1, MAX_NODES, f"must be 1 to {MAX_NODES}: at most so many nodes share a machine")] | None
    ) = Field(
        default=None,
        description="nodesPerHost (beyond AWS): at most so many nodes of the job share a machine. Default 1, as in AWS "
        "Batch.",
    )
    topology: Annotated[
        tuple[TopologyConstraint, ...], Field(max_length=MAX_LEVELS, json_schema_extra=list_map("key"))
    ] = Field(
        default=(),
        description="topology (beyond AWS): labels of machines that the nodes are to share, the widest first (zone, "
        "then rack).",
    )
    start_timeout_seconds: (
        Annotated[int, Between(10, 86400, "must be 10 to 86400 seconds: leave it out for 600")] | None
    ) = Field(
        default=None,
        description="startTimeoutSeconds (beyond AWS): when not all nodes run, and are ready by their probes, after so "
        "long, the job gives all room back and waits. Default 600.",
    )
    rendezvous: Rendezvous | None = Field(
        default=None,
        description="rendezvous (beyond AWS): gives every node MASTER_ADDR, MASTER_PORT, WORLD_SIZE and RANK. The main "
        "node has rank 0.",
    )


class NodePropertyOverride(Model):
    """What a job changes of a range of nodes (AWS: NodePropertyOverride)."""

    target_nodes: TargetNodes = Field(
        description='targetNodes: the range, such as "0:3", ":3", "4:" or "2". Of ranges that overlap the narrowest '
        "counts."
    )
    container_overrides: ContainerOverrides | None = Field(
        default=None, description="containerOverrides of these nodes."
    )


class NodeOverrides(Model):
    """What a job changes of its definition's nodes (AWS: NodeOverrides)."""

    num_nodes: NumNodes | None = Field(
        default=None,
        description="numNodes in place of the definition's, for definitions with an open-ended range such as 1: (which "
        "must begin, as mainNode must be, below it).",
    )
    node_property_overrides: Annotated[
        tuple[NodePropertyOverride, ...], Field(max_length=MAX_RANGES, json_schema_extra=list_map("targetNodes"))
    ] = Field(default=(), description="nodePropertyOverrides: changes to the containers of ranges of nodes.")


class NodePropertiesDetail(Model):
    """The nodes of a multi-node job (AWS: NodePropertiesSummary)."""

    num_nodes: int = Field(ge=1, description="numNodes the job has.")
    main_node: int = Field(ge=0, description="mainNode: the node whose end is the job's.")
