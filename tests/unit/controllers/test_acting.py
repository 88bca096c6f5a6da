"""An action that met a conflict is repeated, for a conflict is no sign that the object is gone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

import builders as b
from batchwright import names
from batchwright.controllers import acting
from batchwright.domain.actions import EndAttempt, ReleasePod
from batchwright.errors import ApiError, Conflict, NotFound


class RefusingApi:
    """Refuses everything with one error."""

    def __init__(self, error: ApiError) -> None:
        self._error = error

    async def patch(self, *_: object, **__: object) -> None:
        raise self._error

    async def delete(self, *_: object, **__: object) -> None:
        raise self._error


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
