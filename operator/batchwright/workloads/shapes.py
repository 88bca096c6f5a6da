"""Reading objects nobody has checked (podTemplate): every wrong shape is a WorkloadError that names the field.

A null counts as absent, as it does for the API server.
"""

from __future__ import annotations

from typing import Any

from batchwright.errors import WorkloadError

Wire = dict[str, Any]


def child_object(parent: Wire, key: str, path: str) -> Wire:
    """The object at `key`, made when absent, so that it can be added to."""
    value = parent.get(key)
    if value is None:
        value = parent[key] = {}
    if not isinstance(value, dict):
        raise WorkloadError(f"{path}.{key} must be an object, not {kind_of(value)}")
    return value


def child_list(parent: Wire, key: str, path: str) -> list[Any]:
    """The list at `key`, made when absent, so that it can be added to."""
    value = parent.get(key)
    if value is None:
        value = parent[key] = []
    if not isinstance(value, list):
        raise WorkloadError(f"{path}.{key} must be a list, not {kind_of(value)}")
    return value


def child_objects(parent: Wire, key: str, path: str) -> list[Wire]:
    """The list of objects at `key`; empty, and not made, when absent."""
    if parent.get(key) is None:
        return []
    listed = child_list(parent, key, path)
    for index, value in enumerate(listed):
        if not isinstance(value, dict):
            raise WorkloadError(f"{path}.{key}[{index}] must be an object, not {kind_of(value)}")
    return listed


def child_texts(parent: Wire, key: str, path: str) -> list[str] | None:
    """The list of texts at `key`, or None when absent."""
    if parent.get(key) is None:
        return None
    listed = child_list(parent, key, path)
    for index, value in enumerate(listed):
        if not isinstance(value, str):
            raise WorkloadError(f"{path}.{key}[{index}] must be a text, not {kind_of(value)}: put it in quotes")
    return listed


def child_text(parent: Wire, key: str, path: str) -> str | None:
    """The text at `key`, or None when absent."""
    value = parent.get(key)
    if value is not None and not isinstance(value, str):
        raise WorkloadError(f"{path}.{key} must be a text, not {kind_of(value)}: put it in quotes")
    return value


def required_text(parent: Wire, key: str, path: str) -> str:
    """The text at `key`, which must be there and not empty."""
    value = child_text(parent, key, path)
    if not value:
        raise WorkloadError(f"{path}.{key} must be given")
    return value


def kind_of(value: Any) -> str:
    """What JSON calls the value."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "an object"
