"""Follows the API server's audit log while it grows and is rotated: what a long story costs, request by request.

The log is read as it is written, by a thread of its own, so that a rotation (at 100 MB) loses nothing: what was opened
is read to its end before its successor is.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

import orjson

READS = frozenset({"get", "list", "watch"})
PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Write:
    """A request that changes something: when it came, the verb, the resource with its subresource, and its name."""

    at: float
    verb: str
    resource: str
    name: str


class AuditTail:
    """The writes of one client (the user agent's first word) in one namespace since this was made."""

    def __init__(self, path: Path, agent: str, namespace: str) -> None:
        self.writes: list[Write] = []
        self._path, self._agent, self._namespace = path, agent, namespace
        self._mark = f'"namespace":"{namespace}"'.encode()
        self._stop = threading.Event()
        log = path.open("rb")
        log.seek(0, 2)
        self._thread = threading.Thread(target=self._run, args=(log,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Reads what is there, and no more."""
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), "the audit log is written faster than it is read"

    def _run(self, log: IO[bytes]) -> None:
        rest = b""
        while True:
            last = self._stop.is_set()
            rest = self._read(log, rest)
            if self._path.exists() and self._path.stat().st_ino != os.fstat(log.fileno()).st_ino:
                # It was rotated: what was written to it until then comes first.
                rest = self._read(log, rest)
                log.close()
                log = self._path.open("rb")
            elif last:
                log.close()
                return
            else:
                self._stop.wait(PAUSE_SECONDS)

    def _read(self, log: IO[bytes], rest: bytes) -> bytes:
        *lines, rest = (rest + log.read()).split(b"\n")
        for line in lines:
            # Most lines are others': a search is cheaper than parsing them.
            if self._mark in line and self._agent.encode() in line:
                self._take(orjson.loads(line))
        return rest

    def _take(self, entry: Mapping[str, object]) -> None:
        about = entry.get("objectRef")
        agent = str(entry.get("userAgent") or "?").split(" ")[0]
        if agent != self._agent or not isinstance(about, Mapping) or about.get("namespace") != self._namespace:
            return
        if entry["verb"] in READS:
            return
        resource = "/".join(str(part) for part in (about.get("resource"), about.get("subresource")) if part)
        at = datetime.fromisoformat(str(entry["requestReceivedTimestamp"])).timestamp()
        self.writes.append(Write(at, str(entry["verb"]), resource, str(about.get("name", ""))))

    def of(self, chosen: Callable[[Write], bool]) -> list[Write]:
        """The writes chosen, in the order they came."""
        return sorted((write for write in list(self.writes) if chosen(write)), key=lambda write: write.at)


@dataclass(frozen=True, slots=True)
class Request:
    """A request, with RBAC's `judgement`: `allow` or `forbid`, or empty where it was not asked. `resource` has its
    subresource; `name` is empty where none was asked for."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    judgement: str


def requests_of(path: Path, user: str, since: int = 0) -> set[Request]:
    """What a user has asked of the API server, each kind of request once; what is no resource (discovery) is left out.
    `since` is the log's size before the story.

    The log must not have been rotated: a short story's.
    """
    rotated = [each.name for each in path.parent.glob(f"{path.stem}-*{path.suffix}")]
    assert rotated == [], "the audit log was rotated: what is missing cannot be known"
    mark, found = f'"username":"{user}"'.encode(), set()
    with path.open("rb") as log:
        log.seek(since)
        for line in log:
            if mark not in line or not line.endswith(b"\n"):
                continue
            entry = orjson.loads(line)
            about = entry.get("objectRef") or {}
            if entry["user"]["username"] == user and about.get("resource"):
                found.add(
                    Request(
                        verb=entry["verb"],
                        group=about.get("apiGroup", ""),
                        resource="/".join(each for each in (about["resource"], about.get("subresource")) if each),
                        namespace=about.get("namespace", ""),
                        name=about.get("name", ""),
                        judgement=entry.get("annotations", {}).get("authorization.k8s.io/decision", ""),
                    )
                )
    return found
