"""An action that met a conflict is repeated, for a conflict is no sign that the object is gone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import builders as b
from batchwright import names
from batchwright.cluster.client import JSON, JSON_PATCH
from batchwright.controllers import acting
from batchwright.domain.actions import EndAttempt, ReleasePod
from batchwright.errors import ApiError, Conflict, Invalid, NotFound


class RefusingApi:
    """Refuses everything with one error."""

    def __init__(self, error: ApiError) -> None:
        self._error = error

    async def patch(self, *_: object, **__: object) -> None:
        raise self._error

    async def delete(self, *_: object, **__: object) -> None:
        raise self._error


class OneJob:
    """An API server with one Job, whose answers are lost as often as told; `asked` are the requests that arrived."""

    def __init__(self, parallelism: int, uid: str = "work-1") -> None:
        self.job: JSON = {"metadata": {"uid": uid}, "spec": {"parallelism": parallelism}}

    async def patch(self, _resource: object, _namespace: str, _name: str, body: list[JSON], **how: object) -> None:
        assert how["content_type"] == JSON_PATCH
        for each in body:
            _, where, field = each["path"].split("/")
            if each["op"] == "test" and self.job[where][field] != each["value"]:
                raise Invalid("the server rejected our request", 422)
            if each["op"] == "replace":
                self.job[where][field] = each["value"]

    async def get(self, *_: object) -> JSON:
        return self.job


END = EndAttempt(b.running_pod(), names.POD_CONDITION_TIMEOUT, "TimedOut", "too long")
ACTIONS = [
    pytest.param(lambda api: acting.end_attempt(api, END), id="end an attempt"),
    pytest.param(lambda api: acting.mark_preempted(api, b.running_pod(), "make room"), id="mark what is preempted"),
    pytest.param(lambda api: acting.release_pod(api, ReleasePod(b.pod(gated=True))), id="release a pod"),
    pytest.param(lambda api: acting.suspend_work(api, b.work()), id="suspend a Job"),
    pytest.param(lambda api: acting.end_work(api, b.work()), id="end a Job"),
    pytest.param(lambda api: acting.delete_work(api, b.work(), propagation="Foreground"), id="delete a Job"),
]


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_conflict_is_told(action: Callable[[RefusingApi], Awaitable[None]]) -> None:
    with pytest.raises(Conflict):
        await action(RefusingApi(Conflict("the object has been modified", 409)))


@pytest.mark.parametrize("action", ACTIONS)
async def test_what_is_gone_needs_no_action(action: Callable[[RefusingApi], Awaitable[None]]) -> None:
    await action(RefusingApi(NotFound("not found", 404)))


SEEN = b.work(uid="work-1", parallelism=8)


async def test_the_parallelism_is_set_if_it_is_as_was_seen() -> None:
    api: Any = OneJob(8)
    await acting.set_parallelism(api, SEEN, 11)
    assert api.job["spec"]["parallelism"] == 11
    # Once more, as after an answer that was lost.
    await acting.set_parallelism(api, SEEN, 11)


async def test_a_parallelism_that_arrives_late_ends_nothing() -> None:
    """From an operator that is dead by then: the next one has let more run meanwhile."""
    api: Any = OneJob(14)
    with pytest.raises(Conflict):
        await acting.set_parallelism(api, SEEN, 11)
    assert api.job["spec"]["parallelism"] == 14


async def test_another_job_of_the_name_keeps_its_parallelism() -> None:
    api: Any = OneJob(8, "another")
    await acting.set_parallelism(api, SEEN, 11)
    assert api.job["spec"]["parallelism"] == 8


async def test_a_parallelism_that_is_refused_is_told() -> None:
    api: Any = OneJob(8)

    async def refuse(*_: object, **__: object) -> None:
        raise Invalid("a policy does not allow it", 422)

    api.patch = refuse
    with pytest.raises(Invalid):
        await acting.set_parallelism(api, SEEN, 11)
