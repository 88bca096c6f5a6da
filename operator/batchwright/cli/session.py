"""One command's talk with one cluster: the client, and the namespace it works in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from batchwright.cluster.client import ApiClient

JSON = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Session:
    """An open client and the namespace of this command."""

    api: ApiClient
    namespace: str


async def connect(context: str | None, kubeconfig: str | None) -> ApiClient:
    """A client, not yet open. Raises ConnectionSetupError, which says all: the library's own remarks are not shown."""
    from batchwright.cluster.client import ApiClient

    logging.getLogger("kubernetes").addHandler(logging.NullHandler())
    return await ApiClient.connect(context, kubeconfig)


@asynccontextmanager
async def open_session(
    context: str | None, kubeconfig: str | None, namespace: str | None = None
) -> AsyncIterator[Session]:
    """Connects as kubectl would. Raises ConnectionSetupError."""
    async with await connect(context, kubeconfig) as api:
        yield Session(api, namespace or api.connection.namespace)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs a command's coroutine to its end; Ctrl-C cancels it and raises KeyboardInterrupt."""
    return asyncio.run(work)
