"""N single jobs, from the first submission until a watch has shown the last one finished."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from batchwright.cluster.client import JSON, USER_AGENT, ApiClient
from batchwright.cluster.connection import load_connection
from batchwright.cluster.informer import Informer
from batchwright.local import cluster as local_cluster
from batchwright.local import install, processes
from perf.audit import AuditLog, by_what
from perf.contenders import NAMESPACE, Contender
from perf.cost import cpu_seconds, peak_rss_mib

BENCH_AGENT = "batchwright-bench"
COMPONENTS = ("kube-apiserver", "etcd", "kube-controller-manager", "kube-scheduler", "kwok-controller")


@dataclass(frozen=True)
class Load:
    """How many jobs, how many submissions are under way at one time, on how many nodes, and how long at most. With a
    `rate`, so many jobs a second; else as fast as they are taken."""

    jobs: int = 300
    rate: float | None = None
    concurrency: int = 16
    nodes: int = 10
    deadline_seconds: float = 600.0


@dataclass(frozen=True)
class Result:
    """What one run took. CPU-seconds are by component of the cluster, and of the operator; writes by verb and
    resource, heartbeats left out."""

    contender: str
    jobs: int
    submit_seconds: float
    makespan_seconds: float
    cpu_seconds: dict[str, float]
    operator_peak_mib: float | None
    writes: Counter[str] = field(default_factory=Counter)
    operator_writes: Counter[str] = field(default_factory=Counter)
    operator_reads: Counter[str] = field(default_factory=Counter)


def measure(contender: Contender, load: Load, name: str, directory: Path) -> Result:
    """One run on a fresh cluster, which is gone afterwards."""
    try:
        options = local_cluster.Options(name=name, runtime="binary", nodes=load.nodes, audit=True)
        cluster = local_cluster.up(options)
        install.apply_crds(cluster.kubeconfig)
        return asyncio.run(_run(contender, load, cluster, directory))
    finally:
        contender.close()
        local_cluster.down(name)


async def _run(contender: Contender, load: Load, cluster: local_cluster.Cluster, directory: Path) -> Result:
    if cluster.audit_log is None:
        raise RuntimeError("the cluster has no audit log")
    connection = await load_connection(None, str(cluster.kubeconfig))
    async with ApiClient(connection, user_agent=BENCH_AGENT) as api:
        await contender.prepare(api, cluster.kubeconfig, directory)
        pids = {process.component: process.pid for process in processes.find(cluster.directory)}
        pids = {name: pid for name, pid in pids.items() if name in COMPONENTS}
        own = contender.pid()
        if own is not None:
            pids["operator"] = own
        finish = _Finish(load.jobs)
        watch = Informer(api, contender.resource, contender.verdict, finish.see)
        watching = asyncio.create_task(watch.run())
        try:
            await watch.synced.wait()
            audit = AuditLog(cluster.audit_log)
            before = {name: cpu_seconds(pid) for name, pid in pids.items()}
            began = time.monotonic()
            await _submit_all(api, contender, load)
            submitted = time.monotonic()
            await _until(finish.reached, watching, load.deadline_seconds)
            ended = time.monotonic()
        finally:
            watching.cancel()
        requests = audit.requests()
        return Result(
            contender.name,
            load.jobs,
            submitted - began,
            ended - began,
            {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()},
            None if own is None else peak_rss_mib(own),
            by_what(requests, lambda request: not request.is_read),
            by_what(requests, lambda request: request.agent == USER_AGENT and not request.is_read),
            by_what(requests, lambda request: request.agent == USER_AGENT and request.is_read),
        )


async def _until(reached: asyncio.Event, watching: asyncio.Task[None], seconds: float) -> None:
    """Waits for the last job; raises what ended the watch, and TimeoutError."""
    waiting = asyncio.create_task(reached.wait())
    try:
        done, _ = await asyncio.wait({waiting, watching}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if watching in done:
        watching.result()
    if not reached.is_set():
        raise TimeoutError(f"the jobs did not finish within {seconds:.0f} s")


class _Finish:
    """Counts jobs that have finished; one that failed ends the run with an error."""

    def __init__(self, jobs: int) -> None:
        self.reached = asyncio.Event()
        self._jobs = jobs
        self._done: set[str] = set()

    def see(self, uid: str, verdict: bool | None) -> None:
        """A job was seen; None: it has not finished, or is gone."""
        if verdict is False:
            raise RuntimeError(f"job {uid} failed, which none should")
        if verdict:
            self._done.add(uid)
            if len(self._done) == self._jobs:
                self.reached.set()


async def _submit_all(api: ApiClient, contender: Contender, load: Load) -> None:
    numbers = iter(range(load.jobs))
    began = time.monotonic()

    async def lane() -> None:
        for number in numbers:
            if load.rate is not None:
                await asyncio.sleep(began + number / load.rate - time.monotonic())
            body: JSON = contender.submission(number)
            await api.create(contender.resource, NAMESPACE, body)

    async with asyncio.TaskGroup() as group:
        for _ in range(load.concurrency):
            group.create_task(lane())
