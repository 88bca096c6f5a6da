"""How the names of a multi-node job's nodes are written, whatever is there."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest

import builders as b
from batchwright.cluster.client import JSON
from batchwright.cluster.resources import ENDPOINT_SLICES, Resource
from batchwright.controllers.gangs import Gangs, publish_names
from batchwright.controllers.nodepods import Nodes
from batchwright.errors import AlreadyExists, NotFound
from unit.controllers.test_gather import World

BODY = {"metadata": {"namespace": "lab", "name": "train"}, "addressType": "IPv4", "endpoints": [{"hostname": "a"}]}


class OneSlice:
    """An API server with room for one slice; `asked` are the requests."""

    def __init__(self, found: JSON | None) -> None:
        self.found, self.asked = found, list[str]()

    async def create(self, resource: Resource, namespace: str, body: JSON) -> JSON:
        self.asked.append("create")
        assert (resource, namespace) == (ENDPOINT_SLICES, "lab")
        if self.found is not None:
            raise AlreadyExists("there is one", 409)
        self.found = body
        return body

    async def patch(self, resource: Resource, namespace: str, name: str, body: JSON, *, answer: bool) -> JSON:
        self.asked.append("patch")
        assert (resource, namespace, name, answer) == (ENDPOINT_SLICES, "lab", "train", False)
        if self.found is None:
            raise NotFound("there is none", 404)
        self.found = self.found | body
        return {}


@pytest.mark.parametrize(
    ("is_there", "found", "want"),
    [
        pytest.param(False, None, ["create"], id="the first names"),
        pytest.param(True, BODY | {"endpoints": []}, ["patch"], id="more of them"),
        pytest.param(False, BODY | {"endpoints": []}, ["create", "patch"], id="an operator before this one made it"),
        pytest.param(True, None, ["patch", "create"], id="somebody deleted it"),
    ],
)
async def test_publish_names(is_there: bool, found: JSON | None, want: list[str]) -> None:
    api: Any = OneSlice(found)
    await publish_names(api, BODY, is_there=is_there)
    assert api.asked == want
    assert api.found == BODY


@pytest.mark.parametrize(("started", "want"), [(True, ["patch"]), (False, [])], ids=["it ran", "it never ran"])
async def test_names_lead_nowhere_once_the_job_has_ended(started: bool, want: list[str]) -> None:
    """Whoever published them: this operator knows of no names yet."""
    api: Any = OneSlice(BODY)
    nothing: Any = None
    spawned = list[Coroutine[Any, Any, None]]()
    gangs = Gangs(api, nothing, nothing, nothing, nothing, spawned.append, nothing, nothing)
    entry = World().submit()
    entry.nodes, entry.work = Nodes(), b.work(namespace="lab", name="train")
    entry.status = b.status("SUCCEEDED", **({"startedAt": "2026-01-01T00:00:00Z"} if started else {}))
    gangs.sweep(entry)
    for each in spawned:
        await each
    assert api.asked == want
    assert (api.found["endpoints"] == []) is started
