"""Builders of what capacity decisions look at, with defaults that suit most tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from batchwright.api.v1alpha1.computeresources import ComputeResources
from batchwright.api.v1alpha1.nodejoin import NodeJoin
from batchwright.capacity.fleet import Bounds, Seen
from batchwright.capacity.launching import Choice
from batchwright.capacity.nodes import node_of
from batchwright.capacity.port import Blueprint, Instance, InstanceType, Kind
from batchwright.domain.observations import Taint

GIB = 1 << 30
DIGEST = "blueprint"


def kind(name: str = "m5.xlarge", vcpus: int = 4, gib: int = 16, zone: str = "a", **over: Any) -> Kind:
    """A type of 4 vCPU and 16 GiB in zone a, for about what it is worth."""
    gpus = over.pop("gpus", 0)
    architecture = over.pop("architecture", "amd64")
    made = InstanceType(name, 1000 * vcpus, gib * GIB, architecture, gpus, 58)
    return replace(Kind(made, zone, "ON_DEMAND", place=f"subnet-{zone}"), **over)


def choices(*kinds: Kind) -> list[Choice]:
    """The kinds with their nodes."""
    return [Choice(each, node_of(each, blueprint())) for each in kinds]


def blueprint(name: str = "env", uid: str = "uid-env", join: NodeJoin | None = None, **resources: object) -> Blueprint:
    """An environment of On-Demand instances, with a taint of its own."""
    found = ComputeResources.model_validate({"type": "EC2", "maxvCpus": 100, **resources})
    taint = Taint("batchwright.io/compute-environment", name, "NoSchedule")
    return Blueprint(name, uid, found, {"batchwright.io/compute-environment": name}, (taint,), join)


def instance(identity: str = "i-1", *, launched: float = 0.0, **over: Any) -> Instance:
    """A running instance of 4 vCPU."""
    made = Instance(identity, "uid-env", "m5.xlarge", "a", "ON_DEMAND", launched, "running", "token", DIGEST)
    return replace(made, **over)


def seen(identity: str = "i-1", *, of: Instance | None = None, **over: Any) -> Seen:
    """An instance with a ready node that nobody is on, and that was used before."""
    made = Seen(of or instance(identity), 4000, f"node-{identity}", is_ready=True, was_used=True, idle_since=0.0)
    return replace(made, **over)


def starting(identity: str = "i-1", *, launched: float = 0.0, of: Instance | None = None, **over: Any) -> Seen:
    """An instance without a node."""
    return replace(Seen(of or instance(identity, launched=launched), 4000), **over)


def bounds(**over: Any) -> Bounds:
    """Nothing has to stay, and 100 vCPU are the most."""
    return replace(Bounds(0, 100_000, DIGEST), **over)
