"""Manifests for `submit -f`: YAML or JSON documents of Batchwright's kinds.

All but BatchJobs are applied (server-side apply, as often as one likes); BatchJobs are created, since a job runs once.
Unknown fields are refused by the API server, not dropped.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from batchwright import names
from batchwright.cli.session import JSON, Session
from batchwright.cluster.resources import (
    BATCH_JOBS,
    COMPUTE_ENVIRONMENTS,
    CONSUMABLE_RESOURCES,
    JOB_DEFINITIONS,
    JOB_QUEUES,
    SCHEDULING_POLICIES,
    Resource,
)
from batchwright.errors import AlreadyExists, BatchwrightError, NotFound

KINDS: Final = {
    resource.kind: resource
    for resource in (
        COMPUTE_ENVIRONMENTS,
        SCHEDULING_POLICIES,
        CONSUMABLE_RESOURCES,
        JOB_QUEUES,
        JOB_DEFINITIONS,
        BATCH_JOBS,
    )
}

# k8s.io/apiserver/pkg/storage/names: 63 less five, and an alphabet that spells no words.
GENERATED_PREFIX: Final = 58
GENERATED_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True)
class Document:
    """One object of a manifest, and where it stands for error messages."""

    where: str
    resource: Resource
    body: JSON

    def namespace(self, default: str) -> str | None:
        """The namespace it goes to; None for a cluster-wide kind."""
        if not self.resource.namespaced:
            return None
        return str(self.body["metadata"].get("namespace") or default)


@dataclass(frozen=True)
class Written:
    """An object as the API server has it now, and what became of it: created, configured or unchanged."""

    resource: Resource
    body: JSON
    verb: str


def read_text(source: str, flag: str = "-f") -> str:
    """The text of a file; `-` is stdin. Raises BatchwrightError, with the flag, when it cannot be read."""
    if source == "-":
        return sys.stdin.read()
    try:
        return Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BatchwrightError(f"{flag} {source}: {getattr(error, 'strerror', None) or error}") from error


def parse(source: str, text: str) -> list[Document]:
    """The documents of a manifest. Raises BatchwrightError naming the document that is wrong."""
    import yaml

    try:
        loaded = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        raise BatchwrightError(f"-f {source}: not valid YAML: {' '.join(str(error).split())}") from error
    documents = [
        _document(f"-f {source}, document {number}", body)
        for number, whole in enumerate(loaded, start=1)
        for body in _unpack(whole)
    ]
    if not documents:
        raise BatchwrightError(f"-f {source}: no objects in it")
    return documents


def _unpack(whole: Any) -> Iterator[Any]:
    if whole is None:
        return
    if isinstance(whole, dict) and whole.get("kind") == "List" and isinstance(whole.get("items"), list):
        yield from whole["items"]
    else:
        yield whole


def _document(where: str, body: Any) -> Document:
    if not isinstance(body, dict):
        raise BatchwrightError(f"{where}: not an object with apiVersion, kind, metadata and spec")
    kind, version = body.get("kind"), body.get("apiVersion")
    resource = KINDS.get(str(kind))
    if version != names.API_VERSION or resource is None:
        raise BatchwrightError(
            f"{where}: apiVersion {version!r}, kind {kind!r} is not one of {names.API_VERSION} {', '.join(KINDS)}; "
            "other kinds: kubectl apply"
        )
    metadata, spec = body.get("metadata"), body.get("spec")
    if not isinstance(metadata, dict) or not isinstance(spec, dict):
        raise BatchwrightError(f"{where}: {kind} needs metadata and spec")
    generated = resource is BATCH_JOBS and metadata.get("generateName")
    if not metadata.get("name") and not generated:
        also = " or metadata.generateName" if resource is BATCH_JOBS else ""
        raise BatchwrightError(f"{where}: {kind} needs metadata.name{also}")
    return Document(where, resource, body)


async def write(session: Session, document: Document, *, dry_run: bool) -> Written:
    """Creates a BatchJob, applies anything else. Raises ApiError."""
    if document.resource is BATCH_JOBS:
        return await create_job(session, document.namespace(session.namespace) or "", document.body, dry_run=dry_run)
    return await _apply(session, document, dry_run=dry_run)


async def create_job(session: Session, namespace: str, body: JSON, *, dry_run: bool) -> Written:
    """Creates a BatchJob. Raises AlreadyExists with the way out, ApiError.

    A generateName is filled in here: the client repeats requests whose answer was lost, and the API server would take
    the repetition for a second job, which would run.
    """
    metadata = body["metadata"]
    if not metadata.get("name"):
        kept = {key: value for key, value in metadata.items() if key != "generateName"}
        body = body | {"metadata": {"name": generate_name(metadata["generateName"])} | kept}
    try:
        made = await session.api.create(BATCH_JOBS, namespace, body, dry_run=dry_run, strict=True)
    except AlreadyExists as error:
        name = body["metadata"].get("name", "")
        raise AlreadyExists(
            f'job "{name}" exists in namespace "{namespace}", and a job runs once: take another name or '
            f"generateName, or `batchwright delete {name}` first",
            error.status,
            error.reason,
        ) from error
    return Written(BATCH_JOBS, made, "created")


def generate_name(prefix: str) -> str:
    """The prefix and five random characters, as the API server makes names from generateName."""
    return prefix[:GENERATED_PREFIX] + "".join(secrets.choice(GENERATED_ALPHABET) for _ in range(5))


async def _apply(session: Session, document: Document, *, dry_run: bool) -> Written:
    from batchwright.cluster.client import APPLY_PATCH

    resource, namespace = document.resource, document.namespace(session.namespace)
    name = document.body["metadata"]["name"]
    try:
        before: JSON | None = await session.api.get(resource, namespace, name)
    except NotFound as error:
        if error.reason != "NotFound":
            raise
        before = None
    params = {"fieldManager": names.FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"}
    if dry_run:
        params["dryRun"] = "All"
    after = await session.api.request(
        "PATCH", resource.path(namespace, name), params=params, body=document.body, content_type=APPLY_PATCH
    )
    if before is None:
        return Written(resource, after, "created")
    return Written(resource, after, "unchanged" if _said(after) == _said(before) else "configured")


def _said(item: JSON) -> JSON:
    """What a manifest can say of an object (a dry run does not change its resourceVersion)."""
    metadata = item["metadata"]
    return {"labels": metadata.get("labels"), "annotations": metadata.get("annotations"), "spec": item.get("spec")}
