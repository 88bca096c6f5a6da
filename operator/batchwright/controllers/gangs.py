"""Carries out what a multi-node job needs beside its main node: its names and hostfile, its other nodes, their end.

All of it may be done again after a crash: names are fixed, and what is there is left as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import structlog

from batchwright import names
from batchwright.api.v1alpha1 import ComputeEnvironmentSpec
from batchwright.cluster.client import ApiClient
from batchwright.cluster.resources import CONFIG_MAPS, ENDPOINT_SLICES, JOBS, PODS, SERVICES
from batchwright.controllers import acting
from batchwright.controllers.entries import Entry, Pinned
from batchwright.controllers.membership import node_labels, pod_tolerations
from batchwright.controllers.nodepods import Nodes
from batchwright.controllers.podgroups import PodGroups
from batchwright.controllers.store import Store
from batchwright.domain.actions import (
    Action,
    GiveBack,
    MakeNodes,
    PublishNames,
    ReleasePod,
    StopNodes,
    SuspendWork,
)
from batchwright.domain.gangnames import Published
from batchwright.domain.observations import FinishedJob, Job, Pod, Work
from batchwright.domain.texts import bounded
from batchwright.errors import AlreadyExists, ApiError, NotFound
from batchwright.workloads.gang import (
    MainPod,
    build_endpoint_slice,
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
from batchwright.workloads.podgroup import build_pod_group
from batchwright.workloads.podtemplate import build_pod_template
from batchwright.workloads.shapes import Wire

logger = structlog.get_logger(__name__)
PODS_IN_FLIGHT = 32
Say = Callable[[Job | FinishedJob, str, ApiError], None]
LOOK_SECONDS = 1.0
UNPUBLISHED = "The names of the nodes cannot be published"
STOP_AGAIN_SECONDS = 2.0
# A job that gave its room back waits before it may have some again.
BACK_OFF_SECONDS = 10.0
MOST_BACK_OFF_SECONDS = 600.0
MOST_DOUBLINGS = 10


class Gangs:
    """Carries out the actions of multi-node jobs. `now` says what time it is, `act` has an action carried out, `touch`
    makes a job look again, `spawn` runs a task, `say` tells on a job what was refused."""

    def __init__(
        self,
        api: ApiClient,
        store: Store,
        now: Callable[[], datetime],
        act: Callable[[str, Entry, Action], None],
        touch: Callable[[str], None],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        groups: PodGroups,
        say: Say,
    ) -> None:
        self._api, self._store, self._now, self._act, self._touch = api, store, now, act, touch
        self._spawn, self._groups, self._say = spawn, groups, say

    def sweep(self, entry: Entry) -> None:
        """Stops what is left of a job that has ended: where its definition is gone, nobody knew that it has nodes. Its
        names lead nowhere then: their addresses will be others'."""
        if entry.nodes is not None and entry.work is not None and entry.status.started_at is not None:
            self._spawn(withdraw_names(self._api, entry.work, entry.job, self._say))
        for pod in entry.nodes.pods.values() if entry.nodes is not None else ():
            if not pod.is_finished and not pod.deleting:
                self._spawn(stop_node(self._api, pod, entry.job, self._say))

    def give_back(self, uid: str, entry: Entry, action: GiveBack) -> None:
        """All nodes go back, and the job waits before it may start again: longer after each start that failed. What had
        come together begins anew with its back-off."""
        if entry.preempting or entry.work is None:
            return
        nodes = entry.nodes = entry.nodes or Nodes()
        earlier = 0 if nodes.together else nodes.setbacks
        # What keeps a group from being bound may be the group: a webhook that gives pods another priority, say.
        nodes.apart = nodes.apart or nodes.waits_as_group()
        seconds = min(MOST_BACK_OFF_SECONDS, BACK_OFF_SECONDS * 2 ** min(earlier, MOST_DOUBLINGS))
        nodes.together, nodes.setbacks = "", 0 if nodes.together else earlier + 1
        entry.preempting, entry.obstacle = action.why, ""
        entry.not_before = self._now() + timedelta(seconds=seconds)
        self._act(uid, entry, SuspendWork(action.work))
        self._touch(uid)

    async def release(self, entry: Entry, action: ReleasePod) -> None:
        """Lets the main node start. Raises ApiError: a quota of Services or ConfigMaps, say."""
        if entry.pinned is None or entry.pinned.layout is None or entry.work is None:
            return
        nodes, pod = entry.nodes or Nodes(), action.pod.uid
        entry.nodes = nodes
        if nodes.released is None or nodes.released[0] != pod:
            nodes.released = pod, self._now()
        try:
            await release_main(self._api, entry, entry.pinned.layout, entry.work, action)
        except ApiError as error:
            entry.obstacle = bounded(f"The main node cannot be let start: {error}")
            raise
        nodes.released, entry.obstacle = (pod, self._now()), ""

    async def make(self, uid: str, entry: Entry, action: MakeNodes, key: str) -> None:
        """Makes the other nodes. Raises ApiError; until it returns nothing else is decided about them."""
        pinned, nodes = entry.pinned, entry.nodes or Nodes()
        entry.nodes = nodes
        environment = self._store.environments.get(("", action.work.environment))
        if pinned is None or pinned.layout is None or environment is None:
            # Declared again, it goes on; else the job gives back what it holds in time.
            entry.obstacle = f"ComputeEnvironment {action.work.environment} is gone: its nodes cannot be made"
            asyncio.get_running_loop().call_later(STOP_AGAIN_SECONDS, self._look_again, uid, entry, key)
            return
        nodes.making = True
        try:
            placement = placement_in(action.work.environment, environment.spec)
            wanted = build_pod_group(_identity(entry), pinned.layout, _main_pod(action))
            group = await self._groups.join(nodes, action.main.uid, wanted, begun=bool(action.present))
            await make_nodes(self._api, entry, pinned, pinned.layout, placement, action, group, self._say)
            entry.obstacle = ""
        except ApiError as error:
            entry.obstacle = bounded(f"A node cannot be made: {error}")
            raise
        finally:
            nodes.making = False
            self._touch(uid)
        entry.doing.discard(key)

    async def publish(self, uid: str, entry: Entry, action: PublishNames, key: str) -> None:
        """Publishes the names of nodes. Raises ApiError."""
        nodes = entry.nodes = entry.nodes or Nodes()
        body = build_endpoint_slice(_identity(entry), _owner(action.work), action.pods)
        try:
            await publish_names(self._api, body, is_there=nodes.published is not None)
        except ApiError as error:
            entry.obstacle = bounded(f"{UNPUBLISHED}: {error}")
            raise
        nodes.published = Published.of(action.pods, self._now())
        if entry.obstacle.startswith(UNPUBLISHED):
            entry.obstacle = ""
        entry.doing.discard(key)
        self._touch(uid)

    async def stop(self, uid: str, entry: Entry, action: StopNodes, key: str) -> None:
        """Stops nodes; once more after a while, if the watch has not shown their end by then."""
        await stop_nodes(self._api, entry.job.namespace, uid, action.mains)
        asyncio.get_running_loop().call_later(STOP_AGAIN_SECONDS, self._look_again, uid, entry, key)

    def _look_again(self, uid: str, entry: Entry, key: str) -> None:
        entry.doing.discard(key)
        self._touch(uid)


