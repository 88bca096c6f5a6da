"""JobDefinitions: each valid spec becomes an immutable revision, an apps/v1 ControllerRevision.

A definition is validated by asking the API server for the Job it would make, as a strict dry run: that catches a typo
anywhere in a podTemplate, which the CRD's open schema cannot. Of a multi-node job it is the main node's Job, and a pod
of each range of other nodes. An invalid spec makes no revision; its status says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from batchwright.api.v1alpha1 import BatchJobSpec, JobDefinitionSpec
from batchwright.api.v1alpha1.jobdefinition import JobDefinitionStatus
from batchwright.cluster import projections
from batchwright.cluster.client import JSON, ApiClient
from batchwright.cluster.events import EventRecorder, Subject
from batchwright.cluster.resources import CONTROLLER_REVISIONS, JOB_DEFINITIONS, JOBS, PODS, Resource
from batchwright.cluster.writes import replace_status
from batchwright.controllers.declared import Declared
from batchwright.controllers.reconciler import Key
from batchwright.controllers.store import Store
from batchwright.domain.actions import Notice
from batchwright.domain.conditions import ready, stalled
from batchwright.domain.nesting import DEEPEST_TEMPLATE, is_deeper
from batchwright.domain.texts import bounded
from batchwright.errors import AlreadyExists, Forbidden, Invalid, NotFound, WorkloadError
from batchwright.workloads.gang import MainPod, build_node, main_node
from batchwright.workloads.job import JobIdentity, Placement, build_job
from batchwright.workloads.nodes import node_layout
from batchwright.workloads.revision import build_revision

_TRIAL: Final = "validation"
_TRIAL_ADDRESS: Final = "192.0.2.1"


@dataclass(frozen=True)
class _Trial:
    """An object of a job that is tried: `path` is the part of the definition it comes from, for messages."""

    path: str
    resource: Resource
    build: Callable[[], JSON]


class Definitions:
    """Reconciles JobDefinitions."""

    def __init__(
        self,
        api: ApiClient,
        store: Store,
        events: EventRecorder,
        changed: Callable[[Key], None],
        clock: Callable[[], datetime],
    ) -> None:
        self._api = api
        self._store = store
        self._events = events
        self._changed = changed
        self._now = clock

    async def reconcile(self, key: Key) -> None:
        """Validates the present spec, records its revision, writes the status. Nothing to do for one that is known."""
        known = self._store.definitions.get(key)
        if known is None or self._is_settled(known):
            return
        now = self._now()
        problem = await self._problem(known)
        if problem is not None:
            reason, message = "InvalidTemplate", bounded(problem)
            status = JobDefinitionStatus(
                observed_generation=known.generation,
                revision=known.status.get("revision"),
                status="INVALID",
                status_reason=message,
                conditions=(
                    ready(known.status, known.generation, now, is_ready=False, reason=reason, message=message),
                    *stalled(known.status, known.generation, now, is_stalled=True, reason=reason, message=message),
                ),
            )
            await self._notify(known, Notice(reason, message, warning=True))
        else:
            revision = await self._revision(known)
            message = f"Revision {revision} takes jobs"
            status = JobDefinitionStatus(
                observed_generation=known.generation,
                revision=revision,
                status="ACTIVE",
                conditions=(
                    ready(known.status, known.generation, now, is_ready=True, reason="Validated", message=message),
                ),
            )
        await self._write(known, status.to_wire())

    def _is_settled(self, known: Declared[JobDefinitionSpec]) -> bool:
        if known.status.get("observedGeneration") != known.generation:
            return False
        if known.status.get("status") != "ACTIVE":
            return True
        revision = self._store.revisions.get((*known.key, known.status.get("revision", 0)))
        return revision is not None and revision.owner == known.uid

    async def _problem(self, known: Declared[JobDefinitionSpec]) -> str | None:
        if is_deeper(known.raw_spec, DEEPEST_TEMPLATE):
            return (
                f"podTemplate: nested more than {DEEPEST_TEMPLATE} levels deep, and Kubernetes has nothing so deep; "
                "look for a part that contains itself"
            )
        path = ""
        try:
            for trial in _trials(known):
                path = trial.path
                await self._try(known.namespace, trial)
        except (WorkloadError, Invalid, TypeError) as error:
            # TypeError: a number in the podTemplate that is larger than JSON's 64 bits.
            return f"{path}{error}"
        return None

    async def _try(self, namespace: str, trial: _Trial) -> None:
        """Asks the API server for it, as a dry run. Raises Invalid, WorkloadError."""
        try:
            await self._api.create(trial.resource, namespace, trial.build(), dry_run=True, strict=True)
        except (AlreadyExists, Forbidden):
            # A quota that is full now, or a policy about more than the template: the job will say so when it is made.
            return

    async def _revision(self, known: Declared[JobDefinitionSpec]) -> int:
        held = [revision for key, revision in self._store.revisions.items() if key[:2] == known.key]
        newest = max(held, key=lambda revision: revision.number, default=None)
        # One that an earlier definition of this name left is being collected: it cannot be counted on.
        if newest is not None and newest.owner == known.uid and newest.spec == known.spec:
            return newest.number
        number = newest.number if newest is not None else 0
        while True:
            number += 1
            body = build_revision(known.name, known.uid, known.namespace, number, known.raw_spec)
            try:
                made = projections.revision(await self._api.create(CONTROLLER_REVISIONS, known.namespace, body))
            except AlreadyExists:
                # Made just before a restart, or left by a definition of that name that is being collected.
                found = await self._api.get(CONTROLLER_REVISIONS, known.namespace, body["metadata"]["name"])
                if found["data"] != body["data"] or not _is_owned_by(found, known.uid):
                    continue
                made = projections.revision(found)
            self._store.revisions[(*known.key, number)] = made
            return number

    async def _write(self, known: Declared[JobDefinitionSpec], wanted: JSON) -> None:
        if wanted != known.status:
            try:
                await replace_status(self._api, JOB_DEFINITIONS, known.namespace, known.name, known.uid, wanted)
            except NotFound:
                return
        # An event that came meanwhile has put another record in this one's place.
        current = self._store.definitions.get(known.key)
        for record in (known, current):
            if record is not None and (record.uid, record.generation) == (known.uid, known.generation):
                record.status = wanted
        self._changed(known.key)

    async def _notify(self, known: Declared[JobDefinitionSpec], notice: Notice) -> None:
        await self._events.post(Subject(JOB_DEFINITIONS, known.namespace, known.name, known.uid), notice)


def _trials(known: Declared[JobDefinitionSpec]) -> Iterator[_Trial]:
    """What a job of the definition would have made. Raises WorkloadError."""
    spec = BatchJobSpec(job_queue=_TRIAL, job_definition=known.name)
    identity, placement = JobIdentity(known.uid, known.namespace, known.name), Placement(_TRIAL, {}, ())
    build = partial(build_job, identity, _TRIAL, f"{known.name}:1", placement=placement)
    layout = node_layout(known.spec, spec)
    if layout is None:
        yield _Trial("", JOBS, partial(build, known.spec, spec))
        return
    main = main_node(identity, layout, ())
    first = layout.kinds[0]
    yield _Trial(f"{first.path}: ", JOBS, partial(build, first.definition, first.job, main_node=main))
    runs = MainPod(main.work, f"{main.work}-0-{_TRIAL}", known.uid, _TRIAL_ADDRESS, 0)
    first_ranks = {id(kind): rank for rank, kind in reversed(tuple(enumerate(layout.kinds))) if rank > 0}
    for rank in sorted(first_ranks.values()):
        build_pod = partial(build_node, identity, _TRIAL, f"{known.name}:1", layout, rank, placement, _TRIAL, runs)
        yield _Trial(f"{layout.kinds[rank].path}: ", PODS, build_pod)


def _is_owned_by(body: JSON, uid: str) -> bool:
    return any(owner["uid"] == uid for owner in body["metadata"].get("ownerReferences") or ())
