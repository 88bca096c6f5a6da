"""Waiting for another process to answer: one poll with a deadline, for everything of the cluster that is awaited."""

from __future__ import annotations

from collections.abc import Callable

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from batchwright.errors import LocalTimeoutError


def wait_until(holds: Callable[[], bool], seconds: float, failure: Callable[[], str]) -> None:
    """Poll `holds` ten times a second; LocalTimeoutError with the text of `failure` after `seconds`."""
    try:
        Retrying(retry=retry_if_result(lambda held: not held), stop=stop_after_delay(seconds), wait=wait_fixed(0.1))(
            holds
        )
    except RetryError as error:
        raise LocalTimeoutError(failure()) from error
