"""The nodes of simulated multi-node jobs, for stories about them."""

from __future__ import annotations

import time

from apiserver import Manifest
from batchwright.names import LABEL_NODE_INDEX, SIMULATE_SECONDS
from stage import Stage


def by_node(stage: Stage, job_id: str) -> dict[int, list[Manifest]]:
    """The pods of a multi-node job by the number of their node."""
    found: dict[int, list[Manifest]] = {}
    for pod in sorted(stage.pods(job_id), key=lambda pod: str(pod["metadata"]["creationTimestamp"])):
        found.setdefault(int(pod["metadata"]["labels"][LABEL_NODE_INDEX]), []).append(pod)
    return found


def wait_nodes(stage: Stage, job_id: str, count: int, seconds: int = 40) -> dict[int, list[Manifest]]:
    """The pods by node, once so many nodes run."""
    deadline = time.monotonic() + seconds
    while True:
        found = by_node(stage, job_id)
        running = [pods[-1] for pods in found.values() if pods[-1]["status"].get("phase") == "Running"]
        if len(running) == count:
            return found
        assert time.monotonic() < deadline, {n: [p["status"].get("phase") for p in each] for n, each in found.items()}
        time.sleep(0.2)


def wait_ended(stage: Stage, job_id: str, seconds: int = 40) -> None:
    """Returns once no pod of the job runs, or is to."""
    deadline = time.monotonic() + seconds
    while any(pod["status"].get("phase") in ("Pending", "Running") for pod in stage.pods(job_id)):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def end_now(stage: Stage, job_id: str, number: int) -> None:
    """Ends the simulated node, however long it was to run."""
    [pod] = [pod for pod in by_node(stage, job_id)[number] if pod["status"].get("phase") == "Running"]
    change = {"metadata": {"annotations": {SIMULATE_SECONDS: "0"}}}
    stage.api.patch("Pod", pod["metadata"]["name"], stage.namespace, change)
