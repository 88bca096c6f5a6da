"""Events on the users' objects: each decision a person waits on, once.

Events are API writes too. Warnings are always posted; ordinary ones have a budget by reason, so that a flood of ten
thousand jobs does not double its cost with events nobody reads, nor silence what is rarer (Kubernetes' own clients
filter the same way).
"""

from __future__ import annotations

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
from batchwright.errors import ApiError

logger = structlog.get_logger(__name__)
COMPONENT = "batchwright"
# core/v1 Event: the API server refuses longer messages.
MESSAGE_LIMIT = 1024


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

    async def post(self, subject: Subject, notice: Notice) -> None:
        """Posts the notice unless it was posted before or the budget is spent. An event that fails is logged: it is
        a courtesy, and what it says stands in the status too."""
        key = (subject.uid, notice.reason, notice.message)
        if key in self._posted or not (notice.warning or self._has_budget(notice.reason)):
            return
        self._posted[key] = True
        try:
            await self._api.create(EVENTS, subject.namespace or "default", _event(subject, notice))
        except ApiError as error:
            if error.reason == "AlreadyExists":
                return
            self._posted.pop(key, None)
            logger.warning("event not posted", object=subject.name, reason=notice.reason, error=str(error))

    def _has_budget(self, reason: str) -> bool:
        now = time.monotonic()
        tokens, counted_at = self._tokens.get(reason, (self._burst, now))
        tokens = min(self._burst, tokens + (now - counted_at) * self._rate)
        has = tokens >= 1.0
        self._tokens[reason] = (tokens - 1.0 if has else tokens, now)
        return has


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
