"""JobQueues, ComputeEnvironments and JobDefinitions as records, from the objects kopf hands over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from batchwright.api.v1alpha1.common import Model
from batchwright.cluster.client import JSON
from batchwright.domain.nesting import DEEPEST_TEMPLATE, is_deeper, shallow

Spec = TypeVar("Spec", bound=Model)


@dataclass(slots=True)
class Declared(Generic[Spec]):
    """An object somebody declared. `status` is what the API server holds, as it was last seen or written."""

    uid: str
    namespace: str
    name: str
    generation: int
    spec: Spec
    raw_spec: JSON
    status: JSON
    is_deleting: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Namespace (empty for cluster-scoped kinds) and name."""
        return (self.namespace, self.name)


def declared(kind: type[Spec], body: Mapping[str, Any]) -> Declared[Spec]:
    """The record of an object. Raises pydantic.ValidationError.

    Of what is nested too deep for a pod's template there is one level too many, so that it can be told, and no more:
    neither pydantic nor Python goes to any depth.
    """
    metadata = body["metadata"]
    spec = dict(body.get("spec") or {})
    if is_deeper(spec, DEEPEST_TEMPLATE):
        spec = shallow(spec, DEEPEST_TEMPLATE + 1)
    return Declared(
        uid=metadata["uid"],
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        generation=metadata.get("generation", 0),
        spec=kind.model_validate(spec),
        raw_spec=spec,
        status=dict(body.get("status") or {}),
        is_deleting="deletionTimestamp" in metadata,
    )


def put(known: dict[tuple[str, str], Any], key: tuple[str, str], record: object | None) -> None:
    """Takes over a record, or (None) that there is none any more."""
    if record is None:
        known.pop(key, None)
    else:
        known[key] = record


def same_spec(before: Declared[Any] | None, after: Declared[Any] | None) -> bool:
    """Whether both are there and ask the same."""
    return before is not None and after is not None and bool(before.spec == after.spec)
