"""Many requests, some at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

Item = TypeVar("Item")

CONCURRENCY: Final = 16


async def in_lanes(items: Iterable[Item], action: Callable[[Item], Awaitable[object]]) -> None:
    """Does `action` to each item, in their order, CONCURRENCY of them at a time; raises what an action raises."""
    left = iter(items)

    async def lane() -> None:
        for item in left:
            await action(item)

    with first_error():
        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENCY):
                group.create_task(lane())


@contextmanager
def first_error() -> Iterator[None]:
    """Raises the first error of a group as itself: one line for a person, in place of a tree."""
    try:
        yield
    except ExceptionGroup as group:
        raise group.exceptions[0] from group
