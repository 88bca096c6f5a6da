"""Pods are deleted by somebody else: each is an attempt that failed, and the next follows where there is one left."""

from __future__ import annotations

from chaos.faults.jobs_deleted import running
from chaos.ground import Ground, Want

NAME = "pods-deleted"


def inject(ground: Ground) -> None:
    """Jobs of this fault's own, with one attempt and with two."""
    ground.simulated("mourned", cpu="500m", simulate={"seconds": "8"})
    ended = Want("FAILED", {0: 1})
    again = Want("SUCCEEDED", {0: 2})
    for number in range(2):
        ground.want(f"once{number}", ground.submit(f"once{number}", "mourned"), ended)
        strategy = {"attempts": 2}
        ground.want(f"twice{number}", ground.submit(f"twice{number}", "mourned", retryStrategy=strategy), again)
    for name in ("once0", "twice0", "once1", "twice1"):
        if not ground.until(lambda: running(ground, name) == 1, 60):  # noqa: B023 - called before the loop goes on
            raise AssertionError(f"{name} does not run: {ground.status(name)}")
        for pod in ground.pods(ground.ids[name]):
            ground.api.delete("Pod", pod["metadata"]["name"], ground.namespace)
            ground.strike(NAME)
