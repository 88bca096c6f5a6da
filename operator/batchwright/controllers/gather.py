"""Gather: from the store to the frozen inputs of a decision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any

from batchwright.api.v1alpha1 import BatchJobSpec, JobDefinitionSpec
from batchwright.api.v1alpha1.multinode import DEFAULT_START_SECONDS
from batchwright.controllers.entries import Array, Entry, Pinned
from batchwright.controllers.nodepods import Nodes
from batchwright.controllers.scheduling import environment_of, toleration
from batchwright.controllers.store import Store, see_work
from batchwright.domain.dependencies import Link, resolve
from batchwright.domain.elements import Elements
from batchwright.domain.elementwise import Edge, join, ratio
from batchwright.domain.ganglife import GangView
from batchwright.domain.indexes import parse_indexes
from batchwright.domain.items import ItemTable, array_size, item_table
from batchwright.domain.lifecycle import Rules, View
from batchwright.domain.observations import Job
from batchwright.domain.roles import is_allowed
from batchwright.errors import WorkloadError
from batchwright.scheduling.fit import admits
from batchwright.scheduling.snapshot import Expression, Gang, Shape, Term, Topology
from batchwright.workloads.array import ArrayWork, check_policy
from batchwright.workloads.gang import decode_placement
from batchwright.workloads.job import (
    PodRequest,
    effective_retry,
    effective_timeout,
    job_request,
    needs_admission,
    retries_host_loss,
)
from batchwright.workloads.nodes import NodeLayout, node_layout


def refusal(problem: object) -> str:
    """What is wrong with a job that can never be made, as its statusReason."""
    return f"The job cannot be made: {problem}"


def view_of(store: Store, entry: Entry, instances: dict[str, str], start_grace_seconds: float) -> View:
    """What the decision about one job looks at. Pins the definition when it is first found."""
    job = entry.job
    unready = _pin(store, entry)
    if unready is None:
        unready = _queue_problem(store, job, entry.status.state) or _role_problem(store, entry)
    if unready is None and entry.status.state in (None, "SUBMITTED") and entry.refused is None:
        problem = _share_problem(store, job)
        entry.refused = refusal(problem) if problem is not None else None
    refused = entry.refused or (refusal(entry.pinned.problem) if entry.pinned and entry.pinned.problem else None)
    if entry.is_array and entry.array is None and entry.refused is None:
        # Its elements are counted from the first, whatever else it waits for.
        unset = set_up(store, entry)
        unready = unready or unset
    refused = entry.refused or refused
    dependencies = resolve(
        job.spec.depends_on,
        entry.status.depends_on,
        lambda name: store.peer_by_name(job.namespace, name),
        lambda uid: store.peer_by_id(job.namespace, uid),
        entry.array.elements.size if entry.array is not None else None,
        is_array=entry.is_array,
    )
    if entry.array is not None:
        _link(store, entry, entry.array, dependencies.links)
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
        # Of an array whose size is not known yet nothing can be judged.
        work=None if entry.is_array and entry.array is None else entry.work,
        pods=()
        if entry.array is not None
        else tuple(pod for pod in entry.pods.values() if not entry.work_uid or pod.owner == entry.work_uid),
        pods_complete=entry.pods_complete,
        started=entry.work_seen and not (entry.is_array and entry.array is None),
        unready=unready,
        refused=refused,
        cycle=entry.cycle,
        waits=entry.waits,
        waits_reason=entry.waits_reason,
        expired=entry.expired,
        preempting=bool(entry.preempting),
        obstacle=entry.obstacle,
        noted=entry.noted,
        spares_lost=entry.pinned is not None and entry.pinned.spares_lost,
    )


def _link(store: Store, entry: Entry, known: Array, links: tuple[Link, ...]) -> None:
    """Makes the elements wait for those of other arrays, and for each other."""
    elements = known.elements
    for needed in entry.job.spec.depends_on:
        if needed.type == "SEQUENTIAL" and None not in known.edges:
            known.edges[None] = Edge(elements, needed.condition or "Succeeded", None)
            join(elements, known.edges[None])
    for link in links:
        source = store.elements_of(link.uid) if link not in known.edges else None
        if source is not None:
            edge = Edge(source, link.condition, ratio(source.size, elements.size))
            known.edges[link] = edge
            join(elements, edge)
        needed_entry = store.entries.get(link.uid)
        if needed_entry is not None and needed_entry.array is not None:
            _follow_on(store, entry, known, needed_entry, needed_entry.array)


def _follow_on(store: Store, entry: Entry, known: Array, needed: Entry, its: Array) -> None:
    """The array takes its turn with the one its elements wait for, and ahead of it; so do those that follow on it."""
    if needed.job.spec.job_queue != entry.job.spec.job_queue:
        return
    place = known.arrival, known.depth
    known.arrival = min(known.arrival or entry.job.created_at, its.arrival or needed.job.created_at)
    known.depth = max(known.depth, its.depth + 1)
    if (known.arrival, known.depth) != place:
        store.touch_dependents(entry.job.namespace, entry.job.name, entry.job.uid)


def set_up(store: Store, entry: Entry, table: ItemTable | None = None) -> str | None:
    """Makes the record of an array's elements; the reason if that cannot be done yet, a refusal if it never can.

    `table` is that of the items where a ConfigMap has them, once it has been read.
    """
    properties, status = entry.job.spec.array_properties, entry.status.array_properties
    if properties is None:
        return None
    source = properties.items.config_map if properties.items is not None else None
    if source is not None and table is None and not (status is not None and entry.work_seen):
        return entry.items_problem or f"ConfigMap {source.name} of arrayProperties.items is being read"
    try:
        if properties.items is not None and source is None:
            table = item_table(properties.items, None)
        # A job that was sent keeps the size it had then, whatever became of the ConfigMap.
        size = status.size if status is not None and entry.work_seen else array_size(properties, table)
        runs = parse_indexes(properties.indexes) if properties.indexes else ((0, size - 1),)
        elements = Elements.restored(size, runs, status)
        if not entry.work_seen:
            check_policy(ArrayWork(size, runs, 1, False, table), acts=store.fills_in_elements)
    except (WorkloadError, ValueError) as error:
        entry.refused = refusal(error)
        return None
    entry.array = Array(elements, table)
    # Those that wait for its elements can be told now how many there are.
    store.touch_dependents(entry.job.namespace, entry.job.name, entry.job.uid)
    if entry.work is not None:
        see_work(elements, entry.work, is_new=True)
        store.replay(entry, elements)
    return None


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
        layout = node_layout(definition, spec)
        gang = gang_of(layout) if layout is not None else None
        shape = gang.total if gang is not None else _shape(job_request(definition, spec))
        main = layout.kinds[0] if layout is not None else None
        needs_gate = needs_admission(main.definition, main.job) if main else needs_admission(definition, spec)
    except WorkloadError as error:
        return Pinned(name, definition, rules, None, str(error))
    priority = spec.scheduling_priority_override
    consumed = spec.consumable_resource_properties_override or definition.consumable_resource_properties
    listed = consumed.consumable_resource_list if consumed is not None else ()
    return Pinned(
        name,
        definition,
        rules,
        shape,
        needs_gate=needs_gate,
        priority=(definition.scheduling_priority or 0) if priority is None else priority,
        consumables=tuple(sorted((each.consumable_resource, each.quantity) for each in listed)),
        roles=tuple(roles_of(definition)),
        layout=layout,
        gang=gang,
        spares_lost=main is not None and (retry.attempts == 1 or retries_host_loss(main.definition, main.job)),
    )


def roles_of(definition: JobDefinitionSpec) -> list[str]:
    """The IAM roles that pods of the definition ask for."""
    ranges = definition.node_properties.node_range_properties if definition.node_properties is not None else ()
    containers = (definition.container_properties, *(each.container for each in ranges))
    return sorted({each.job_role_arn for each in containers if each is not None and each.job_role_arn is not None})


def gang_of(layout: NodeLayout) -> Gang:
    """The nodes of a multi-node job as the scheduler sees them. Raises WorkloadError."""
    parts: list[tuple[Shape, int]] = []
    for kind, found in groupby(layout.kinds):
        parts.append((_shape(kind.request), len(list(found))))
    properties = layout.properties
    topology = tuple(Topology(each.key, each.mode == "Required") for each in properties.topology)
    return Gang(tuple(parts), properties.nodes_per_host or 1, topology)


def _shape(request: PodRequest) -> Shape:
    return Shape(
        resources=tuple(sorted((key, amount) for key, amount in request.resources.items() if amount)),
        node_selector=tuple(sorted(request.node_selector.items())),
        tolerations=tuple(toleration(each) for each in request.tolerations),
        affinity=tuple(_term(each) for each in request.node_affinity),
    )


def gang_view(store: Store, entry: Entry, layout: NodeLayout, now: datetime) -> GangView:
    """What the decision about a multi-node job looks at besides its view. Notes since when its main node has no pod,
    and whether all of its nodes have run."""
    nodes, properties = entry.nodes or Nodes(), layout.properties
    entry.nodes, work = nodes, entry.work
    is_due = work is not None and not work.suspended and not entry.preempting
    if is_due and all(pod.is_finished for pod in entry.pods.values() if pod.owner == entry.work_uid):
        nodes.vacant_since = nodes.vacant_since or now
    else:
        nodes.vacant_since = None
    if is_due:
        nodes.note_start(entry.pods.values(), layout.size)
    placement = decode_placement(entry.work.placement) if entry.work is not None else nodes.machines
    known = (*entry.pods.values(), *nodes.pods.values(), *([nodes.lost] if nodes.lost is not None else []))
    on = {pod.node for pod in known if pod.node and not pod.is_finished}
    return GangView(
        size=layout.size,
        main=layout.main,
        machines=placement,
        nodes=tuple(nodes.pods.values()),
        usable=frozenset(usable_machines(store, entry, layout, placement)),
        start_seconds=properties.start_timeout_seconds or DEFAULT_START_SECONDS,
        fails_with_any=properties.failure_policy == "AnyNode",
        making=nodes.making,
        made=frozenset(nodes.made),
        lost=nodes.lost,
        vacant_since=nodes.vacant_since,
        released=nodes.released,
        gone=frozenset(name for name in on if name not in store.nodes),
        published=nodes.published,
    )


def usable_machines(store: Store, entry: Entry, layout: NodeLayout, placement: tuple[str, ...]) -> Iterator[str]:
    """The machines, by rank, that still take the pods they are to have."""
    environment = store.environments.get(("", entry.work.environment if entry.work is not None else ""))
    tolerated = environment_of(environment).tolerations if environment is not None else ()
    for kind, name in zip(layout.kinds, placement, strict=False):
        node = store.nodes.get(name)
        if node is not None and node.usable:
            own = tuple(toleration(each) for each in kind.request.tolerations)
            if admits(node, own + tolerated):
                yield name


def _term(wire: Mapping[str, Any]) -> Term:
    return tuple(
        Expression(str(each.get("key", "")), str(each.get("operator", "")), tuple(each.get("values") or ()), is_field)
        for field, is_field in (("matchExpressions", False), ("matchFields", True))
        for each in wire.get(field) or ()
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
    if queue.spec.scheduling_policy is not None and store.policy_of(queue.spec) is None:
        return (
            f"SchedulingPolicy {queue.spec.scheduling_policy} of JobQueue {queue.name} not found; the job waits for it"
        )
    return None


def _role_problem(store: Store, entry: Entry) -> str | None:
    """Why the queue does not let the job have the IAM role its definition asks for."""
    queue = store.queues.get(("", entry.job.spec.job_queue))
    roles = entry.pinned.roles if entry.pinned is not None else ()
    role = next(
        (role for role in roles if queue is not None and not is_allowed(role, queue.spec.allowed_job_roles)), ""
    )
    if queue is None or not role:
        return None
    field = "containerProperties.jobRoleArn" if entry.pinned and entry.pinned.layout is None else "jobRoleArn"
    return f"{field} {role} is not among the allowedJobRoles of JobQueue {queue.name}; the job waits for it"


def _share_problem(store: Store, job: Job) -> str | None:
    """Why the queue refuses a new job, by how it is shared. AWS Batch refuses SubmitJob with the same words."""
    queue, spec = store.queues.get(("", job.spec.job_queue)), job.spec
    if queue is None:
        return None
    names = [share.name for share in queue.spec.quota_shares if share.state == "ENABLED"]
    if queue.spec.scheduling_policy is not None:
        if spec.share_identifier is None:
            return f"shareIdentifier must be specified. JobQueue {queue.name} has a scheduling policy"
    elif spec.share_identifier is not None:
        return f"shareIdentifier is for queues with a schedulingPolicy, and JobQueue {queue.name} has none"
    if queue.spec.quota_shares:
        if spec.quota_share_name not in names:
            return (
                f"quotaShareName must be one of {', '.join(names) or 'none that is ENABLED'} in JobQueue {queue.name}"
            )
    elif spec.quota_share_name is not None:
        return f"quotaShareName is for queues with quotaShares, and JobQueue {queue.name} has none"
    return None
