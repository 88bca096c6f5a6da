"""Which job a line of the log is about: set once where work on a job begins, added to every line until it ends.

Tasks that are started within take it along, so that also what fails in them later bears the job's id. The three keys
are the same everywhere: `job_id`, `namespace`, `job`.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar, Token
from typing import Any

_About = tuple[str, str, str]
_about: ContextVar[_About | None] = ContextVar("batchwright_job", default=None)


class about_job:
    """Within, lines of the log are about this job. (No generator: it is entered once for each decision of a pass.)"""

    __slots__ = ("_job", "_token")

    def __init__(self, job_id: str, namespace: str, name: str) -> None:
        self._job = (job_id, namespace, name)

    def __enter__(self) -> None:
        self._token: Token[_About | None] = _about.set(self._job)

    def __exit__(self, *_: object) -> None:
        _about.reset(self._token)


def about_object(kind: str, uid: str, namespace: str | None, name: str) -> AbstractContextManager[None]:
    """As `about_job` if the object is a BatchJob; of others there is nothing to add."""
    return about_job(uid, namespace or "", name) if kind == "BatchJob" else nullcontext()


def add_job(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor of structlog: adds the job's id, namespace and name. What the line says itself stands."""
    found = _about.get()
    if found is not None:
        for key, value in zip(("job_id", "namespace", "job"), found, strict=True):
            line.setdefault(key, value)
    return line
