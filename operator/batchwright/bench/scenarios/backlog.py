"""A large backlog: ten finished BatchJobs for each that waits, and an operator that starts among them.

One job is run to its end, and the others that are finished get its status. Those that wait stay RUNNABLE, for what the
environment may use is taken. A first operator writes down all their states; then a second one starts, which is
measured: its start-up until the end of its first pass, and its passes while jobs come and go.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvloop

from batchwright.bench import manifests
from batchwright.bench.clusters import BENCH_AGENT, Operator, declare, fresh_cluster
from batchwright.bench.cost import cpu_seconds, peak_rss_mib
from batchwright.bench.lanes import in_lanes
from batchwright.bench.manifests import NAMESPACE
from batchwright.bench.scenario import BATCHWRIGHT, Measured, Run, Scenario, Target
from batchwright.cluster.client import MERGE_PATCH, ApiClient
from batchwright.cluster.connection import load_connection
from batchwright.cluster.informer import Informer
from batchwright.cluster.resources import BATCH_JOBS
from batchwright.errors import BenchmarkError
from batchwright.local.cluster import Cluster

JSON = dict[str, Any]

FINISHED_PER_WAITING = 10
RUNNING = 4
# Jobs that come, and jobs that end so that others start, while passes are timed.
COME, GO = 100, 20
APART_SECONDS = 0.1
READY_SECONDS = 300.0


def measure(run: Run) -> Measured:
    """`run.size` jobs that wait. Raises BenchmarkError, LocalError."""
    options = {"nodes": 2, "audit": False}
    with fresh_cluster(run.cluster, **options) as cluster, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure(run, cluster))


async def _measure(run: Run, cluster: Cluster) -> Measured:
    connection = await load_connection(None, str(cluster.kubeconfig))
    async with ApiClient(connection, user_agent=BENCH_AGENT) as api, _watched(api) as states:
        await _make_backlog(run, cluster, api, states)
        operator = Operator(cluster, run.directory, ready_seconds=READY_SECONDS)
        for number in range(COME):
            await _submit(api, f"coming-{number}")
            # Apart, so that each has a pass of its own.
            await asyncio.sleep(APART_SECONDS)
        await states.reach("RUNNABLE", run.size + COME, 120)
        for number in range(GO):
            await _terminate(api, next(iter(states.running)))
            await states.reach("FAILED", number + 1, 60)
            await states.reach("RUNNING", RUNNING, 60)
        used, peak = cpu_seconds(operator.pid), peak_rss_mib(operator.pid)
        figures = operator.stop()
    return Measured({**figures, "operatorCpuSeconds": used, "operatorPeakMiB": peak})


async def _make_backlog(run: Run, cluster: Cluster, api: ApiClient, states: _States) -> None:
    finished = FINISHED_PER_WAITING * run.size
    operator = Operator(cluster, run.directory)
    await declare(api, _declarations())
    await api.create(BATCH_JOBS, NAMESPACE, manifests.batch_job("model", jobDefinition="short"))
    await states.reach("SUCCEEDED", 1, 120)
    model = (await api.get(BATCH_JOBS, NAMESPACE, "model"))["status"]
    operator.stop()
    await in_lanes(range(finished - 1), lambda number: _finished(api, number, model))
    await in_lanes(range(run.size + RUNNING), lambda number: _submit(api, f"waiting-{number}"))
    operator = Operator(cluster, run.directory, ready_seconds=READY_SECONDS)
    await states.reach("SUCCEEDED", finished, 60)
    await states.reach("RUNNABLE", run.size, 120 + run.size / 10)
    await states.reach("RUNNING", RUNNING, 120)
    operator.stop()


class _States:
    """The states of all jobs, as the watch has shown them: how many are in each, and the names of those that run."""

    def __init__(self) -> None:
        self.running: dict[str, None] = {}
        self._known: dict[str, str] = {}
        self._counts: Counter[str] = Counter()
        self._changed = asyncio.Event()

    def see(self, uid: str, record: tuple[str, str] | None) -> None:
        """A job was seen; none is ever deleted here."""
        if record is None:
            return
        name, state = record
        self._counts[self._known.get(uid, "")] -= 1
        self._counts[state] += 1
        self._known[uid] = state
        if state == "RUNNING":
            self.running[name] = None
        else:
            self.running.pop(name, None)
        self._changed.set()

    async def reach(self, state: str, count: int, seconds: float) -> None:
        """Returns once so many are in the state. Raises BenchmarkError."""
        try:
            async with asyncio.timeout(seconds):
                while self._counts[state] < count:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError as error:
            found = self._counts[state]
            raise BenchmarkError(f"{found} of {count} jobs are {state} after {seconds:.0f} s") from error


@asynccontextmanager
async def _watched(api: ApiClient) -> AsyncIterator[_States]:
    states = _States()
    watch = Informer(api, BATCH_JOBS, _name_and_state, states.see)
    task = asyncio.create_task(watch.run())
    try:
        await watch.synced.wait()
        yield states
    finally:
        task.cancel()


def _name_and_state(item: JSON) -> tuple[str, str]:
    return item["metadata"]["name"], item.get("status", {}).get("state", "")


async def _submit(api: ApiClient, name: str) -> None:
    await api.create(BATCH_JOBS, NAMESPACE, manifests.batch_job(name, jobDefinition="long"))


async def _finished(api: ApiClient, number: int, status: JSON) -> None:
    name = f"finished-{number}"
    await api.create(BATCH_JOBS, NAMESPACE, manifests.batch_job(name, jobDefinition="short"))
    path = BATCH_JOBS.path(NAMESPACE, name, "status")
    await api.send("PATCH", path, body={"status": status}, content_type=MERGE_PATCH)


async def _terminate(api: ApiClient, name: str) -> None:
    path = BATCH_JOBS.path(NAMESPACE, name)
    body = {"spec": {"terminate": {"reason": "makes room"}}}
    await api.send("PATCH", path, body=body, content_type=MERGE_PATCH)


def _declarations() -> list[tuple[Any, JSON]]:
    return [
        manifests.compute_environment(computeResources={"maxvCpus": RUNNING}),
        manifests.job_queue(),
        manifests.job_definition("short", manifests.pod_template(cpu="1")),
        manifests.job_definition("long", manifests.pod_template(86_400, cpu="1")),
    ]


SCENARIO = Scenario(
    name="backlog",
    summary="an operator that starts among ten times as many finished BatchJobs, and so many that wait",
    unit="job",
    quick=1_000,
    sizes=(10_000,),
    contenders=(BATCHWRIGHT,),
    targets=(
        Target("startUpSeconds", at_most=30),
        Target("operatorPeakMiB", at_most=381),
        Target("passP99Ms", at_most=50),
    ),
    measure=measure,
)
