"""JobQueues and ComputeEnvironments: their status, written when it changes."""

from __future__ import annotations

from datetime import UTC, datetime

from batchwright.api.v1alpha1 import ComputeEnvironmentSpec, JobQueueSpec
from batchwright.cluster.client import JSON, ApiClient
from batchwright.cluster.resources import COMPUTE_ENVIRONMENTS, JOB_QUEUES, Resource
from batchwright.cluster.writes import merge_patch
from batchwright.controllers.declared import Declared
from batchwright.controllers.gather import environment_of
from batchwright.controllers.reconciler import Key
from batchwright.controllers.store import Store
from batchwright.domain.declarations import environment_status, queue_status
from batchwright.errors import NotFound
from batchwright.scheduling.fit import belongs


class Declarations:
    """Reconciles queues and environments."""

    def __init__(self, api: ApiClient, store: Store) -> None:
        self._api = api
        self._store = store

    async def reconcile_environment(self, key: Key) -> None:
        """Counts the environment's nodes and says whether it can take jobs."""
        known = self._store.environments.get(key)
        if known is None:
            return
        environment = environment_of(known)
        members = [
            node
            for node in self._store.nodes.values()
            if node.ready and node.schedulable and belongs(node, environment)
        ]
        status = environment_status(known.spec, known.generation, members, known.status, datetime.now(UTC))
        await self._write(COMPUTE_ENVIRONMENTS, known, status.to_wire())

    async def reconcile_queue(self, key: Key) -> None:
        """Looks whether the queue's environments are there."""
        known = self._store.queues.get(key)
        if known is None:
            return
        states = {each.name: str(each.status.get("status", "VALID")) for each in self._store.environments.values()}
        status = queue_status(known.spec, known.generation, states, known.status, datetime.now(UTC))
        await self._write(JOB_QUEUES, known, status.to_wire())

    async def _write(
        self, resource: Resource, known: Declared[JobQueueSpec] | Declared[ComputeEnvironmentSpec], wanted: JSON
    ) -> None:
        patch = merge_patch(wanted, known.status)
        if not patch:
            return
        try:
            await self._api.patch(resource, None, known.name, {"status": patch}, subresource="status", answer=False)
        except NotFound:
            return
        known.status = wanted
