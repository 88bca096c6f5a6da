"""A BatchJob from the flags of `submit`. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import typer

from batchwright import names
from batchwright.cli.array_flags import array_properties, check_dependencies, parse_dependency

JSON = dict[str, Any]

_VCPUS = re.compile(r"[0-9]+(\.[0-9]{1,3})?")
_MEMORY = re.compile(r"[1-9][0-9]*(Mi|Gi)?")


@dataclass(frozen=True)
class Submission:
    """What the flags said, checked one by one."""

    queue: str
    definition: str
    name: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] | None = None
    vcpus: str | None = None
    memory: str | None = None
    gpus: int | None = None
    depends_on: Sequence[str] = ()
    attempts: int | None = None
    timeout: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    array_size: int | None = None
    array_items: Sequence[Mapping[str, str]] | None = None
    max_concurrency: int | None = None


def build_job(submission: Submission) -> JSON:
    """The BatchJob to create. Without a name the API server makes one: the definition's and five characters.

    Raises BadParameter for flags that do not go together.
    """
    definition = submission.definition.partition(":")[0]
    metadata = {"name": submission.name} if submission.name else {"generateName": f"{definition}-"}
    overrides: JSON = {
        "command": None if submission.command is None else list(submission.command),
        "environment": [{"name": key, "value": value} for key, value in submission.environment.items()],
        "resourceRequirements": _requirements(submission),
    }
    attempts, timeout = submission.attempts, submission.timeout
    rows = None if submission.array_items is None else [dict(row) for row in submission.array_items]
    array = array_properties(submission.array_size, rows, submission.max_concurrency)
    depends_on = [parse_dependency(text) for text in submission.depends_on]
    check_dependencies(depends_on, is_array=array is not None)
    spec: JSON = {
        "jobQueue": submission.queue,
        "jobDefinition": submission.definition,
        "parameters": dict(submission.parameters),
        "arrayProperties": array,
        "dependsOn": depends_on,
        "containerOverrides": _present(overrides),
        "retryStrategy": {"attempts": attempts} if attempts is not None else None,
        "timeout": {"attemptDurationSeconds": timeout} if timeout is not None else None,
        "tags": dict(submission.tags),
    }
    return {
        "apiVersion": names.API_VERSION,
        "kind": "BatchJob",
        "metadata": metadata,
        "spec": _present(spec),
    }


def parse_pairs(flag: str, values: Sequence[str]) -> dict[str, str]:
    """`key=value` of a repeatable flag. Raises BadParameter for one without `=` or key, or a key given twice."""
    pairs: dict[str, str] = {}
    for value in values:
        key, equals, rest = value.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"{value!r} is not KEY=VALUE", param_hint=flag)
        if key in pairs:
            raise typer.BadParameter(f"{key!r} is given twice", param_hint=flag)
        pairs[key] = rest
    return pairs


def check_vcpus(value: str | None) -> str | None:
    """--vcpus as AWS writes it."""
    if value is not None and not _VCPUS.fullmatch(value):
        raise typer.BadParameter(f"{value!r} is not a number of vCPUs such as 0.25, 1 or 16", param_hint="--vcpus")
    return value


def check_memory(value: str | None) -> str | None:
    """--memory in MiB, as AWS writes it, or with Mi or Gi."""
    if value is not None and not _MEMORY.fullmatch(value):
        raise typer.BadParameter(
            f"{value!r} is not a whole number of MiB such as 2048, nor one with Mi or Gi such as 2Gi",
            param_hint="--memory",
        )
    return value


def _requirements(submission: Submission) -> list[JSON]:
    gpus = submission.gpus
    asked = {"VCPU": submission.vcpus, "MEMORY": submission.memory, "GPU": None if gpus is None else str(gpus)}
    return [{"type": kind, "value": value} for kind, value in asked.items() if value is not None]


def _present(fields: JSON) -> JSON:
    return {key: value for key, value in fields.items() if value is not None and value not in ([], {})}
