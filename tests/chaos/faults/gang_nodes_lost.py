"""A multi-node job loses a node: the pod of the main one, of another one, a machine; all of its nodes start again."""

from __future__ import annotations

from apiserver import Manifest
from batchwright.names import LABEL_MAIN_POD
from chaos.ground import Ground, Want

NAME = "gang-nodes-lost"
SIZE = 3
# The pod garbage collector looks for pods of vanished nodes after 40 s, then once in 20 s.
LONG = True
AGAIN_SECONDS = 180


def inject(ground: Ground) -> None:
    """Machines of this fault's own, one more than the nodes need, and a job for each loss. Its main node's pod is the
    attempt: deleted, it has failed, and the job has another. What else goes is no attempt (multinode.md)."""
    ground.nodes(SIZE + 1, cpu=1, group="band")
    ground.environment("band", group="band")
    ground.queue("band", f"{ground.namespace}-band")
    ground.gang("band", nodes=SIZE, cpu="1", main={"seconds": "3000"}, retryStrategy={"attempts": 2})
    for loss in ("main", "other", "machine"):
        _lose(ground, loss)


def _lose(ground: Ground, loss: str) -> None:
    """A job loses a node of this kind, and all of its nodes start again."""
    name = f"band-{loss}"
    job_id = ground.submit(name, "band", queue="band")
    if not ground.until(lambda: len(_running(ground, job_id)) == SIZE, AGAIN_SECONDS):
        raise AssertionError(f"{name} does not run: {ground.status(name)}")
    pods = _running(ground, job_id)
    lost = next(pod for pod in pods if (LABEL_MAIN_POD in pod["metadata"]["labels"]) != (loss == "main"))
    if loss == "machine":
        ground.api.delete("Node", lost["spec"]["nodeName"])
    else:
        ground.api.delete("Pod", lost["metadata"]["name"], ground.namespace)
    ground.strike(NAME, loss)
    ground.want(name, job_id, Want("SUCCEEDED", extra=0 if loss == "main" else 1))
    before = {pod["metadata"]["uid"] for pod in pods}

    def starts_again() -> bool:
        now = {pod["metadata"]["uid"] for pod in _running(ground, job_id)}
        return len(now) == SIZE and not now & before

    if not ground.until(starts_again, AGAIN_SECONDS):
        raise AssertionError(f"{name} does not start again: {ground.status(name)}")
    ground.gangs[name] = SIZE
    ground.until(lambda: name not in ground.open_jobs(), AGAIN_SECONDS)


def _running(ground: Ground, job_id: str) -> list[Manifest]:
    return [
        pod
        for pod in ground.pods(job_id)
        if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
    ]
