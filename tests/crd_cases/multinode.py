"""Multi-node definitions and jobs that must be refused, and some that must not."""

from __future__ import annotations

from typing import Any

import pytest

from crd_cases import bj, jd
from manifests import Manifest, container

N = "spec.nodeProperties"
RANGES = f"{N}.nodeRangeProperties"
COVER = "must cover every node"
WITHIN = "must be a range of nodes from 0 to numNodes - 1"


def multi(*targets: str, nodes: int = 4, main: int = 0, **properties: Any) -> Manifest:
    """A multi-node definition with these ranges."""
    listed = [{"targetNodes": target, "container": container()} for target in targets]
    given = {"numNodes": nodes, "mainNode": main, "nodeRangeProperties": listed, **properties}
    return jd(type="multinode", nodeProperties=given)


def _node(**fields: Any) -> Manifest:
    """A multi-node definition with one range of these fields."""
    given = {"numNodes": 2, "mainNode": 0, "nodeRangeProperties": [{"targetNodes": "0:", **fields}]}
    return jd(type="multinode", nodeProperties=given)


REFUSED = [
    pytest.param(multi("0:", nodes=0), f"{N}.numNodes", "1 to 1000 nodes", id="mn-no-nodes"),
    pytest.param(multi("0:", nodes=1001), f"{N}.numNodes", "1 to 1000 nodes", id="mn-too-many"),
    pytest.param(multi("0:", main=4), f"{N}.mainNode", "less than numNodes", id="mn-main-beyond"),
    pytest.param(multi("1:"), RANGES, COVER, id="mn-not-from-0"),
    pytest.param(multi("0:2"), RANGES, COVER, id="mn-not-to-the-end"),
    pytest.param(multi("0:1", "3:"), RANGES, COVER, id="mn-a-gap"),
    pytest.param(multi("0:", "2:1"), RANGES, WITHIN, id="mn-backwards"),
    pytest.param(multi("0:4"), RANGES, WITHIN, id="mn-beyond-the-end"),
    pytest.param(multi("0-3"), f"{RANGES}[0].targetNodes", "must be a range of node numbers", id="mn-dash"),
    pytest.param(multi(":"), f"{RANGES}[0].targetNodes", "must be a range of node numbers", id="mn-colon"),
    pytest.param(multi("0:", "0:"), f"{RANGES}[1]", "Duplicate value", id="mn-twice"),
    pytest.param(multi(*(f"{n}" for n in range(9)), nodes=9), RANGES, "at most 8", id="mn-nine-ranges"),
    pytest.param(multi(), RANGES, "at least 1", id="mn-no-ranges"),
    pytest.param(_node(), f"{RANGES}[0]", "give exactly one of container and podTemplate", id="mn-neither"),
    pytest.param(
        _node(container=container(), podTemplate={}),
        f"{RANGES}[0]",
        "give exactly one of container and podTemplate",
        id="mn-both",
    ),
    pytest.param(_node(container=container(), slots=0), f"{RANGES}[0].slots", "1 to 100000", id="mn-slots"),
    pytest.param(multi("0:", nodesPerHost=0), f"{N}.nodesPerHost", "share a machine", id="mn-per-host"),
    pytest.param(multi("0:", failurePolicy="All"), f"{N}.failurePolicy", "supported values", id="mn-policy"),
    pytest.param(multi("0:", topology=[{"key": "a b"}]), f"{N}.topology[0].key", "a node label", id="mn-topology"),
    pytest.param(
        multi("0:", startTimeoutSeconds=1), f"{N}.startTimeoutSeconds", "10 to 86400 seconds", id="mn-start-timeout"
    ),
    pytest.param(multi("0:", rendezvous={"port": 0}), f"{N}.rendezvous.port", "1 to 65535", id="mn-port"),
    pytest.param(
        jd(nodeProperties=multi("0:")["spec"]["nodeProperties"]), "spec.type", "go with type multinode", id="mn-no-type"
    ),
    pytest.param(
        jd(type="multinode", containerProperties=container()), "spec.type", "multinode", id="mn-no-properties"
    ),
    pytest.param(
        bj(nodeOverrides={"numNodes": 2}, containerOverrides={}),
        "spec.containerOverrides",
        "give nodeOverrides.nodePropertyOverrides",
        id="mn-container-overrides",
    ),
    pytest.param(
        bj(nodeOverrides={"numNodes": 2}, arrayProperties={"size": 2}),
        "spec.nodeOverrides",
        "an array job has no nodes",
        id="mn-array",
    ),
    pytest.param(bj(nodeOverrides={"numNodes": 0}), "spec.nodeOverrides.numNodes", "1 to 1000", id="mn-override-nodes"),
]

ACCEPTED = [
    pytest.param(multi("0:"), id="mn-one-range"),
    pytest.param(multi("0", "1:"), id="mn-main-and-others"),
    pytest.param(multi(":1", "2:3"), id="mn-open-at-the-front"),
    pytest.param(multi("0:3", "1:2", "2"), id="mn-nested"),
    pytest.param(multi("0:", nodes=1000, main=999), id="mn-a-thousand"),
    pytest.param(
        multi(
            "0:",
            failurePolicy="AnyNode",
            nodesPerHost=8,
            topology=[{"key": "topology.kubernetes.io/zone", "mode": "Required"}, {"key": "rack", "mode": "Preferred"}],
            startTimeoutSeconds=60,
            rendezvous={"port": 29400},
        ),
        id="mn-everything",
    ),
    pytest.param(
        bj(
            nodeOverrides={
                "numNodes": 8,
                "nodePropertyOverrides": [{"targetNodes": "1:", "containerOverrides": {"command": ["x"]}}],
            }
        ),
        id="mn-overrides",
    ),
]
