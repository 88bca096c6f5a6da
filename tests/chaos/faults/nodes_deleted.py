"""A node is deleted under a running job: its attempt counts as lost with its host, and the next runs elsewhere."""

from __future__ import annotations

from chaos.faults.jobs_deleted import running
from chaos.ground import Ground, Want

NAME = "nodes-deleted"
# The pod garbage collector looks for pods of vanished nodes after 40 s, then once in 20 s.
LONG = True


def inject(ground: Ground) -> None:
    """Two nodes of this fault's own, and a job with two attempts."""
    ground.nodes(2, cpu=1, group="doomed")
    ground.environment("doomed", group="doomed")
    ground.queue("doomed", f"{ground.namespace}-doomed")
    want = Want("FAILED", {0: 2}, reason="enough")
    ground.want("hosted", ground.submit("hosted", "endless", queue="doomed"), want)
    if not ground.until(lambda: running(ground, "hosted") == 1, 60):
        raise AssertionError(f"the job does not run: {ground.status('hosted')}")
    [pod] = ground.pods(ground.ids["hosted"])
    ground.api.delete("Node", pod["spec"]["nodeName"])
    ground.strike(NAME)

    def runs_again() -> bool:
        pods = [each for each in ground.pods(ground.ids["hosted"]) if each["metadata"]["uid"] != pod["metadata"]["uid"]]
        return any(each["status"].get("phase") == "Running" for each in pods)

    if not ground.until(runs_again, 180):
        raise AssertionError(f"no second attempt: {ground.status('hosted')}")
    ground.wish("hosted", "RUNNING", {"terminate": {"reason": "enough"}})
