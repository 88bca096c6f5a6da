"""How deep a value of JSON is nested, for values of any depth: Python's own recursion ends at about a thousand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# What Kubernetes has in a pod's template is some 15 levels deep.
DEEPEST_TEMPLATE = 64


def is_deeper(value: Any, levels: int) -> bool:
    """Whether objects and lists are within one another more than `levels` deep; a plain value is no level."""
    open_values = [(value, 1)]
    while open_values:
        each, level = open_values.pop()
        if isinstance(each, str) or not isinstance(each, Mapping | Sequence):
            continue
        if level > levels:
            return True
        open_values += [(inner, level + 1) for inner in (each.values() if isinstance(each, Mapping) else each)]
    return False


def shallow(value: Any, levels: int) -> Any:
    """The value with null in the place of every object and list that is more than `levels` deep."""
    if isinstance(value, str) or not isinstance(value, Mapping | Sequence):
        return value
    if levels == 0:
        return None
    if isinstance(value, Mapping):
        return {key: shallow(inner, levels - 1) for key, inner in value.items()}
    return [shallow(inner, levels - 1) for inner in value]
