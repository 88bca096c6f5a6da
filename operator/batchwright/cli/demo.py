"""`demo`: a word count over real texts, in real containers of a real cluster, from nothing to a checked result.

The parts are in `batchwright.local.demo`; here they are put together and shown. What takes time is safe to repeat and
done once: a second run finds cluster and images there, and submits jobs of new names.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchwright.cli import demo_pipeline
from batchwright.cli.demo_report import print_check, print_report
from batchwright.cli.output import note
from batchwright.cli.session import run as run_async

if TYPE_CHECKING:
    from batchwright.local.cluster import Cluster
    from batchwright.local.demo.inputs import Text
    from batchwright.local.progress import Reporter

DEFAULT_NAME = "demo"
DEFAULT_SECONDS = 1800.0


def demo(
    directory: Annotated[
        str, typer.Option("--input", metavar="DIR", help="The texts. Default: /usr/share/common-licenses.")
    ] = "",
    name: Annotated[str, typer.Option("--name", help="The cluster's name.")] = DEFAULT_NAME,
    workers: Annotated[int, typer.Option("--workers", min=1, max=100, help="Jobs that count, side by side.")] = 8,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="Give up waiting for the jobs after so long (code 124).")
    ] = DEFAULT_SECONDS,
    down: Annotated[bool, typer.Option("--down/--keep", help="Delete the cluster at the end, or keep it.")] = False,
) -> None:
    """Count the words of a directory's files in containers, on a cluster made for it (root, Linux, no Docker)."""
    from batchwright.local import aws, cluster, paths, real
    from batchwright.local.demo import images, inputs
    from batchwright.local.progress import loud

    started = time.monotonic()
    source = Path(directory) if directory else inputs.DEFAULT_INPUT
    texts = inputs.find_texts(source)
    paths.check_name(name)
    real.check_privileges()
    aws.check_installed()
    tell = loud()
    tell.note(f"input {source}: {len(texts)} files")
    # Before the cluster: what is missing on the machine shows in a minute, and not after a long build of binaries.
    with tell.step("build the images") as show:
        archives = images.build_images(show)
        show(", ".join(images.STAGES))
    try:
        made = cluster.up(cluster.Options(name=name, real_node=True, aws=True, operator=True), tell)
        try:
            _import_images(made, archives, tell)
            _count(made, texts, workers, timeout, tell)
            tell.done("the whole demo", time.monotonic() - started)
        finally:
            if not down:
                print_next_steps(name)
    finally:
        if down:
            cluster.down(name, tell)


def _import_images(made: Cluster, archives: Sequence[Path], tell: Reporter) -> None:
    from batchwright.local import realnode

    with tell.step("give the images to the node"):
        for archive in archives:
            realnode.import_image(made.name, made.directory, archive)


def _count(made: Cluster, texts: Sequence[Text], workers: int, timeout: float, tell: Reporter) -> None:
    """One run: texts into S3, jobs through the cluster, report out of S3, checked. Raises what it failed of."""
    from batchwright.local.demo import check, manifests, storage

    if made.aws_endpoint is None:
        raise RuntimeError("a cluster made with aws has an endpoint")
    run = demo_pipeline.new_run()
    s3 = storage.connect(made.aws_endpoint)
    with tell.step("upload the texts to S3") as show:
        storage.upload(s3, run, texts, lambda done: show(f"{done} of {len(texts)}"))
        show(f"s3://{storage.BUCKET}/{run}/input/")
    file = demo_pipeline.write_manifests(made, run, workers)
    tell.note(f"submit 1 job that splits, {workers} that count, 1 that merges: {file}")
    began = time.monotonic()
    run_async(demo_pipeline.run_jobs(made, run, workers, timeout))
    took = time.monotonic() - began
    report = storage.fetch_report(s3, run)
    print_report(report, workers, took)
    print_check(check.differences(report, check.count_files(texts), manifests.TOP), len(texts))


def print_next_steps(name: str) -> None:
    """What to try next, on stderr."""
    note(
        "\nLook around:\n"
        f'  eval "$(batchwright local env --name {name})"\n'
        "  batchwright list                   the jobs; batchwright describe JOB, batchwright logs JOB\n"
        "  kubectl get bj,jd,jq,ce            the same as Kubernetes objects\n"
        "Count something else:  batchwright demo --input DIR\n"
        f"Stop:                  batchwright local down --name {name}"
    )
