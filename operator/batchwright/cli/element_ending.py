"""Ending elements of an array: requests are added to spec.terminateElements and spec.cancelElements, one after another.

Several people may add at once. Where there is a list, a JSON patch appends to it, whatever it holds by then. Where
there is none yet, it is made on condition that the job has not changed since it was read (its resourceVersion), for
else one would take the other's place; on a conflict it is read again. A request that is there is never repeated: the
API server holds each `indexes` once, and an answer that was lost shows as such a duplicate.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from batchwright.cli.arrays import ended, short_runs, unfinished
from batchwright.cli.element_pods import read_element
from batchwright.cli.formats import FINISHED, STARTED, state_of
from batchwright.cli.output import qualified
from batchwright.cli.references import address
from batchwright.cli.session import Session
from batchwright.cluster.resources import BATCH_JOBS
from batchwright.domain.indexes import Runs, count, format_runs, intersect, parse_indexes, subtract
from batchwright.errors import BatchwrightError, Conflict, Invalid

JSON = dict[str, Any]
Verb = Literal["cancel", "terminate"]
# The bounds of the kind (ElementsRequest).
MOST_REQUESTS: Final = 64
LONGEST: Final = 1024
ATTEMPTS: Final = 20


async def end_elements(session: Session, job: JSON, runs: Runs, verb: Verb, reason: str) -> str:
    """Asks for the elements' end; returns what to say. Elements that have ended are no error. Raises ApiError."""
    answer = refusal(job, runs, verb)
    if answer is not None:
        return answer
    indexes = format_runs(intersect(runs, unfinished(job)))
    check_room(job, indexes, verb)
    job = await _add(session, job, verb, {"indexes": indexes, "reason": reason})
    state = None
    if verb == "cancel" and indexes.isdecimal():
        state = (await read_element(session, job, int(indexes))).state
    return outcome(job, runs, verb, state)


def refusal(job: JSON, runs: Runs, verb: Verb) -> str | None:
    """Why nothing is asked of these elements; None when some are to be asked."""
    shown = _shown(job, runs)
    if state_of(job) in FINISHED or not intersect(runs, unfinished(job)):
        states = [state for state in ("SUCCEEDED", "FAILED") if intersect(runs, ended(job, state))]
        return f"{shown} {_have(runs)} already {' or '.join(states) or state_of(job)}: nothing to {verb}"
    for whole in ("terminate", verb):
        if job["spec"].get(whole):
            name = job["metadata"]["name"]
            return f"{shown}: all of {name} was already asked to {whole}: {job['spec'][whole]['reason']}"
    left, reasons = intersect(runs, unfinished(job)), []
    for request in job["spec"].get(f"{verb}Elements") or ():
        asked = parse_indexes(request["indexes"])
        reasons += [request["reason"]] if intersect(left, asked) else []
        left = subtract(left, asked)
    return None if left else f"{shown} {_was(runs)} already asked to {verb}: {'; '.join(reasons)}"


def check_room(job: JSON, indexes: str, verb: Verb) -> None:
    """Raises BatchwrightError when the job can take no such request."""
    name = job["metadata"]["name"]
    if len(indexes) > LONGEST:
        raise BatchwrightError(
            f"{name}: one request takes {LONGEST} characters of indexes, and these are {len(indexes)}: "
            "name fewer ranges at a time"
        )
    if len(job["spec"].get(f"{verb}Elements") or ()) >= MOST_REQUESTS:
        raise BatchwrightError(
            f"{name} has had {MOST_REQUESTS} requests to {verb} elements, and takes no more: "
            f"`batchwright {verb} {name}` is for all that is left of it"
        )


def outcome(job: JSON, runs: Runs, verb: Verb, state: str | None) -> str:
    """What the request does; `state` is that of a single element that was to be cancelled."""
    asked = intersect(runs, unfinished(job)) or runs
    shown = _shown(job, asked)
    if state in STARTED:
        name = address(job["metadata"]["name"], asked)
        return (
            f"{shown} is {state} and goes on: cancel ends only elements that have not started; "
            f"`batchwright terminate {name}` ends it"
        )
    be = "is" if count(asked) == 1 else "are"
    done = subtract(runs, asked)
    before = f" ({short_runs(done)} ended before)" if done else ""
    if verb == "terminate":
        return f"{shown} {be} being terminated{before}"
    goes_on = "" if count(asked) == 1 else ": those that have started go on"
    return f"{shown} {be} being cancelled{before}{goes_on}"


async def _add(session: Session, job: JSON, verb: Verb, request: JSON) -> JSON:
    from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

    from batchwright.cluster.client import JSON_PATCH

    metadata = job["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(Conflict),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.02, max=1),
        reraise=True,
    ):
        with attempt:
            if attempt.retry_state.attempt_number > 1:
                job = await session.api.get(BATCH_JOBS, namespace, name)
            try:
                patch = addition(job, verb, request)
                return await session.api.patch(BATCH_JOBS, namespace, name, patch, content_type=JSON_PATCH)
            except Invalid:
                # An answer that was lost, or somebody's request for the same elements in the same moment.
                job = await session.api.get(BATCH_JOBS, namespace, name)
                asked = [each["indexes"] for each in job["spec"].get(f"{verb}Elements") or ()]
                if job["metadata"]["uid"] == metadata["uid"] and request["indexes"] in asked:
                    return job
                raise
    raise AssertionError("tenacity returns or raises")


def addition(job: JSON, verb: Verb, request: JSON) -> list[JSON]:
    """The JSON patch that adds the request to the job that was seen, and to no later one of its name."""
    path = f"/spec/{verb}Elements"
    same_job = {"op": "test", "path": "/metadata/uid", "value": job["metadata"]["uid"]}
    if job["spec"].get(f"{verb}Elements"):
        return [same_job, {"op": "add", "path": f"{path}/-", "value": request}]
    unchanged = {"op": "add", "path": "/metadata/resourceVersion", "value": job["metadata"]["resourceVersion"]}
    return [same_job, unchanged, {"op": "add", "path": path, "value": [request]}]


def _shown(job: JSON, runs: Runs) -> str:
    return qualified(BATCH_JOBS, f"{job['metadata']['name']}:{short_runs(runs)}")


def _have(runs: Runs) -> str:
    return "has" if count(runs) == 1 else "have"


def _was(runs: Runs) -> str:
    return "was" if count(runs) == 1 else "were"
