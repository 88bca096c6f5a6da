"""Many requests, some at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar

Item = TypeVar("Item")

CONCURRENCY: Final = 16


async def in_lanes(items: Iterable[Item], action: Callable[[Item], Awaitable[object]]) -> None:
    """Does `action` to each item, in their order, CONCURRENCY of them at a time; raises what an action raises."""
    left = iter(items)

    async def lane() -> None:
        for item in left:
            await action(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(lane())
