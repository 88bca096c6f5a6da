"""Status writes: the latest state only, the urgent ones first, none that says nothing new.

Invariants: one write of an object at a time; a state that is overtaken before its turn is never written; under load
the writes people wait for least wait longest. That is what keeps a job at two status writes in its life.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from batchwright.cluster.client import JSON, JSON_PATCH, ApiClient
from batchwright.cluster.resources import Resource
from batchwright.domain.observations import FINAL_STATES
from batchwright.errors import ApiError, Forbidden, Invalid, NotFound
from batchwright.joblog import about_job

logger = structlog.get_logger(__name__)
RETRY_SECONDS = 2.0
# With so many writes pending, one that may wait does so twice as long, and so on up to the longest delay: in a flood
# most states are overtaken, and the API server has better things to do than to hold them.
CROWD = 25
LONGEST_DELAY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class StatusWrite:
    """A status to be written, and the one the API server is known to hold."""

    resource: Resource
    namespace: str | None
    name: str
    uid: str
    wanted: JSON
    held: JSON


@dataclass(frozen=True, slots=True)
class Urgency:
    """How long a write may wait for a newer state, and its place among those that are due (lower first)."""

    delay_seconds: float
    rank: int


@dataclass(frozen=True, slots=True)
class _Pending:
    label: str
    urgency: Urgency


def merge_patch(wanted: JSON, held: JSON) -> JSON:
    """The JSON merge patch (RFC 7386) from `held` to `wanted`; lists are replaced whole."""
    patch: JSON = {}
    for key, value in wanted.items():
        before = held.get(key)
        if value == before:
            continue
        patch[key] = merge_patch(value, before) if isinstance(value, dict) and isinstance(before, dict) else value
    patch.update({key: None for key in held if key not in wanted})
    return patch


class StatusWriter:
    """Writes statuses of jobs by key; `compose` gives the latest for a key (None: nothing to write), `written` hears of
    it, and `refused` of what may not be written."""

    def __init__(
        self,
        api: ApiClient,
        compose: Callable[[str], StatusWrite | None],
        written: Callable[[str, JSON | None], None],
        refused: Callable[[str, ApiError], None] = lambda *_: None,
        *,
        workers: int = 16,
    ) -> None:
        self._api = api
        self._compose = compose
        self._written = written
        self._refused = refused
        self._workers = workers
        self._pending: dict[str, _Pending] = {}
        self._due: asyncio.PriorityQueue[tuple[int, int, str, _Pending]] = asyncio.PriorityQueue()
        self._busy: set[str] = set()
        self._sequence = 0

    def offer(self, key: str, label: str, urgency: Urgency) -> None:
        """The status of `key` has changed. `label` names the state: the same one again keeps its place in time."""
        current = self._pending.get(key)
        if current is not None and current.label == label and current.urgency.rank <= urgency.rank:
            return
        pending = _Pending(label, urgency)
        self._pending[key] = pending
        if urgency.delay_seconds:
            self._ripen(key, pending, asyncio.get_running_loop().time())
        else:
            self._enqueue(key, pending)

    def forget(self, key: str) -> None:
        """The object is gone."""
        self._pending.pop(key, None)

    @property
    def waiting(self) -> int:
        """Writes offered and not yet done."""
        return len(self._pending) + len(self._busy)

    async def run(self) -> None:
        """Works until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work())

    def _ripen(self, key: str, pending: _Pending, offered_at: float) -> None:
        """Its turn comes once it has waited for what the present crowd asks, which may have grown meanwhile."""
        if self._pending.get(key) is not pending:
            return
        loop = asyncio.get_running_loop()
        due = offered_at + self._delay(pending.urgency)
        if due > loop.time():
            loop.call_at(due, self._ripen, key, pending, offered_at)
        else:
            self._enqueue(key, pending)

    def _delay(self, urgency: Urgency) -> float:
        crowded = urgency.delay_seconds * (1 + len(self._pending) / CROWD)
        return max(urgency.delay_seconds, min(LONGEST_DELAY_SECONDS, crowded))

    def _enqueue(self, key: str, pending: _Pending) -> None:
        if self._pending.get(key) is pending:
            self._sequence += 1
            self._due.put_nowait((pending.urgency.rank, self._sequence, key, pending))

    async def _work(self) -> None:
        while True:
            _, _, key, pending = await self._due.get()
            if self._pending.get(key) is not pending:
                continue
            if key in self._busy:
                # The write under way ends first; then this one takes its turn.
                asyncio.get_running_loop().call_later(0.05, self._enqueue, key, pending)
                continue
            del self._pending[key]
            self._busy.add(key)
            try:
                await self._write(key, pending)
            finally:
                self._busy.discard(key)

    async def _write(self, key: str, pending: _Pending) -> None:
        write = self._compose(key)
        if write is None:
            return
        if write.wanted == write.held:
            return
        with about_job(write.uid, write.namespace or "", write.name):
            await self._write_about(key, pending, write)

    async def _write_about(self, key: str, pending: _Pending, write: StatusWrite) -> None:
        try:
            stands = await self._patch(write)
        except NotFound:
            self._written(key, None)
        except (Invalid, Forbidden) as error:
            # Our own status refused: a defect or missing rights. Nothing is lost, for it is derived anew.
            _log(logger.error, "status refused", write, error)
            self._refused(key, error)
            self._again(key, pending, 30.0)
        except ApiError as error:
            _log(logger.warning, "status not written", write, error)
            self._again(key, pending, RETRY_SECONDS)
        else:
            self._written(key, stands)

    async def _patch(self, write: StatusWrite) -> JSON:
        """Writes it, and gives the status that stands there now. Raises NotFound when the object is another's."""
        # What was read of an object without a status has no state, and other fields all the same.
        tested = _as_it_was(write.held if "state" in write.held else None)
        try:
            await self._send(write, tested)
            return write.wanted
        except Invalid:
            found = await self._api.get(write.resource, write.namespace, write.name)
            if found["metadata"]["uid"] != write.uid:
                raise NotFound(f"{write.name} is another object now") from None
            present: JSON = found.get("status") or {}
            if present == write.wanted:
                return present  # Ours: its answer was lost.
            again = _as_it_was(found.get("status"))
            if again == tested:
                raise  # The status itself is what is refused.
            logger.info("status was another", name=write.name, present=present.get("state"))
        if present.get("state") in FINAL_STATES and write.wanted.get("state") not in FINAL_STATES:
            # Another operator has seen the end: what has ended does not go back.
            return present
        await self._send(write, again)
        return write.wanted

    async def _send(self, write: StatusWrite, tested: JSON) -> None:
        # A name may be another object's by now, and a merge patch has no way to say whose it is: a JSON patch has. The
        # state is tested too, so that a write that was under way while another operator took over sets nothing back.
        patch: list[JSON] = [
            {"op": "test", "path": "/metadata/uid", "value": write.uid},
            tested,
            {"op": "add", "path": "/status", "value": write.wanted},
        ]
        await self._api.patch(
            write.resource,
            write.namespace,
            write.name,
            patch,
            subresource="status",
            content_type=JSON_PATCH,
            answer=False,
        )

    def _again(self, key: str, pending: _Pending, delay: float) -> None:
        if key not in self._pending:
            self._pending[key] = pending
            asyncio.get_running_loop().call_later(delay, self._enqueue, key, pending)


async def replace_status(
    api: ApiClient, resource: Resource, namespace: str | None, name: str, uid: str, status: JSON
) -> None:
    """Writes the status of the object that was seen, and of none that has been made under its name since.

    Raises NotFound when it is gone, Invalid when the status is refused, and the other ApiErrors as they come.
    """
    patch: list[JSON] = [
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "add", "path": "/status", "value": status},
    ]
    try:
        await api.patch(resource, namespace, name, patch, subresource="status", content_type=JSON_PATCH, answer=False)
    except Invalid:
        found = await api.get(resource, namespace, name)
        if found["metadata"]["uid"] != uid:
            raise NotFound(f"{name} is another object now") from None
        raise


def _log(say: Callable[..., Any], event: str, write: StatusWrite, error: ApiError) -> None:
    cause = type(error).__name__
    say(event, kind=write.resource.kind, namespace=write.namespace, name=write.name, cause=cause, error=str(error))


def _as_it_was(status: JSON | None) -> JSON:
    """The test of a JSON patch that the status has this one's state, or is not there; null is what is not there."""
    if status is not None:
        return {"op": "test", "path": "/status/state", "value": status.get("state")}
    return {"op": "test", "path": "/status", "value": None}
