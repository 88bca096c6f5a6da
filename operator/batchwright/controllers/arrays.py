"""What arrays need beside decisions: their ConfigMaps read, and the parallelism of their Kubernetes Jobs kept up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from batchwright.api.v1alpha1.array import ArrayItems, ItemsSource
from batchwright.cluster.client import ApiClient
from batchwright.cluster.resources import CONFIG_MAPS
from batchwright.controllers.acting import set_parallelism
from batchwright.controllers.entries import Entry
from batchwright.controllers.gather import refusal, set_up
from batchwright.controllers.store import Store
from batchwright.domain.items import item_table
from batchwright.domain.observations import Work
from batchwright.errors import ApiError, NotFound, WorkloadError
from batchwright.scheduling.contention import is_shared, meet
from batchwright.scheduling.state import State

logger = structlog.get_logger(__name__)
# One write of a Job's parallelism tells the scheduler's decisions of a second.
ADJUST_SECONDS: Final = 1.0
CONFIG_MAP_SECONDS: Final = 5.0

Spawn = Callable[[Coroutine[Any, Any, None]], None]


class Arrays:
    """Carries out what arrays need; `spawn` runs a task, `wake` and `touch` make a job look again, and
    `say_refusal` makes an event of what the API server does not let us do."""

    def __init__(
        self,
        api: ApiClient,
        store: Store,
        spawn: Spawn,
        wake: Callable[[str, Entry, datetime], None],
        touch: Callable[[str], None],
        now: Callable[[], datetime],
        say_refusal: Callable[[Entry, str, str, ApiError], None],
    ) -> None:
        self._say_refusal = say_refusal
        self._now = now
        self._api = api
        self._store = store
        self._spawn = spawn
        self._wake = wake
        self._touch = touch
        self._reading: set[str] = set()

    def keep_up(self, uid: str, entry: Entry, now: datetime) -> None:
        """After a decision about an array."""
        if entry.array is not None:
            self._adjust(uid, entry, now)
            return
        properties = entry.job.spec.array_properties
        items = properties.items if properties is not None else None
        if items is None or items.config_map is None or entry.refused is not None or entry.is_final:
            return
        if uid not in self._reading and (entry.items_due is None or entry.items_due <= now):
            self._reading.add(uid)
            self._spawn(self._read(uid, entry, items, items.config_map))

    def _adjust(self, uid: str, entry: Entry, now: datetime) -> None:
        known, work = entry.array, entry.work
        if known is None or work is None or work.is_finished or work.deleting or work.ending:
            return
        wanted = known.elements.parallelism
        if wanted == work.parallelism:
            return
        if known.adjusted_at is not None and now < known.adjusted_at + timedelta(seconds=ADJUST_SECONDS):
            self._wake(uid, entry, known.adjusted_at + timedelta(seconds=ADJUST_SECONDS))
            return
        known.adjusted_at = now
        self._spawn(self._set_parallelism(uid, entry, work, wanted))

    async def _set_parallelism(self, uid: str, entry: Entry, work: Work, wanted: int) -> None:
        try:
            await set_parallelism(self._api, work, wanted)
        except ApiError as error:
            self._say_refusal(entry, "parallelism not set", "let more or fewer elements run", error)
            self._wake(uid, entry, self._now() + timedelta(seconds=ADJUST_SECONDS))

    async def _read(self, uid: str, entry: Entry, items: ArrayItems, source: ItemsSource) -> None:
        """Reads the ConfigMap of the items; one that is not there yet is looked for again."""
        try:
            entry.items_problem = await self._items_problem(entry, items, source)
        finally:
            self._reading.discard(uid)
            entry.items_due = self._now() + timedelta(seconds=CONFIG_MAP_SECONDS)
        if entry.items_problem:
            self._wake(uid, entry, entry.items_due)
        self._touch(uid)

    async def _items_problem(self, entry: Entry, items: ArrayItems, source: ItemsSource) -> str:
        try:
            found = await self._api.get(CONFIG_MAPS, entry.job.namespace, source.name)
        except NotFound:
            return f"ConfigMap {source.name} of arrayProperties.items not found; the job waits for it"
        except ApiError as error:
            return f"ConfigMap {source.name} of arrayProperties.items cannot be read: {error}"
        text = (found.get("data") or {}).get(source.key)
        if text is None:
            return f"ConfigMap {source.name} of arrayProperties.items has no key {source.key}; the job waits for it"
        try:
            # A megabyte of YAML takes seconds.
            table = await asyncio.to_thread(item_table, items, text)
        except WorkloadError as error:
            entry.refused = refusal(error)
            return ""
        if entry.array is None:
            set_up(self._store, entry, table)
        return ""


def competitors(store: Store, entry: Entry, environment: str, state: State) -> bool:
    """Whether somebody else may get a better claim to the array's room: another queue; an older job of its own; or
    the elements that follow on its own."""
    job, known = entry.job, entry.array
    arrival = known.arrival if known is not None and known.arrival else job.created_at
    followers = store.dependents_of(job)
    for uid, other in store.entries.items():
        if other.job.spec.job_queue != job.spec.job_queue or other.is_final or uid == job.uid:
            continue
        if uid in followers:
            if _follows_here(store, entry, other, environment, state):
                return True
        elif other.work is None and other.job.created_at < arrival:  # of the same second is not older
            return True
    return is_shared(job.spec.job_queue, environment, state.queues.values(), state.environments, store.nodes.values())


def _follows_here(store: Store, entry: Entry, follower: Entry, environment: str, state: State) -> bool:
    """Whether elements of the follower, each after one of the array's, may want the same nodes."""
    if not any(needed.type == "N_TO_N" for needed in follower.job.spec.depends_on):
        return False
    if entry.pinned is None or entry.pinned.shape is None or follower.pinned is None or follower.pinned.shape is None:
        return True
    queue, known = state.queues[entry.job.spec.job_queue], state.environments
    theirs = [known[name] for name in queue.environments if name in known]
    return meet(store.nodes.values(), (entry.pinned.shape, [known[environment]]), (follower.pinned.shape, theirs))
