"""What a job costs the API server, as a contract: in a flood, at most three writes of the operator for a job's life."""

from __future__ import annotations

from batchwright.bench.audit import AuditLog, by_what
from batchwright.cluster.client import USER_AGENT
from batchwright.local import cluster as local_cluster
from stage import Stage

JOBS = 60
BUDGET = 3


def test_a_flood_of_single_jobs_keeps_to_three_writes_a_job(stage: Stage, story_cluster: local_cluster.Cluster) -> None:
    assert story_cluster.audit_log is not None
    stage.nodes(2, cpu=64)
    stage.environment()
    stage.queue()
    stage.simulated(cpu="100m", simulate={"seconds": "0.1"})
    # The first job waits for the definition's revision; what that costs is not a job's.
    stage.submit("first")
    stage.wait_final("first")
    audit = AuditLog(story_cluster.audit_log)
    for number in range(JOBS):
        stage.submit(f"job-{number}")
    statuses = stage.wait_all_final(JOBS + 1, seconds=120)
    requests = audit.requests(stage.namespace)
    writes = by_what(requests, lambda request: request.agent == USER_AGENT and not request.is_read)
    assert {status["state"] for status in statuses.values()} == {"SUCCEEDED"}
    # One to make the Kubernetes Job, one for the result; between them what lasts, and events, have one more.
    assert writes["create jobs"] == JOBS
    assert writes["patch batchjobs/status"] >= JOBS
    assert writes.total() <= BUDGET * JOBS, dict(writes)
    # What it must know it hears from its watches.
    reads = by_what(requests, lambda request: request.agent == USER_AGENT and request.is_read)
    assert reads.total() <= JOBS / 10, dict(reads)
