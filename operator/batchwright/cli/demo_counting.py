"""The demo's first act: a word count over real texts, in real containers, its data in S3, its result checked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from batchwright.cli import demo_jobs
from batchwright.cli.demo_report import print_check, print_report
from batchwright.cli.session import open_session
from batchwright.cli.session import run as run_async
from batchwright.cli.tracking import Goal
from batchwright.cli.waiting import conclude, wait_for
from batchwright.cluster.resources import Resource
from batchwright.errors import BatchwrightError

if TYPE_CHECKING:
    from batchwright.local.cluster import Cluster
    from batchwright.local.demo.inputs import Text
    from batchwright.local.progress import Reporter

_SECRETS: Final = Resource("", "v1", "secrets", "Secret")


def find_texts(directory: str) -> Sequence[Text]:
    """The texts below the directory, or without one the licences of the machine. Raises LocalError: none there."""
    from batchwright.local.demo import inputs

    return inputs.find_texts(_source(directory))


def build_images(directory: str, texts: Sequence[Text], tell: Reporter) -> Sequence[Path]:
    """Build the images of the three programs; return their archives."""
    from batchwright.local.demo import images

    tell.note(f"input {_source(directory)}: {len(texts)} files")
    with tell.step("build the images") as show:
        archives = images.build_images(show)
        show(", ".join(images.STAGES))
    return archives


def import_images(made: Cluster, archives: Sequence[Path], tell: Reporter) -> None:
    """Give the images to the real node, which pulls none."""
    from batchwright.local import realnode

    with tell.step("give the images to the node"):
        for archive in archives:
            realnode.import_image(made.name, made.directory, archive)


def count_words(made: Cluster, texts: Sequence[Text], workers: int, seconds: float, tell: Reporter) -> None:
    """One run: texts into S3, jobs through the cluster, report out of S3, checked. Raises what it failed of."""
    from batchwright.local.demo import check, manifests, storage

    endpoint = _endpoint(made)
    run = demo_jobs.new_run()
    s3 = storage.connect(endpoint)
    with tell.step("upload the texts to S3") as show:
        storage.upload(s3, run, texts, lambda done: show(f"{done} of {len(texts)}"))
        show(f"s3://{storage.BUCKET}/{run}/input/")
    objects = [*manifests.render_declarations(endpoint), *manifests.render_jobs(run, workers)]
    file = demo_jobs.write_manifests(made, run, objects)
    tell.note(f"submit 1 job that splits, {workers} that count, 1 that merges: {file}")
    began = time.monotonic()
    run_async(_run_jobs(made, run, workers, seconds))
    took = time.monotonic() - began
    report = storage.fetch_report(s3, run)
    print_report(report, workers, took)
    print_check(check.differences(report, check.count_files(texts), manifests.TOP), len(texts))


async def _run_jobs(made: Cluster, run: str, workers: int, seconds: float) -> None:
    """Submit the jobs of the run and show them until their end.

    Raises Failed after printing the logs of what failed, WaitTimeout after `seconds`, ApiError.
    """
    from batchwright.local.demo import manifests

    endpoint = _endpoint(made)
    async with open_session(None, str(made.kubeconfig), demo_jobs.NAMESPACE) as session:
        await session.api.apply(_SECRETS, demo_jobs.NAMESPACE, manifests.render_secret(endpoint))
        for body in manifests.render_declarations(endpoint):
            await demo_jobs.write_object(session, body)
        jobs = [await demo_jobs.write_object(session, body) for body in manifests.render_jobs(run, workers)]
        tracker = await wait_for(session, jobs, Goal.finished, seconds=seconds)
        await demo_jobs.show_failures(session, tracker)
        conclude(tracker, Goal.finished)


def _source(directory: str) -> Path:
    from batchwright.local.demo import inputs

    return Path(directory) if directory else inputs.DEFAULT_INPUT


def _endpoint(made: Cluster) -> str:
    if made.aws_endpoint is None:
        raise BatchwrightError(f"cluster {made.name} has no AWS endpoint: `batchwright local up --aws` adds one")
    return made.aws_endpoint
