"""Decoding of JSON that is nested deeper than any decoder goes."""

from __future__ import annotations

import copy
import json
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from batchwright.cluster.decoding import DEEPEST, ShallowResponse, decode, pruned
from batchwright.domain.nesting import is_deeper, shallow

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


def nested(depth: int, inner: bytes = b'"here"') -> bytes:
    return b'{"x":[' * (depth // 2) + inner + b"]}" * (depth // 2)


@given(JSON_VALUES, st.integers(0, 6), st.booleans())
def test_only_what_is_too_deep_is_taken_out(value: Any, levels: int, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert orjson.loads(pruned(text, levels)) == shallow(value, levels)


@given(JSON_VALUES, st.integers(0, 6))
def test_how_deep_a_value_is(value: Any, levels: int) -> None:
    assert is_deeper(value, levels) == (shallow(value, levels) != value)


@pytest.mark.parametrize("depth", [2, 200, 980, 1100, 9000, 200_000])
def test_any_depth_is_read(depth: int) -> None:
    text = b'{"a":1,"deep":' + nested(depth) + b',"b":"}]{["}'
    found = decode(text)
    assert (found["a"], found["b"]) == (1, "}]{[")
    assert is_deeper(found, DEEPEST - 1) == (depth >= DEEPEST)


@pytest.mark.parametrize("text", [b"", b"{", b'{"a"', nested(3000)[:-1], b"nonsense", b"]" * 3000, b'"\\'])
def test_what_is_not_json_is_refused(text: bytes) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        decode(text)


async def test_answers_and_watches_come_shallow_to_those_who_decode_them_by_themselves() -> None:
    lines = [b'{"n":1}', b'{"n":2,"deep":' + nested(5000) + b"}", b'{"n":3}']

    async def watch(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        text = b"\n".join(lines)
        for begin in range(0, len(text), 777):
            await response.write(text[begin : begin + 777])
        return response

    async def one(_: web.Request) -> web.Response:
        return web.Response(body=lines[1], content_type="application/json")

    async def nothing(_: web.Request) -> web.Response:
        return web.Response()

    async def readable(_: web.Request) -> web.Response:
        # orjson reads all of it, and Python's recursion does not follow.
        return web.Response(body=b'{"n":4,"deep":' + nested(980) + b"}", content_type="application/json")

    app = web.Application()
    app.add_routes([web.get("/watch", watch), web.get("/one", one), web.get("/nothing", nothing)])
    app.add_routes([web.get("/readable", readable)])
    async with TestServer(app) as server, aiohttp.ClientSession(response_class=ShallowResponse) as session:
        async with session.get(server.make_url("/watch")) as response:
            parts = [part async for part in response.content.iter_chunked(1000)]
        assert [json.loads(line)["n"] for line in b"".join(parts).split(b"\n")] == [1, 2, 3]
        async with session.get(server.make_url("/one")) as response:
            assert (await response.json())["n"] == 2
        async with session.get(server.make_url("/nothing")) as response:
            assert await response.json() is None
        async with session.get(server.make_url("/readable")) as response:
            # kopf copies whatever it reads.
            assert copy.deepcopy(await response.json())["n"] == 4
