"""A workload: objects submitted to a fresh cluster, from the first submission until a watch has shown the last result.

Invariants: what is declared and started beforehand is not measured; every contender is submitted by the same client,
so many requests at a time, and waited for by one watch of what was submitted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import uvloop

from batchwright.bench.accounts import Account
from batchwright.bench.audit import AuditLog
from batchwright.bench.clusters import BENCH_AGENT, COMPONENTS, Operator, declare, fresh_cluster
from batchwright.bench.cost import busy_seconds, cpu_seconds, peak_rss_mib
from batchwright.bench.execution import Execution
from batchwright.bench.lanes import in_lanes
from batchwright.bench.manifests import NAMESPACE, batch_job
from batchwright.bench.scenario import BATCHWRIGHT, Measured, Run
from batchwright.cluster.client import ApiClient
from batchwright.cluster.connection import load_connection
from batchwright.cluster.informer import Informer
from batchwright.cluster.resources import BATCH_JOBS, JOBS, PODS, Resource
from batchwright.errors import BenchmarkError
from batchwright.local import cluster as local_cluster
from batchwright.local import processes
from batchwright.local.nodes import NodeShape
from batchwright.settings import Settings

JSON = dict[str, Any]

_CHECK_SECONDS: Final = 2.0
# As many as the operator has by default.
STATUS_WRITERS: Final = Settings().status_writers
_CONDITIONS: Final = {"Complete": True, "Failed": False}
_STATES: Final = {"SUCCEEDED": True, "FAILED": False}


@dataclass(frozen=True)
class Submission:
    """One object, and when it comes in seconds after the first; None: as soon as those before it are taken."""

    body: JSON
    at: float | None = None


@dataclass(frozen=True)
class Workload:
    """What one contender is given.

    `submissions` are all of `resource`, in the order they come; `units` is what costs are divided by; `pods` how many
    are to run. With `faked` there are none: the harness plays the part of the Job controller (see `execution`). With
    `recorded` the client makes a BatchJob before each Job, and writes its status once that Job has succeeded; with
    `watched` it watches pods, and makes nothing of them.
    """

    resource: Resource
    submissions: Sequence[Submission]
    units: int
    pods: int
    declarations: Sequence[tuple[Resource, JSON]] = ()
    nodes: int = 10
    node_cpu: str = "32"
    faked: bool = False
    recorded: bool = False
    watched: bool = False
    deadline_seconds: float = 600.0


def measure_workload(workload_of: Callable[[str, int], Workload], run: Run) -> Measured:
    """One run of the workload that `workload_of` has for this contender and size. Raises BenchmarkError, LocalError."""
    workload = workload_of(run.contender, run.size)
    options: dict[str, Any] = {"nodes": workload.nodes, "shape": NodeShape(cpu=workload.node_cpu)}
    if workload.faked:
        options["without_controllers"] = ("job-controller",)
    with fresh_cluster(run.cluster, **options) as cluster, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        operator = Operator(cluster, run.directory) if run.contender == BATCHWRIGHT else None
        try:
            return runner.run(_measure(workload, run, cluster, operator))
        finally:
            if operator is not None:
                operator.keep_log()


async def _measure(workload: Workload, run: Run, cluster: local_cluster.Cluster, operator: Operator | None) -> Measured:
    if cluster.audit_log is None:
        raise BenchmarkError("the cluster has no audit log")
    connection = await load_connection(None, str(cluster.kubeconfig))
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(ApiClient(connection, user_agent=BENCH_AGENT))
        jobs = len(workload.submissions)
        finish = _Finish(jobs)
        reached = finish.reached
        watch = Informer(api, workload.resource, partial(_seen, verdict_of(workload.resource)), finish.see)
        background = [asyncio.create_task(watch.run(), name="watch")]
        if workload.faked:
            execution = await stack.enter_async_context(Execution.connect(connection))
            background.append(asyncio.create_task(execution.run(), name="execution"))
        if workload.watched:
            pods = Informer[None](api, PODS, lambda _: None, lambda *_: None)
            background.append(asyncio.create_task(pods.run(), name="pods"))
        if workload.recorded:
            reached = asyncio.Event()
            background.append(asyncio.create_task(_write_ends(api, finish.names, jobs, reached), name="ends"))
        try:
            if operator is not None:
                await declare(api, workload.declarations)
            await watch.synced.wait()
            pids = _pids(cluster.directory, operator)
            audit = AuditLog(cluster.audit_log)
            before = {name: cpu_seconds(pid) for name, pid in pids.items()}
            own, busy, began = time.process_time(), busy_seconds(), time.monotonic()
            await _submit_all(api, workload, run.rate)
            submitted = time.monotonic()
            await _until(reached, background, operator, workload.deadline_seconds)
            makespan = time.monotonic() - began
            used = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
            own, busy = time.process_time() - own, busy_seconds() - busy
            figures = {"clientCpuSeconds": own, "submitSeconds": submitted - began}
            peaks = {name: peak_rss_mib(pid) for name, pid in pids.items()}
        finally:
            for task in background:
                task.cancel()
    account = Account.of(audit, workload.resource, is_faked=workload.faked)
    if len(account.running) < workload.pods:
        raise BenchmarkError(f"{len(account.running):,} of {workload.pods:,} pods ran: the rate would be of others")
    if operator is not None:
        figures |= operator.stop()
    figures |= account.figures(workload.units, jobs, makespan)
    figures |= _costs(used, peaks, workload, makespan)
    figures["othersCpuPercent"] = max(0.0, 100 * (busy - own - sum(used.values())) / makespan)
    return Measured(figures, account.writes, account.operator_writes, account.operator_reads, workload.units)


def verdict_of(resource: Resource) -> Callable[[JSON], bool | None]:
    """Whether an object of this kind has succeeded; None while it has not finished."""

    def of_job(item: JSON) -> bool | None:
        conditions = item.get("status", {}).get("conditions", ())
        return next(
            (_CONDITIONS[c["type"]] for c in conditions if c["type"] in _CONDITIONS and c["status"] == "True"), None
        )

    def of_batch_job(item: JSON) -> bool | None:
        return _STATES.get(item.get("status", {}).get("state", ""))

    return {JOBS: of_job, BATCH_JOBS: of_batch_job}[resource]


def _pids(directory: Path, operator: Operator | None) -> dict[str, int]:
    pids = {process.component: process.pid for process in processes.find(directory) if process.component in COMPONENTS}
    return pids if operator is None else {**pids, "operator": operator.pid}


def _costs(used: dict[str, float], peaks: dict[str, float], workload: Workload, makespan: float) -> dict[str, float]:
    def per_unit(seconds: float) -> float:
        return seconds * 1000 / workload.units

    figures = {
        "makespanSeconds": makespan,
        "apiServerCpuMsPerUnit": per_unit(used["kube-apiserver"]),
        "apiServerPeakMiB": peaks["kube-apiserver"],
        "clusterCpuMsPerUnit": per_unit(sum(used.values())),
    }
    if workload.units == len(workload.submissions):
        figures["jobsPerSecond"] = workload.units / makespan
    if workload.pods:
        figures["podsPerSecond"] = workload.pods / makespan
    if "operator" in used:
        figures["operatorCpuMsPerUnit"] = per_unit(used["operator"])
        figures["operatorCpuSeconds"] = used["operator"]
        figures["operatorPeakMiB"] = peaks["operator"]
    return figures


async def _until(
    reached: asyncio.Event, background: Sequence[asyncio.Task[None]], operator: Operator | None, seconds: float
) -> None:
    """Waits for the last job; raises what ended the watch or the execution, and BenchmarkError when it takes too long
    or the operator ends."""
    deadline = time.monotonic() + seconds
    waiting = asyncio.create_task(reached.wait())
    try:
        while not reached.is_set():
            done, _ = await asyncio.wait(
                {waiting, *background}, timeout=_CHECK_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done - {waiting}:
                task.result()
            if operator is not None:
                operator.check()
            if time.monotonic() > deadline:
                raise BenchmarkError(f"the jobs did not finish within {seconds:.0f} s")
    finally:
        waiting.cancel()


@dataclass(frozen=True, slots=True)
class _Seen:
    """A job as the watch shows it; `verdict` as in `verdict_of`."""

    name: str
    verdict: bool | None


def _seen(verdict: Callable[[JSON], bool | None], item: JSON) -> _Seen:
    return _Seen(item["metadata"]["name"], verdict(item))


async def _write_ends(api: ApiClient, ended: asyncio.Queue[str], left: int, reached: asyncio.Event) -> None:
    """Writes the one status that each of so many BatchJobs must get, as the names of their Jobs come."""

    async def write() -> None:
        nonlocal left
        while True:
            name = await ended.get()
            status = {"status": {"state": "SUCCEEDED", "jobName": name}}
            await api.patch(BATCH_JOBS, NAMESPACE, name, status, subresource="status", answer=False)
            left -= 1
            if left == 0:
                reached.set()

    async with asyncio.TaskGroup() as writers:
        for _ in range(STATUS_WRITERS):
            writers.create_task(write())


class _Finish:
    """Counts jobs that have finished, and tells the name of each; one that failed ends the run with an error."""

    def __init__(self, jobs: int) -> None:
        self.reached = asyncio.Event()
        self.names: asyncio.Queue[str] = asyncio.Queue()
        self._jobs = jobs
        self._done: set[str] = set()

    def see(self, uid: str, seen: _Seen | None) -> None:
        """A job was seen, or is gone."""
        if seen is None or seen.verdict is None or uid in self._done:
            return
        if not seen.verdict:
            raise BenchmarkError(f"job {seen.name} failed, which none should")
        self._done.add(uid)
        self.names.put_nowait(seen.name)
        if len(self._done) == self._jobs:
            self.reached.set()


async def _submit_all(api: ApiClient, workload: Workload, rate: float | None) -> None:
    began = time.monotonic()

    async def submit(numbered: tuple[int, Submission]) -> None:
        number, submission = numbered
        at = number / rate if submission.at is None and rate is not None else submission.at
        if at is not None:
            await asyncio.sleep(began + at - time.monotonic())
        if workload.recorded:
            await api.create(BATCH_JOBS, NAMESPACE, batch_job(submission.body["metadata"]["name"]))
        await api.create(workload.resource, NAMESPACE, submission.body)

    await in_lanes(enumerate(workload.submissions), submit)
