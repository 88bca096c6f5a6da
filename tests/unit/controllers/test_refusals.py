"""What the API server refuses for good is said on the object."""

from __future__ import annotations

from typing import Any, get_args

import pytest

import builders as b
import manifests
import waiting
from batchwright.api.v1alpha1 import JobQueueSpec
from batchwright.cluster.resources import JOB_QUEUES
from batchwright.controllers.declared import declared
from batchwright.controllers.engine import Engine
from batchwright.controllers.refusals import _WORDS, refused, say_on
from batchwright.domain.actions import Action, Notice, SuspendWork
from batchwright.errors import ApiError, ApiUnavailable, Conflict, Forbidden, Invalid, Throttled
from batchwright.settings import Settings
from unit.controllers.test_gather import World


@pytest.mark.parametrize(
    ("error", "is_said"),
    [
        (Forbidden("pods is forbidden"), True),
        (Invalid("spec.x: too long"), True),
        (ApiUnavailable("connection refused"), False),
        (Throttled("later"), False),
        (Conflict("changed"), False),
    ],
)
async def test_only_what_does_not_pass_is_said(error: ApiError, is_said: bool) -> None:
    posted: list[tuple[str, str, Notice]] = []

    class Events:
        async def post(self, subject: Any, notice: Notice) -> None:
            posted.append((subject.name, subject.uid, notice))

    body = manifests.job_queue()
    body["metadata"] |= {"uid": "u", "generation": 1}
    say = say_on(JOB_QUEUES, {("", "normal"): declared(JobQueueSpec, body)}, Events())  # type: ignore[arg-type]
    await say(("", "normal"), error)
    await say(("", "gone meanwhile"), error)
    notice = refused("do what follows from it", error)
    assert posted == ([("normal", "u", notice)] if is_said else [])
    assert notice is None or (notice.warning and str(error) in notice.message)


def test_every_action_has_words() -> None:
    assert set(get_args(Action)) == set(_WORDS)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        pytest.param(Forbidden("jobs is forbidden"), "suspend the Kubernetes Job, and tries again: jobs", id="refused"),
        pytest.param(ApiUnavailable("away"), "", id="it passes"),
    ],
)
async def test_what_a_job_needs_and_the_operator_may_not_do_is_said_on_the_job(error: ApiError, told: str) -> None:
    world, posted = World(), list[tuple[str, Notice]]()

    class Api:
        async def patch(self, *_: object, **__: object) -> None:
            raise error

    class Events:
        async def post(self, subject: Any, notice: Notice) -> None:
            posted.append((subject.uid, notice))

    engine = Engine(Api(), world.store, Settings(), Events())  # type: ignore[arg-type]
    entry = world.submit()
    engine._act(b.UID, entry, SuspendWork(b.work()))
    await waiting.until(lambda: not engine._tasks)
    assert entry.doing == set()
    assert [(uid, notice.reason) for uid, notice in posted] == ([(b.UID, "Refused")] if told else [])
    assert all(told in notice.message for _, notice in posted)
