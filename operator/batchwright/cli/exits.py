"""Exit codes, and how an error becomes one line on stderr.

The codes are a contract with scripts (docs/cli.md): they may be added to, not changed.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from batchwright.errors import ApiUnavailable, BatchwrightError, ConnectionSetupError, Invalid, NoClusterError, NotFound

OK: Final = 0
ERROR: Final = 1
USAGE: Final = 2
NO_CLUSTER: Final = 3
NOT_FOUND: Final = 4
TIMEOUT: Final = 124  # as timeout(1)
INTERRUPTED: Final = 130  # 128 + SIGINT

EPILOG: Final = (
    "Exit codes: 0 done · 1 refused by the API server, or a job FAILED · 2 wrong usage · 3 no cluster, or it cannot be "
    "reached · 4 not found · 124 time limit of a wait passed · 130 interrupted."
)

T = TypeVar("T")
R = TypeVar("R")


class WaitTimeout(BatchwrightError):
    """The time a person or script was ready to wait has passed; the jobs go on."""


class Failed(Exception):
    """Everything there is to say has been printed: only the exit code is left."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit code {code}")
        self.code = code


def code_of(error: BatchwrightError) -> int:
    """The exit code of an error."""
    if isinstance(error, WaitTimeout):
        return TIMEOUT
    if isinstance(error, ConnectionSetupError | ApiUnavailable | NoClusterError):
        return NO_CLUSTER
    if isinstance(error, NotFound):
        return NOT_FOUND
    return ERROR


def text_of(error: BatchwrightError) -> str:
    """What to print for an error, without the leading `error: `; more than one line only for several causes."""
    if isinstance(error, NotFound) and error.reason != "NotFound":
        # An object that is missing has reason NotFound; a path the server does not know answers in plain text.
        return (
            "the cluster does not serve batchwright.io/v1alpha1: install its kinds (`kubectl apply -f crds/`), "
            "or start a cluster that has them with `batchwright local up --operator`"
        )
    if isinstance(error, Invalid) and error.causes:
        head = str(error).partition(" is invalid: ")
        subject = f"{head[0]} is invalid" if head[1] else "the object is invalid"
        return "\n".join([f"{subject}:"] + [f"  {field or '(object)'}: {message}" for field, message in error.causes])
    return str(error)


def report(error: BatchwrightError) -> int:
    """Prints an error to stderr and returns its exit code."""
    print(f"error: {text_of(error)}", file=sys.stderr)
    return code_of(error)


async def for_each(items: Sequence[T], action: Callable[[T], Awaitable[R]]) -> list[R]:
    """Does `action` to each item in turn, errors printed and the rest still done. Raises Failed with the first code."""
    done: list[R] = []
    code = OK
    for item in items:
        try:
            done.append(await action(item))
        except (ConnectionSetupError, ApiUnavailable):
            raise
        except BatchwrightError as error:
            failed = report(error)
            code = code or failed
    if code:
        raise Failed(code)
    return done
