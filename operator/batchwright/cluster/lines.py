"""A response's body by lines, as watches and logs come; with a word to the kernel about how often to wake us."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Final

import aiohttp

# The kernel caps it at half its buffer.
GATHER_BYTES: Final = 1 << 20


async def lines(
    stream: aiohttp.StreamReader, transport: asyncio.Transport | None = None, gather_seconds: float = 0.0
) -> AsyncIterator[bytes]:
    """Lines of any length: aiohttp's own reader refuses those over 128 KiB, and an object may have 1.5 MiB.

    From a `transport` that is given, what comes within a moment is read together: waking the event loop costs more than
    an event (236 µs each on busy pods, 125 this way). It is left as it was, for it may be another request's by then.
    """
    rest = b""
    try:
        async for chunk in stream.iter_any():
            parts = (rest + chunk).split(b"\n") if rest else chunk.split(b"\n")
            rest = parts.pop()
            for part in parts:
                yield part
            if transport is not None and not stream.is_eof():
                _wake_at(transport, GATHER_BYTES)
                await asyncio.sleep(gather_seconds)
                _wake_at(transport, 1)
    finally:
        if transport is not None:
            _wake_at(transport, 1)
    if rest:
        yield rest


def _wake_at(transport: asyncio.Transport, received: int) -> None:
    """The kernel says that there is something to read from so many bytes on (socket(7), SO_RCVLOWAT), or at the end."""
    if not transport.is_closing() and hasattr(socket, "SO_RCVLOWAT"):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, received)
