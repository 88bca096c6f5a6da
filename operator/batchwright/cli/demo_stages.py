"""The demo's second act: the pipeline of the AWS Batch slides, thousands of elements on simulated machines, live.

The display is that of `submit --wait`. Beside it an observer follows the pods as they end, for the report and its
check: what these say comes from Kubernetes' own objects, not from the operator.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from batchwright import names
from batchwright.cli import demo_jobs
from batchwright.cli.changes import Listed, follow
from batchwright.cli.demo_stages_report import Run, print_run
from batchwright.cli.formats import FINISHED, state_of
from batchwright.cli.output import note
from batchwright.cli.session import Session, open_session
from batchwright.cli.session import run as run_async
from batchwright.cli.tracking import Goal
from batchwright.cli.waiting import conclude, wait_for
from batchwright.cluster.resources import BATCH_JOBS, JOBS, PODS
from batchwright.errors import NotFound

if TYPE_CHECKING:
    from batchwright.local.cluster import Cluster
    from batchwright.local.demo.witness import Ended, Witness
    from batchwright.local.progress import Reporter

JSON = dict[str, Any]

# Pods that ended are on their way to the observer when the jobs have finished.
_LAST_PODS_SECONDS: Final = 30.0
_TERMINATE_SECONDS: Final = 300.0
_ENDED: Final = "status.phase!=Pending,status.phase!=Running"
# Pods a second on 2 cores: an estimate for those that do nothing else, and what busy ones did (13 were seen).
_RATES: Final = (36, 12)


def run_pipeline(made: Cluster, elements: int, seconds: float, tell: Reporter) -> None:
    """One run, from the machines to the checked report. Raises Failed when a job or the check fails, WaitTimeout."""
    from batchwright.local.demo import apiwrites, machines, pipeline
    from batchwright.local.demo.witness import Witness

    with tell.step("simulated machines for network, CPU and memory") as show:
        show(f"{machines.ensure_machines(made.kubeconfig)} new")
    name = demo_jobs.new_run()
    stages = pipeline.stages(name, elements)
    objects = [*pipeline.render_declarations(elements), *map(pipeline.render_job, stages)]
    file = demo_jobs.write_manifests(made, name, objects)
    total = sum(stage.elements for stage in stages)
    tell.note(f"submit 1 job that sets up, arrays of {pipeline.FETCHERS}, {elements:,} and {elements:,}: {file}")
    tell.note(f"{total:,} simulated pods: {_expected(total)} on 2 cores; Ctrl-C ends the watching, not the jobs")
    run_async(_end_earlier_runs(made))
    witness = Witness(stages)
    before = apiwrites.read_writes(made.kubeconfig)
    jobs, took = run_async(_run_jobs(made, elements, witness, seconds))
    cost = apiwrites.cost(before, apiwrites.read_writes(made.kubeconfig))
    print_run(Run(witness, took, cost, jobs))


def _expected(pods: int) -> str:
    """How long so many pods take, roughly."""
    least, most = (pods / rate / 60 for rate in _RATES)
    return f"about {max(1, round(least))} to {max(1, round(most))} minutes" if most > 1 else "about a minute"


async def _run_jobs(made: Cluster, elements: int, witness: Witness, seconds: float) -> tuple[Mapping[str, JSON], float]:
    """Submit the stages and show them until their end; return the Kubernetes Jobs by job, and the seconds it took."""
    from batchwright.local.demo import pipeline

    async with open_session(None, str(made.kubeconfig), demo_jobs.NAMESPACE) as session:
        for body in pipeline.render_declarations(elements):
            await demo_jobs.write_object(session, body)
        began = time.monotonic()
        jobs = [await demo_jobs.write_object(session, pipeline.render_job(stage)) for stage in witness.stages]
        complete = asyncio.Event()
        observer = asyncio.create_task(_observe(session, jobs, witness, complete))
        try:
            tracker = await wait_for(session, jobs, Goal.finished, seconds=seconds)
            took = time.monotonic() - began
            for job in tracker.jobs.values():
                if state_of(job) == "FAILED":
                    note(f"why: batchwright describe {job['metadata']['name']}")
            conclude(tracker, Goal.finished)
            await _last_pods(observer, complete)
        finally:
            observer.cancel()
            await asyncio.gather(observer, return_exceptions=True)
        return await _kubernetes_jobs(session, list(tracker.jobs.values())), took


async def _observe(session: Session, jobs: Sequence[JSON], witness: Witness, complete: asyncio.Event) -> None:
    """Take in every pod of the jobs as it ends, and tell of the attempts that failed or followed. Without end."""
    uids = ",".join(job["metadata"]["uid"] for job in jobs)
    pods = follow(session, PODS, demo_jobs.NAMESPACE, labels=f"{names.LABEL_JOB_ID} in ({uids})", fields=_ENDED)
    async with aclosing(pods) as changes:
        async for change in changes:
            for ended in witness.take(change.items if isinstance(change, Listed) else [change.item]):
                if not ended.succeeded or ended.attempt > 1:
                    note(_told(ended))
            if witness.is_complete:
                complete.set()


def _told(ended: Ended) -> str:
    code = "" if ended.succeeded or ended.exit_code is None else f" with exit code {ended.exit_code}"
    return f"{ended.job}:{ended.index} {'succeeded' if ended.succeeded else 'failed'}{code} on attempt {ended.attempt}"


async def _last_pods(observer: asyncio.Task[None], complete: asyncio.Event) -> None:
    """Wait until the observer has seen all; whatever it has not seen by then is for the check to say.

    Raises what the observer raised.
    """
    waiting = asyncio.create_task(complete.wait())
    try:
        await asyncio.wait({observer, waiting}, timeout=_LAST_PODS_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if observer.done():
        observer.result()


async def _kubernetes_jobs(session: Session, jobs: Sequence[JSON]) -> dict[str, JSON]:
    """The Kubernetes Job of each job that has one."""
    found: dict[str, JSON] = {}
    for job in jobs:
        work = (job.get("status") or {}).get("jobName")
        if not work:
            continue
        try:
            found[job["metadata"]["name"]] = await session.api.get(JOBS, demo_jobs.NAMESPACE, work)
        except NotFound:
            continue  # which the check says
    return found


async def _end_earlier_runs(made: Cluster) -> None:
    """Jobs of an interrupted run would compete with this one: they are terminated. Raises WaitTimeout."""
    from batchwright.local.demo.pipeline import LABELS

    selector = ",".join(f"{key}={value}" for key, value in LABELS.items())
    async with open_session(None, str(made.kubeconfig), demo_jobs.NAMESPACE) as session:
        found = await session.api.list_all(BATCH_JOBS, demo_jobs.NAMESPACE, labels=selector)
        going = [job for job in found if state_of(job) not in FINISHED]
        if not going:
            return
        note("  an earlier run still goes on and is terminated")
        for job in going:
            if not job["spec"].get("terminate"):
                patch = {"spec": {"terminate": {"reason": "Another run of the demo was started"}}}
                await session.api.patch(BATCH_JOBS, demo_jobs.NAMESPACE, job["metadata"]["name"], patch)
        await wait_for(session, going, Goal.finished, seconds=_TERMINATE_SECONDS)
