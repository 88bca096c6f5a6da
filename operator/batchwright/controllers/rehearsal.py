"""What the next pass would do, from the API server's objects alone: nothing is written, and no operator is asked.

The kinds are those the operator watches (`operator`), listed in its order and for its reason: a job is seen before its
Kubernetes Job and pods. What only a running operator knows is not here: requests on their way, the pause after one that
was refused, and the wait of an array for those that follow on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any, TypeVar

from pydantic import ValidationError

from batchwright import names
from batchwright.api.v1alpha1 import (
    ComputeEnvironmentSpec,
    ConsumableResourceSpec,
    JobDefinitionSpec,
    JobQueueSpec,
    SchedulingPolicySpec,
)
from batchwright.cluster import projections
from batchwright.cluster.client import JSON, ApiClient
from batchwright.cluster.resources import (
    ADMISSION_POLICIES,
    BATCH_JOBS,
    COMPUTE_ENVIRONMENTS,
    CONSUMABLE_RESOURCES,
    CONTROLLER_REVISIONS,
    JOB_DEFINITIONS,
    JOB_QUEUES,
    JOBS,
    NAMESPACES,
    NODES,
    PODS,
    SCHEDULING_POLICIES,
    Resource,
)
from batchwright.controllers.arrays import Arrays
from batchwright.controllers.cycles import break_cycles
from batchwright.controllers.declared import declared
from batchwright.controllers.entries import Entry
from batchwright.controllers.expectations import History, expected_ends
from batchwright.controllers.gather import gang_view, view_of
from batchwright.controllers.scheduling import Scheduling
from batchwright.controllers.store import Store
from batchwright.domain.arraylife import decide_array
from batchwright.domain.ganglife import decide_gang
from batchwright.domain.lifecycle import decide
from batchwright.domain.observations import FinishedJob, Job, Pod
from batchwright.errors import BatchwrightError, Forbidden, NotFound
from batchwright.scheduling.cycle import plan
from batchwright.scheduling.forecast import forecast
from batchwright.scheduling.snapshot import Plan, Start
from batchwright.scheduling.state import State

OURS = names.LABEL_JOB_ID
Record = TypeVar("Record")


@dataclass(frozen=True)
class Rehearsal:
    """A plan and what it was made of. `unread` names the objects that could not be understood, and so count for
    nothing."""

    store: Store
    state: State
    plan: Plan
    at: datetime
    history: History
    runnable: frozenset[str] = frozenset()
    unread: tuple[str, ...] = ()

    @cached_property
    def starts(self) -> dict[str, Start]:
        """The starts of the plan by uid."""
        return {start.uid: start for start in self.plan.starts}

    def entry(self, uid: str) -> Entry:
        """The job of a start, a preemption or a wait of the plan."""
        return self.store.entries[uid]

    def forecast(self, uids: Collection[str], enough: Callable[[], bool]) -> dict[str, float]:
        """When each of these is expected to start, in seconds since the epoch, those of which it can be told until
        `enough`."""
        store, now = self.store, self.at
        # A forecast uses its state up, so it gets one of its own.
        scheduling = Scheduling(store)
        for name, node in store.nodes.items():
            scheduling.state.put_node(name, node)
        for name, taken in store.ledger.occupied.items():
            scheduling.state.occupy(name, taken)
        for uid, entry in store.entries.items():
            if not entry.is_final and not entry.job.deleting:
                scheduling.tell(uid, entry, is_runnable=uid in self.runnable, now=now)
        scheduling.sync(now.timestamp())
        return forecast(
            scheduling.state,
            now.timestamp(),
            uids,
            ends=expected_ends(store, scheduling.state, self.history, now),
            seconds=lambda uid: self.history.seconds(store.entries[uid]),
            occupied=store.ledger.occupied,
            enough=enough,
        )


async def rehearse(api: ApiClient, start_grace_seconds: float) -> Rehearsal:
    """Lists everything, decides about every job, and plans. Raises ApiError when some of it may not be read: a plan
    from half of the picture would be wrong."""
    reading = _Reading(api)
    await reading.read()
    store, scheduling = reading.store, Scheduling(reading.store)
    now = datetime.now(UTC)
    pending: list[Coroutine[Any, Any, None]] = []
    runnable: set[str] = set()
    arrays = Arrays(api, store, pending.append, lambda *_: None, store.dirty.add, lambda: now, lambda *_: None)
    while True:
        _decide(store, scheduling, now, start_grace_seconds, runnable)
        for uid, entry in store.entries.items():
            if entry.is_array and entry.array is None and not entry.job.deleting:
                # Of an array whose size is not known yet this reads a ConfigMap, and nothing else.
                arrays.keep_up(uid, entry, now)
        if not pending:
            break
        await asyncio.gather(*pending)
        pending.clear()
    scheduling.sync(now.timestamp())
    # Who waits for what others hold has done so since it was submitted, as far as anybody can tell from here.
    scheduling.state.claims.update((uid, store.entries[uid].job.created_at.timestamp()) for uid in runnable)
    made = plan(scheduling.state, now.timestamp())
    unread = tuple(sorted(reading.unread))
    return Rehearsal(store, scheduling.state, made, now, reading.history, frozenset(runnable), unread)


def _decide(
    store: Store, scheduling: Scheduling, now: datetime, start_grace_seconds: float, runnable: set[str]
) -> None:
    """The decisions of a pass (`engine`), of which nothing is carried out."""
    break_cycles(store)
    instances = {node.name: node.instance for node in store.nodes.values()}
    while store.dirty:
        uid = store.dirty.pop()
        entry = store.entries.get(uid)
        if entry is None or entry.job.deleting:
            scheduling.forget(uid, now)
            continue
        view = view_of(store, entry, instances, start_grace_seconds)
        layout = entry.pinned.layout if entry.pinned is not None else None
        if entry.array is not None:
            decision = decide_array(view, entry.array.elements, tuple(entry.array.edges.values()), now)
        elif layout is not None:
            decision = decide_gang(view, gang_view(store, entry, layout, now), now)
        else:
            decision = decide(view, now)
        before, entry.status = entry.status.state, decision.status
        scheduling.tell(uid, entry, is_runnable=decision.runnable, now=now)
        (runnable.add if decision.runnable else runnable.discard)(uid)
        has_ended = decision.is_final and before != decision.status.state
        if entry.array is not None and entry.array.told != len(entry.array.elements.ended):
            entry.array.told = len(entry.array.elements.ended)
            has_ended = True
        if has_ended:
            store.touch_dependents(entry.job.namespace, entry.job.name, uid)


class _Reading:
    """Fills a store from lists."""

    def __init__(self, api: ApiClient) -> None:
        self.store = Store()
        self.history = History()
        self.unread: list[str] = []
        self._api = api

    async def read(self) -> None:
        """Reads every kind."""
        store = self.store
        kinds: tuple[tuple[Resource, type[Any], dict[tuple[str, str], Any]], ...] = (
            (COMPUTE_ENVIRONMENTS, ComputeEnvironmentSpec, store.environments),
            (SCHEDULING_POLICIES, SchedulingPolicySpec, store.policies),
            (CONSUMABLE_RESOURCES, ConsumableResourceSpec, store.consumables),
            (JOB_QUEUES, JobQueueSpec, store.queues),
            (JOB_DEFINITIONS, JobDefinitionSpec, store.definitions),
        )
        for resource, kind, known in kinds:
            for _, record in await self._list(resource, partial(declared, kind)):
                known[record.key] = record
        for known_consumable in store.consumables.values():
            store.spent[known_consumable.name] = int(known_consumable.status.get("usedQuantity") or 0)
        await self._take(BATCH_JOBS, self._batch_job, store.put_job)
        await self._take(JOBS, projections.work, store.put_work, labels=OURS)
        await self._take(PODS, self._pod, store.put_pod, labels=OURS)
        await self._take(
            PODS,
            projections.occupant,
            store.put_occupant,
            labels=f"!{OURS}",
            fields="spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed",
        )
        await self._take(NODES, projections.node, store.put_node)
        for _, namespace in await self._list(NAMESPACES, lambda item: item):
            store.namespaces[namespace["metadata"]["name"]] = namespace["metadata"].get("labels") or {}
        listed = await self._list(CONTROLLER_REVISIONS, projections.revision, labels=names.LABEL_DEFINITION)
        for _, revision in listed:
            store.revisions[revision.namespace, revision.definition, revision.number] = revision
        store.fills_in_elements = await self._fills_in_elements()

    def _batch_job(self, item: JSON) -> Job | FinishedJob:
        self.history.see_job(item)
        return projections.batch_job(item)

    def _pod(self, item: JSON) -> Pod:
        pod = projections.pod(item)
        self.history.see_pod(pod)
        return pod

    async def _fills_in_elements(self) -> bool:
        """Whether the cluster serves the policies that give elements their parameters (`admissionpolicies`)."""
        try:
            await self._api.list_all(ADMISSION_POLICIES)
        except NotFound:
            return False
        except Forbidden:
            return True  # Most who may not read them are on a cluster that has them.
        return True

    async def _take(
        self,
        resource: Resource,
        project: Callable[[JSON], Record],
        sink: Callable[[str, Record], None],
        *,
        labels: str | None = None,
        fields: str | None = None,
    ) -> None:
        for uid, record in await self._list(resource, project, labels=labels, fields=fields):
            sink(uid, record)

    async def _list(
        self,
        resource: Resource,
        project: Callable[[JSON], Record],
        *,
        labels: str | None = None,
        fields: str | None = None,
    ) -> list[tuple[str, Record]]:
        found: list[tuple[str, Record]] = []
        # Each page is projected as it comes: the objects themselves take twenty times the memory.
        async for page in self._api.pages(resource, labels=labels, fields=fields):
            for item in page["items"]:
                metadata = item["metadata"]
                try:
                    found.append((metadata["uid"], project(item)))
                except (BatchwrightError, ValidationError, KeyError, ValueError) as error:
                    where = "/".join(part for part in (metadata.get("namespace"), metadata.get("name")) if part)
                    self.unread.append(f"{resource.kind} {where}: {error}")
        return found
