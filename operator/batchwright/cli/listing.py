"""`list`: the jobs of a namespace or of all, the newest first."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import typer

from batchwright.cli import completion, options
from batchwright.cli.arrays import is_array, progress_text
from batchwright.cli.changes import Listed, follow
from batchwright.cli.element_listing import LIMIT, list_elements
from batchwright.cli.formats import (
    age,
    attempts_of,
    definition_of,
    newest_first,
    now,
    reason_of,
    shorten,
    state_of,
)
from batchwright.cli.nodes import list_nodes
from batchwright.cli.output import Grid, console, is_table, note, print_grid, print_objects
from batchwright.cli.references import whole_job_only
from batchwright.cli.session import Session, open_session, run
from batchwright.cluster.resources import BATCH_JOBS

JSON = dict[str, Any]


@dataclass(frozen=True)
class Filter:
    """Which jobs are meant. `fields` is the part the API server can do; `matches` decides."""

    queue: str | None = None
    states: Collection[str] = ()
    definition: str | None = None

    @property
    def fields(self) -> str | None:
        """The field selector. A job without a status counts as SUBMITTED, which no selector can say."""
        parts = [f"spec.jobQueue={self.queue}"] if self.queue else []
        if len(self.states) == 1 and "SUBMITTED" not in self.states:
            parts += [f"status.state={state}" for state in self.states]
        return ",".join(parts) or None

    def matches(self, job: JSON) -> bool:
        """Whether the job is meant."""
        pinned, asked = definition_of(job), str(job["spec"]["jobDefinition"])
        names = {pinned, asked, pinned.partition(":")[0], asked.partition(":")[0]}
        return (
            (self.queue is None or job["spec"]["jobQueue"] == self.queue)
            and (not self.states or state_of(job) in self.states)
            and (self.definition is None or self.definition in names)
        )


def job_grid(jobs: Sequence[JSON], at: datetime, *, wide: bool = False, namespaces: bool = False) -> Grid:
    """The table of jobs, the newest first."""
    titles = ["NAME", "QUEUE", "STATE", "REASON", "DEFINITION", "ENVIRONMENT", "ATTEMPTS", "AGE"]
    titles = ["NAMESPACE"] * namespaces + titles + ["JOB-ID", "KUBERNETES-JOB"] * wide
    rows = []
    for job in newest_first(jobs):
        metadata, status = job["metadata"], job.get("status") or {}
        reason = reason_of(job) or (progress_text(job) if is_array(job) else "")
        row = [
            metadata["name"],
            job["spec"]["jobQueue"],
            state_of(job),
            reason if wide else shorten(reason),
            definition_of(job),
            status.get("computeEnvironment") or "",
            "-" if is_array(job) else str(attempts_of(job)),
            age(job, at),
        ]
        extra = [metadata["uid"], status.get("jobName") or ""] if wide else []
        rows.append([metadata["namespace"]] * namespaces + row + extra)
    return Grid(titles, rows)


def list_jobs(
    queue: options.Queue = None,
    status: Annotated[
        list[options.State] | None,
        typer.Option("--status", "-s", case_sensitive=False, help="Only jobs or elements in this state; repeatable."),
    ] = None,
    array: Annotated[
        str | None,
        typer.Option(
            "--array",
            metavar="JOB",
            callback=whole_job_only,
            help="The elements of this array job, by index.",
            autocompletion=completion.jobs,
        ),
    ] = None,
    nodes: Annotated[
        str | None,
        typer.Option(
            "--nodes",
            metavar="JOB",
            callback=whole_job_only,
            help="The nodes of this multi-node job.",
            autocompletion=completion.jobs,
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help=f"With --array: at most so many elements; default {LIMIT}.")
    ] = None,
    definition: options.Definition = None,
    selector: Annotated[str | None, typer.Option("--selector", "-l", help="Label selector.")] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on showing changes.")] = False,
    output: options.OutputOption = options.Output.table,
    namespace: options.Namespace = None,
    all_namespaces: options.AllNamespaces = False,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """List jobs, the newest first, the elements of an array (`list --array sim --status FAILED`), or the nodes of a
    multi-node job (`list --nodes train`)."""
    if array is not None and nodes is not None:
        raise typer.BadParameter("not together with --array", param_hint="--nodes")
    if array is not None or nodes is not None:
        flag = "--array" if array is not None else "--nodes"
        others = {"--queue": queue, "--definition": definition, "--selector": selector, "--watch": watch}
        for other, value in (others | {"--all-namespaces": all_namespaces}).items():
            if value:
                parts = "elements" if array is not None else "nodes"
                raise typer.BadParameter(
                    f"not together with {flag}, which lists the {parts} of one job", param_hint=other
                )
    if array is None and limit is not None:
        raise typer.BadParameter("only with --array", param_hint="--limit")
    if watch and not is_table(output):
        raise typer.BadParameter("a table only (for programs: kubectl get bj -w -o json)", param_hint="--watch")
    wanted = Filter(queue, [str(state) for state in status or ()], definition)

    async def work() -> None:
        async with open_session(context, kubeconfig, namespace) as session:
            if array is not None:
                await list_elements(session, array, [str(state) for state in status or ()], output, limit or LIMIT)
                return
            if nodes is not None:
                await list_nodes(session, nodes, [str(state) for state in status or ()], output)
                return
            where = None if all_namespaces else session.namespace
            if watch:
                await _watch(session, where, wanted, selector, wide=output is options.Output.wide)
                return
            found = await session.api.list_all(BATCH_JOBS, where, labels=selector, fields=wanted.fields)
            jobs = newest_first(job for job in found if wanted.matches(job))
            if not is_table(output):
                print_objects([(BATCH_JOBS, job) for job in jobs], output)
            elif jobs:
                print_grid(job_grid(jobs, now(), wide=output is options.Output.wide, namespaces=where is None))
            else:
                narrow = bool(selector) or wanted != Filter(states=[])
                note("no jobs" + (f" in namespace {where}" if where else "") + (" match" if narrow else ""))

    run(work())


async def _watch(session: Session, where: str | None, wanted: Filter, selector: str | None, *, wide: bool) -> None:
    """Redraws on a terminal; elsewhere prints the table, then a line for each change, as kubectl does."""
    from rich.live import Live

    # No state selector: a job that leaves the state would look like a deleted one.
    changes = follow(session, BATCH_JOBS, where, labels=selector, fields=Filter(queue=wanted.queue).fields)
    jobs: dict[str, JSON] = {}
    screen = console()

    def grid() -> Grid:
        shown = [job for job in jobs.values() if wanted.matches(job)]
        return job_grid(shown, now(), wide=wide, namespaces=where is None)

    if screen.is_terminal:
        with Live(console=screen, get_renderable=lambda: grid().rich(), refresh_per_second=2):
            async with aclosing(changes) as stream:
                async for change in stream:
                    _take(jobs, change)
        return
    header_due = True
    async with aclosing(changes) as stream:
        async for change in stream:
            for job in _take(jobs, change):
                if wanted.matches(job):
                    plain = job_grid([job], now(), wide=wide, namespaces=where is None).plain()
                    title, _, line = plain.partition("\n")
                    print(f"{title}\n{line}" if header_due else line, flush=True)
                    header_due = False


def _take(jobs: dict[str, JSON], change: Any) -> list[JSON]:
    """Takes a change into `jobs`; returns the jobs that are new or differ."""
    if isinstance(change, Listed):
        fresh = {item["metadata"]["uid"]: item for item in change.items}
        for uid in jobs.keys() - fresh.keys():
            del jobs[uid]
    elif change.deleted:
        jobs.pop(change.item["metadata"]["uid"], None)
        return []
    else:
        fresh = {change.item["metadata"]["uid"]: change.item}
    differing = [
        job
        for uid, job in fresh.items()
        if uid not in jobs or jobs[uid]["metadata"]["resourceVersion"] != job["metadata"]["resourceVersion"]
    ]
    jobs |= fresh
    return sorted(differing, key=lambda job: job["metadata"]["creationTimestamp"])
