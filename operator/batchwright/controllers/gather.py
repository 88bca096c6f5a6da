"""Gather: from the store to the frozen inputs of a decision."""

from __future__ import annotations

from collections.abc import Mapping

from batchwright.api.v1alpha1 import BatchJobSpec, JobDefinitionSpec, JobQueueSpec
from batchwright.api.v1alpha1.computeenvironment import ComputeEnvironmentSpec
from batchwright.controllers.declared import Declared
from batchwright.controllers.store import Entry, Pinned, Store
from batchwright.domain.dependencies import resolve
from batchwright.domain.lifecycle import Rules, View
from batchwright.domain.observations import Job
from batchwright.errors import WorkloadError
from batchwright.scheduling.snapshot import Candidate, Environment, Queue, Shape, Snapshot, Toleration, Unbound
from batchwright.workloads.job import effective_retry, effective_timeout, job_request


def view_of(store: Store, entry: Entry, instances: dict[str, str], start_grace_seconds: float) -> View:
    """What the decision about one job looks at. Pins the definition when it is first found."""
    job = entry.job
    unready = _pin(store, entry)
    if unready is None:
        unready = _queue_problem(store, job, entry.status.state)
    refused = entry.refused or (entry.pinned.problem if entry.pinned else None)
    dependencies = resolve(
        job.spec.depends_on,
        entry.status.depends_on,
        lambda name: store.peer_by_name(job.namespace, name),
        lambda uid: store.peer_by_id(job.namespace, uid),
    )
    return View(
        job=Job(
            job.uid,
            job.namespace,
            job.name,
            job.generation,
            job.created_at,
            job.spec,
            entry.status,
            job.deleting,
        ),
        definition=entry.pinned.name if entry.pinned else entry.status.job_definition,
        rules=entry.pinned.rules if entry.pinned else Rules(),
        dependencies=dependencies,
        instances=instances,
        answering=store.answering,
        start_grace_seconds=start_grace_seconds,
        work=entry.work,
        pods=tuple(pod for pod in entry.pods.values() if not entry.work_uid or pod.owner == entry.work_uid),
        pods_complete=entry.pods_complete,
        started=entry.work_seen,
        unready=unready,
        refused=refused,
        cycle=entry.cycle,
        waits=entry.waits,
        obstacle=entry.obstacle,
    )


def _pin(store: Store, entry: Entry) -> str | None:
    """Finds the revision the job runs; the reason if there is none yet."""
    if entry.pinned is not None:
        return None
    job = entry.job
    wanted = entry.status.job_definition or job.spec.job_definition
    name, _, number = wanted.partition(":")
    if not number:
        known = store.definitions.get((job.namespace, name))
        if known is None:
            return f"JobDefinition name {name} does not exist or is not in ACTIVE status; the job waits for it"
        if known.status.get("observedGeneration") != known.generation:
            return f"JobDefinition {name} is being validated"
        if known.status.get("status") != "ACTIVE":
            return f"JobDefinition {name} is {known.status.get('status')}: {known.status.get('statusReason', '')}"
        number = str(known.status["revision"])
    revision = store.revisions.get((job.namespace, name, int(number)))
    if revision is None:
        return f"JobDefinition {name} has no revision {number}; the job waits for it"
    entry.pinned = pin(f"{name}:{number}", revision.spec, job.spec)
    return None


def pin(name: str, definition: JobDefinitionSpec, spec: BatchJobSpec) -> Pinned:
    """A definition's revision for one job: its rules, and what it asks of a node."""
    retry = effective_retry(definition, spec)
    rules = Rules(
        attempts=retry.attempts,
        evaluate_on_exit=retry.rules,
        timeout_seconds=effective_timeout(definition, spec),
    )
    try:
        request = job_request(definition, spec)
    except WorkloadError as error:
        return Pinned(name, definition, rules, None, str(error))
    shape = Shape(
        resources=tuple(sorted((key, amount) for key, amount in request.resources.items() if amount)),
        node_selector=tuple(sorted(request.node_selector.items())),
        tolerations=tuple(_toleration(each) for each in request.tolerations),
    )
    return Pinned(name, definition, rules, shape)


def _toleration(wire: Mapping[str, object]) -> Toleration:
    return Toleration(
        key=str(wire.get("key") or ""),
        operator=str(wire.get("operator") or "Equal"),
        value=str(wire.get("value") or ""),
        effect=str(wire.get("effect") or ""),
    )


def _queue_problem(store: Store, job: Job, state: str | None) -> str | None:
    queue = store.queues.get(("", job.spec.job_queue))
    if queue is None:
        return f"JobQueue {job.spec.job_queue} not found; the job waits for it"
    wanted = queue.spec.namespace_selector
    if wanted:
        labels = store.namespaces.get(job.namespace, {})
        if any(labels.get(key) != value for key, value in wanted.items()):
            needs = ", ".join(f"{key}={value}" for key, value in wanted.items())
            return f"JobQueue {queue.name} takes jobs only from namespaces with the labels {needs}"
    if queue.spec.state == "DISABLED" and state in (None, "SUBMITTED"):
        return f"JobQueue {queue.name} is DISABLED and takes no new jobs"
    return None


def snapshot_of(store: Store, runnable: dict[str, Entry], started: dict[str, Entry]) -> Snapshot:
    """What a pass of the scheduler looks at."""
    waiting: dict[str, list[Candidate]] = {name: [] for _, name in store.queues}
    for uid, entry in runnable.items():
        pinned = entry.pinned
        if pinned is not None and pinned.shape is not None:
            name = entry.job.name
            waiting[entry.job.spec.job_queue].append(Candidate(uid, name, entry.job.created_at, pinned.shape))
    return Snapshot(
        nodes=tuple(store.nodes.values()),
        occupied=store.ledger.occupied,
        environments={known.name: environment_of(known) for known in store.environments.values()},
        queues=tuple(queue_of(known, waiting[known.name]) for known in store.queues.values()),
        unbound=tuple(sent for entry in started.values() if (sent := unbound_of(entry)) is not None),
    )


def unbound_of(entry: Entry) -> Unbound | None:
    """What was sent to an environment and is on no node yet: it holds room that no node's ledger shows."""
    if entry.pods and any(pod.node and not pod.is_finished for pod in entry.pods.values()):
        return None
    if entry.work is not None and entry.work.is_finished:
        return None
    environment = entry.start.environment if entry.start else entry.work.environment if entry.work else None
    if environment is None:
        return None
    if entry.pinned is not None and entry.pinned.shape is not None:
        return Unbound(environment, entry.pinned.shape)
    if entry.work is not None:
        return Unbound(environment, Shape(tuple(sorted(entry.work.request.items()))))
    return None


def environment_of(known: Declared[ComputeEnvironmentSpec]) -> Environment:
    """A ComputeEnvironment as the scheduler sees it."""
    return Environment(
        name=known.name,
        is_open=known.spec.state == "ENABLED",
        node_selector=tuple(sorted(known.spec.node_selector.items())),
        tolerations=tuple(_toleration(each.to_wire()) for each in known.spec.tolerations),
    )


def queue_of(known: Declared[JobQueueSpec], waiting: list[Candidate]) -> Queue:
    """A JobQueue as the scheduler sees it."""
    order = sorted(known.spec.compute_environment_order, key=lambda each: each.order)
    return Queue(
        name=known.name,
        priority=known.spec.priority,
        environments=tuple(each.compute_environment for each in order),
        waiting=tuple(sorted(waiting, key=lambda each: (each.created_at, each.uid))),
    )
