"""Does a node let a pod on: labels, affinity and taints, as kube-scheduler's filters judge it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from batchwright.domain.observations import Node, Taint
from batchwright.domain.quantities import Resources
from batchwright.scheduling.snapshot import Environment, Expression, Term, Toleration


def tolerates(tolerations: Iterable[Toleration], taint: Taint) -> bool:
    """Whether one of the tolerations covers the taint (core/v1 ToleratesTaint)."""
    for toleration in tolerations:
        if toleration.effect and toleration.effect != taint.effect:
            continue
        if toleration.key and toleration.key != taint.key:
            continue
        if toleration.operator == "Exists" or (toleration.key and toleration.value == taint.value):
            return True
    return False


def belongs(node: Node, environment: Environment) -> bool:
    """Whether the node is one of the environment's: its labels match and its taints are tolerated."""
    return has_labels(node, environment.node_selector) and admits(node, environment.tolerations)


def has_labels(node: Node, wanted: Iterable[tuple[str, str]]) -> bool:
    """Whether the node has every label."""
    return all(node.labels.get(key) == value for key, value in wanted)


def admits(node: Node, tolerations: Iterable[Toleration]) -> bool:
    """Whether no taint of the node keeps the pod out; PreferNoSchedule keeps nobody out."""
    held = tuple(tolerations)
    return all(taint.effect == "PreferNoSchedule" or tolerates(held, taint) for taint in node.taints)


def missing(request: Iterable[tuple[str, int]], free: Mapping[str, int]) -> Resources:
    """What `free` is short of for the request; empty when it fits. Asking zero of something always fits."""
    return {name: amount - free.get(name, 0) for name, amount in request if amount > 0 and amount > free.get(name, 0)}


def matches(node: Node, affinity: Iterable[Term]) -> bool:
    """Whether a required node affinity lets the pod on: one of its terms must match (core/v1 NodeSelector)."""
    terms = tuple(affinity)
    return not terms or any(term and all(_holds(node, each) for each in term) for term in terms)


def _holds(node: Node, asked: Expression) -> bool:
    has = node.name if asked.is_field else node.labels.get(asked.key)
    match asked.operator:
        case "In":
            return has is not None and has in asked.values
        case "NotIn":
            return has is None or has not in asked.values
        case "Exists":
            return has is not None
        case "DoesNotExist":
            return has is None
    # Gt and Lt compare whole numbers; a label that is none matches nothing.
    try:
        number, bound = int(has or ""), int(asked.values[0])
    except (ValueError, IndexError):
        return False
    return number > bound if asked.operator == "Gt" else asked.operator == "Lt" and number < bound
