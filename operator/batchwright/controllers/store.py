"""What the operator knows, in memory: filled by the watches, read by the decisions, rebuilt at every start.

Invariants: an entry exists for each BatchJob that has not finished (or whose final status is not yet written);
`finished` holds the rest; `dirty` names the jobs whose decision may have changed. BatchJobs are listed before their
Jobs and pods, so a pod without an entry belongs to a job that has finished or is gone.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from batchwright.api.v1alpha1 import (
    ComputeEnvironmentSpec,
    ConsumableResourceSpec,
    JobDefinitionSpec,
    JobQueueSpec,
    SchedulingPolicySpec,
)
from batchwright.api.v1alpha1.array import ArrayPropertiesDetail
from batchwright.api.v1alpha1.batchjob import JobState
from batchwright.controllers.declared import Declared
from batchwright.controllers.entries import Entry
from batchwright.controllers.ledger import Ledger
from batchwright.controllers.meters import Meters
from batchwright.controllers.nodepods import Nodes
from batchwright.controllers.tenants import Tenants
from batchwright.domain.declarations import Supply
from batchwright.domain.dependencies import Peer
from batchwright.domain.elements import Elements
from batchwright.domain.indexes import parse_indexes, runs_of_parts
from batchwright.domain.observations import FinishedJob, Job, Node, Occupant, Pod, Revision, Work
from batchwright.scheduling.snapshot import Growth

MOST_INSTANCES = 50_000


@dataclass
class Store:
    """Everything known."""

    entries: dict[str, Entry] = field(default_factory=dict)
    finished: dict[str, FinishedJob] = field(default_factory=dict)
    by_name: dict[tuple[str, str], str] = field(default_factory=dict)
    dependents: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    works: dict[str, Work] = field(default_factory=dict)
    work_of_job: dict[str, str] = field(default_factory=dict)
    pod_jobs: dict[str, str] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    answering: set[str] = field(default_factory=set)
    node_names: dict[str, str] = field(default_factory=dict)
    # Instance ids by node name, of nodes that are gone too: their pods are told of later.
    instances: dict[str, str] = field(default_factory=dict)
    _touched_nodes: set[str] = field(default_factory=set)
    namespaces: dict[str, dict[str, str]] = field(default_factory=dict)
    queues: dict[tuple[str, str], Declared[JobQueueSpec]] = field(default_factory=dict)
    environments: dict[tuple[str, str], Declared[ComputeEnvironmentSpec]] = field(default_factory=dict)
    definitions: dict[tuple[str, str], Declared[JobDefinitionSpec]] = field(default_factory=dict)
    policies: dict[tuple[str, str], Declared[SchedulingPolicySpec]] = field(default_factory=dict)
    consumables: dict[tuple[str, str], Declared[ConsumableResourceSpec]] = field(default_factory=dict)
    spent: dict[str, int] = field(default_factory=dict)  # what of NON_REPLENISHABLE resources is gone for good
    revisions: dict[tuple[str, str, int], Revision] = field(default_factory=dict)
    fills_in_elements: bool = True  # whether the cluster gives elements their parameters (workloads.elementpolicy)
    ledger: Ledger = field(default_factory=Ledger)
    tenants: Tenants = field(default_factory=Tenants)
    meters: Meters = field(default_factory=Meters)
    # Of MANAGED environments, by name: what they may grow by, and what their status says of their instances.
    growth: dict[str, Growth] = field(default_factory=dict)
    supplies: dict[str, Supply] = field(default_factory=dict)
    expecting: frozenset[str] = frozenset()  # nodes that pods which have started, or start, are to come to
    dirty: set[str] = field(default_factory=set)
    cycles_due: set[str] = field(default_factory=set)

    def peer_by_name(self, namespace: str, name: str) -> Peer | None:
        """The BatchJob of that name, finished or not."""
        uid = self.by_name.get((namespace, name))
        return self.peer_by_id(namespace, uid) if uid else None

    def peer_by_id(self, namespace: str, uid: str) -> Peer | None:
        """The BatchJob with that jobId in the namespace."""
        entry = self.entries.get(uid)
        if entry is not None and entry.job.namespace == namespace:
            size = entry.array.elements.size if entry.array is not None else None
            return Peer(uid, entry.job.name, entry.status.state or "SUBMITTED", entry.is_array, size)
        done = self.finished.get(uid)
        if done is not None and done.namespace == namespace:
            state: JobState = "SUCCEEDED" if done.state == "SUCCEEDED" else "FAILED"
            return Peer(uid, done.name, state, done.array is not None, done.array.size if done.array else None)
        return None

    def elements_of(self, uid: str) -> Elements | None:
        """The elements of an array, finished or not."""
        entry = self.entries.get(uid)
        if entry is not None:
            return entry.array.elements if entry.array is not None else None
        done = self.finished.get(uid)
        if done is None or done.array is None:
            return None
        runs = runs_of_parts(parse_indexes(done.array.succeeded), parse_indexes(done.array.failed))
        detail = ArrayPropertiesDetail(
            size=done.array.size, succeeded_indexes=done.array.succeeded, failed_indexes=done.array.failed
        )
        return Elements.restored(done.array.size, runs, detail)

    def dependents_of(self, job: Job | FinishedJob) -> set[str]:
        """The jobs that have not finished and depend on this one."""
        return {uid for key in (job.name, job.uid) for uid in self.dependents.get((job.namespace, key), ())}

    def put_job(self, uid: str, record: Job | FinishedJob | None) -> None:
        """A BatchJob was seen, changed, or is gone."""
        if record is None:
            self._drop_job(uid)
        elif isinstance(record, FinishedJob):
            self.finish(record)
        elif uid in self.entries:
            entry = self.entries[uid]
            if entry.job.generation != record.generation or entry.job.deleting != record.deleting:
                entry.job = record
                self.dirty.add(uid)
        elif uid not in self.finished:
            self._add_job(record)

    def _add_job(self, job: Job) -> None:
        entry = Entry(job=job, status=job.status, held=job.status.to_wire())
        work_uid = self.work_of_job.get(job.uid)
        if work_uid is not None:
            entry.work, entry.work_seen, entry.work_uid = self.works[work_uid], True, work_uid
        self.entries[job.uid] = entry
        self.by_name[(job.namespace, job.name)] = job.uid
        for dependency in job.spec.depends_on:
            if needed := dependency.name or dependency.job_id:
                self.dependents[(job.namespace, needed)].add(job.uid)
        if job.spec.depends_on:
            self.cycles_due.add(job.namespace)
        self.dirty.add(job.uid)
        self.touch_dependents(job.namespace, job.name, job.uid)

    def finish(self, record: FinishedJob) -> None:
        """The BatchJob's final status is written: hardly anything of it is kept."""
        entry = self.entries.pop(record.uid, None)
        if entry is not None:
            self._forget_dependencies(entry.job)
        self.dirty.discard(record.uid)
        self.finished[record.uid] = record
        self.by_name[(record.namespace, record.name)] = record.uid
        self.touch_dependents(record.namespace, record.name, record.uid)

    def _drop_job(self, uid: str) -> None:
        entry = self.entries.pop(uid, None)
        done = self.finished.pop(uid, None)
        self.dirty.discard(uid)
        gone = entry.job if entry else done
        if gone is None:
            return
        if entry is not None:
            self._forget_dependencies(entry.job)
        if self.by_name.get((gone.namespace, gone.name)) == uid:
            del self.by_name[(gone.namespace, gone.name)]
        self.touch_dependents(gone.namespace, gone.name, uid)

    def _forget_dependencies(self, job: Job) -> None:
        for dependency in job.spec.depends_on:
            key = (job.namespace, dependency.name or dependency.job_id or "")
            waiting = self.dependents.get(key)
            if waiting is not None:
                waiting.discard(job.uid)
                if not waiting:
                    del self.dependents[key]

    def touch_dependents(self, namespace: str, name: str, uid: str) -> None:
        """Those that wait for this job look again."""
        for key in ((namespace, name), (namespace, uid)):
            self.dirty.update(self.dependents.get(key, ()))

    def put_work(self, uid: str, record: Work | None) -> None:
        """A Kubernetes Job of ours was seen, changed, or is gone."""
        if record is not None and not self._is_work_of_its_job(uid, record):
            return
        known = self.works.pop(uid, None) if record is None else record
        if known is None:
            return
        entry = self.entries.get(known.job_id)
        if record is None:
            self.work_of_job.pop(known.job_id, None)
        else:
            self.works[uid] = record
            self.work_of_job[record.job_id] = uid
        if entry is None or (entry.work_seen and entry.work == record):
            return  # Most updates of a Kubernetes Job are counters that no decision looks at.
        is_new = not entry.work_seen
        entry.work, entry.work_seen, entry.work_uid = record, True, uid
        if entry.array is not None and record is not None:
            see_work(entry.array.elements, record, is_new=is_new)
            if is_new:
                self.replay(entry, entry.array.elements)
        self.dirty.add(known.job_id)

    def _is_work_of_its_job(self, uid: str, record: Work) -> bool:
        """Owner references can be forged: a job has one Kubernetes Job in its life, and in its own namespace."""
        entry = self.entries.get(record.job_id)
        job = entry.job if entry is not None else self.finished.get(record.job_id)
        if job is None or job.namespace != record.namespace:
            return False
        known = entry.work_uid if entry is not None else ""
        return (known or self.work_of_job.get(record.job_id, uid)) == uid

    def put_pod(self, uid: str, record: Pod | None) -> None:
        """A pod of ours was seen, changed, or is gone."""
        self.meters.put(uid, record, self)
        if record is None:
            job_id = self.pod_jobs.pop(uid, "")
            self.ledger.release(uid)
            self.tenants.put(uid, "")
        else:
            job_id = self.pod_jobs[uid] = record.job_id
            self.tenants.put(uid, "" if record.is_finished else record.node)
            self.ledger.account(uid, "" if record.is_finished else record.node, record.request)
        entry = self.entries.get(job_id)
        if entry is None or (record is not None and record.namespace != entry.job.namespace):
            return
        if entry.array is not None:
            self._put_element_pod(entry, entry.array.elements, uid, record)
            return
        if (record is not None and record.main) or (entry.nodes is not None and uid in entry.nodes.pods):
            entry.nodes = entry.nodes or Nodes()
            node = record or entry.nodes.pods[uid]
            if entry.nodes.see(uid, record, entry.pods.get(node.main)):
                self.dirty.add(job_id)
            return
        if entry.nodes is not None and (record is None or record.is_finished):
            entry.nodes.end(uid)
        known = entry.pods.get(uid)
        if record is not None and known is not None and (known == record or known.is_finished > record.is_finished):
            return  # Finalizers and conditions that no decision looks at; or older than what was read meanwhile.
        self.dirty.add(job_id)
        if record is not None:
            entry.pods[uid] = record
        elif uid in entry.pods and not entry.pods[uid].is_finished:
            # A finished pod that is removed is still the record of an attempt.
            del entry.pods[uid]

    def _put_element_pod(self, entry: Entry, elements: Elements, uid: str, record: Pod | None) -> None:
        """Of an array's pods only those under way are kept: the elements know what became of the others."""
        before = entry.pods.get(uid)
        if record is not None and (not entry.work_uid or record.owner != entry.work_uid):
            # Somebody else's with our label, or ours before its Job is known.
            if not entry.work_uid:
                entry.pods[uid] = record
            return
        if record is None or record.is_finished:
            entry.pods.pop(uid, None)
            self.pod_jobs.pop(uid, None)
            entry.doing.difference_update({f"ReleasePod/{uid}", f"EndAttempt/{uid}"})
        elif before == record:
            return
        else:
            entry.pods[uid] = record
        if record is not None:
            elements.see_pod(record, self.instance_of(record.node))
        elif before is not None:
            elements.see_pod_gone(before)
        self.dirty.add(entry.job.uid)

    def replay(self, entry: Entry, elements: Elements) -> None:
        """Tells an array of the pods that were seen before its Kubernetes Job was, or before its size was known."""
        for uid, pod in list(entry.pods.items()):
            if pod.owner == entry.work_uid:
                elements.see_pod(pod, self.instance_of(pod.node))
            if pod.is_finished or pod.owner != entry.work_uid:
                del entry.pods[uid]

    def instance_of(self, node: str) -> str:
        """The instance id of a node that is or was known, else its name."""
        return self.instances.get(node, node)

    def put_occupant(self, uid: str, record: Occupant | None) -> None:
        """A pod that is not ours was seen, changed, or is gone."""
        self.tenants.put_other(uid, record)
        if record is None:
            self.ledger.release(uid)
        else:
            self.ledger.account(uid, record.node, record.request)

    def policy_of(self, queue: JobQueueSpec) -> Declared[SchedulingPolicySpec] | None:
        """The SchedulingPolicy of a queue; None if it has none, or it is not there."""
        return None if queue.scheduling_policy is None else self.policies.get(("", queue.scheduling_policy))

    def drain_nodes(self) -> set[str]:
        """The names of the nodes that were seen, changed or went since this was last asked."""
        touched, self._touched_nodes = self._touched_nodes, set()
        return touched

    def put_node(self, uid: str, record: Node | None) -> None:
        """A node was seen, changed, or is gone."""
        if record is not None:
            self.node_names[uid] = record.name
            self.instances[record.name] = record.instance
            if len(self.instances) > MOST_INSTANCES:
                del self.instances[next(iter(self.instances))]
            self.nodes[record.name] = record
            self.meters.put_node(record, self)
        name = record.name if record is not None else self.node_names.pop(uid, "")
        self._touched_nodes.add(name)
        # A node that registered again has a new uid, and may be seen before the old one is missed.
        if record is None and name not in self.node_names.values():
            self.nodes.pop(name, None)
        if name in self.nodes and self.nodes[name].ready:
            self.answering.add(name)
            return
        self.answering.discard(name)
        # Of its pods nothing may be heard for a long time: the jobs that have some there look again.
        affected = {self.pod_jobs.get(uid, "") for uid in self.tenants.pods_on(name)}
        self.dirty.update(affected & self.entries.keys())


def see_work(elements: Elements, work: Work, *, is_new: bool) -> None:
    """Takes over what the Kubernetes Job of an array says. How it was made is read off it when it is first seen: by
    an operator before this one, or by a request that seemed to fail."""
    if is_new:
        elements.parallelism, elements.gated = work.parallelism, work.gated
    elements.results.see(work.completed_indexes, work.failed_indexes)
