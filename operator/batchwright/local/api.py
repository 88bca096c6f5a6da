"""A minimal HTTPS client for the API server of a cluster we made: client certificates, JSON in and out.

The `kubernetes` package takes seconds to import, and a few plain requests (ready? create these nodes) need none of it.
Hazard: only for kubeconfigs with certificate files or inline data; a user's own cluster goes through kubectl.
"""

from __future__ import annotations

import base64
import http.client
import ssl
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import orjson
import yaml

from batchwright.errors import LocalError, api_error


class Api:
    """One keep-alive connection to an API server; not for several threads at once."""

    def __init__(self, kubeconfig: Path, timeout: float = 10.0) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        address = urlsplit(cluster["server"])
        if address.hostname is None:
            raise LocalError(f"{kubeconfig}: the cluster's server {cluster['server']!r} is not a URL")
        self.server = str(cluster["server"])
        self._connection = http.client.HTTPSConnection(
            address.hostname, address.port or 443, timeout=timeout, context=_tls(cluster, config["users"][0]["user"])
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def request(self, method: str, path: str, body: object = None, content_type: str = "application/json") -> Any:
        """Send one request and return the decoded answer; ApiError on 4xx and 5xx, OSError when unreachable."""
        headers = {"Accept": "application/json", "Content-Type": content_type}
        data = None if body is None else orjson.dumps(body)
        try:
            self._connection.request(method, path, body=data, headers=headers)
            response = self._connection.getresponse()
            answer = response.read()
        except (http.client.HTTPException, OSError):
            self._connection.close()
            raise
        if response.status >= 400:
            raise api_error(response.status, answer)
        return _decode(answer)


def _tls(cluster: dict[str, str], user: dict[str, str]) -> ssl.SSLContext:
    with tempfile.TemporaryDirectory() as scratch:
        authority = _file(cluster, "certificate-authority", Path(scratch))
        certificate = _file(user, "client-certificate", Path(scratch))
        key = _file(user, "client-key", Path(scratch))
        context = ssl.create_default_context(cafile=authority)
        context.load_cert_chain(certificate, key)
        return context


def _file(section: dict[str, str], key: str, scratch: Path) -> str:
    if key in section:
        return section[key]
    data = section.get(f"{key}-data")
    if data is None:
        raise LocalError(f"the kubeconfig has neither {key} nor {key}-data")
    path = scratch / key
    path.write_bytes(base64.b64decode(data))
    path.chmod(0o600)
    return str(path)


def _decode(answer: bytes) -> Any:
    try:
        return orjson.loads(answer)
    except orjson.JSONDecodeError:
        return answer.decode(errors="replace")
