"""Tables and pages of queues, definitions and environments. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from batchwright import names
from batchwright.cli.description import condition_lines
from batchwright.cli.formats import (
    STARTED,
    STATES,
    WAITING,
    age,
    by_arrival,
    count_states,
    moment,
    reason_of,
    shorten,
    state_of,
)
from batchwright.cli.output import Grid
from batchwright.cli.pagelines import indented, labelled, listed

JSON = dict[str, Any]
HEAD: Final = 10
WORDS: Final = {
    "JobQueue": "job queue",
    "JobDefinition": "job definition",
    "ComputeEnvironment": "compute environment",
}


def queue_grid(queues: Sequence[JSON], jobs: Sequence[JSON], at: datetime, *, wide: bool = False) -> Grid:
    """One line a queue, the highest priority first; `wide` counts every state."""
    counted = STATES if wide else ("WAITING", "RUNNING", "SUCCEEDED", "FAILED")
    rows = []
    for queue in sorted(queues, key=lambda each: (-each["spec"].get("priority", 0), each["metadata"]["name"])):
        own = [job for job in jobs if job["spec"]["jobQueue"] == queue["metadata"]["name"]]
        counts = count_states(own)
        if not wide:
            counts["WAITING"] = sum(counts[state] for state in WAITING)
            counts["RUNNING"] += counts["STARTING"]
        spec, status = queue["spec"], queue.get("status") or {}
        rows.append(
            [
                queue["metadata"]["name"],
                spec.get("state", "ENABLED"),
                status.get("status") or "",
                str(spec.get("priority", 0)),
                ",".join(environments_of(queue)),
                *(str(counts[state]) for state in counted),
                age(queue, at),
            ]
        )
    return Grid(["NAME", "STATE", "STATUS", "PRIORITY", "ENVIRONMENTS", *counted, "AGE"], rows)


def queue_page(queue: JSON, jobs: Sequence[JSON], at: datetime) -> str:
    """All about one queue, and the head of its line."""
    spec = queue["spec"]
    lines = [*_head(queue, at), labelled("Priority", str(spec.get("priority", 0)))]
    lines.append(labelled("Environments", ", ".join(environments_of(queue))))
    selector = spec.get("namespaceSelector")
    if selector:
        lines.append(labelled("Namespaces", ", ".join(f"{key}={value}" for key, value in sorted(selector.items()))))
    counts = count_states(jobs)
    lines.append(labelled("Jobs", ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "none"))
    lines += condition_lines(queue, at)
    runnable = sorted((job for job in jobs if state_of(job) == "RUNNABLE"), key=by_arrival)
    if runnable:
        rows = [
            (str(n), job["metadata"]["namespace"], job["metadata"]["name"], age(job, at), shorten(reason_of(job), 100))
            for n, job in enumerate(runnable[:HEAD], start=1)
        ]
        lines += ["Next:", *indented(Grid(("PLACE", "NAMESPACE", "NAME", "AGE", "REASON"), rows))]
        if len(runnable) > HEAD:
            lines.append(f"  … and {len(runnable) - HEAD} more")
    return "\n".join(lines)


def environments_of(queue: JSON) -> list[str]:
    """The queue's environments in the order they are tried."""
    order = sorted(queue["spec"].get("computeEnvironmentOrder") or [], key=lambda entry: entry["order"])
    return [entry["computeEnvironment"] for entry in order]


def definition_grid(definitions: Sequence[JSON], at: datetime, *, wide: bool = False, namespaces: bool = False) -> Grid:
    """One line a definition."""
    titles = ["NAMESPACE"] * namespaces + ["NAME", "REVISION", "STATUS", "IMAGE", "VCPUS", "MEMORY"]
    rows = []
    for item in definitions:
        status = item.get("status") or {}
        image, vcpus, memory, gpus, command = container_facts(item["spec"])
        row = [item["metadata"]["name"], str(status.get("revision") or ""), status.get("status") or ""]
        row += [image, vcpus, memory]
        row += [gpus, shorten(command, 60), status.get("statusReason") or ""] if wide else []
        rows.append([item["metadata"]["namespace"]] * namespaces + row + [age(item, at)])
    return Grid(titles + ["GPUS", "COMMAND", "REASON"] * wide + ["AGE"], rows)


def definition_page(definition: JSON, revisions: Sequence[JSON], at: datetime) -> str:
    """All about one definition, and its revisions, the newest first."""
    spec, status = definition["spec"], definition.get("status") or {}
    image, vcpus, memory, gpus, command = container_facts(spec)
    lines = [*_head(definition, at), labelled("Revision", str(status.get("revision") or "(not yet seen)"))]
    lines += [labelled("Image", image), labelled("Command", command or "(the image's own)")]
    lines.append(labelled("Resources", f"{vcpus} vCPU, memory {memory}" + (f", {gpus} GPU" if gpus else "")))
    lines += listed("Parameters", [f"{key}={value}" for key, value in sorted((spec.get("parameters") or {}).items())])
    if spec.get("retryStrategy"):
        lines.append(labelled("Max attempts", str(spec["retryStrategy"].get("attempts", 1))))
    if spec.get("timeout"):
        lines.append(labelled("Time limit", f"{spec['timeout']['attemptDurationSeconds']} s an attempt"))
    lines += condition_lines(definition, at)
    rows = []
    for revision in sorted(revisions, key=lambda each: -each["revision"]):
        facts = container_facts(_revision_spec(revision))
        rows.append((str(revision["revision"]), facts[0], facts[1], facts[2], shorten(facts[4], 60), age(revision, at)))
    if rows:
        lines += ["Revisions:", *indented(Grid(("REVISION", "IMAGE", "VCPUS", "MEMORY", "COMMAND", "AGE"), rows))]
    return "\n".join(lines)


