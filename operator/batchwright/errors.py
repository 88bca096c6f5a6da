"""The exception tree of Batchwright: every error a caller may tell apart has a type here.

Invariants: messages say what is wrong, where (the field, flag or file) and what to do about it; nothing in the package
decides by matching text.

    BatchwrightError
    ├── WorkloadError             a definition or job cannot be rendered: which field, and why
    │   └── QuantityError         not a Kubernetes quantity
    ├── ConnectionSetupError      no cluster, or an unreadable kubeconfig
    ├── SimulationError           a simulation cannot go on: what it was given does not fit together
    │   └── TraceError            a trace cannot be read: which line and column, and why
    ├── BenchmarkError            a benchmark cannot be run, or a contender failed in it
    ├── ServingError              probes or metrics cannot be served where they were to be
    ├── LeadershipLost            another operator may lead now: this one must end
    ├── PoliciesMissing           admission policies that somebody else was to install do not act
    ├── LocalError                the embedded cluster cannot be made, and what to do
    ├── CapacityError             a provider of nodes refused, or did not answer
    │   ├── Misconfigured         what an environment names does not exist: somebody must mend it
    │   ├── Denied                the provider does not allow it (IAM): somebody must mend it
    │   ├── ProviderThrottled     asked too often: later
    │   ├── ProviderUnavailable   out of reach, or broken inside: may pass
    │   └── LaunchUncertain       a launch may or may not have been made
    └── ApiError                  the API server refused
        ├── ApiUnavailable        out of reach, or 5xx: may pass
        ├── Throttled             429: come back later
        ├── NotFound              404
        ├── Gone                  410: list again
        ├── AlreadyExists         409
        ├── Conflict              409
        ├── Invalid               400, 413, 422
        ├── Forbidden             401, 403
        └── NotLeading            a write that was not sent
"""

from __future__ import annotations

import json


class BatchwrightError(Exception):
    """Base of every error Batchwright raises on purpose; its text is meant for the user."""


class WorkloadError(BatchwrightError):
    """A JobDefinition or BatchJob cannot be made into Kubernetes objects; the message names the field."""


class QuantityError(WorkloadError):
    """A text is not a Kubernetes quantity."""


class SimulationError(BatchwrightError):
    """A simulation cannot be made, or its scheduler broke a rule."""


class TraceError(SimulationError):
    """A trace is not in the Standard Workload Format; the message names the line and the column."""


class BenchmarkError(BatchwrightError):
    """A benchmark cannot be run as asked, or a contender failed in it, so that there are no figures."""


class LocalError(BatchwrightError):
    """The embedded cluster (`batchwright local`) cannot do what was asked."""


class LocalBuildError(LocalError):
    """A binary of the embedded cluster could neither be found nor built."""


class LocalTimeoutError(LocalError):
    """A part of the embedded cluster did not become ready before its deadline."""


class NoClusterError(LocalError):
    """There is no embedded cluster of that name."""


class PoliciesMissing(BatchwrightError):
    """The admission policies are expected to be there, and do not act."""


class ServingError(BatchwrightError):
    """Probes or metrics cannot be served at the address that was given."""


class LeadershipLost(BatchwrightError):
    """The Lease is another's, or could not be renewed in time: nothing may be written any more."""


class ConnectionSetupError(BatchwrightError):
    """No cluster can be found, or its configuration cannot be read."""


class CapacityError(BatchwrightError):
    """A provider of nodes cannot do what was asked. `code` is its own word for why."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Misconfigured(CapacityError):
    """A subnet, group, profile, template or type does not exist, or does not go with the others: to be mended."""


class Denied(CapacityError):
    """The operator may not do this: credentials or rights (IAM) are missing."""


class ProviderThrottled(CapacityError):
    """The provider asks to come back later."""


class ProviderUnavailable(CapacityError):
    """The provider cannot be reached, or failed inside: the same request may succeed later."""


class LaunchUncertain(CapacityError):
    """The answer to a launch was lost: it may have been made."""


class ApiError(BatchwrightError):
    """The API server refused a request. `status` is the HTTP code, `reason` the Kubernetes reason.

    `causes` are the fields it complains of, as (field, message).
    """

    def __init__(
        self, message: str, status: int = 0, reason: str = "", causes: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.causes = causes


class ApiUnavailable(ApiError):
    """The API server cannot be reached, or failed inside (5xx): the same request may succeed later."""


class Throttled(ApiError):
    """The API server asks to come back later (429)."""


class NotFound(ApiError):
    """No such object (404)."""


class Gone(ApiError):
    """A resourceVersion or continue token is too old (410): list again."""


class AlreadyExists(ApiError):
    """An object of that name exists (409)."""


class Conflict(ApiError):
    """The object changed meanwhile, or a precondition does not hold (409)."""


class Invalid(ApiError):
    """The object is not valid (400, 422): the message names the fields."""


class Forbidden(ApiError):
    """Not allowed: RBAC, a quota or an admission policy (401, 403)."""


class NotLeading(ApiError):
    """A write was not sent, because this process does not lead."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: Invalid,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    410: Gone,
    413: Invalid,
    422: Invalid,
    429: Throttled,
}


def api_error(status: int, payload: bytes) -> ApiError:
    """The error type for a response of the API server, with the message of its Status object."""
    try:
        body = json.loads(payload)
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    reason = str(body.get("reason", ""))
    message = str(body.get("message") or payload[:500].decode(errors="replace") or f"HTTP {status}")
    if status == 409:
        kind: type[ApiError] = AlreadyExists if reason == "AlreadyExists" else Conflict
    elif status in _BY_STATUS:
        kind = _BY_STATUS[status]
    elif status >= 500:
        # 500 with retryAfter is a server that is overloaded; both may pass.
        kind = ApiUnavailable
    else:
        kind = ApiError
    return kind(message, status, reason, _causes(body.get("details")))


def _causes(details: object) -> tuple[tuple[str, str], ...]:
    causes = details.get("causes") if isinstance(details, dict) else None
    listed = [cause for cause in causes if isinstance(cause, dict)] if isinstance(causes, list) else []
    return tuple((str(cause.get("field", "")), str(cause.get("message", ""))) for cause in listed)
