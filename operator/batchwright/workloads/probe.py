"""A pod for a dry-run create in any namespace: it shows whether an admission policy acts on pods like it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from batchwright import names
from batchwright.workloads.shapes import Wire


def build_probe(labels: Mapping[str, str], annotations: Mapping[str, str], gates: Sequence[str] = ()) -> Wire:
    """A pod that passes the strictest Pod Security level and small quotas; it is never run."""
    small = {"cpu": "1m", "memory": "1Mi"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "batchwright-probe-",
            "labels": {**labels, names.MANAGED_BY: names.FIELD_MANAGER},
            "annotations": dict(annotations),
        },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "schedulingGates": [{"name": gate} for gate in gates],
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65534,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "probe",
                    "image": "batchwright.io/probe",
                    "resources": {"requests": small, "limits": small},
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }


def variables_of(pod: Any) -> list[dict[str, str | None]]:
    """The plain variables of each container of the pod."""
    return [
        {variable["name"]: variable.get("value") for variable in container.get("env", ())}
        for container in pod["spec"]["containers"]
    ]
