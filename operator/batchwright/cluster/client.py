"""A thin client of the API server: JSON in, JSON out, typed errors, retries for what may pass.

aiohttp and orjson in place of the generated client, whose object layer costs more than everything else the operator
does (style guide B1; ADR 0003). Every write we make is idempotent by name or by value, so all may be retried.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from importlib.metadata import version
from typing import Any

import aiohttp
import orjson
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from batchwright import names
from batchwright.cluster.clock import Clock
from batchwright.cluster.connection import Connection, load_connection
from batchwright.cluster.decoding import decode
from batchwright.cluster.lines import lines
from batchwright.cluster.resources import Resource
from batchwright.errors import ApiError, ApiUnavailable, NotLeading, Throttled, api_error

JSON = dict[str, Any]
PAGE = 500
JSON_TYPE = "application/json"
METADATA_TYPE = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
METADATA_LIST_TYPE = METADATA_TYPE.replace("PartialObjectMetadata", "PartialObjectMetadataList")
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
REQUEST_SECONDS = 60.0
# The API server ends connections that are idle for 90 s; a new one costs both sides a handshake with certificates.
KEEPALIVE_SECONDS = 75.0
FIRST_PAUSE_SECONDS = 0.2
# How audit logs and flow control tell our requests from others'.
USER_AGENT = f"batchwright/{version('batchwright')}"
# Made once: to make the first for each request took a third of a request's CPU.
_MAY_PASS = retry_if_exception_type((ApiUnavailable, Throttled))
_PAUSE = wait_exponential_jitter(multiplier=0.2, max=5)
_TIMEOUT = aiohttp.ClientTimeout(total=REQUEST_SECONDS)


class ApiClient:
    """One connection pool to one API server; use as an async context manager."""

    def __init__(self, connection: Connection, *, connections: int = 64, user_agent: str = USER_AGENT) -> None:
        self.connection = connection
        self.user_agent = user_agent
        self._limit = connections
        self._session: aiohttp.ClientSession | None = None
        self.writes = 0
        # Asked before each write is sent, also before it is sent again (cluster.lease).
        self.may_write: Callable[[], bool] = lambda: True
        # Told of each write that was tried, dry runs aside: the method, the resource, and the status of an error (0
        # without an answer).
        self.hear_write: Callable[[str, str, int | None], None] = lambda *_: None
        self.clock = Clock()

    @classmethod
    async def connect(cls, context: str | None = None, kubeconfig: str | None = None) -> ApiClient:
        """A client for the cluster that kubectl would use. Raises ConnectionSetupError."""
        return cls(await load_connection(context, kubeconfig))

    async def __aenter__(self) -> ApiClient:
        connector = aiohttp.TCPConnector(
            ssl=self.connection.ssl_context, limit=self._limit, keepalive_timeout=KEEPALIVE_SECONDS
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            auto_decompress=True,
            headers={"User-Agent": self.user_agent},
            # The API server sets none, and to look for some costs a tenth of a request.
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=_TIMEOUT,
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends every connection of the pool."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def open(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = JSON_TYPE,
        accept: str = JSON_TYPE,
        timeout: aiohttp.ClientTimeout = _TIMEOUT,
    ) -> aiohttp.ClientResponse:
        """One request without retries; the caller reads the response. Raises ApiError, ApiUnavailable."""
        if self._session is None:
            raise RuntimeError("ApiClient is not open: use `async with`")
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = content_type
        token = await self.connection.authorization()
        if token:
            headers["Authorization"] = token
        sent = self.clock.monotonic()
        try:
            response = await self._session.request(
                method,
                self.connection.server + path,
                params=params,
                data=body,
                headers=headers,
                timeout=timeout,
            )
            self.clock.hear(response.headers.get("Date"), sent)
            if response.status < 400:
                return response
            payload = await response.read()
            response.release()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiUnavailable(f"{method} {path}: {error or type(error).__name__}") from error
        raise api_error(response.status, payload)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON_TYPE,
        attempts: int = 5,
    ) -> JSON:
        """One request, retried when the server is out of reach or asks to come back later."""
        payload = await self.send(method, path, params=params, body=body, content_type=content_type, attempts=attempts)
        loaded: JSON = decode(payload) if payload else {}
        return loaded

    async def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON_TYPE,
        accept: str = JSON_TYPE,
        attempts: int = 5,
    ) -> bytes:
        """As `request`, with the answer as it came. Raises NotLeading in place of a write that is not allowed."""
        data = None if body is None else orjson.dumps(body)
        is_write = method != "GET"
        # A dry run asks leave as a write does, and writes nothing.
        counts = is_write and "dryRun" not in (params or {})
        if counts:
            self.writes += 1

        async def ask() -> bytes:
            if is_write and not self.may_write():
                raise NotLeading(f"{method} {path}: not sent, because this operator does not lead")
            failed: int | None = None
            try:
                response = await self.open(
                    method, path, params=params, body=data, content_type=content_type, accept=accept
                )
                return await response.read()
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                failed = 0
                raise ApiUnavailable(f"{method} {path}: {error}") from error
            except ApiError as error:
                failed = error.status
                raise
            finally:
                if counts:
                    self.hear_write(method, resource_of(path), failed)

        try:
            # Hardly a request fails, and tenacity costs a third of one.
            return await ask()
        except (ApiUnavailable, Throttled):
            if attempts == 1:
                raise
        await asyncio.sleep(FIRST_PAUSE_SECONDS)
        again = AsyncRetrying(retry=_MAY_PASS, stop=stop_after_attempt(attempts - 1), wait=_PAUSE, reraise=True)
        return await again(ask)

    async def get(self, resource: Resource, namespace: str | None, name: str) -> JSON:
        """One object. Raises NotFound."""
        return await self.request("GET", resource.path(namespace, name))

    async def list_all(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: str | None = None,
        fields: str | None = None,
    ) -> list[JSON]:
        """All objects of a collection, page by page. Objects of a list carry no apiVersion and kind."""
        found: list[JSON] = []
        async for page in self.pages(resource, namespace, labels=labels, fields=fields):
            found += page["items"]
        return found

    async def pages(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: str | None = None,
        fields: str | None = None,
        is_small: bool = False,
    ) -> AsyncIterator[JSON]:
        """The pages of a collection as the server sends them, the first consistent with every write before it. What is
        selected of many and `is_small` is one page, which the API server has from its watch cache (KEP-2340); for a
        limit it reads and decodes all that etcd has there."""
        params = selectors(labels, fields) | ({} if is_small else {"limit": str(PAGE)})
        while True:
            page = await self.request("GET", resource.path(namespace), params=params)
            yield page
            token = page["metadata"].get("continue")
            if not token:
                return
            params["continue"] = token

    async def create(
        self, resource: Resource, namespace: str | None, body: JSON, *, dry_run: bool = False, strict: bool = False
    ) -> JSON:
        """Creates an object. Raises AlreadyExists, Invalid, Forbidden, NotFound (no such namespace)."""
        params = {"fieldManager": names.FIELD_MANAGER}
        if dry_run:
            params["dryRun"] = "All"
        if strict:
            params["fieldValidation"] = "Strict"
        return await self.request("POST", resource.path(namespace), params=params, body=body)

    async def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: JSON | list[JSON],
        *,
        subresource: str | None = None,
        content_type: str = MERGE_PATCH,
        answer: bool = True,
    ) -> JSON:
        """Patches an object or its subresource, and gives what has become of it; where that is no matter (`answer`),
        nothing, and the API server is not asked for most of it. Raises NotFound, Conflict, Invalid."""
        payload = await self.send(
            "PATCH",
            resource.path(namespace, name, subresource),
            params={"fieldManager": names.FIELD_MANAGER},
            body=body,
            content_type=content_type,
            accept=JSON_TYPE if answer else METADATA_TYPE,
        )
        loaded: JSON = decode(payload) if answer else {}
        return loaded

    async def apply(self, resource: Resource, namespace: str | None, body: JSON) -> JSON:
        """Server-side apply by name, taking over conflicting fields of other managers."""
        return await self.request(
            "PATCH",
            resource.path(namespace, body["metadata"]["name"]),
            params={"fieldManager": names.FIELD_MANAGER, "force": "true"},
            body=body,
            content_type=APPLY_PATCH,
        )

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        propagation: str = "Background",
        grace_seconds: int | None = None,
    ) -> None:
        """Deletes an object; `uid` makes sure it is the one that was seen. Raises NotFound, Conflict."""
        body: JSON = {"propagationPolicy": propagation}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            body["gracePeriodSeconds"] = grace_seconds
        await self.request("DELETE", resource.path(namespace, name), body=body)

    async def delete_all(self, resource: Resource, namespace: str, *, labels: str, fields: str | None = None) -> None:
        """Deletes the objects of a namespace with these labels and fields, in one request.

        Those that the API server's watch cache has, which is ahead of our watches: without `resourceVersion=0` it would
        read and decode all that the namespace has from etcd, whatever the labels. An object that left `fields` in that
        very instant goes too, since the cache is compared and not the object.
        """
        await self.send(
            "DELETE",
            resource.path(namespace),
            params={**selectors(labels, fields), "resourceVersion": "0"},
            body={"propagationPolicy": "Background"},
            accept=METADATA_LIST_TYPE,
        )

    async def watch(
        self,
        resource: Resource,
        version: str,
        *,
        namespace: str | None = None,
        labels: str | None = None,
        fields: str | None = None,
        skip: Callable[[bytes], bool] | None = None,
        gather_seconds: float = 0.04,
        seconds: int = 300,
        idle_seconds: float = 150.0,
    ) -> AsyncIterator[JSON]:
        """Events after `version`, bookmarks included, until the server ends the watch; those whose line `skip` says yes
        to are not even parsed. What comes within `gather_seconds` of a read is read together.

        Raises Gone when `version` is too old, ApiUnavailable when nothing (not even a bookmark) came for
        `idle_seconds`: a connection can die in silence, and bookmarks come about once a minute.
        """
        params = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
        } | selectors(labels, fields)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=idle_seconds)
        response = await self.open("GET", resource.path(namespace), params=params, timeout=timeout)
        # Now: once the last chunk is parsed, which may be before it is read, aiohttp's connection has none.
        transport = response.connection.transport if response.connection is not None else None
        try:
            async for line in lines(response.content, transport, gather_seconds):
                if not line or (skip is not None and skip(line)):
                    continue
                event: JSON = decode(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise api_error(status.get("code", 500), orjson.dumps(status))
                yield event
        except orjson.JSONDecodeError as error:
            # A connection cut within a line, by a server or proxy that does not use chunks.
            raise ApiUnavailable(f"watch of {resource.plural}: a broken line: {error}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiUnavailable(f"watch of {resource.plural}: {error or type(error).__name__}") from error
        finally:
            response.close()

    async def stream_lines(self, path: str, params: Mapping[str, str]) -> AsyncIterator[bytes]:
        """Lines of a plain-text stream (pod logs) as they come, blank ones too, without their line ends."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        response = await self.open("GET", path, params=params, timeout=timeout)
        try:
            async for line in lines(response.content):
                yield line
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiUnavailable(f"{path}: {error or type(error).__name__}") from error
        finally:
            response.close()


def resource_of(path: str) -> str:
    """The resource that a path is about, with its subresource: `pods/status` of a pod's status. No object's name."""
    parts = path.split("/")[3 if path.startswith("/api/") else 4 :]
    if parts[:1] == ["namespaces"] and len(parts) > 2:
        parts = parts[2:]
    return "/".join(parts[::2])


def selectors(labels: str | None, fields: str | None) -> dict[str, str]:
    """The query parameters of a label and a field selector."""
    params: dict[str, str] = {}
    if labels:
        params["labelSelector"] = labels
    if fields:
        params["fieldSelector"] = fields
    return params
