"""The nodes of simulated multi-node jobs, for stories about them."""

from __future__ import annotations

from apiserver import Manifest
from batchwright.names import LABEL_NODE_INDEX, SIMULATE_SECONDS
from stage import Stage
from watches import until


def machines(stage: Stage) -> Stage:
    """The stage, with four nodes of 2 vCPU."""
    stage.nodes(4, cpu=2)
    stage.environment()
    return stage


def by_node(stage: Stage, job_id: str) -> dict[int, list[Manifest]]:
    """The pods of a multi-node job by the number of their node."""
    found: dict[int, list[Manifest]] = {}
    for pod in sorted(stage.pods(job_id), key=lambda pod: str(pod["metadata"]["creationTimestamp"])):
        found.setdefault(int(pod["metadata"]["labels"][LABEL_NODE_INDEX]), []).append(pod)
    return found


def wait_nodes(stage: Stage, job_id: str, count: int, seconds: int = 40) -> dict[int, list[Manifest]]:
    """The pods by node, once so many nodes run."""
    found: dict[int, list[Manifest]] = {}

    def run() -> bool:
        found.clear()
        found.update(by_node(stage, job_id))
        return [pods[-1]["status"].get("phase") for pods in found.values()].count("Running") == count

    until(run, f"{count} nodes of {job_id} do not run", seconds)
    return found


def wait_ended(stage: Stage, job_id: str, seconds: int = 40) -> None:
    """Returns once no pod of the job runs, or is to."""
    until(
        lambda: all(pod["status"].get("phase") in ("Succeeded", "Failed") for pod in stage.pods(job_id)),
        f"nodes of {job_id} have not ended",
        seconds,
    )


def end_now(stage: Stage, job_id: str, number: int) -> None:
    """Ends the simulated node, however long it was to run."""
    [pod] = [pod for pod in by_node(stage, job_id)[number] if pod["status"].get("phase") == "Running"]
    change = {"metadata": {"annotations": {SIMULATE_SECONDS: "0"}}}
    stage.api.patch("Pod", pod["metadata"]["name"], stage.namespace, change)
