"""Objects that cannot be read: each says so itself, in an event, and what people declare in its Ready condition.

The schema keeps out what we know of; another version's schema may let pass what this operator cannot read. Such an
object must not stop the watch of all others, and its owner does not read the operator's log. What was read of it before
stays in force until the operator starts anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import structlog
from pydantic import ValidationError

from batchwright.cluster.client import JSON, ApiClient
from batchwright.cluster.events import EventRecorder, Subject
from batchwright.cluster.resources import COMPUTE_ENVIRONMENTS, JOB_DEFINITIONS, JOB_QUEUES, Resource
from batchwright.cluster.writes import replace_status
from batchwright.controllers.reconciler import Key, Reconciler
from batchwright.domain.actions import Notice
from batchwright.domain.conditions import ready, stalled
from batchwright.domain.texts import bounded
from batchwright.errors import NotFound
from batchwright.joblog import about_object

logger = structlog.get_logger(__name__)
REASON: Final = "NotUnderstood"
# Those whose status has AWS' own word for it besides the condition.
_SAY_INVALID = (COMPUTE_ENVIRONMENTS, JOB_DEFINITIONS, JOB_QUEUES)


def explain(error: Exception) -> str:
    """What is wrong with an object, in a sentence that names the fields."""
    if isinstance(error, ValidationError):
        parts = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_url=False))
        return "This operator cannot read the spec: " + "; ".join(parts)
    return f"This operator cannot read it: {error}"


def misread_status(resource: Resource, body: Mapping[str, Any], message: str, now: datetime) -> JSON:
    """The status that says it; all else stays as it is."""
    held, generation = dict(body.get("status") or {}), int(body["metadata"].get("generation", 0))
    told = (
        ready(held, generation, now, is_ready=False, reason=REASON, message=message),
        *stalled(held, generation, now, is_stalled=True, reason=REASON, message=message),
    )
    types = {each.type for each in told}
    others = [each for each in held.get("conditions") or () if each.get("type") not in types]
    # The spec is not observed: an operator that can read it shall look at it.
    held.pop("observedGeneration", None)
    invalid = {"status": "INVALID", "statusReason": message} if resource in _SAY_INVALID else {}
    return {**held, **invalid, "conditions": [*(each.to_wire() for each in told), *others]}


@dataclass(frozen=True)
class _Misread:
    """An object as it was last seen, and what is wrong with it."""

    resource: Resource
    body: Mapping[str, Any]
    message: str
    has_condition: bool


class Misreading:
    """Says it on the objects that people declare, again until it stands there. `clock` says what time it is."""

    def __init__(self, api: ApiClient, events: EventRecorder, clock: Callable[[], datetime]) -> None:
        self._api = api
        self._events = events
        self._now = clock
        # By namespace and uid, until it is said.
        self._misread: dict[Key, _Misread] = {}
        self.worker = Reconciler("object not understood", self._say, about=self._about)

    def tell(self, resource: Resource, body: Mapping[str, Any], error: Exception) -> None:
        """The object could not be read: its condition and an event are to say so."""
        self._tell(resource, body, error, has_condition=True)

    def _tell(self, resource: Resource, body: Mapping[str, Any], error: Exception, *, has_condition: bool) -> None:
        metadata, message = body["metadata"], bounded(explain(error))
        name, namespace = metadata["name"], metadata.get("namespace")
        key = namespace or "", metadata["uid"]
        self._misread[key] = _Misread(resource, body, message, has_condition)
        with self._about(key):
            logger.error("object not understood", kind=resource.kind, namespace=namespace, name=name, error=message)
        self.worker.touch(key)

    def _about(self, key: Key) -> AbstractContextManager[None]:
        known = self._misread.get(key)
        kind, name = ("", "") if known is None else (known.resource.kind, known.body["metadata"]["name"])
        return about_object(kind, key[1], key[0], name)

    def forget(self, uid: str) -> None:
        """The object is gone, or another spec of it was seen."""
        for key in [key for key in self._misread if key[1] == uid]:
            del self._misread[key]

    def tell_by_event(self, resource: Resource, body: Mapping[str, Any], error: Exception) -> None:
        """As `tell`, of an object whose status has no such condition."""
        self._tell(resource, body, error, has_condition=False)

    async def _say(self, key: Key) -> None:
        known = self._misread.get(key)
        if known is None:
            return
        metadata = known.body["metadata"]
        subject = Subject(known.resource, metadata.get("namespace"), metadata["name"], metadata["uid"])
        wanted = misread_status(known.resource, known.body, known.message, self._now())
        if known.has_condition and wanted != known.body.get("status"):
            with suppress(NotFound):
                await replace_status(self._api, subject.resource, subject.namespace, subject.name, subject.uid, wanted)
        await self._events.post(subject, Notice(REASON, known.message, warning=True))
        if self._misread.get(key) is known:
            # Said: what is wrong with it is of no more interest here.
            del self._misread[key]
