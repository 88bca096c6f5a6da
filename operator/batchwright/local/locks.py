"""One command at a time on one cluster or one cache: an advisory file lock with a deadline.

Invariants: the lock dies with its process; the file is removed on release, and a waiter that locked a removed file
tries again (it compares inodes), so two holders cannot exist.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tenacity import RetryError as GaveUp
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from batchwright.errors import LocalTimeoutError


@contextmanager
def exclusive(path: Path, seconds: float, what: str) -> Iterator[None]:
    """Hold the lock file `path`; LocalTimeoutError after `seconds` of another process holding it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        for attempt in Retrying(
            retry=retry_if_exception_type(BlockingIOError), stop=stop_after_delay(seconds), wait=wait_fixed(0.2)
        ):
            with attempt:
                descriptor = _try_lock(path)
    except GaveUp as error:
        raise LocalTimeoutError(
            f"another command has been busy with {what} for {seconds:.0f} s (lock {path}); try again when it is done"
        ) from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _try_lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not path.exists() or path.stat().st_ino != os.fstat(descriptor).st_ino:
            raise BlockingIOError(f"{path} was released and removed meanwhile")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
