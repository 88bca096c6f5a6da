"""Immutable builders of what decisions look at, with defaults that suit most tests; keywords override.

Times are seconds after `NOW`, so that a table stays readable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from batchwright.api.v1alpha1 import BatchJobSpec, BatchJobStatus
from batchwright.api.v1alpha1.batchjob import Attempt, AttemptContainer
from batchwright.api.v1alpha1.common import EvaluateOnExit
from batchwright.domain.dependencies import Resolution
from batchwright.domain.lifecycle import Rules, View
from batchwright.domain.observations import Job, Mark, Node, Pod, Taint, Work
from batchwright.domain.quantities import Resources, add
from batchwright.domain.texts import timestamp
from batchwright.scheduling.snapshot import (
    Candidate,
    Environment,
    Growth,
    Held,
    Offer,
    Queue,
    Shape,
    Snapshot,
    Toleration,
)

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
UID = "11111111-2222-3333-4444-555555555555"
GIB = 1024**3
GRACE_SECONDS = 60.0


def at(seconds: float) -> datetime:
    """`seconds` after NOW."""
    return NOW + timedelta(seconds=seconds)


def spec(**wire: Any) -> BatchJobSpec:
    """A BatchJobSpec of the queue `normal`, as on the wire."""
    return BatchJobSpec.model_validate({"jobQueue": "normal", "jobDefinition": "hello", **wire})


def status(state: str | None = None, **wire: Any) -> BatchJobStatus:
    """A BatchJobStatus, as on the wire."""
    return BatchJobStatus.model_validate({"state": state, **wire})


def job(**over: Any) -> Job:
    """A BatchJob nobody has looked at yet."""
    return replace(Job(UID, "default", "hello-1", 1, NOW, spec(), status()), **over)


def work(**over: Any) -> Work:
    """The Kubernetes Job of `job()`."""
    return replace(Work("work-1", "default", "hello-1-11111111", UID, "nodes", NOW), **over)


def pod(number: int = 0, **over: Any) -> Pod:
    """The pod of attempt `number`, counted from 0; Pending and without a node."""
    return replace(
        Pod(f"pod-{number}", "default", f"hello-{number}", UID, at(number), owner="work-1", failures=number), **over
    )


def running_pod(number: int = 0, *, started: float = 0, **over: Any) -> Pod:
    """A pod whose container runs since `started`."""
    return pod(number, phase="Running", node="n1", running=True, started_at=at(started), **over)


def ended_pod(number: int = 0, *, exit_code: int | None = 0, **over: Any) -> Pod:
    """A pod that ended with the exit code."""
    defaults: dict[str, Any] = {
        "phase": "Succeeded" if exit_code == 0 else "Failed",
        "node": "n1",
        "started_at": at(10 * number),
        "stopped_at": at(10 * number + 5),
        "exit_code": exit_code,
        "container_reason": "Completed" if exit_code == 0 else "Error",
    }
    return pod(number, **(defaults | over))


def mark(kind: str, message: str = "") -> Mark:
    """A pod condition of ours."""
    return Mark(kind, message)


def attempt(number: int = 0, *, exit_code: int | None = 1, **over: Any) -> Attempt:
    """The recorded attempt of `ended_pod(number)`."""
    container = AttemptContainer(exit_code=exit_code, pod_name=f"hello-{number}", node_name="n1")
    return Attempt(
        container=container,
        started_at=timestamp(at(10 * number)),
        stopped_at=timestamp(at(10 * number + 5)),
        status_reason="Essential container in task exited",
    ).model_copy(update=over)


def exit_rule(action: str = "EXIT", **wire: str) -> EvaluateOnExit:
    """One entry of evaluateOnExit."""
    return EvaluateOnExit.model_validate({"action": action, **wire})


def rules(attempts: int = 1, *evaluate: EvaluateOnExit, timeout: int | None = None) -> Rules:
    """The rules of a job."""
    return Rules(attempts, tuple(evaluate), timeout)


NO_DEPENDENCIES = Resolution((), (), None)


def view(**over: Any) -> View:
    """What the decision about `job()` looks at: ready, not started."""
    return replace(
        View(
            job=job(),
            definition="hello:1",
            rules=Rules(),
            dependencies=NO_DEPENDENCIES,
            instances={"n1": "i-0abc"},
            start_grace_seconds=GRACE_SECONDS,
        ),
        **over,
    )


def with_status(before: View, decided: BatchJobStatus) -> View:
    """The view of the same world once the status is known."""
    return replace(before, job=replace(before.job, status=decided))


def resources(cpu: int = 0, memory: int = 0, pods: int = 0, **other: int) -> Resources:
    """Milli-CPU, bytes and counts; what is zero is left out."""
    named = {"cpu": cpu, "memory": memory, "pods": pods} | other
    return {name: amount for name, amount in named.items() if amount}


def node(name: str = "n1", *, cpu: int = 4000, memory: int = 8 * GIB, pods: int = 110, **over: Any) -> Node:
    """A ready node of 4 vCPU and 8 GiB."""
    return replace(Node(name, name, {}, (), resources(cpu, memory, pods), ready=True, schedulable=True), **over)


def taint(key: str = "dedicated", value: str = "batch", effect: str = "NoSchedule") -> Taint:
    """A taint."""
    return Taint(key, value, effect)


def toleration(key: str = "dedicated", operator: str = "Equal", value: str = "batch", effect: str = "") -> Toleration:
    """A toleration of `taint()`."""
    return Toleration(key, operator, value, effect)


def shape(cpu: int = 1000, memory: int = GIB, **over: Any) -> Shape:
    """A pod of 1 vCPU and 1 GiB."""
    return replace(Shape(tuple(sorted(resources(cpu, memory, 1).items()))), **over)


def candidate(uid: str = "a", *, after: float = 0, **over: Any) -> Candidate:
    """A RUNNABLE job submitted `after` seconds."""
    return replace(Candidate(uid, uid, at(after), shape()), **over)


def queue(
    *waiting: Candidate, name: str = "normal", priority: int = 0, environments: Iterable[str] = ("e1",), **over: Any
) -> Queue:
    """A queue whose candidates are put in order of arrival."""
    order = tuple(sorted(waiting, key=lambda each: (each.created_at, each.uid)))
    return replace(Queue(name, priority, tuple(environments), order), **over)


def environment(name: str = "e1", **over: Any) -> Environment:
    """An open environment of every node."""
    return replace(Environment(name), **over)


def held(uid: str = "h", environment: str = "e1", of: Shape | None = None, count: int = 1, **over: Any) -> Held:
    """Work that was sent and has no node yet."""
    return replace(Held(uid, "normal", environment, of or shape(), count, count), **over)


def running(uid: str = "h", node: str = "n1", of: Shape | None = None, count: int = 1, **over: Any) -> Held:
    """Work that runs on one node."""
    defaults: dict[str, Any] = {"unbound": 0, "nodes": ((node, count),)}
    return replace(held(uid, of=of, count=count), **(defaults | over))


def snapshot(
    *queues: Queue,
    nodes: Iterable[Node] = (),
    environments: Iterable[Environment] = (),
    occupied: Mapping[str, Resources] | None = None,
    held: Iterable[Held] = (),
    consumables: Mapping[str, int] | None = None,
    now: float = 0.0,
    growth: Mapping[str, Growth] | None = None,
) -> Snapshot:
    """A snapshot; one environment if none are given, and one node, unless they grow. Without `occupied`, what is held
    is on the nodes."""
    held = tuple(held)
    return Snapshot(
        nodes=tuple(nodes) or (() if growth else (node(),)),
        occupied=occupied_by(held) if occupied is None else occupied,
        environments={each.name: each for each in (tuple(environments) or (environment(),))},
        queues=queues,
        held=held,
        consumables=consumables or {},
        now=now,
        growth=growth or {},
    )


def offer(name: str = "m", *, cpu: int = 4000, reserved: int = 100, **over: Any) -> Offer:
    """A kind of node of 4 vCPU, of which 100 milli are kept back."""
    return Offer(node(name, cpu=cpu - reserved, **over), cpu)


def growth(*offers: Offer, most: int = 100_000, left: int | None = None, none: bool = False, **over: Any) -> Growth:
    """An environment that may grow to 100 vCPU, and has none yet; with `none`, there is nothing to be had."""
    return Growth(most, most if left is None else left, () if none else offers or (offer(),), **over)


def occupied_by(held: Iterable[Held]) -> dict[str, Resources]:
    """What this work takes from each node."""
    found: dict[str, Resources] = {}
    for each in held:
        for name, count in each.nodes:
            taken = {resource: amount * count for resource, amount in each.shape.resources}
            found[name] = add(found.get(name, {}), taken)
    return found