def container_facts(spec: JSON) -> tuple[str, str, str, str, str]:
    """Image, vCPUs, memory, GPUs and command of a definition's main container, as text; empty where it says nothing."""
    properties = spec.get("containerProperties")
    if properties:
        asked = {each["type"]: each["value"] for each in properties.get("resourceRequirements") or []}
        memory = asked.get("MEMORY", "")
        memory = f"{memory}Mi" if memory.isdigit() else memory
        command = shlex.join(properties.get("command") or [])
        return properties.get("image", ""), asked.get("VCPU", ""), memory, asked.get("GPU", ""), command
    template = spec.get("podTemplate") or {}
    containers = (template.get("spec") or {}).get("containers") or [{}]
    main = ((template.get("metadata") or {}).get("annotations") or {}).get(names.DEFAULT_CONTAINER)
    chosen = next((each for each in containers if each.get("name") == main), containers[0])
    resources = chosen.get("resources") or {}
    asked = (resources.get("limits") or {}) | (resources.get("requests") or {})
    command = shlex.join([*(chosen.get("command") or []), *(chosen.get("args") or [])])
    wanted = [str(asked.get(key, "")) for key in ("cpu", "memory", names.GPU_RESOURCE)]
    return chosen.get("image", ""), wanted[0], wanted[1], wanted[2], command


def environment_grid(environments: Sequence[JSON], queues: Sequence[JSON], jobs: Sequence[JSON], at: datetime) -> Grid:
    """One line an environment."""
    rows = []
    for item in environments:
        name, spec, status = item["metadata"]["name"], item["spec"], item.get("status") or {}
        capacity = status.get("capacity") or {}
        using = [queue["metadata"]["name"] for queue in queues if name in environments_of(queue)]
        rows.append(
            (
                name,
                spec.get("type", ""),
                spec.get("state", "ENABLED"),
                status.get("status") or "",
                str(capacity.get("nodes", "")),
                str(capacity.get("vcpus", "")),
                _mib(capacity.get("memoryMiB")),
                str(capacity.get("gpus", "")),
                str(len(_running_in(name, jobs))),
                ",".join(sorted(using)),
                age(item, at),
            )
        )
    titles = ("NAME", "TYPE", "STATE", "STATUS", "NODES", "VCPUS", "MEMORY", "GPUS", "RUNNING", "QUEUES", "AGE")
    return Grid(titles, rows)


def environment_page(environment: JSON, queues: Sequence[JSON], jobs: Sequence[JSON], at: datetime) -> str:
    """All about one environment, and what runs in it."""
    name, spec = environment["metadata"]["name"], environment["spec"]
    capacity = (environment.get("status") or {}).get("capacity")
    lines = [*_head(environment, at), labelled("Type", spec.get("type", ""))]
    selector = [f"{key}={value}" for key, value in sorted((spec.get("nodeSelector") or {}).items())]
    lines += listed("Node selector", selector or ["(every node)"])
    if capacity:
        nodes, memory = capacity.get("nodes", 0), _mib(capacity.get("memoryMiB"))
        sizes = f"{nodes} nodes, {capacity.get('vcpus', '0')} vCPU, {memory}, {capacity.get('gpus', 0)} GPU"
        lines.append(labelled("Capacity", sizes))
    using = sorted(queue["metadata"]["name"] for queue in queues if name in environments_of(queue))
    lines.append(labelled("Queues", ", ".join(using) or "(none sends jobs here)"))
    lines.append(labelled("Running jobs", str(len(_running_in(name, jobs)))))
    lines += condition_lines(environment, at)
    return "\n".join(lines)


def _head(item: JSON, at: datetime) -> list[str]:
    status, spec = item.get("status") or {}, item["spec"]
    lines = [labelled("Name", item["metadata"]["name"])]
    if item["metadata"].get("namespace"):
        lines.append(labelled("Namespace", item["metadata"]["namespace"]))
    if "state" in spec:
        lines.append(labelled("State", spec["state"]))
    lines.append(labelled("Status", status.get("status") or "(not yet seen by the operator)"))
    lines += listed("Reason", [status["statusReason"]] if status.get("statusReason") else [])
    lines.append(labelled("Created", moment(item["metadata"].get("creationTimestamp"), at)))
    return lines


def _running_in(name: str, jobs: Sequence[JSON]) -> list[JSON]:
    started = [job for job in jobs if state_of(job) in STARTED]
    return [job for job in started if job["status"].get("computeEnvironment") == name]


def _revision_spec(revision: JSON) -> JSON:
    data = revision.get("data") or {}
    spec: JSON = data.get("spec") or data
    return spec


def _mib(value: int | None) -> str:
    """MiB as text, in Gi from 10 Gi on."""
    if value is None:
        return ""
    return f"{value}Mi" if value < 10240 else f"{value / 1024:.1f}".removesuffix(".0") + "Gi"
