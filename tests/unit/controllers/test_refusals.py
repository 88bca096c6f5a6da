"""What the API server refuses for good is said on the object."""

from __future__ import annotations

from typing import Any

import pytest

import manifests
from batchwright.api.v1alpha1 import JobQueueSpec
from batchwright.cluster.resources import JOB_QUEUES
from batchwright.controllers.declared import declared
from batchwright.controllers.refusals import refused, say_on
from batchwright.domain.actions import Notice
from batchwright.errors import ApiError, ApiUnavailable, Conflict, Forbidden, Invalid, Throttled


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
