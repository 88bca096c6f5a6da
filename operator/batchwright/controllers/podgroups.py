"""Whether the other nodes of a multi-node job are bound together by a PodGroup: where the cluster has that API.

Whether it has is found by discovery, asked anew now and then. It is decided once for each pod of the main node: where
some nodes are in a group and some are not, those in it wait for the others for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from batchwright.cluster.client import ApiClient
from batchwright.cluster.resources import POD_GROUPS
from batchwright.controllers.nodepods import Nodes
from batchwright.errors import AlreadyExists, ApiError, Forbidden, Invalid, NotFound
from batchwright.workloads.shapes import Wire

logger = structlog.get_logger(__name__)
DISCOVERY_SECONDS = 300.0
# What may pass is not here: then nothing is decided, and making the nodes is tried again as a whole.
_REFUSALS = (Forbidden, NotFound, Invalid)


class PodGroups:
    """Makes PodGroups where the cluster has them and they are `wanted`; `seconds` is a clock."""

    def __init__(self, api: ApiClient, *, wanted: bool = True, seconds: Callable[[], float] = time.monotonic) -> None:
        self._api, self._wanted, self._seconds = api, wanted, seconds
        self._served: bool | None = None
        self._asked_at = 0.0
        self._said: set[type[ApiError]] = set()

    async def join(self, nodes: Nodes, main: str, body: Wire | None, *, begun: bool) -> str:
        """The name of the group that nodes of this pod of the main node are to be of, empty for none. `body` is the
        group they could be of, and `begun` says that some of them are there. Raises ApiError."""
        if nodes.has_bound(main):
            # The group has been bound: one that is made again has nobody to wait for, and some may have ended.
            nodes.group = main, ""
        elif nodes.group is None or nodes.group[0] != main:
            nodes.group = main, await self._decide(nodes, body, begun=begun)
        return nodes.group[1]

    async def _decide(self, nodes: Nodes, body: Wire | None, *, begun: bool) -> str:
        if body is None or not self._wanted or nodes.apart or not await self._is_served():
            return ""
        name: str = body["metadata"]["name"]
        if begun:
            # By an operator that is no more, which may have had no group.
            return name if await self._is_there(body) else ""
        try:
            await self._api.create(POD_GROUPS, body["metadata"]["namespace"], body)
        except AlreadyExists:
            return name if await self._is_there(body) else ""
        except _REFUSALS as error:
            if isinstance(error, NotFound):
                # No such API (any more), or no such namespace.
                self._served = None
            self._refused(error)
            return ""
        return name

    async def _is_there(self, body: Wire) -> bool:
        """Whether the group of this name is this one."""
        metadata = body["metadata"]
        try:
            found = (await self._api.get(POD_GROUPS, metadata["namespace"], metadata["name"]))["metadata"]
        except NotFound:
            return False
        except _REFUSALS as error:
            self._refused(error)
            return False
        owners = {owner["uid"] for owner in found.get("ownerReferences") or ()}
        return metadata["ownerReferences"][0]["uid"] in owners

    def _refused(self, error: ApiError) -> None:
        if type(error) not in self._said:
            self._said.add(type(error))
            logger.warning("multi-node jobs start without a PodGroup", error=str(error))

    async def _is_served(self) -> bool:
        now = self._seconds()
        if self._served is None or now - self._asked_at >= DISCOVERY_SECONDS:
            before, self._served = self._served, await self._discover()
            self._asked_at = now
            if before != self._served:
                logger.info("PodGroups discovered" if self._served else "no PodGroups", api=POD_GROUPS.api_version)
        return self._served

    async def _discover(self) -> bool:
        try:
            listed = await self._api.request("GET", f"/apis/{POD_GROUPS.api_version}")
        except (NotFound, Forbidden):
            return False
        return any(resource["name"] == POD_GROUPS.plural for resource in listed.get("resources") or ())
