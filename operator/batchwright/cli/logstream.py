"""Lines of one container's log, over broken connections, without loss or repetition.

Lines are asked for with the kubelet's timestamps, so that a stream that broke can be taken up again where it stopped:
`sinceTime` counts in whole seconds, hence the cursor, which drops what was already shown.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from batchwright.cli.session import Session
from batchwright.cluster.resources import PODS
from batchwright.errors import ApiUnavailable, Throttled

PATIENCE_SECONDS: Final = 60.0


@dataclass
class Cursor:
    """How far a log was shown: the last timestamp, and how many lines bore it."""

    last: str = ""
    at_last: int = 0
    _again: int = 0

    def resume(self) -> str | None:
        """The sinceTime to ask for after a break; None at the beginning."""
        self._again = self.at_last
        return self.last or None

    def take(self, line: str) -> str | None:
        """The line's text if it is new, else None."""
        stamp, _, text = line.partition(" ")
        if stamp < self.last:
            return None
        if stamp == self.last:
            if self._again > 0:
                self._again -= 1
                return None
            self.at_last += 1
            return text
        self.last, self.at_last, self._again = stamp, 1, 0
        return text


async def read_lines(
    session: Session, namespace: str, pod: str, container: str, *, follow: bool, tail: int | None, timestamps: bool
) -> AsyncIterator[str]:
    """The log's lines. Raises NotFound when the pod is gone, ApiUnavailable when it stays unreadable for a minute."""
    from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

    cursor = Cursor()
    patient = AsyncRetrying(
        retry=retry_if_exception_type((ApiUnavailable, Throttled)),
        stop=stop_after_delay(PATIENCE_SECONDS if follow else 0),
        wait=wait_exponential_jitter(multiplier=0.3, max=5),
        reraise=True,
    )
    async for attempt in patient:
        with attempt:
            params = {"container": container, "timestamps": "true"}
            since = cursor.resume()
            if follow:
                params["follow"] = "true"
            if since is not None:
                params["sinceTime"] = since
            elif tail is not None:
                params["tailLines"] = str(tail)
            async for raw in session.api.stream_lines(PODS.path(namespace, pod, "log"), params):
                line = raw.decode(errors="replace")
                text = cursor.take(line)
                if text is not None:
                    yield line if timestamps else text
