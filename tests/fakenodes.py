"""The part of an API server that simulated nodes need, in memory: Nodes by name."""

from __future__ import annotations

from typing import Any

from batchwright.cluster.client import JSON
from batchwright.cluster.resources import NODES, Resource
from batchwright.errors import AlreadyExists, ApiUnavailable, NotFound


class FakeNodes:
    """Stands for an ApiClient; with `is_away` nothing answers."""

    def __init__(self) -> None:
        self.nodes: dict[str, JSON] = {}
        self.is_away = False

    def _check(self, resource: Resource) -> None:
        assert resource is NODES
        if self.is_away:
            raise ApiUnavailable("connection refused")

    async def create(self, resource: Resource, namespace: str | None, body: JSON) -> JSON:
        self._check(resource)
        name = body["metadata"]["name"]
        if name in self.nodes:
            raise AlreadyExists(f"nodes {name} already exists", 409)
        metadata = body["metadata"] | {"creationTimestamp": "2026-03-01T12:00:00Z"}
        self.nodes[name] = body | {"metadata": metadata}
        return self.nodes[name]

    async def get(self, resource: Resource, namespace: str | None, name: str) -> JSON:
        self._check(resource)
        if name not in self.nodes:
            raise NotFound(f"nodes {name} not found", 404)
        return self.nodes[name]

    async def delete(self, resource: Resource, namespace: str | None, name: str, **_: Any) -> None:
        self._check(resource)
        if self.nodes.pop(name, None) is None:
            raise NotFound(f"nodes {name} not found", 404)

    async def list_all(self, resource: Resource, *, labels: str) -> list[JSON]:
        self._check(resource)
        key, _, value = labels.partition("=")
        return [node for node in self.nodes.values() if node["metadata"]["labels"].get(key) == value]
