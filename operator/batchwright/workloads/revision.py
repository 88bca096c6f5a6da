"""An immutable revision of a JobDefinition, as an apps/v1 ControllerRevision, whose data never changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchwright import names
from batchwright.workloads.shapes import Wire


def revision_name(definition_name: str, revision: int) -> str:
    """The object's name; a definition's name has up to 128 characters, so this stays far below 253."""
    return f"{definition_name}-{revision}"


def build_revision(
    definition_name: str, definition_uid: str, namespace: str, revision: int, spec: Mapping[str, Any]
) -> Wire:
    """The ControllerRevision that keeps `spec` as the definition's `revision`; it goes when the definition goes."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": revision_name(definition_name, revision),
            "namespace": namespace,
            "labels": {
                names.LABEL_DEFINITION: names.label_value(definition_name),
                names.MANAGED_BY: names.FIELD_MANAGER,
            },
            "ownerReferences": [
                {
                    "apiVersion": names.API_VERSION,
                    "kind": "JobDefinition",
                    "name": definition_name,
                    "uid": definition_uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "data": {"spec": dict(spec)},
        "revision": revision,
    }
