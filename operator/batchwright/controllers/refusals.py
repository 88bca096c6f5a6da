"""What the API server refuses for good, said on the object it is about.

Most refusals are a right that is missing or an admission policy of the cluster: the operator tries again, and the one
who waits for it reads events, not the operator's log. What passes by itself (the API server is away, or busy) is only
logged.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from batchwright.cluster.events import EventRecorder, Subject
from batchwright.cluster.resources import Resource
from batchwright.controllers.declared import Declared
from batchwright.controllers.reconciler import Key
from batchwright.domain.actions import (
    Action,
    DeleteWork,
    EndAttempt,
    EndWork,
    GiveBack,
    MakeNodes,
    Notice,
    PublishNames,
    ReadObstacle,
    ReadPods,
    ReleasePod,
    StopNodes,
    SuspendWork,
)
from batchwright.domain.texts import bounded
from batchwright.errors import ApiError, Forbidden, Invalid

REASON: Final = "Refused"
_WORDS: Final[Mapping[type[Action], str]] = {
    EndAttempt: "end an attempt",
    ReleasePod: "let a pod be scheduled",
    DeleteWork: "delete the Kubernetes Job",
    EndWork: "end the Kubernetes Job",
    SuspendWork: "suspend the Kubernetes Job",
    MakeNodes: "make the pods of the other nodes",
    PublishNames: "publish the names of the nodes",
    StopNodes: "stop the pods of the other nodes",
    GiveBack: "give back the room of all nodes",
    ReadPods: "list the job's pods",
    ReadObstacle: "list the Kubernetes Job's events",
}


def words_for(action: Action) -> str:
    """What an action does, to follow on "The operator may not"."""
    return _WORDS[type(action)]


def refused(what: str, error: ApiError) -> Notice | None:
    """The event that says it; None when it passes by itself. `what` follows on "The operator may not"."""
    if not isinstance(error, Forbidden | Invalid):
        return None
    return Notice(REASON, bounded(f"The operator may not {what}, and tries again: {error}"), warning=True)


def say_on(
    resource: Resource, known: Mapping[Key, Declared[Any]], events: EventRecorder
) -> Callable[[Key, ApiError], Awaitable[None]]:
    """What says it on an object that somebody declared: `known` are those of its kind."""

    async def say(key: Key, error: ApiError) -> None:
        record, notice = known.get(key), refused("do what follows from it", error)
        if record is not None and notice is not None:
            await events.post(Subject(resource, record.namespace or None, record.name, record.uid), notice)

    return say
