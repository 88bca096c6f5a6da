"""The harness's own client: it goes around the proxy, and waits for an API server that is being restarted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed
from urllib3.exceptions import HTTPError

from apiserver import ApiServer, Manifest, Refused

PATIENCE_SECONDS = 90


def _may_pass(error: BaseException) -> bool:
    """Whether the API server was away or starting. Its authorizer refuses (403) until it has read its roles."""
    return isinstance(error, HTTPError) or (isinstance(error, Refused) and error.status in (403, 429, 500, 503, 504))


class PatientApi(ApiServer):
    """As ApiServer; what may pass is asked again until it has."""

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        query: Mapping[str, object] | None = None,
        content_type: str = "application/json",
    ) -> Any:
        """As ApiServer's; a creation whose first answer was lost gives what it had made."""
        asked = 0
        for attempt in Retrying(
            retry=retry_if_exception(_may_pass),
            stop=stop_after_delay(PATIENCE_SECONDS),
            wait=wait_fixed(0.3),
            reraise=True,
        ):
            with attempt:
                asked += 1
                try:
                    return super().request(method, path, body, query, content_type)
                except Refused as refused:
                    if asked == 1 or method != "POST" or refused.status != 409 or not isinstance(body, dict):
                        raise
                    made: Manifest = super().request("GET", f"{path}/{body['metadata']['name']}")
                    return made
        raise AssertionError("unreachable: Retrying raises or returns")
