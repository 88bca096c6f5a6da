"""What the audit log says of one run: requests by whom, and how long it took from a submission until it ran.

A pod runs from the first status that kwok writes for it; where the harness plays the Job controller, a job runs from
the first status that this writes. Names lead back to submissions: a pod is "<Job>-<index>-<5 characters>", and the
operator's Job of a BatchJob "<BatchJob>-<8 digits>".
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from batchwright.bench.audit import AuditLog, Request, by_what
from batchwright.bench.clusters import BENCH_AGENT
from batchwright.bench.execution import EXECUTION_AGENT
from batchwright.bench.figures import percentile
from batchwright.cluster.client import USER_AGENT
from batchwright.cluster.resources import BATCH_JOBS, Resource
from batchwright.errors import BenchmarkError

KWOK_AGENT = "kwok-controller/"
POD_STATUS, JOB_STATUS = "patch pods/status", "patch jobs/status"
BATCH_JOB_STATUS = "patch batchjobs/status"


@dataclass
class Account:
    """Requests by verb and resource: writes of everybody, writes and reads of the operator; and when what ran, in Unix
    seconds by name: submissions, and pods or Jobs."""

    writes: Counter[str]
    operator_writes: Counter[str]
    operator_reads: Counter[str]
    submitted: dict[str, float] = field(default_factory=dict)
    running: dict[str, float] = field(default_factory=dict)
    is_faked: bool = False
    has_operator: bool = False

    @classmethod
    def of(cls, audit: AuditLog, resource: Resource, *, is_faked: bool) -> Account:
        """From the log since its mark, in which `resource` was submitted."""
        counted: Counter[Request] = Counter()
        submitted: dict[str, float] = {}
        running: dict[str, float] = {}
        starter, start = (EXECUTION_AGENT, JOB_STATUS) if is_faked else (KWOK_AGENT, POD_STATUS)
        for entry in audit.entries():
            counted[entry.request] += 1
            agent, what = entry.request.agent, entry.request.what
            if agent == BENCH_AGENT and what == f"create {resource.plural}":
                submitted.setdefault(entry.name, entry.seconds)
            elif agent.startswith(starter) and what == start:
                running.setdefault(entry.name, entry.seconds)
        return cls(
            by_what(counted, lambda request: not request.is_read),
            by_what(counted, lambda request: request.agent == USER_AGENT and not request.is_read),
            by_what(counted, lambda request: request.agent == USER_AGENT and request.is_read),
            submitted,
            running,
            is_faked,
            resource is BATCH_JOBS,
        )

    def latencies(self) -> list[float]:
        """Seconds from submission to running, of each pod (or Job). Raises BenchmarkError when one belongs to none."""
        found = []
        for name, at in self.running.items():
            submission = self._submission_of(name)
            if submission not in self.submitted:
                raise BenchmarkError(f"{name} ran, and nothing submitted in this run is called {submission}")
            found.append(at - self.submitted[submission])
        return found

    def _submission_of(self, name: str) -> str:
        job = name if self.is_faked else name.rsplit("-", 2)[0]
        return job.rpartition("-")[0] if self.has_operator else job

    def figures(self, units: int, jobs: int, makespan: float) -> dict[str, float]:
        """The figures of `units` units in `jobs` jobs that took `makespan` seconds."""
        latencies = self.latencies()
        found = {
            "submitToRunningP50Seconds": percentile(latencies, 50),
            "submitToRunningP99Seconds": percentile(latencies, 99),
            "writesPerUnit": self.writes.total() / units,
        }
        if self.has_operator:
            found["operatorWritesPerUnit"] = self.operator_writes.total() / units
            found["operatorReadsPerUnit"] = self.operator_reads.total() / units
            if units > jobs:
                found["statusWritesPerSecond"] = self.operator_writes[BATCH_JOB_STATUS] / jobs / makespan
        return found
