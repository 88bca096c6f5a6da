"""The operator put together: watches into the store, the store's changes to the engine and the reconcilers.

Start-up order matters: declared kinds first, then BatchJobs, then Jobs and pods, nodes and the rest, each listed whole
before the next, and no pass before all are: a decision on half a picture could start a job twice or call one lost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from pydantic import ValidationError

from batchwright import names
from batchwright.api.v1alpha1 import (
    BatchJobStatus,
    ComputeEnvironmentSpec,
    ConsumableResourceSpec,
    JobDefinitionSpec,
    JobQueueSpec,
    SchedulingPolicySpec,
)
from batchwright.cluster import projections
from batchwright.cluster.admissionpolicies import install_admission_policies
from batchwright.cluster.client import JSON, ApiClient
from batchwright.cluster.events import EventRecorder
from batchwright.cluster.hearing import Hearing
from batchwright.cluster.informer import Informer
from batchwright.cluster.podlines import is_on_its_way
from batchwright.cluster.resources import (
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
from batchwright.controllers.capacity import Capacity
from batchwright.controllers.declarations import Declarations
from batchwright.controllers.declared import Declared, declared, put, same_spec
from batchwright.controllers.definitions import Definitions
from batchwright.controllers.engine import Engine
from batchwright.controllers.misreading import Misreading
from batchwright.controllers.providers import make_providers
from batchwright.controllers.reconciler import Key, Reconciler
from batchwright.controllers.refusals import say_on
from batchwright.controllers.relisting import Relisting
from batchwright.controllers.store import Store
from batchwright.domain.observations import FinishedJob, Job, Node, Occupant, Pod, Revision, Work
from batchwright.scheduling.snapshot import Demand
from batchwright.settings import Settings

logger = structlog.get_logger(__name__)
OURS = names.LABEL_JOB_ID
NODE_SETTLE_SECONDS = 1.0
# Most events by far are of pods: taken by the tenth of a second, they cost half.
POD_GATHER_SECONDS = 0.1
HearEnd = Callable[[Job, BatchJobStatus], None]


class Operator:
    """One operator for one cluster."""

    def __init__(self, api: ApiClient, settings: Settings, hear_end: HearEnd = lambda *_: None) -> None:
        self._api = api
        self._settings = settings
        self.store = Store()
        self.hearing = Hearing(declared_resources())
        events = EventRecorder(api)
        self.engine = Engine(
            *(api, self.store, settings, events),
            self._count_consumables_soon,
            api.clock,
            self._hear_demand,
            hear_end,
        )
        declarations = self._declarations = Declarations(api, self.store, self.engine.scheduling, api.clock.now)
        definitions = Definitions(api, self.store, events, self._definition_settled, api.clock.now)
        self._known: dict[Resource, dict[Key, Declared[Any]]] = {
            COMPUTE_ENVIRONMENTS: self.store.environments,
            SCHEDULING_POLICIES: self.store.policies,
            CONSUMABLE_RESOURCES: self.store.consumables,
            JOB_QUEUES: self.store.queues,
            JOB_DEFINITIONS: self.store.definitions,
        }

        def reconciler(resource: Resource, reconcile: Callable[[Key], Awaitable[None]]) -> Reconciler:
            return Reconciler(resource.kind, reconcile, say_on(resource, self._known[resource], events))

        self._definitions = reconciler(JOB_DEFINITIONS, definitions.reconcile)
        self._queues = reconciler(JOB_QUEUES, declarations.reconcile_queue)
        self._environments = reconciler(COMPUTE_ENVIRONMENTS, declarations.reconcile_environment)
        self._policies = reconciler(SCHEDULING_POLICIES, declarations.reconcile_policy)
        self._consumables = reconciler(CONSUMABLE_RESOURCES, declarations.reconcile_consumable)
        self.capacity = Capacity(
            api,
            self.store,
            settings,
            events,
            make_providers(api, settings),
            changed=self.engine.changed,
            publish=self._environments.touch,
            write=declarations.reconcile_environment,
        )
        self._relisting = Relisting(api, self._known, self.see_declared)
        self._misreading = Misreading(api, events, api.clock.now)
        self._informers: tuple[Informer[Any], ...] = ()
        self._nodes_due = False
        self._consumables_due = False
        self.started = asyncio.Event()
        self.is_working = False

    def _make_informers(self) -> tuple[Informer[Any], ...]:
        api, misread = self._api, self._misreading.tell_by_event
        return (
            Informer(api, BATCH_JOBS, projections.batch_job, self._see_job, misread=misread),
            Informer(api, JOBS, projections.work, self._see_work, labels=OURS, misread=misread),
            # What follows on the end of a pod that succeeded (a finalizer taken off) is a fifth of all events.
            Informer(
                api,
                PODS,
                projections.pod,
                self._see_pod,
                labels=OURS,
                misread=misread,
                is_settled=lambda pod: pod.phase == "Succeeded",
                says_nothing=is_on_its_way,
                gather_seconds=POD_GATHER_SECONDS,
            ),
            Informer(
                api,
                PODS,
                projections.occupant,
                self._see_occupant,
                labels=f"!{OURS}",
                misread=misread,
                fields="spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed",
            ),
            Informer(api, NODES, projections.node, self._see_node, misread=misread),
            Informer(api, NAMESPACES, lambda item: item, self._see_namespace),
            Informer(
                api,
                CONTROLLER_REVISIONS,
                projections.revision,
                self._see_revision,
                labels=names.LABEL_DEFINITION,
                misread=misread,
            ),
        )

    async def run(self) -> None:
        """Works until cancelled."""
        self.is_working, self._informers = True, self._make_informers()
        for resource in declared_resources():
            for item in await self._api.list_all(resource):
                self.see_declared(resource.kind, "ADDED", item)
        async with asyncio.TaskGroup() as group:
            for informer in self._informers:
                group.create_task(informer.run(), name=f"watch {informer.resource.plural}")
                await informer.synced.wait()
            self.store.meters.begin(self.store)
            self.engine.retention.rebuild()
            self._touch_all(self._environments, self.store.environments)
            self._touch_all(self._queues, self.store.queues)
            self._touch_all(self._policies, self.store.policies)
            self._touch_all(self._consumables, self.store.consumables)
            self._touch_all(self._definitions, self.store.definitions)
            acting = await install_admission_policies(self._api, self._settings.admission_policies)
            self.store.fills_in_elements = acting.elements
            logger.info(
                "ready", jobs=len(self.store.entries), finished=len(self.store.finished), nodes=len(self.store.nodes)
            )
            workers = (self._definitions, self._queues, self._environments, self._policies, self._consumables)
            for worker in (*workers, self._misreading.worker):
                group.create_task(worker.run())
            group.create_task(self._note_usage(), name="usage of shares")
            group.create_task(self.engine.writer.run(), name="status writer")
            group.create_task(self.engine.obstacles.run(), name="obstacles")
            group.create_task(self.engine.run(), name="engine")
            group.create_task(self.capacity.run(), name="capacity")
            self.engine.changed()
            self.hearing.begin()
            self.started.set()

    async def _note_usage(self) -> None:
        """Has the usage of shares, and what is left of consumable resources, written now and then: a restart goes on
        from the last note, and adds what has been held since."""
        while True:
            await asyncio.sleep(self._settings.checkpoint_seconds)
            self._declarations.due |= self.store.queues.keys()
            self._touch_all(self._queues, self.store.queues)
            self._touch_all(self._consumables, self.store.consumables)

    def watch_ages(self) -> dict[str, float]:
        """For how many seconds the most silent watch of each resource, kopf's too, has been silent; empty before there
        is one."""
        now, ages = time.monotonic(), self.hearing.ages()
        for informer in self._informers:
            plural = informer.resource.plural
            ages[plural] = max(ages.get(plural, 0.0), now - informer.heard_at)
        return ages

    @staticmethod
    def _touch_all(worker: Reconciler, known: Mapping[Key, object]) -> None:
        for key in known:
            worker.touch(key)

    def see_declared(self, kind: str, event: str | None, body: Mapping[str, Any]) -> None:
        """A JobQueue, ComputeEnvironment or JobDefinition was seen, changed, or is gone (`event` DELETED).

        `event` None is an object of a list: kopf lists anew after a gap in its watch. Before `run` it is of no
        interest: that lists them all.
        """
        if not self.is_working:
            return
        metadata = body["metadata"]
        key = (metadata.get("namespace", ""), metadata["name"])
        gone = event == "DELETED"
        resource = next(each for each in self._known if each.kind == kind)
        before = self._known[resource].get(key)
        other = before if before is not None and before.uid != metadata["uid"] else None
        if event is None or other is not None:
            self._relisting.soon()
        self._misreading.forget(metadata["uid"])
        if gone and other is not None:
            # The end of the one that had the name before.
            return
        try:
            if kind == JOB_QUEUES.kind:
                self._see_queue(key, None if gone else declared(JobQueueSpec, body))
            elif kind == COMPUTE_ENVIRONMENTS.kind:
                self._see_environment(key, None if gone else declared(ComputeEnvironmentSpec, body))
            elif kind == SCHEDULING_POLICIES.kind:
                self._see_policy(key, None if gone else declared(SchedulingPolicySpec, body))
            elif kind == CONSUMABLE_RESOURCES.kind:
                self._see_consumable(key, None if gone else declared(ConsumableResourceSpec, body))
            else:
                self._see_definition(key, None if gone else declared(JobDefinitionSpec, body))
        except ValidationError as error:
            self._misreading.tell(resource, body, error)
            if other is not None:
                self.see_declared(kind, "DELETED", {"metadata": {**metadata, "uid": other.uid}})

    def _see_queue(self, key: Key, record: Declared[JobQueueSpec] | None) -> None:
        before = self.store.queues.get(key)
        put(self.store.queues, key, record)
        self._queues.touch(key)
        if same_spec(before, record):
            return
        if before is None or record is None or before.spec.retention != record.spec.retention:
            self.engine.retention.rebuild()
        self._touch_jobs(lambda entry_queue, _: entry_queue == key[1])

    def _see_environment(self, key: Key, record: Declared[ComputeEnvironmentSpec] | None) -> None:
        before = self.store.environments.get(key)
        put(self.store.environments, key, record)
        self._environments.touch(key)
        if not same_spec(before, record):
            self._touch_all(self._queues, self.store.queues)
            self.engine.changed()
            self.capacity.touch()

    def _see_policy(self, key: Key, record: Declared[SchedulingPolicySpec] | None) -> None:
        before = self.store.policies.get(key)
        put(self.store.policies, key, record)
        self._policies.touch(key)
        if not same_spec(before, record):
            queues = {known.name for known in self.store.queues.values() if known.spec.scheduling_policy == key[1]}
            self._touch_jobs(lambda queue, _: queue in queues)

    def _see_consumable(self, key: Key, record: Declared[ConsumableResourceSpec] | None) -> None:
        before = self.store.consumables.get(key)
        if record is not None and (before is None or before.uid != record.uid):
            self.store.spent[key[1]] = int(record.status.get("usedQuantity") or 0)
        put(self.store.consumables, key, record)
        self._consumables.touch(key)
        if not same_spec(before, record):
            self.engine.changed()

    def _see_definition(self, key: Key, record: Declared[JobDefinitionSpec] | None) -> None:
        before = self.store.definitions.get(key)
        if before is not None and record is not None and before.uid == record.uid:
            if before.generation > record.generation:
                return
            if before.generation == record.generation:
                # Our own status may be newer than what the watch shows.
                record.status = max(before.status, record.status, key=lambda s: s.get("observedGeneration") or 0)
        put(self.store.definitions, key, record)
        self._definitions.touch(key)
        # Also when our own status comes back by the watch: what was written may have been about a record that another
        # event had replaced meanwhile, and then nobody has told the jobs.
        if record is None or (before is not None and record.status != before.status):
            self._definition_settled(key)

    def _definition_settled(self, key: Key) -> None:
        self._touch_jobs(lambda _, definition: definition == key)

    def _touch_jobs(self, concerns: Callable[[str, Key], bool]) -> None:
        for uid, entry in self.store.entries.items():
            name = entry.job.spec.job_definition.partition(":")[0]
            is_under_way = entry.work is not None and not entry.is_array and not entry.work.suspended
            if not is_under_way and concerns(entry.job.spec.job_queue, (entry.job.namespace, name)):
                self.store.dirty.add(uid)
        self.engine.changed()

    def _see_job(self, uid: str, record: Job | FinishedJob | None) -> None:
        self.engine.see_job(uid, record)

    def _see_work(self, uid: str, record: Work | None) -> None:
        if record is None:
            # The end of its last pod, which came first, may be on its way still: watches are read apart.
            asyncio.get_running_loop().call_later(2 * POD_GATHER_SECONDS, self._put_work, uid, None)
        else:
            self._put_work(uid, record)

    def _put_work(self, uid: str, record: Work | None) -> None:
        self.store.put_work(uid, record)
        if record is not None and record.job_id in self.store.finished and uid in self.store.works:
            self.engine.see_work_of_finished(record)
        self.engine.changed()

    def _see_pod(self, uid: str, record: Pod | None) -> None:
        self.store.put_pod(uid, record)
        if record is not None and record.main and not record.is_finished and record.job_id in self.store.finished:
            self.engine.see_node_of_finished(record)
        self.engine.changed()

    def _see_occupant(self, uid: str, record: Occupant | None) -> None:
        self.store.put_occupant(uid, record)
        self.engine.changed()

    def _see_node(self, uid: str, record: Node | None) -> None:
        before = self.store.nodes.get(record.name) if record is not None else None
        self.store.put_node(uid, record)
        if before != record or record is None:
            self.capacity.touch()
            self.engine.changed()
            self._count_nodes_soon()

    def _hear_demand(self, demand: tuple[Demand, ...], expecting: frozenset[str]) -> None:
        self.capacity.see_demand(demand, expecting)

    def _count_nodes_soon(self) -> None:
        if not self._nodes_due:
            self._nodes_due = True
            asyncio.get_running_loop().call_later(NODE_SETTLE_SECONDS, self._count_nodes)

    def _count_consumables_soon(self) -> None:
        if not self._consumables_due:
            self._consumables_due = True
            asyncio.get_running_loop().call_later(NODE_SETTLE_SECONDS, self._count_consumables)

    def _count_consumables(self) -> None:
        self._consumables_due = False
        self._touch_all(self._consumables, self.store.consumables)

    def _count_nodes(self) -> None:
        self._nodes_due = False
        self._touch_all(self._environments, self.store.environments)

    def _see_namespace(self, uid: str, record: JSON | None) -> None:
        if record is None:
            return
        metadata = record["metadata"]
        labels = metadata.get("labels") or {}
        if self.store.namespaces.get(metadata["name"]) != labels:
            self.store.namespaces[metadata["name"]] = labels
            self._touch_jobs(lambda *_: True)

    def _see_revision(self, uid: str, record: Revision | None) -> None:
        known = self.store.revisions
        if record is None:
            gone = [key for key, revision in known.items() if revision.uid == uid]
            for key in gone:
                del known[key]
                # A definition that was deleted and made again may have counted on it.
                self._definitions.touch(key[:2])
            return
        key = (record.namespace, record.definition, record.number)
        if key not in known or known[key].uid != uid:
            known[key] = record
            self._definition_settled(key[:2])


def declared_resources() -> tuple[Resource, ...]:
    """The kinds that kopf watches."""
    return (COMPUTE_ENVIRONMENTS, SCHEDULING_POLICIES, CONSUMABLE_RESOURCES, JOB_QUEUES, JOB_DEFINITIONS)
