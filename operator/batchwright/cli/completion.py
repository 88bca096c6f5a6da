"""Shell completion of names that live in the cluster.

Hazard: a shell waits while this runs, and what is printed lands in the user's line. So there is one short deadline for
everything after the imports, and a cluster that cannot be asked completes nothing, in silence.
"""

from __future__ import annotations

import asyncio
from typing import Final

import typer

from batchwright.cli.session import connect
from batchwright.cluster.resources import (
    BATCH_JOBS,
    COMPUTE_ENVIRONMENTS,
    JOB_DEFINITIONS,
    JOB_QUEUES,
    NAMESPACES,
    Resource,
)
from batchwright.errors import BatchwrightError

DEADLINE_SECONDS: Final = 1.5
MOST: Final = 500


def jobs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of BatchJobs."""
    return _names(BATCH_JOBS, ctx, incomplete)


def queues(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of JobQueues."""
    return _names(JOB_QUEUES, ctx, incomplete)


def definitions(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of JobDefinitions."""
    return _names(JOB_DEFINITIONS, ctx, incomplete)


def environments(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of ComputeEnvironments."""
    return _names(COMPUTE_ENVIRONMENTS, ctx, incomplete)


def namespaces(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of namespaces."""
    return _names(NAMESPACES, ctx, incomplete)


def _names(resource: Resource, ctx: typer.Context, incomplete: str) -> list[str]:
    try:
        found = asyncio.run(_ask(resource, ctx))
    except (BatchwrightError, TimeoutError):
        return []
    return sorted(name for name in found if name.startswith(incomplete))


async def _ask(resource: Resource, ctx: typer.Context) -> list[str]:
    given = ctx.params
    api = await connect(given.get("context"), given.get("kubeconfig"))
    async with asyncio.timeout(DEADLINE_SECONDS), api:
        namespace = given.get("namespace") or api.connection.namespace
        path = resource.path(namespace if resource.namespaced else None)
        page = await api.request("GET", path, params={"limit": str(MOST)}, attempts=1)
    return [item["metadata"]["name"] for item in page["items"]]
