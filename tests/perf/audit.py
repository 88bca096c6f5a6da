"""Requests to the API server, counted from its audit log (Metadata level, blocking mode).

An entry stands in the log before the client has its answer, so a mark taken between two requests parts them exactly.
Hazard: the log is rotated at 100 MB, some 5,000 jobs; what spans a rotation is refused, not counted short.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

READS = frozenset({"get", "list"})
# Heartbeats of nodes and leaders: by the clock, not by the job.
HEARTBEATS = frozenset({"leases", "nodes/status"})


@dataclass(frozen=True, order=True)
class Request:
    """One kind of request: who (the user agent's first word), the verb, and the resource with its subresource."""

    agent: str
    verb: str
    resource: str

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing."""
        return self.verb in READS

    @property
    def what(self) -> str:
        """Verb and resource, such as "patch batchjobs/status"."""
        return f"{self.verb} {self.resource}"


class AuditLog:
    """The audit log from the moment this is made, or `mark` was last called."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.mark()

    def mark(self) -> None:
        """Counts from here on."""
        stat = self._path.stat()
        self._inode, self._offset = stat.st_ino, stat.st_size

    def requests(self, namespace: str | None = None) -> Counter[Request]:
        """Every request since the mark (or those about one namespace), refused ones too, without watches and
        heartbeats."""
        if self._path.stat().st_ino != self._inode:
            raise RuntimeError(f"{self._path} was rotated meanwhile: run fewer jobs")
        counted: Counter[Request] = Counter()
        with self._path.open("rb") as log:
            log.seek(self._offset)
            for line in log:
                if not line.endswith(b"\n"):
                    break  # still being written
                request = _request(orjson.loads(line), namespace)
                if request is not None:
                    counted[request] += 1
        return counted


def _request(entry: Mapping[str, object], namespace: str | None) -> Request | None:
    verb, about = str(entry["verb"]), entry.get("objectRef")
    if verb == "watch" or not isinstance(about, Mapping):
        return None
    if namespace is not None and about.get("namespace") != namespace:
        return None
    resource = "/".join(str(part) for part in (about.get("resource"), about.get("subresource")) if part)
    if resource in HEARTBEATS:
        return None
    return Request(str(entry.get("userAgent") or "?").split(" ")[0], verb, resource)


def by_what(requests: Counter[Request], chosen: Callable[[Request], bool]) -> Counter[str]:
    """How many requests of each verb and resource, of those chosen."""
    counted: Counter[str] = Counter()
    for request, count in requests.items():
        if chosen(request):
            counted[request.what] += count
    return counted
