"""Requests to the API server, read from its audit log (Metadata level, blocking mode).

An entry stands in the log before the client has its answer, so a mark taken between two requests parts them exactly.
The API server starts a new file at 100 MB, some 5,000 jobs, and keeps the old ones beside it under the time of their
end: they are read in that order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import orjson

READS = frozenset({"get", "list"})
# Heartbeats of nodes and leaders: by the clock, not by the job.
HEARTBEATS = frozenset({"leases", "nodes/status"})


class Request(NamedTuple):
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


@dataclass(frozen=True, slots=True)
class Entry:
    """One request: what it was, about which object, and when it came. Objects made with generateName have no name."""

    request: Request
    namespace: str
    name: str
    at: str

    @property
    def seconds(self) -> float:
        """When it came, in Unix seconds."""
        return datetime.fromisoformat(self.at).timestamp()


class AuditLog:
    """The audit log from the moment this is made, or `mark` was last called."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.mark()

    def mark(self) -> None:
        """Counts from here on."""
        stat = self._path.stat()
        self._inode, self._offset = stat.st_ino, stat.st_size

    def entries(self) -> Iterator[Entry]:
        """Every request since the mark, refused ones too, without watches and heartbeats."""
        offset = self._offset
        for path in self._files():
            with path.open("rb") as log:
                log.seek(offset)
                offset = 0
                for line in log:
                    if not line.endswith(b"\n"):
                        break  # still being written
                    entry = _entry(orjson.loads(line))
                    if entry is not None:
                        yield entry

    def requests(self, namespace: str | None = None) -> Counter[Request]:
        """How many requests of each kind since the mark, or of those about one namespace."""
        return Counter(entry.request for entry in self.entries() if namespace in (None, entry.namespace))

    def _files(self) -> list[Path]:
        """The file that was marked, and all that came after it, in the order of their making."""
        rotated = sorted(self._path.parent.glob(f"{self._path.stem}-*{self._path.suffix}"))
        files = [*rotated, self._path]
        marked = [number for number, path in enumerate(files) if path.stat().st_ino == self._inode]
        if not marked:
            raise RuntimeError(f"{self._path}: the file that was marked is no longer there")
        return files[marked[0] :]


def _entry(entry: Mapping[str, object]) -> Entry | None:
    verb, about = str(entry["verb"]), entry.get("objectRef")
    if verb == "watch" or not isinstance(about, Mapping):
        return None
    resource = "/".join(str(part) for part in (about.get("resource"), about.get("subresource")) if part)
    if resource in HEARTBEATS:
        return None
    return Entry(
        Request(str(entry.get("userAgent") or "?").split(" ")[0], verb, resource),
        str(about.get("namespace") or ""),
        str(about.get("name") or ""),
        str(entry["requestReceivedTimestamp"]),
    )


def by_what(requests: Mapping[Request, int], chosen: Callable[[Request], bool]) -> Counter[str]:
    """How many requests of each verb and resource, of those chosen."""
    counted: Counter[str] = Counter()
    for request, count in requests.items():
        if chosen(request):
            counted[request.what] += count
    return counted
