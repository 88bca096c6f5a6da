"""The Kubernetes Jobs of jobs that run are deleted by somebody else: the jobs fail, say so, and do not run again."""

from __future__ import annotations

from chaos.ground import Ground, Want

NAME = "jobs-deleted"
REASON = "deleted by somebody else"


def inject(ground: Ground) -> None:
    """Single jobs and an array without gates of this fault's own."""
    for number in range(3):
        name = f"robbed{number}"
        ground.want(name, ground.submit(name, "endless"), Want("FAILED", {0: 1}, reason=REASON))
    whole = Want("FAILED", dict.fromkeys(range(3), 1), reason=REASON)
    ground.want("robbed", ground.submit("robbed", "endless", queue="alone", arrayProperties={"size": 3}), whole)
    for name in ("robbed0", "robbed1", "robbed2", "robbed"):
        pods = 3 if name == "robbed" else 1
        if not ground.until(lambda: running(ground, name) == pods, 60):  # noqa: B023 - called before the loop goes on
            raise AssertionError(f"{name} does not run: {ground.status(name)}")
        ground.api.delete("Job", str(ground.status(name)["jobName"]), ground.namespace)
        ground.strike(NAME)


def running(ground: Ground, name: str) -> int:
    """How many pods of the job run, where its status names its Kubernetes Job."""
    if not ground.status(name).get("jobName"):
        return 0
    return sum(pod["status"].get("phase") == "Running" for pod in ground.pods(ground.ids[name]))
