"""The demo's third act: a queue that grows Spot nodes from zero, an interruption, and the way back to zero.

The display is that of `submit --wait`. Beside it an observer follows nodes and pods, and tells of both; what the report
says comes from them and from EC2's own list of instances, not from the operator.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from batchwright import names
from batchwright.cli import demo_jobs, exits
from batchwright.cli.changes import Listed, follow
from batchwright.cli.demo_growing_report import Run, print_run
from batchwright.cli.output import note
from batchwright.cli.session import Session, open_session
from batchwright.cli.session import run as run_async
from batchwright.cli.tracking import Goal
from batchwright.cli.waiting import conclude, wait_for
from batchwright.cluster.resources import NODES, PODS, Resource
from batchwright.errors import LocalError

if TYPE_CHECKING:
    from batchwright.local.cluster import Cluster
    from batchwright.local.demo.growth import Growth
    from batchwright.local.progress import Reporter

JSON = dict[str, Any]

# After the last job: idle for ten seconds, cordoned, looked at again, ended.
_ZERO_SECONDS: Final = 120.0
See = Callable[..., list[str]]


def run_growing(made: Cluster, seconds: float, tell: Reporter) -> None:
    """One run, from no node to none. Raises Failed when the job or the check fails, WaitTimeout."""
    from botocore.exceptions import BotoCoreError, ClientError

    from batchwright.local.demo import elastic
    from batchwright.local.demo.growth import Growth

    if made.aws_endpoint is None:
        raise LocalError("the third act needs the embedded AWS endpoint: batchwright local up --aws")
    ec2 = elastic.connect(made.aws_endpoint)
    try:
        with tell.step("a network at the AWS endpoint") as show:
            network = elastic.ensure_network(ec2)
            show(", ".join(network.subnets))
        before = elastic.list_instances(ec2).keys()
        name = demo_jobs.new_run()
        job = elastic.render_job(name)
        file = demo_jobs.write_manifests(made, name, [*elastic.render_declarations(network), job])
        tell.note(f"submit an array of {elastic.ELEMENTS} to a queue of Spot instances, of which there is none: {file}")
        growth = Growth()
        run = run_async(_run_job(made, [*elastic.render_declarations(network), job], growth, seconds))
        instances = {key: each for key, each in elastic.list_instances(ec2).items() if key not in before}
    except (ClientError, BotoCoreError) as error:
        raise LocalError(f"the AWS endpoint: {error}") from error
    print_run(Run(growth, *run), instances)


async def _run_job(made: Cluster, objects: list[JSON], growth: Growth, seconds: float) -> tuple[JSON, float, float]:
    """Submit, interrupt, wait until no node is left: the job at its end, when that was, and when the last node went."""
    changed = asyncio.Event()
    async with open_session(None, str(made.kubeconfig), demo_jobs.NAMESPACE) as session:
        for body in objects[:-1]:
            await demo_jobs.write_object(session, body)
        began = time.monotonic()
        job = await demo_jobs.write_object(session, objects[-1])
        environment = f"{names.LABEL_ENVIRONMENT}={_environment()}"
        of_job = f"{names.LABEL_JOB_ID}={job['metadata']['uid']}"
        tasks = [
            asyncio.create_task(_observe(session, NODES, None, environment, growth.see_node, began, changed)),
            asyncio.create_task(_observe(session, PODS, demo_jobs.NAMESPACE, of_job, growth.see_pod, began, changed)),
            asyncio.create_task(_interrupt(made, growth, began, changed)),
        ]
        try:
            tracker = await wait_for(session, [job], Goal.finished, seconds=seconds)
            took = time.monotonic() - began
            conclude(tracker, Goal.finished)
            async with asyncio.timeout(_ZERO_SECONDS):
                while not growth.is_back:
                    changed.clear()
                    await _next(changed, tasks)
        except TimeoutError as error:
            raise exits.WaitTimeout(f"nodes are left {_ZERO_SECONDS:.0f} s after the last job") from error
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    (ended,) = tracker.jobs.values()
    return ended, took, time.monotonic() - began


def _environment() -> str:
    from batchwright.local.demo.elastic import ENVIRONMENT

    return ENVIRONMENT


async def _observe(
    session: Session,
    resource: Resource,
    namespace: str | None,
    labels: str,
    see: See,
    began: float,
    changed: asyncio.Event,
) -> None:
    """Take in every object as it changes, and tell of it. Without end."""
    async with aclosing(follow(session, resource, namespace, labels=labels)) as changes:
        async for change in changes:
            at = time.monotonic() - began
            if isinstance(change, Listed):
                told = [text for item in change.items for text in see(item, at)]
            else:
                told = see(change.item, at, deleted=change.deleted)
            for text in told:
                note(f"  {at:4.0f} s  {text}")
            changed.set()


async def _interrupt(made: Cluster, growth: Growth, began: float, changed: asyncio.Event) -> None:
    """Once every element runs, EC2 takes the busiest instance back."""
    from batchwright.local import aws
    from batchwright.local.demo.elastic import WARNING_SECONDS

    while (busiest := growth.busiest()) is None:
        changed.clear()
        await changed.wait()
    growth.victim, growth.warned_at = busiest.instance, time.monotonic() - began
    body = {"instance": busiest.instance, "seconds": WARNING_SECONDS}
    note(f"  {growth.warned_at:4.0f} s  EC2 warns: {busiest.instance} is taken back in {WARNING_SECONDS:.0f} s")
    await asyncio.to_thread(aws.ask, made.aws_endpoint or "", "interruptions", body)


async def _next(changed: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
    """Wait for a change. Raises what an observer raised."""
    waiting = asyncio.create_task(changed.wait())
    try:
        await asyncio.wait({waiting, *(task for task in tasks if not task.done())}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    for task in tasks:
        if task.done():
            task.result()
