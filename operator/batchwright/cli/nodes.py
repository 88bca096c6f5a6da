"""The nodes of a multi-node job, `<job>#<n>`: what is known of each from its pods.

A node that is not the main one has no record but its pods, which go with the main node's; the newest counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from batchwright import names
from batchwright.cli.attempts import attempt_of, is_gated, was_refused
from batchwright.cli.description import attempt_lines
from batchwright.cli.elements import element_attempt, live_state
from batchwright.cli.formats import FINISHED, duration, now, parse_time, shorten, state_of
from batchwright.cli.jobs import find_job
from batchwright.cli.options import Output
from batchwright.cli.output import Grid, note, print_grid, print_value
from batchwright.cli.pagelines import labelled, listed
from batchwright.cli.session import Session
from batchwright.cli.words import pod_troubles
from batchwright.cluster.resources import PODS
from batchwright.errors import BatchwrightError, NotFound

JSON = dict[str, Any]


@dataclass(frozen=True)
class NodeOfJob:
    """A node; `pods` are its own, the first attempt's first."""

    job: JSON
    index: int
    pods: Sequence[JSON] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """How it is addressed: `train#2`."""
        return f"{self.job['metadata']['name']}#{self.index}"

    @property
    def job_id(self) -> str:
        """Its AWS_BATCH_JOB_ID: `<jobId>#2`."""
        return f"{self.job['metadata']['uid']}#{self.index}"

    @property
    def is_main(self) -> bool:
        """Whether its end is the job's."""
        return bool(self.index == nodes_of(self.job)["mainNode"])

    @property
    def state(self) -> str:
        """Its state by its newest pod; the main node's is the job's."""
        if self.is_main:
            return state_of(self.job)
        if not self.pods:
            return "FAILED" if state_of(self.job) in FINISHED else "RUNNABLE"
        newest = self.pods[-1]
        return "FAILED" if (newest.get("status") or {}).get("phase") == "Failed" else live_state(newest)

    @property
    def last(self) -> JSON:
        """Its last attempt, in the form of a status; empty for none."""
        return element_attempt(self.pods[-1]).entry if self.pods else {}


def nodes_of(job: JSON) -> JSON:
    """What the status says of the nodes; empty for a job that has none."""
    return (job.get("status") or {}).get("nodeProperties") or {}


def check_node(job: JSON, index: int) -> None:
    """Raises NotFound when the job has no such node."""
    name, known = job["metadata"]["name"], nodes_of(job)
    if not known:
        raise NotFound(f"job {name} is no multi-node job, or has not been looked at yet: say {name}", 404, "NotFound")
    if index >= known["numNodes"]:
        last = known["numNodes"] - 1
        raise NotFound(f"job {name} has no node {index}: its nodes are 0 to {last}", 404, "NotFound")


def node_labels(job: JSON, index: int) -> str:
    """The label selector of one node's pods."""
    return f"{names.LABEL_JOB_ID}={job['metadata']['uid']},{names.LABEL_NODE_INDEX}={index}"


async def read_node(session: Session, job: JSON, index: int) -> NodeOfJob:
    """The node with all of its pods that are still there."""
    pods = await session.api.list_all(PODS, job["metadata"]["namespace"], labels=node_labels(job, index))
    return NodeOfJob(job, index, _ordered(pods))


async def list_nodes(session: Session, reference: str, states: Sequence[str], output: Output) -> None:
    """Prints the nodes in these states (none: in any). Raises NotFound, BatchwrightError (no multi-node job)."""
    job = await find_job(session, reference)
    name, known = job["metadata"]["name"], nodes_of(job)
    if not known:
        raise BatchwrightError(
            f"--nodes {name}: job {name} is no multi-node job, or has not been looked at yet; `batchwright describe "
            f"{name}` shows it"
        )
    labels = f"{names.LABEL_JOB_ID}={job['metadata']['uid']}"
    found: dict[int, list[JSON]] = {}
    for pod in await session.api.list_all(PODS, job["metadata"]["namespace"], labels=labels):
        found.setdefault(int(pod["metadata"]["labels"].get(names.LABEL_NODE_INDEX, -1)), []).append(pod)
    nodes = [NodeOfJob(job, index, _ordered(found.get(index, ()))) for index in range(known["numNodes"])]
    shown = [node for node in nodes if not states or node.state in states]
    if output is Output.name:
        print("\n".join(node.name for node in shown), end="\n" if shown else "")
    elif output in (Output.json, Output.yaml):
        print_value({"jobName": name, **known, "nodes": [node_record(node) for node in shown]}, output)
    elif shown:
        print_grid(node_grid(shown, now(), wide=output is Output.wide))
    else:
        note(f"no nodes of {name}" + (" match" if states else ""))


def node_grid(nodes: Sequence[NodeOfJob], at: datetime, *, wide: bool = False) -> Grid:
    """One line a node."""
    rows = []
    for node in nodes:
        last = node.last
        container = last.get("container") or {}
        code = container.get("exitCode")
        reason = "; ".join(text for text in (last.get("statusReason"), container.get("reason")) if text)
        started, stopped = parse_time(last.get("startedAt")), parse_time(last.get("stoppedAt"))
        took = duration(((stopped or at) - started).total_seconds()) if started else "-"
        row = [
            f"{node.index} (main)" if node.is_main else str(node.index),
            node.state,
            "-" if code is None else str(code),
            reason if wide else shorten(reason),
            container.get("nodeName") or "-",
            took,
        ]
        rows.append(row + [node.job_id, container.get("podName") or "-"] * wide)
    return Grid(["NODE", "STATE", "EXIT", "REASON", "MACHINE", "DURATION"] + ["JOB-ID", "POD"] * wide, rows)


def node_page(node: NodeOfJob) -> str:
    """All about one node."""
    metadata, known = node.job["metadata"], nodes_of(node.job)
    place = f"node {node.index} of {metadata['name']}, 0 to {known['numNodes'] - 1}"
    lines = [
        labelled("Name", node.name),
        labelled("Namespace", metadata["namespace"]),
        labelled("Job ID", node.job_id),
        labelled("State", node.state),
        *listed("Why", pod_troubles(node.pods) if node.state == "STARTING" else []),
        labelled("Multi-node", f"{place}; the main node is {known['mainNode']}"),
    ]
    attempts = [element_attempt(pod) for pod in node.pods if not is_gated(pod)]
    return "\n".join(lines + attempt_lines([(each.number, each.entry) for each in attempts]))


def node_record(node: NodeOfJob) -> JSON:
    """The node for programs, in the words of AWS's DescribeJobs."""
    metadata, known = node.job["metadata"], nodes_of(node.job)
    attempts = [element_attempt(pod) for pod in node.pods if not is_gated(pod)]
    return {
        "jobName": metadata["name"],
        "namespace": metadata["namespace"],
        "jobId": node.job_id,
        "nodeProperties": {"isMainNode": node.is_main, "nodeIndex": node.index, "numNodes": known["numNodes"]},
        "state": node.state,
        "attempts": [{"attempt": each.number} | each.entry for each in attempts],
    }


def _ordered(pods: Sequence[JSON]) -> list[JSON]:
    present = [pod for pod in pods if not was_refused(pod)]
    return sorted(present, key=lambda pod: (attempt_of(pod), pod["metadata"]["creationTimestamp"]))
