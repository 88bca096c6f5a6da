"""`submit`: a job from flags, or objects from a file."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from batchwright.cli import exits, manifests, options
from batchwright.cli.array_flags import parse_items
from batchwright.cli.dependencies import refuse_cycles
from batchwright.cli.manifests import Document, Written
from batchwright.cli.output import is_table, note, print_objects, qualified
from batchwright.cli.session import Session, open_session, run
from batchwright.cli.submission import Submission, build_job, check_memory, check_vcpus, parse_pairs
from batchwright.cli.tracking import Goal
from batchwright.cli.waiting import conclude, wait_for
from batchwright.cluster.resources import BATCH_JOBS
from batchwright.errors import BatchwrightError

AFTER_DASHES = "batchwright.after_dashes"


class SubmitCommand(typer.core.TyperCommand):
    """Sets aside what comes after `--`: it is the job's command, whatever it looks like."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parses what comes before `--`."""
        if "--" in args:
            split = args.index("--")
            args, ctx.meta[AFTER_DASHES] = args[:split], args[split + 1 :]
        rest: list[str] = super().parse_args(ctx, args)
        return rest


def submit(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Default: the definition's and 5 characters.")
    ] = None,
    name_option: Annotated[str | None, typer.Option("--name", help="The same as NAME.")] = None,
    files: Annotated[
        list[str] | None,
        typer.Option(
            "--filename", "-f", help="Submit the objects of a YAML file; - is stdin; repeatable.", metavar="FILE|-"
        ),
    ] = None,
    queue: Annotated[
        str | None,
        typer.Option(
            "--queue",
            "-q",
            envvar="BATCHWRIGHT_QUEUE",
            help="Name of the JobQueue.",
            autocompletion=options.completion.queues,
        ),
    ] = None,
    definition: options.Definition = None,
    parameters: Annotated[
        list[str] | None, typer.Option("--parameters", "-p", metavar="KEY=VALUE", help="For Ref::KEY; repeatable.")
    ] = None,
    env: Annotated[
        list[str] | None, typer.Option("--env", "-e", metavar="KEY=VALUE", help="Environment variable; repeatable.")
    ] = None,
    command: Annotated[
        bool, typer.Option("--command", help="What comes after -- is the command (-- alone says so too).")
    ] = False,
    vcpus: Annotated[str | None, typer.Option(help="vCPUs in place of the definition's: 0.25, 1, 16.")] = None,
    memory: Annotated[str | None, typer.Option(help="Memory in place of the definition's: 2048 (MiB), 2Gi.")] = None,
    gpus: Annotated[int | None, typer.Option(min=1, help="GPUs in place of the definition's.")] = None,
    depends_on: Annotated[
        list[str] | None,
        typer.Option(
            "--depends-on",
            metavar="JOB[:TYPE][:CONDITION]",
            help="Name or jobId of a job that must succeed first; repeatable. TYPE: N_TO_N (each element waits for the "
            "same element of JOB) or SEQUENTIAL (each element waits for the one before it; without JOB: only that). "
            "CONDITION: Succeeded (the default), Completed or Failed. E.g. prep, c:N_TO_N, c:N_TO_N:Completed, "
            "prep:Failed, SEQUENTIAL.",
            autocompletion=options.completion.jobs,
        ),
    ] = None,
    array_size: Annotated[
        int | None,
        typer.Option(min=2, max=100_000, metavar="N", help="Make it an array of N elements, 2 to 100000."),
    ] = None,
    array_items: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|-",
            help="Make it an array with an element for each item of a YAML or JSON list: maps from parameter to value, "
            "or plain values for the parameter `item`.",
        ),
    ] = None,
    max_concurrency: Annotated[
        int | None, typer.Option(min=1, max=100_000, metavar="N", help="At most N elements run at one time.")
    ] = None,
    attempts: Annotated[
        int | None, typer.Option(min=1, max=10, help="Attempts in all, of each element of an array.")
    ] = None,
    timeout: Annotated[int | None, typer.Option(min=1, metavar="SECONDS", help="Time limit of an attempt.")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="Tag; repeatable.")] = None,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait for the end: exit code 1 if a job FAILED.")] = False,
    wait_timeout: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="With --wait: give up after so long (code 124).")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Have the API server check it, and keep nothing.")] = False,
    output: options.OutputOption = options.Output.table,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Submit a job: `submit NAME -q QUEUE -d DEFINITION [-- COMMAND…]`, or `submit -f FILE`.

    An array: `submit d -q normal -d hello --array-size 10000 --depends-on c:N_TO_N --wait`.
    """
    after_dashes: list[str] | None = ctx.meta.get(AFTER_DASHES)
    if command and not after_dashes:
        raise typer.BadParameter("the command comes after --, as in `-- python main.py`", param_hint="--command")
    if name and name_option and name != name_option:
        raise typer.BadParameter(f"{name_option!r} is not the NAME {name!r}", param_hint="--name")
    if wait_timeout is not None and not wait:
        raise typer.BadParameter("only with --wait", param_hint="--wait-timeout")
    if wait and dry_run:
        raise typer.BadParameter("nothing to wait for with --dry-run", param_hint="--wait")
    given = name or name_option
    if files:
        queue_given = queue and ctx.get_parameter_source("queue").name == "COMMANDLINE"  # type: ignore[union-attr]
        others = {
            "NAME": given,
            "--queue": queue_given,
            "--definition": definition,
            "--parameters": parameters,
            "--env": env,
            "--": after_dashes,
            "--vcpus": vcpus,
            "--memory": memory,
            "--gpus": gpus,
            "--depends-on": depends_on,
            "--array-size": array_size,
            "--array-items": array_items,
            "--max-concurrency": max_concurrency,
            "--attempts": attempts,
            "--timeout": timeout,
            "--tag": tag,
        }
        for flag, value in others.items():
            if value:
                raise typer.BadParameter(f"not together with -f {files[0]}: the file says everything", param_hint=flag)
        documents = [each for file in files for each in manifests.parse(file, manifests.read_text(file))]
    else:
        if definition is None:
            raise typer.BadParameter("give a JobDefinition (or -f FILE)", param_hint="--definition")
        if queue is None:
            raise typer.BadParameter("give a JobQueue (or set BATCHWRIGHT_QUEUE)", param_hint="--queue")
        body = build_job(
            Submission(
                queue=queue,
                definition=definition,
                name=given,
                parameters=parse_pairs("--parameters", parameters or []),
                environment=parse_pairs("--env", env or []),
                command=after_dashes,
                vcpus=check_vcpus(vcpus),
                memory=check_memory(memory),
                gpus=gpus,
                depends_on=depends_on or (),
                attempts=attempts,
                timeout=timeout,
                tags=parse_pairs("--tag", tag or []),
                array_size=array_size,
                array_items=_items(array_items),
                max_concurrency=max_concurrency,
            )
        )
        documents = [Document("flags", BATCH_JOBS, body)]

    async def work() -> None:
        async with open_session(context, kubeconfig, namespace) as session:
            await _submit(session, documents, namespace, output, dry_run, wait, wait_timeout)

    run(work())


def _items(source: str | None) -> list[dict[str, str]] | None:
    return None if source is None else parse_items(source, manifests.read_text(source, "--array-items"))


async def _submit(
    session: Session,
    documents: list[Document],
    asked_namespace: str | None,
    output: options.Output,
    dry_run: bool,
    wait: bool,
    wait_timeout: float | None,
) -> None:
    await _check(session, documents, asked_namespace)

    async def write(document: Document) -> Written:
        written = await manifests.write(session, document, dry_run=dry_run)
        if is_table(output):
            ran = " (server dry run)" if dry_run else ""
            print(f"{qualified(written.resource, written.body['metadata']['name'])} {written.verb}{ran}", flush=True)
        return written

    written = await exits.for_each(documents, write)
    jobs = [each.body for each in written if each.resource is BATCH_JOBS]
    if not wait:
        _print(written, output)
        return
    if not jobs:
        note("nothing to wait for: no BatchJob was submitted")
        return
    tracker = await wait_for(session, jobs, Goal.finished, seconds=wait_timeout, on_stderr=not is_table(output))
    last = {each.body["metadata"]["uid"]: each for each in written}
    last |= {uid: Written(BATCH_JOBS, job, "created") for uid, job in tracker.jobs.items()}
    _print(list(last.values()), output)
    conclude(tracker, Goal.finished)


async def _check(session: Session, documents: list[Document], asked_namespace: str | None) -> None:
    jobs: dict[str, list[dict[str, Any]]] = {}
    for document in documents:
        namespace = document.namespace(session.namespace)
        if namespace is not None and asked_namespace is not None and namespace != asked_namespace:
            raise BatchwrightError(
                f"{document.where}: metadata.namespace {namespace!r} is not --namespace {asked_namespace!r}: "
                "leave one out"
            )
        if document.resource is BATCH_JOBS and namespace is not None:
            jobs.setdefault(namespace, []).append(document.body)
    for namespace, bodies in jobs.items():
        await refuse_cycles(session, namespace, bodies)


def _print(written: list[Written], output: options.Output) -> None:
    if not is_table(output):
        print_objects([(each.resource, each.body) for each in written], output, single=True)
