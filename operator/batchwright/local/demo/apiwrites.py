"""What a run cost the API server, by its own count (metric apiserver_request_total).

The metric names no client. But some writes only the operator makes: statuses of BatchJobs, and the making and patching
of Kubernetes Jobs. Whatever else is done on the cluster meanwhile is counted too.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from batchwright.errors import LocalError
from batchwright.local.api import Api

_METRIC: Final = "apiserver_request_total"
_WRITES: Final = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE"})
# By the clock, not by the job.
_HEARTBEATS: Final = frozenset({"leases", "nodes"})


@dataclass(frozen=True, order=True)
class Write:
    """A kind of write: the verb and the resource, with its subresource."""

    verb: str
    resource: str


@dataclass(frozen=True)
class Cost:
    """Writes between two readings: everybody's; statuses of BatchJobs; Kubernetes Jobs made and patched."""

    total: int
    statuses: int
    jobs: int


def read_writes(kubeconfig: Path) -> Counter[Write]:
    """Writes that the API server has answered with success since its start. LocalError when it does not say."""
    with Api(kubeconfig, timeout=60.0) as api:
        return parse_writes(str(api.request("GET", "/metrics")))


def parse_writes(metrics: str) -> Counter[Write]:
    """The same from the text of the metrics."""
    counted: Counter[Write] = Counter()
    lines = [line for line in metrics.splitlines() if line.startswith(_METRIC)]
    if not lines:
        raise LocalError(f"the API server's /metrics has no {_METRIC}")
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        for sample in family.samples:
            labels = sample.labels
            if labels["verb"] in _WRITES and labels["code"].startswith("2") and labels["resource"] not in _HEARTBEATS:
                resource = "/".join(part for part in (labels["resource"], labels["subresource"]) if part)
                counted[Write(labels["verb"], resource)] += int(sample.value)
    return counted


def cost(before: Counter[Write], after: Counter[Write]) -> Cost:
    """What was written between two readings."""
    made = Counter({write: number - before[write] for write, number in after.items()})
    return Cost(
        total=made.total(),
        statuses=sum(number for write, number in made.items() if write.resource == "batchjobs/status"),
        jobs=made[Write("POST", "jobs")] + made[Write("PATCH", "jobs")],
    )
