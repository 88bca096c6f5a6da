"""Carries out what a multi-node job needs beside its main node: its names and hostfile, its other nodes, their end.

Each is a function that may be called again after a crash: names are fixed, and what is there is left as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress

import structlog

from batchwright import names
from batchwright.api.v1alpha1 import ComputeEnvironmentSpec
from batchwright.cluster.client import ApiClient
from batchwright.cluster.resources import CONFIG_MAPS, JOBS, PODS, SERVICES
from batchwright.controllers import acting
from batchwright.controllers.membership import node_labels, pod_tolerations
from batchwright.controllers.store import Entry, Nodes, Pinned
from batchwright.domain.actions import MakeNodes, ReleasePod
from batchwright.domain.observations import Pod, Work
from batchwright.errors import AlreadyExists, ApiError, NotFound
from batchwright.workloads.gang import (
    MainPod,
    build_hosts,
    build_node,
    build_service,
    decode_placement,
    encode_placement,
    node_name,
    pinned_affinity,
)
from batchwright.workloads.job import JobIdentity, Placement
from batchwright.workloads.nodes import NodeLayout
from batchwright.workloads.podtemplate import build_pod_template
from batchwright.workloads.shapes import Wire

logger = structlog.get_logger(__name__)
PODS_IN_FLIGHT = 32
LOOK_SECONDS = 1.0


def placement_in(environment: str, spec: ComputeEnvironmentSpec) -> Placement:
    """What the nodes of the environment need of a pod."""
    return Placement(environment, node_labels(environment, spec), pod_tolerations(environment, spec))


async def release_main(api: ApiClient, entry: Entry, layout: NodeLayout, work: Work, action: ReleasePod) -> None:
    """Lets the main node start on its machine, when names and hostfile are there."""
    identity = JobIdentity(entry.job.uid, entry.job.namespace, entry.job.name)
    owner: Wire = {"apiVersion": "batch/v1", "kind": "Job", "name": work.name, "uid": work.uid}
    await asyncio.gather(
        acting.ensure(api, SERVICES, build_service(identity, owner)),
        acting.ensure(api, CONFIG_MAPS, build_hosts(identity, layout, owner)),
    )
    main = layout.kinds[0]
    template = build_pod_template(main.definition, main.job)
    await acting.release_pod(api, action, {"affinity": pinned_affinity(template, action.machine)})


async def make_nodes(
    api: ApiClient, entry: Entry, pinned: Pinned, layout: NodeLayout, placement: Placement, action: MakeNodes
) -> None:
    """Makes the pods that are not there yet. Raises the ApiError that the first of them met with."""
    main, job = action.main, entry.job
    machines = decode_placement(action.work.placement)
    nodes = entry.nodes = entry.nodes or Nodes()
    identity = JobIdentity(job.uid, job.namespace, job.name)
    seen = MainPod(main.name, main.uid, main.address, main.failures)
    slots = asyncio.Semaphore(PODS_IN_FLIGHT)

    async def make(rank: int) -> None:
        async with slots:
            body = build_node(identity, job.spec.job_queue, pinned.name, layout, rank, placement, machines[rank], seen)
            with suppress(AlreadyExists):
                await api.create(PODS, job.namespace, body)
            if body["metadata"]["name"] not in nodes.seen:
                nodes.made.add(body["metadata"]["name"])

    absent = [rank for rank in range(1, layout.size) if node_name(main.name, rank) not in action.present]
    results = await asyncio.gather(*map(make, absent), return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    if failures:
        # Some may be there all the same: no other attempt begins before that is known.
        await _look_for(api, entry, nodes, main.uid)
        raise failures[0]


async def _look_for(api: ApiClient, entry: Entry, nodes: Nodes, main: str) -> None:
    """Notes the pods that belong to this one and have not been seen, as soon as the API server says which."""
    while True:
        try:
            pages = api.pages(PODS, entry.job.namespace, labels=f"{names.LABEL_MAIN_POD}={main}")
            there = [item["metadata"]["name"] async for page in pages for item in page["items"]]
        except ApiError as error:
            logger.warning("nodes not known", job=entry.job.name, error=str(error))
            await asyncio.sleep(LOOK_SECONDS)
            continue
        nodes.made.update(name for name in there if name not in nodes.seen)
        return


async def stop_nodes(api: ApiClient, namespace: str, job_id: str, mains: Iterable[str]) -> None:
    """Stops the nodes that belong to these pods of main nodes; those that have ended stay, with their logs."""
    await api.delete_all(
        PODS,
        namespace,
        labels=f"{names.LABEL_JOB_ID}={names.label_value(job_id)},{names.LABEL_MAIN_POD} in ({','.join(mains)})",
        fields="status.phase!=Succeeded,status.phase!=Failed",
    )


async def resume(api: ApiClient, work: Work, machines: tuple[str, ...]) -> None:
    """Lets a job that gave its room back go on, on these machines."""
    body = {
        "metadata": {"uid": work.uid, "annotations": {names.ANNOTATION_PLACEMENT: encode_placement(machines)}},
        "spec": {"suspend": False},
    }
    try:
        await api.patch(JOBS, work.namespace, work.name, body, answer=False)
    except NotFound:
        return  # The watch will tell.


def bound(entry: Entry) -> Mapping[int, Pod]:
    """The pods of the job's nodes that are on a machine and have not ended, by number; without the main one."""
    nodes = entry.nodes
    return {} if nodes is None else {p.index: p for p in nodes.pods.values() if p.node and not p.is_finished}
