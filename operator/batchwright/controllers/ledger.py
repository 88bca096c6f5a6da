"""What is taken of each node, kept up to date pod by pod, so that a pass does not add up every pod anew."""

from __future__ import annotations

from collections.abc import Mapping

from batchwright.domain.quantities import Resources


class Ledger:
    """Sums of pod requests by node."""

    def __init__(self) -> None:
        self._pods: dict[str, tuple[str, Resources]] = {}
        self._nodes: dict[str, Resources] = {}
        self._touched: set[str] = set()

    def drain(self) -> set[str]:
        """The nodes of which other amounts are taken than when this was last asked."""
        touched, self._touched = self._touched, set()
        return touched

    @property
    def occupied(self) -> Mapping[str, Resources]:
        """What is taken, by node name."""
        return self._nodes

    def account(self, uid: str, node: str, request: Resources) -> None:
        """The pod takes `request` from `node`; an empty node name: from none (not bound, or finished)."""
        known = self._pods.get(uid)
        if known is not None and known[0] == node and known[1] == request:
            return
        self.release(uid)
        if node:
            self._pods[uid] = (node, request)
            self._add(node, request, 1)

    def release(self, uid: str) -> None:
        """The pod is gone."""
        known = self._pods.pop(uid, None)
        if known is not None:
            self._add(known[0], known[1], -1)

    def _add(self, node: str, request: Resources, sign: int) -> None:
        self._touched.add(node)
        sums = self._nodes.setdefault(node, {})
        for name, amount in request.items():
            sums[name] = sums.get(name, 0) + sign * amount
        if sign < 0 and not any(sums.values()):
            del self._nodes[node]
