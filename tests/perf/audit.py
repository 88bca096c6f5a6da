"""Writes to the API server, counted from its audit log (Metadata level, blocking mode).

An entry stands in the log before the client has its answer, so a mark taken between two requests parts them exactly.
Hazard: the log is rotated at 100 MB, some 5,000 jobs; what spans a rotation is refused, not counted short.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

READS = frozenset({"get", "list", "watch"})
# Heartbeats of nodes and leaders: by the clock, not by the job.
HEARTBEATS = frozenset({"leases", "nodes/status"})


@dataclass(frozen=True, order=True)
class Write:
    """One kind of write: who (the user agent's first word), the verb, and the resource with its subresource."""

    agent: str
    verb: str
    resource: str

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

    def writes(self) -> Counter[Write]:
        """Every write since the mark, refused ones too, without heartbeats."""
        if self._path.stat().st_ino != self._inode:
            raise RuntimeError(f"{self._path} was rotated meanwhile: run fewer jobs")
        counted: Counter[Write] = Counter()
        with self._path.open("rb") as log:
            log.seek(self._offset)
            for line in log:
                if not line.endswith(b"\n"):
                    break  # still being written
                write = _write(orjson.loads(line))
                if write is not None:
                    counted[write] += 1
        return counted


def _write(entry: Mapping[str, object]) -> Write | None:
    verb, about = str(entry["verb"]), entry.get("objectRef")
    if verb in READS or not isinstance(about, Mapping):
        return None
    resource = "/".join(str(part) for part in (about.get("resource"), about.get("subresource")) if part)
    if resource in HEARTBEATS:
        return None
    return Write(str(entry.get("userAgent") or "?").split(" ")[0], verb, resource)


def by_what(writes: Counter[Write], chosen: Callable[[Write], bool] = lambda _: True) -> Counter[str]:
    """How many writes of each verb and resource, of those chosen."""
    counted: Counter[str] = Counter()
    for write, count in writes.items():
        if chosen(write):
            counted[write.what] += count
    return counted
