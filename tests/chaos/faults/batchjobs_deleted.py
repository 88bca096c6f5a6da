"""BatchJobs are deleted in every state, and others of the same names come at once: those run, and nothing is left."""

from __future__ import annotations

from chaos.ground import Ground, Want

NAME = "batchjobs-deleted"
GONE = Want("", deleted=True)
ARRAY = {"size": 6}


def inject(ground: Ground) -> None:
    """One that waits, one that runs, arrays with and without gates; deleted at a moment by chance."""
    for turn in range(2 if ground.bounded else 4):
        ids = {
            f"waiting{turn}": ground.submit(f"waiting{turn}", "endless", dependsOn=[{"name": "nobody"}]),
            f"single{turn}": ground.submit(f"single{turn}", "endless"),
            f"gated{turn}": ground.submit(f"gated{turn}", "endless", arrayProperties=ARRAY),
            f"free{turn}": ground.submit(f"free{turn}", "endless", queue="alone", arrayProperties=ARRAY),
        }
        ground.pause(ground.chance.uniform(0.1, 3.0))
        for name, job_id in ids.items():
            ground.api.delete("BatchJob", name, ground.namespace)
            ground.want(f"{name}, deleted", job_id, GONE)
            ground.strike(NAME)
            ground.want(name, ground.submit(name, "good"), Want("SUCCEEDED", {0: 1}, (0,)))
