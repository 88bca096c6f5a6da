"""The demo's objects: what `wordcount/manifests.yaml` has, with what only the running cluster knows, and the jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import yaml

from batchwright import names
from batchwright.local import aws
from batchwright.local.demo.images import WORDCOUNT
from batchwright.local.demo.storage import BUCKET

JSON = dict[str, Any]

QUEUE: Final = "demo"
SECRET: Final = "wordcount-aws"
TOP: Final = 20
_KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def render_secret(endpoint: str) -> JSON:
    """The Secret with the keys of S3, to which the definitions' `secrets` refer."""
    settings = aws.environment(endpoint)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET},
        "type": "Opaque",
        "stringData": {key: settings[key] for key in _KEYS},
    }


def render_declarations(endpoint: str) -> list[JSON]:
    """The environment, the queue and the definitions, which get the address of S3."""
    documents: list[JSON] = list(yaml.safe_load_all((WORDCOUNT / "manifests.yaml").read_text(encoding="utf-8")))
    public = {key: value for key, value in aws.environment(endpoint).items() if key not in _KEYS}
    for document in documents:
        if document["kind"] == "JobDefinition":
            variables = [{"name": key, "value": value} for key, value in public.items()]
            document["spec"]["containerProperties"]["environment"] = variables
    return documents


def render_jobs(run: str, workers: int) -> list[JSON]:
    """The jobs of one run: one that splits, `workers` that wait for it and count, one that waits for all and merges."""
    data = {"bucket": BUCKET, "run": run}
    split = f"{run}-split"
    counts = [f"{run}-count-{part}" for part in range(workers)]
    counting = [_job(name, "count", data | {"part": str(part)}, [split]) for part, name in enumerate(counts)]
    return [
        _job(split, "split", data | {"parts": str(workers)}, []),
        *counting,
        _job(f"{run}-merge", "merge", data | {"parts": str(workers), "top": str(TOP)}, counts),
    ]


def _job(name: str, stage: str, parameters: Mapping[str, str], depends_on: list[str]) -> JSON:
    spec: JSON = {
        "jobQueue": QUEUE,
        "jobDefinition": f"wordcount-{stage}",
        "parameters": dict(parameters),
    }
    if depends_on:
        spec["dependsOn"] = [{"name": parent} for parent in depends_on]
    return {"apiVersion": names.API_VERSION, "kind": "BatchJob", "metadata": {"name": name}, "spec": spec}