def placement_in(environment: str, spec: ComputeEnvironmentSpec) -> Placement:
    """What the nodes of the environment need of a pod."""
    return Placement(environment, node_labels(environment, spec), pod_tolerations(environment, spec))


async def release_main(api: ApiClient, entry: Entry, layout: NodeLayout, work: Work, action: ReleasePod) -> None:
    """Lets the main node start on its machine, when names and hostfile are there."""
    identity = _identity(entry)
    owner = _owner(work)
    await asyncio.gather(
        acting.ensure(api, SERVICES, build_service(identity, owner)),
        acting.ensure(api, CONFIG_MAPS, build_hosts(identity, layout, owner)),
    )
    main = layout.kinds[0]
    template = build_pod_template(main.definition, main.job)
    await acting.release_pod(api, action, {"affinity": pinned_affinity(template, action.machine)})


async def make_nodes(
    api: ApiClient,
    entry: Entry,
    pinned: Pinned,
    layout: NodeLayout,
    placement: Placement,
    action: MakeNodes,
    group: str,
    say: Say,
) -> None:
    """Makes the pods that are not there yet, in this PodGroup if any. Raises the ApiError that the first of them met
    with."""
    main, job = action.main, entry.job
    machines = decode_placement(action.work.placement)
    nodes = entry.nodes = entry.nodes or Nodes()
    identity, seen = _identity(entry), _main_pod(action)
    slots = asyncio.Semaphore(PODS_IN_FLIGHT)

    async def make(rank: int) -> None:
        async with slots:
            queue, machine = job.spec.job_queue, machines[rank]
            body = build_node(identity, queue, pinned.name, layout, rank, placement, machine, seen, group)
            with suppress(AlreadyExists):
                await api.create(PODS, job.namespace, body)
            if body["metadata"]["name"] not in nodes.seen:
                nodes.made.add(body["metadata"]["name"])

    absent = [rank for rank in range(1, layout.size) if node_name(main.name, rank) not in action.present]
    results = await asyncio.gather(*map(make, absent), return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    if failures:
        # Some may be there all the same: no other attempt begins before that is known.
        await _look_for(api, entry, nodes, main.uid, say)
        raise failures[0]


def _identity(entry: Entry) -> JobIdentity:
    return JobIdentity(entry.job.uid, entry.job.namespace, entry.job.name)


def _owner(work: Work) -> Wire:
    return {"apiVersion": "batch/v1", "kind": "Job", "name": work.name, "uid": work.uid}


def _main_pod(action: MakeNodes) -> MainPod:
    main = action.main
    return MainPod(action.work.name, main.name, main.uid, main.address, main.failures)


async def _look_for(api: ApiClient, entry: Entry, nodes: Nodes, main: str, say: Say) -> None:
    """Notes the pods that belong to this one and have not been seen, as soon as the API server says which."""
    while True:
        try:
            labels = f"{names.LABEL_MAIN_POD}={main}"
            pages = api.pages(PODS, entry.job.namespace, labels=labels, is_small=True)
            there = [item["metadata"]["name"] async for page in pages for item in page["items"]]
        except ApiError as error:
            cause = type(error).__name__
            logger.warning("nodes not known", job=entry.job.name, cause=cause, error=str(error))
            say(entry.job, "list the pods of the other nodes", error)
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


async def stop_node(api: ApiClient, pod: Pod, job: Job | FinishedJob, say: Say) -> None:
    """Stops one node of the job. An ApiError is logged: its pod goes with the main node's in any case."""
    try:
        await api.delete(PODS, pod.namespace, pod.name, uid=pod.uid)
    except NotFound:
        return
    except ApiError as error:
        cause = type(error).__name__
        logger.warning("node not stopped", job=job.name, pod=pod.name, cause=cause, error=str(error))
        say(job, f"stop the pod {pod.name}", error)


async def publish_names(api: ApiClient, body: Wire, *, is_there: bool) -> None:
    """Writes the EndpointSlice. An operator that has just started does not know whether it is there, and somebody may
    have deleted it."""
    namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
    if is_there:
        with suppress(NotFound):
            return await _lead_to(api, namespace, name, body["endpoints"])
    try:
        await api.create(ENDPOINT_SLICES, namespace, body)
    except AlreadyExists:
        await _lead_to(api, namespace, name, body["endpoints"])


async def _lead_to(api: ApiClient, namespace: str, name: str, endpoints: list[Wire]) -> None:
    await api.patch(ENDPOINT_SLICES, namespace, name, {"endpoints": endpoints}, answer=False)


async def withdraw_names(api: ApiClient, work: Work, job: Job | FinishedJob, say: Say) -> None:
    """Takes the addresses from the names of a job that has ended. An ApiError is logged: the names go with the Job."""
    try:
        await _lead_to(api, work.namespace, work.name, [])
    except NotFound:
        return
    except ApiError as error:
        logger.warning("names not withdrawn", job=job.name, cause=type(error).__name__, error=str(error))
        say(job, "take the addresses from the names of the nodes", error)


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
