"""Who has pods on which node: whether it is idle, whether somebody else is there, what daemons take of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from batchwright.domain.observations import Occupant
from batchwright.domain.quantities import Resources, add


class Tenants:
    """Pods by node, kept up to date pod by pod. `used` are the nodes that pods of ours have been on."""

    def __init__(self) -> None:
        self.used: set[str] = set()
        self._ours: dict[str, str] = {}
        self._pods: defaultdict[str, set[str]] = defaultdict(set)
        self._others: dict[str, Occupant] = {}
        self._on_node: defaultdict[str, set[str]] = defaultdict(set)

    def put(self, uid: str, node: str) -> None:
        """A pod of ours is on the node; on none ("") before it is bound and after its end."""
        before = self._ours.get(uid, "")
        if before == node:
            return
        if before:
            self._pods[before].discard(uid)
            del self._ours[uid]
            if not self._pods[before]:
                del self._pods[before]
        if node:
            self._ours[uid] = node
            self._pods[node].add(uid)
            self.used.add(node)

    def put_other(self, uid: str, record: Occupant | None) -> None:
        """A pod that is not ours was seen, changed, or is gone."""
        before = self._others.pop(uid, None)
        if before is not None:
            self._on_node[before.node].discard(uid)
            if not self._on_node[before.node]:
                del self._on_node[before.node]
        if record is not None and record.node:
            self._others[uid] = record
            self._on_node[record.node].add(uid)

    def ours(self, node: str) -> int:
        """How many pods of ours are on the node."""
        return len(self.pods_on(node))

    def pods_on(self, node: str) -> Collection[str]:
        """The uids of the pods of ours on the node."""
        return self._pods.get(node, ())

    def others(self, node: str) -> int:
        """How many pods of others are, daemons apart."""
        return sum(not self._others[uid].is_daemon for uid in self._on_node.get(node, ()))

    def daemons(self, node: str) -> Resources:
        """What daemons take of the node."""
        found: Resources = {}
        for uid in self._on_node.get(node, ()):
            if self._others[uid].is_daemon:
                found = add(found, self._others[uid].request)
        return found
