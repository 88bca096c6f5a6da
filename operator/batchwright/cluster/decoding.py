"""JSON of any depth: what is nested deeper than anything Kubernetes has is taken out before it is decoded.

A podTemplate is an open object, and the API server takes 10,000 levels of it. orjson reads 1,024, CPython's decoder
about as many as its recursion limit, and the error of either would end the watch of every other object, again at each
start. kopf copies what it reads, for which Python's recursion ends at less than 500. So the deep part reads as null;
that an object has such a part can still be seen (`domain.nesting`).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import orjson
from aiohttp.connector import Connection

# Kubernetes' own objects are some 15 levels deep, a schema in a CustomResourceDefinition 50. orjson writes 254.
DEEPEST = 200
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
_OPENING = b"[{"


def decode(text: bytes) -> Any:
    """The value of a JSON text; null in the place of what is nested too deep for the decoder.

    Raises orjson.JSONDecodeError, a ValueError, on what is not JSON.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        shallow = pruned(text)
        if shallow == text:
            raise
        return orjson.loads(shallow)


def pruned(text: bytes, deepest: int = DEEPEST) -> bytes:
    """The JSON text with null in the place of every object and list that is more than `deepest` levels deep."""
    if text.count(b"{") + text.count(b"[") <= deepest:
        return text
    kept: list[bytes] = []
    depth, begin = 0, 0
    for token in _TOKEN.finditer(text):
        sign = token[0][:1]
        if sign == b'"':
            continue
        if sign in _OPENING:
            depth += 1
            if depth == deepest + 1:
                kept += text[begin : token.start()], b"null"
        else:
            depth -= 1
            if depth == deepest:
                begin = token.end()
    # Text that ends within what was taken out is no JSON: it stays so.
    return b"".join((*kept, text[begin:] if depth <= deepest else b"")) if kept else text


class ShallowResponse(aiohttp.ClientResponse):
    """An answer of the API server for those who decode it with other means than ours (kopf): as a whole, or line by
    line from its content."""

    async def start(self, connection: Connection) -> ShallowResponse:
        """Begins to receive; as aiohttp's."""
        await super().start(connection)
        self.content: Any = _ShallowLines(self.content)
        return self

    def tell(self, hear: Callable[[], None]) -> None:
        """Has `hear` called whenever something of the content comes."""
        self.content.hear = hear

    async def json(self, **_: Any) -> Any:
        """The decoded body, pruned as the lines of a watch are; None when there is none."""
        body = await self.read()
        return orjson.loads(pruned(body)) if body.strip() else None


class _ShallowLines:
    """A stream whose `iter_chunked` gives whole lines, pruned; in all else as the stream it stands for."""

    def __init__(self, stream: aiohttp.StreamReader) -> None:
        self._stream = stream
        self.hear: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        rest: list[bytes] = []
        async for chunk in self._stream.iter_chunked(size):
            self.hear()
            whole, line_end, begun = chunk.rpartition(b"\n")
            if line_end:
                lines = b"".join((*rest, whole)).split(b"\n")
                yield b"".join(pruned(line) + b"\n" for line in lines)
                rest = []
            rest.append(begun)
        if last := b"".join(rest):
            yield pruned(last)
