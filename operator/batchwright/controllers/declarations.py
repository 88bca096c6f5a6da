"""JobQueues and ComputeEnvironments: their status, written when it changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from batchwright import metrics
from batchwright.api.v1alpha1.jobqueue import ShareUsage
from batchwright.api.v1alpha1.usage import QueueUsage
from batchwright.cluster.client import JSON, ApiClient
from batchwright.cluster.resources import (
    COMPUTE_ENVIRONMENTS,
    CONSUMABLE_RESOURCES,
    JOB_QUEUES,
    SCHEDULING_POLICIES,
    Resource,
)
from batchwright.cluster.writes import replace_status
from batchwright.controllers.declared import Declared
from batchwright.controllers.reconciler import Key
from batchwright.controllers.scheduling import Scheduling, environment_of
from batchwright.controllers.store import Store
from batchwright.domain.declarations import consumable_status, environment_status, policy_status, queue_status
from batchwright.domain.texts import timestamp
from batchwright.errors import NotFound
from batchwright.scheduling.fit import belongs


class Declarations:
    """Reconciles queues, environments, scheduling policies and consumable resources."""

    def __init__(self, api: ApiClient, store: Store, scheduling: Scheduling, clock: Callable[[], datetime]) -> None:
        self._api = api
        self._store = store
        self._scheduling = scheduling
        # The engine's: usage decays by it, and is noted by it.
        self._now = clock
        # Queues of which usage is to be noted: each note is a change of the queue, and would have the next one made.
        self.due: set[Key] = set()

    async def reconcile_environment(self, key: Key) -> None:
        """Counts the environment's nodes and says whether it can take jobs."""
        known = self._store.environments.get(key)
        if known is None:
            return
        supply = self._store.supplies.get(known.name)
        if known.spec.type == "MANAGED" and supply is None and known.status.get("status"):
            # What it says of its instances stays until somebody has looked at them.
            return
        environment = environment_of(known)
        members = [node for node in self._store.nodes.values() if node.usable and belongs(node, environment)]
        status = environment_status(
            known.spec,
            known.generation,
            members,
            known.status,
            self._now(),
            supply,
            is_deleting=known.is_deleting,
        )
        await self._write(COMPUTE_ENVIRONMENTS, known, status.to_wire())

    async def reconcile_queue(self, key: Key) -> None:
        """Looks whether the queue's environments are there."""
        known = self._store.queues.get(key)
        if known is None:
            self._store.meters.forget_queue(key[1])
            metrics.forget_queue(key[1])
            return
        metrics.begin_queue(known.name)
        self._store.meters.begin_shares(known.name, self._store)
        states = {each.name: str(each.status.get("status", "VALID")) for each in self._store.environments.values()}
        has_policy = known.spec.scheduling_policy is None or self._store.policy_of(known.spec) is not None
        now = self._now()
        status = queue_status(known.spec, known.generation, states, known.status, now, has_policy=has_policy)
        wanted = status.to_wire()
        for field in ("fairshare", "usage"):
            if field in known.status:
                wanted[field] = known.status[field]
        if key in self.due:
            self.due.discard(key)
            noted = {"fairshare": self._fair_usage(known, now), "usage": self._usage(known)}
            wanted |= status.model_copy(update=noted).to_wire()
        await self._write(JOB_QUEUES, known, wanted)

    def _usage(self, known: Declared[Any]) -> tuple[QueueUsage, ...]:
        """What each share has used in all; as it was noted where that is still so, for a later time says nothing."""
        meters = self._store.meters
        meters.count(known.name, self._store)
        before = {each.get("share", ""): QueueUsage.model_validate(each) for each in known.status.get("usage") or ()}
        found = []
        for each in meters.queue_usage(known.name, self._store):
            noted = before.get(each.share)
            is_same = noted is not None and noted.model_copy(update={"updated_at": each.updated_at}) == each
            found.append(noted if noted is not None and is_same else each)
        return tuple(found)

    def _fair_usage(self, known: Declared[Any], now: datetime) -> tuple[ShareUsage, ...]:
        """What each share has used; as it was noted, as long as nothing is known that is newer."""
        usage = self._scheduling.state.usage.get(known.name)
        if usage is None:
            # Nothing has been planned yet: what was noted before stays.
            return tuple(ShareUsage.model_validate(each) for each in known.status.get("fairshare") or ())
        usage.forget(now.timestamp())
        return tuple(
            ShareUsage(share_identifier=share, usage=f"{value:.3f}", updated_at=timestamp(now))
            for share, value in usage.checkpoint(now.timestamp())
            # Usage from a time when the queue had quota shares has names that are none here.
            if share.isascii() and share.isalnum()
        )

    async def reconcile_policy(self, key: Key) -> None:
        """Says whether the policy's entries contradict each other."""
        known = self._store.policies.get(key)
        if known is not None:
            status = policy_status(known.spec, known.generation, known.status, self._now())
            await self._write(SCHEDULING_POLICIES, known, status.to_wire())

    async def reconcile_consumable(self, key: Key) -> None:
        """Says how much of the resource is left."""
        known = self._store.consumables.get(key)
        if known is not None:
            total, taken = self._scheduling.total_of(known), self._scheduling.state.taken[known.name]
            spent = self._store.spent.get(known.name, 0)
            now = self._now()
            status = consumable_status(known.spec, known.generation, total, taken, spent, known.status, now)
            await self._write(CONSUMABLE_RESOURCES, known, status.to_wire())

    async def _write(self, resource: Resource, known: Declared[Any], wanted: JSON) -> None:
        if wanted == known.status:
            return
        try:
            await replace_status(self._api, resource, None, known.name, known.uid, wanted)
        except NotFound:
            # Or made anew: that one's event makes it look again.
            return
        known.status = wanted
