"""The policy of a simulation: a file of Batchwright's own kinds, as `kubectl apply` takes it.

Invariant: errors name the file, the object and the field; a field the kinds do not have is refused, not dropped.
Hazard: AWS's weightFactor multiplies usage, so the share of the smaller factor gets more; the weight of a share, by
which fairness is measured, is its reciprocal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from batchwright import names
from batchwright.api.v1alpha1 import (
    ComputeEnvironmentSpec,
    ConsumableResourceSpec,
    JobQueueSpec,
    SchedulingPolicySpec,
)
from batchwright.api.v1alpha1.common import Model
from batchwright.api.v1alpha1.schedulingpolicy import find_overlap
from batchwright.errors import SimulationError
from batchwright.scheduling.fairshare import FairShare

KINDS: Final[Mapping[str, type[Model]]] = {
    "SchedulingPolicy": SchedulingPolicySpec,
    "JobQueue": JobQueueSpec,
    "ComputeEnvironment": ComputeEnvironmentSpec,
    "ConsumableResource": ConsumableResourceSpec,
}


@dataclass(frozen=True)
class Policy:
    """The specs of the file's objects by name; `fairshare` is the one SchedulingPolicy in use, else all alike."""

    policies: Mapping[str, SchedulingPolicySpec] = field(default_factory=dict)
    queues: Mapping[str, JobQueueSpec] = field(default_factory=dict)
    environments: Mapping[str, ComputeEnvironmentSpec] = field(default_factory=dict)
    resources: Mapping[str, ConsumableResourceSpec] = field(default_factory=dict)
    fairshare: FairShare = field(default_factory=FairShare)

    def weight_of(self, share: str) -> float:
        """How much a share should have beside one of weight 1."""
        return 1.0 / self.fairshare.weight(share)


def parse(source: str, text: str) -> Policy:
    """A policy from YAML. Raises SimulationError naming the object and the field."""
    import yaml

    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        raise SimulationError(f"{source}: not valid YAML: {' '.join(str(error).split())}") from error
    found: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
    for number, document in enumerate(documents, start=1):
        for body in _unpacked(document):
            where = f"{source}, document {number}"
            kind, name = _identity(where, body)
            if name in found[kind]:
                raise SimulationError(f"{where}: a second {kind} with the name {name}")
            found[kind][name] = _spec(f"{where}: {kind} {name}", KINDS[kind], body["spec"])
    if not any(found.values()):
        raise SimulationError(f"{source}: no objects in it; wanted are {', '.join(KINDS)} of {names.API_VERSION}")
    policies, queues = found["SchedulingPolicy"], found["JobQueue"]
    used = _policy_in_use(source, policies, queues)
    return Policy(
        policies=policies,
        queues=queues,
        environments=found["ComputeEnvironment"],
        resources=found["ConsumableResource"],
        fairshare=_fairshare(f"{source}: SchedulingPolicy {used}", policies[used]) if used else FairShare(),
    )


def _unpacked(document: Any) -> Iterator[Any]:
    if isinstance(document, dict) and document.get("kind") == "List" and isinstance(document.get("items"), list):
        yield from document["items"]
    elif document is not None:
        yield document


def _identity(where: str, body: Any) -> tuple[str, str]:
    if not isinstance(body, dict):
        raise SimulationError(f"{where}: not an object with apiVersion, kind, metadata and spec")
    kind, version = body.get("kind"), body.get("apiVersion")
    if version != names.API_VERSION or kind not in KINDS:
        raise SimulationError(
            f"{where}: apiVersion {version!r}, kind {kind!r} is not one of {names.API_VERSION} {', '.join(KINDS)}"
        )
    metadata = body.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(name, str) or not name or not isinstance(body.get("spec"), dict):
        raise SimulationError(f"{where}: {kind} needs metadata.name and spec")
    return str(kind), name


def _spec(where: str, kind: type[Model], spec: Mapping[str, Any]) -> Model:
    try:
        return kind.model_validate(spec, extra="forbid")
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"])
        raise SimulationError(f"{where}: spec{path}: {first['msg']}") from error


def _policy_in_use(
    source: str, policies: Mapping[str, SchedulingPolicySpec], queues: Mapping[str, JobQueueSpec]
) -> str | None:
    used = {queue.scheduling_policy for queue in queues.values() if queue.scheduling_policy}
    missing = sorted(used - policies.keys())
    if missing:
        raise SimulationError(
            f"{source}: no SchedulingPolicy {missing[0]}, which spec.schedulingPolicy of a JobQueue names"
        )
    # Without queues a file of a SchedulingPolicy alone is one for all.
    wanted = sorted(used if queues else policies.keys())
    if len(wanted) > 1:
        raise SimulationError(
            f"{source}: several SchedulingPolicies are in use ({', '.join(wanted)}): "
            "fairness is measured by one; let all queues name the same in spec.schedulingPolicy"
        )
    return wanted[0] if wanted else None


def _fairshare(where: str, spec: SchedulingPolicySpec) -> FairShare:
    said = spec.fairshare_policy
    weights = tuple((entry.share_identifier, entry.weight_factor) for entry in said.share_distribution)
    overlap = find_overlap(identifier for identifier, _ in weights)
    if overlap:
        raise SimulationError(
            f"{where}: spec.fairsharePolicy.shareDistribution: {overlap[0]} and {overlap[1]} overlap: leave one out"
        )
    return FairShare(said.share_decay_seconds, said.compute_reservation, weights)
