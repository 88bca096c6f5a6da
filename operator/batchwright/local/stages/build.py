"""Constructors of kwok Stage objects, and of the two kinds of expression in them."""

from __future__ import annotations

from textwrap import indent
from typing import Any


def stage(
    name: str, kind: str, when: list[dict[str, Any]], steps: list[dict[str, Any]], delay: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A Stage: objects of `kind` matching all of `when` go through `steps`, after `delay`."""
    spec: dict[str, Any] = {
        "resourceRef": {"apiGroup": "v1", "kind": kind},
        "selector": {"matchExpressions": when},
        "steps": steps,
    }
    if delay is not None:
        spec["delay"] = delay
    return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": name}, "spec": spec}


def one_of(expression: str, *values: str) -> dict[str, Any]:
    """The jq expression yields one of `values`."""
    return {"jq": {"key": expression, "operator": "In", "values": list(values)}}


def none_of(expression: str, *values: str) -> dict[str, Any]:
    """The jq expression yields none of `values`; an error in it counts as yielding nothing."""
    return {"jq": {"key": expression, "operator": "NotIn", "values": list(values)}}


def present(expression: str) -> dict[str, Any]:
    """The jq expression yields something that is not null."""
    return {"jq": {"key": expression, "operator": "Exists"}}


def absent(expression: str) -> dict[str, Any]:
    """The jq expression yields nothing, or null."""
    return {"jq": {"key": expression, "operator": "DoesNotExist"}}


def patch_seen_status(template: str) -> dict[str, Any]:
    """Like `patch_status`, but only on the very version of the object that the stage matched, else a conflict.

    kwok starts every watch again from resourceVersion 0 and is handed all objects anew, and a queued stage keeps the
    object as it was: without this, a stage is played twice, or over what somebody else wrote meanwhile. A newer
    version of the object comes with an event of its own and is matched afresh.
    """
    text = "metadata:\n  resourceVersion: {{ .metadata.resourceVersion | Quote }}\nstatus:\n" + indent(template, "  ")
    return {"patch": {"subresource": "status", "template": text}}


def patch_status(template: str) -> dict[str, Any]:
    """A step: render the Go template to YAML and patch it into the status."""
    return {"patch": {"subresource": "status", "root": "status", "template": template}}
