"""`demo`, in three acts, from nothing to checked results: real containers that count words, thousands of elements, and
nodes that come and go.

The parts are in `batchwright.local.demo`; here they are put together and shown. What takes time is safe to repeat and
done once: a second run finds cluster, images and machines there, and submits jobs of new names.
"""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Annotated

import typer

from batchwright.api.v1alpha1.array import MAX_SIZE
from batchwright.cli import demo_counting, demo_growing, demo_stages
from batchwright.cli.output import note

DEFAULT_NAME = "demo"
DEFAULT_SECONDS = 3600.0
DEFAULT_ELEMENTS = 10_000


class Act(StrEnum):
    """What is shown."""

    counting = "1"
    pipeline = "2"
    growing = "3"
    all = "all"


def demo(
    directory: Annotated[
        str, typer.Option("--input", metavar="DIR", help="Act 1: the texts. Default: /usr/share/common-licenses.")
    ] = "",
    name: Annotated[str, typer.Option("--name", help="The cluster's name.")] = DEFAULT_NAME,
    act: Annotated[
        Act,
        typer.Option(
            "--act",
            help="1: the word count. 2: the pipeline. 3: Spot nodes. all: all three. Only the first needs root.",
        ),
    ] = Act.all,
    workers: Annotated[int, typer.Option("--workers", min=1, max=100, help="Act 1: jobs that count side by side.")] = 8,
    elements: Annotated[
        int, typer.Option("--elements", min=2, max=MAX_SIZE, help="Act 2: the size of each of the two large arrays.")
    ] = DEFAULT_ELEMENTS,
    timeout: Annotated[
        float,
        typer.Option(min=1, metavar="SECONDS", help="Give up waiting for the jobs of an act after so long (code 124)."),
    ] = DEFAULT_SECONDS,
    down: Annotated[bool, typer.Option("--down/--keep", help="Delete the cluster at the end, or keep it.")] = False,
) -> None:
    """Act 1: count words in real containers. Act 2: a pipeline of 10,000-element arrays on simulated machines. Act 3: a
    queue that grows Spot nodes from zero, an interruption, and the way back to zero.

    On a cluster made for it; Linux, no Docker; act 1 as root.
    """
    from batchwright.local import aws, cluster, paths, real
    from batchwright.local.progress import loud

    started = time.monotonic()
    counts, buys = act in (Act.counting, Act.all), act in (Act.growing, Act.all)
    texts = demo_counting.find_texts(directory) if counts else ()
    paths.check_name(name)
    if counts:
        real.check_privileges()
    if counts or buys:
        aws.check_installed()
    tell = loud()
    # Before the cluster: what is missing on the machine shows in a minute, and not after a long build of binaries.
    archives = demo_counting.build_images(directory, texts, tell) if counts else ()
    # Simulated machines need kwok as the binary runtime has it.
    options = cluster.Options(name=name, operator=True, nodes=0, runtime="binary", real_node=counts, aws=counts or buys)
    try:
        made = cluster.up(options, tell)
        try:
            if counts:
                demo_counting.import_images(made, archives, tell)
                demo_counting.count_words(made, texts, workers, timeout, tell)
            if act in (Act.pipeline, Act.all):
                demo_stages.run_pipeline(made, elements, timeout, tell)
            if buys:
                demo_growing.run_growing(made, timeout, tell)
            tell.done("the whole demo" if act is Act.all else f"act {act}", time.monotonic() - started)
        finally:
            if not down:
                print_next_steps(name)
    finally:
        if down:
            cluster.down(name, tell)


def print_next_steps(name: str) -> None:
    """What to try next, on stderr."""
    note(
        "\nLook around:\n"
        f'  eval "$(batchwright local env --name {name})"\n'
        "  batchwright list                   the jobs; batchwright describe JOB, batchwright logs JOB\n"
        "  batchwright list --array JOB       the elements of an array; batchwright describe JOB:17\n"
        "  kubectl get bj,jd,jq,ce            the same as Kubernetes objects\n"
        "Count something else:  batchwright demo --act 1 --input DIR\n"
        "Another size:          batchwright demo --act 2 --elements 1000\n"
        "Spot nodes again:      batchwright demo --act 3\n"
        f"Stop:                  batchwright local down --name {name}"
    )
