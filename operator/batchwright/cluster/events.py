"""Events on the users' objects: each decision a person waits on, once.

Events are API writes too. Warnings are always posted; ordinary ones have a budget by reason, so that a flood of ten
thousand jobs does not double its cost with events nobody reads, nor silence what is rarer (Kubernetes' own clients
filter the same way).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from cachetools import TTLCache

from batchwright.cluster.client import JSON, ApiClient
from batchwright.cluster.resources import EVENTS, Resource
from batchwright.domain.actions import Notice
from batchwright.domain.texts import bounded
from batchwright.errors import AlreadyExists, ApiError, ApiUnavailable, Forbidden, Throttled
from batchwright.joblog import about_object

logger = structlog.get_logger(__name__)
COMPONENT = "batchwright"
# core/v1 Event: the API server refuses longer messages.
MESSAGE_LIMIT = 1024
# How long a warning that could not be posted waits, time after time: five minutes in all.
PAUSES_SECONDS = (2.0, 5.0, 10.0, 20.0, *(30.0,) * 9)
MOST_WAITING = 1000


@dataclass(frozen=True, slots=True)
class Subject:
    """The object an event is about. Cluster-scoped objects have no namespace; their events live in `default`."""

    resource: Resource
    namespace: str | None
    name: str
    uid: str


class EventRecorder:
    """Posts notices as core/v1 Events, each (object, reason, message) once an hour."""

    def __init__(self, api: ApiClient, *, per_second: float = 1.0, burst: int = 10) -> None:
        self._api = api
        self._posted: TTLCache[tuple[str, str, str], bool] = TTLCache(maxsize=50_000, ttl=3600)
        self._rate = per_second
        self._burst = float(burst)
        # By reason: how many may be posted, and when that was counted.
        self._tokens: dict[str, tuple[float, float]] = {}
        self._waiting: set[asyncio.Task[None]] = set()

    async def post(self, subject: Subject, notice: Notice) -> None:
        """Posts the notice unless it was posted before or the budget is spent. What fails is logged; a warning is then
        posted later, which is not waited for."""
        key = (subject.uid, notice.reason, notice.message)
        if key in self._posted or not (notice.warning or self._has_budget(notice.reason)):
            return
        self._posted[key] = True
        event = _event(subject, notice)
        error = await self._create(subject, event)
        if error is None:
            return
        if notice.warning and _may_pass(error) and len(self._waiting) < MOST_WAITING:
            task = asyncio.get_running_loop().create_task(self._post_later(subject, event))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)
        else:
            self._posted.pop(key, None)

    async def _create(self, subject: Subject, event: JSON) -> ApiError | None:
        """Why it was not posted."""
        with about_object(subject.resource.kind, subject.uid, subject.namespace, subject.name):
            return await self._create_about(subject, event)

    async def _create_about(self, subject: Subject, event: JSON) -> ApiError | None:
        try:
            await self._api.create(EVENTS, subject.namespace or "default", event)
        except AlreadyExists:
            return None
        except ApiError as error:
            cause = type(error).__name__
            logger.warning("event not posted", name=subject.name, reason=event["reason"], cause=cause, error=str(error))
            return error
        return None

    async def _post_later(self, subject: Subject, event: JSON) -> None:
        for pause in PAUSES_SECONDS:
            await asyncio.sleep(pause)
            error = await self._create(subject, event)
            if error is None or not _may_pass(error):
                return

    def _has_budget(self, reason: str) -> bool:
        now = time.monotonic()
        tokens, counted_at = self._tokens.get(reason, (self._burst, now))
        tokens = min(self._burst, tokens + (now - counted_at) * self._rate)
        has = tokens >= 1.0
        self._tokens[reason] = (tokens - 1.0 if has else tokens, now)
        return has


def _may_pass(error: ApiError) -> bool:
    """Whether it may be taken later: a right may be missing for a moment, but a namespace that goes takes nothing."""
    return isinstance(error, ApiUnavailable | Throttled) or (
        isinstance(error, Forbidden) and "being terminated" not in str(error)
    )


def _event(subject: Subject, notice: Notice) -> JSON:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    # The name is made of what the event says, so a restarted operator does not say it twice.
    digest = hashlib.sha256(f"{subject.uid}/{notice.reason}/{notice.message}".encode()).hexdigest()[:16]
    return {
        "metadata": {"name": f"{subject.name[:200]}.{digest}", "namespace": subject.namespace or "default"},
        "involvedObject": {
            "apiVersion": subject.resource.api_version,
            "kind": subject.resource.kind,
            "name": subject.name,
            "uid": subject.uid,
        }
        | ({"namespace": subject.namespace} if subject.namespace else {}),
        "type": "Warning" if notice.warning else "Normal",
        "reason": notice.reason,
        "message": bounded(notice.message, MESSAGE_LIMIT),
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
