"""What the proxy may do to a request, and to which: plain data.

A rule is asked for each request in turn; the first that chooses it strikes. `share` is the part of the chosen requests
that are struck, `times` how often at most.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

_PATH = re.compile(
    r"^/(?:api/v1|apis/[^/]+/[^/]+)(?:/namespaces/(?P<namespace>[^/]+)(?=/.))?"
    r"/(?P<resource>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<sub>[^/]+))?)?$"
)
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True)
class Asked:
    """One request of the operator. `number` counts its writes since the counting began, from 1; 0 for a read."""

    method: str
    path: str
    is_watch: bool
    number: int = 0

    @property
    def is_write(self) -> bool:
        """Whether it may change something."""
        return self.method != "GET"

    @property
    def resource(self) -> str:
        """The plural with its subresource, such as "batchjobs/status"."""
        found = _PATH.match(self.path)
        return "/".join(part for part in (found["resource"], found["sub"]) if part) if found else self.path

    @property
    def what(self) -> str:
        """Verb and resource, such as "patch batchjobs/status"."""
        verb = "watch" if self.is_watch else _VERBS.get(self.method, "read")
        return f"{verb} {self.resource}"


@dataclass(frozen=True)
class CutBefore:
    """The connection ends before the request reaches the server."""


@dataclass(frozen=True)
class CutAfter:
    """The server does what was asked, and its answer is lost."""


@dataclass(frozen=True)
class Kill:
    """The operator is killed, before the server sees the request or (`after`) when it has done what was asked."""

    after: bool


@dataclass(frozen=True)
class Delay:
    """The request waits so many seconds, then goes on."""

    seconds: float


@dataclass(frozen=True)
class As:
    """The request goes on as that of this user, so that RBAC decides of it anew."""

    user: str


@dataclass(frozen=True)
class Answer:
    """The proxy answers with an error in the server's place, as a Status object."""

    status: int
    reason: str
    message: str
    retry_after: int | None = None

    def body(self) -> bytes:
        """The Status object."""
        return json.dumps(
            {
                "kind": "Status",
                "apiVersion": "v1",
                "status": "Failure",
                "code": self.status,
                "reason": self.reason,
                "message": self.message,
            }
        ).encode()


Strike = CutBefore | CutAfter | Kill | Delay | As | Answer


def every(asked: Asked) -> bool:
    """Chooses every request."""
    return True


def writes(asked: Asked) -> bool:
    """Chooses requests that may change something."""
    return asked.is_write


@dataclass
class Rule:
    """Which requests are struck, with what; `struck` counts by verb and resource."""

    strike: Strike
    chooses: Callable[[Asked], bool] = every
    share: float = 1.0
    times: int | None = None
    struck: Counter[str] = field(default_factory=Counter)

    def wants(self, asked: Asked, chance: float) -> bool:
        """Whether the request is to be struck; it is counted then. `chance` is a random number below 1."""
        spent = self.times is not None and self.struck.total() >= self.times
        if spent or chance >= self.share or not self.chooses(asked):
            return False
        self.struck[asked.what] += 1
        return True
