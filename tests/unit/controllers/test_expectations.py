"""How long jobs are expected to run."""

from __future__ import annotations

from typing import Any

import pytest

import builders as b
from batchwright.controllers.expectations import History, expected_ends
from batchwright.controllers.scheduling import Scheduling
from batchwright.scheduling.forecast import End
from unit.controllers.test_gather import World


def ended(seconds: float, state: str = "SUCCEEDED", definition: str = "hello:1", **status: Any) -> dict[str, Any]:
    told = {
        "state": state,
        "jobDefinition": definition,
        "startedAt": "2026-03-01T11:00:00.000Z",
        "stoppedAt": f"2026-03-01T11:00:{seconds:06.3f}Z",
    }
    return {"metadata": {"namespace": b.job().namespace, "name": "x"}, "status": told | status}


@pytest.mark.parametrize(
    ("jobs", "want"),
    [
        pytest.param([], None, id="nothing has run"),
        pytest.param([ended(9), ended(10), ended(50)], 10, id="the median"),
        pytest.param([ended(9, definition="hello:7")], 9, id="of any revision"),
        pytest.param([ended(9, definition="other:1")], None, id="of another definition"),
        pytest.param([ended(9, state="FAILED")], None, id="what failed says nothing"),
        pytest.param([ended(9, arrayProperties={"size": 2})], None, id="nor does an array as a whole"),
        pytest.param(
            [ended(30, attempts=[{"startedAt": "2026-03-01T11:00:01Z"}, {"startedAt": "2026-03-01T11:00:20Z"}])],
            10,
            id="the last attempt",
        ),
    ],
)
def test_history(jobs: list[dict[str, Any]], want: float | None) -> None:
    world, history = World(), History()
    for job in jobs:
        history.see_job(job)
    entry = world.submit()
    world.view()
    assert history.seconds(entry) == want


def test_what_the_pods_of_the_job_itself_took_counts_before_others() -> None:
    world, history = World(), History()
    history.see_job(ended(50))
    history.see_pod(b.ended_pod(1))
    history.see_pod(b.ended_pod(2, exit_code=1))
    entry = world.submit()
    world.view()
    assert history.seconds(entry) == 5


def test_what_runs_ends_so_long_after_it_started() -> None:
    world, history = World(), History()
    entry = world.submit()
    world.store.put_work("work-1", b.work())
    world.store.put_pod("pod-0", b.running_pod(started=-4))
    world.view()
    scheduling = Scheduling(world.store)
    scheduling.tell(entry.job.uid, entry, is_runnable=False, now=b.NOW)
    assert expected_ends(world.store, scheduling.state, history, b.NOW) == []
    history.see_job(ended(10))
    assert expected_ends(world.store, scheduling.state, history, b.NOW) == [
        End(b.NOW.timestamp() + 6, entry.job.uid, "n1")
    ]
