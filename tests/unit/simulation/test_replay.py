"""The event loop: what it makes of a scheduler's decisions, and which decisions it does not stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.errors import SimulationError
from batchwright.simulation.baseline import FirstComeFirstServed
from batchwright.simulation.replay import Decision, Result, replay
from batchwright.simulation.workload import Job, Machines

FOUR = Machines(1, 4)


def job(number: int, submit: float = 0, runtime: float = 10, cpus: int = 1, **more: object) -> Job:
    """A job of a share of its own."""
    made = Job(id=number, submit=submit, runtime=runtime, cpus=cpus, share=f"user{number}", queue="queue1")
    return replace(made, **more)  # type: ignore[arg-type]


class Scripted:
    """Decides by a function of the time, and remembers what it was told."""

    def __init__(self, decide: Callable[[float], Decision]) -> None:
        self._decide = decide
        self.told: list[tuple[float, str, int]] = []

    def submit(self, job: Job, now: float) -> None:
        self.told.append((now, "submit", job.id))

    def end(self, job: Job, now: float) -> None:
        self.told.append((now, "end", job.id))

    def decide(self, now: float) -> Decision:
        self.told.append((now, "decide", 0))
        return self._decide(now)


def script(**at: Decision) -> Scripted:
    """Decisions by time: t0=..., t5=..., none at other times."""
    decisions = {float(name[1:]): decision for name, decision in at.items()}
    return Scripted(lambda now: decisions.get(now, Decision()))


def fifo(*jobs: Job) -> Result:
    """These jobs, first come, first served, on four processors."""
    return replay(jobs, FirstComeFirstServed(FOUR), FOUR)


def spans(result: Result) -> list[tuple[int, float, float]]:
    """Of each run: id, start, end."""
    return [(run.id, run.start, run.end) for run in result.runs]


def test_the_head_of_the_line_is_not_overtaken() -> None:
    done = fifo(job(1, 0, 10, 3), job(2, 1, 10, 2), job(3, 2, 1, 1))
    assert spans(done) == [(1, 0, 10), (3, 10, 11), (2, 10, 20)]
    assert done.unrun == ()


def test_at_one_moment_ends_come_first_then_submissions_then_one_decision() -> None:
    scheduler = script(t0=Decision([1]), t10=Decision([2, 3]))
    replay([job(1), job(2, 10), job(3, 10)], scheduler, FOUR)
    assert [each for each in scheduler.told if each[0] == 10] == [
        (10, "end", 1),
        (10, "submit", 2),
        (10, "submit", 3),
        (10, "decide", 0),
    ]


def test_a_job_without_length_ends_when_it_starts() -> None:
    assert spans(fifo(job(1, 5, 0, 4), job(2, 5, 0, 4), job(3, 5, 2, 4))) == [(1, 5, 5), (2, 5, 5), (3, 5, 7)]


@pytest.mark.parametrize(
    ("submit", "think", "want"),
    [
        pytest.param(0, 5, 15, id="after its predecessor and a thought"),
        pytest.param(40, 5, 40, id="its own time is later"),
        pytest.param(0, 0, 10, id="at once"),
    ],
)
def test_feedback(submit: float, think: float, want: float) -> None:
    done = fifo(job(1), job(2, submit, after=1, think=think))
    assert (done.runs[1].submit, done.runs[1].start) == (want, want)


def test_a_preempted_job_loses_its_work_and_runs_again() -> None:
    scheduler = script(t0=Decision([1]), t4=Decision([2], preempts=[1]), t14=Decision([1]))
    done = replay([job(1, cpus=4), job(2, 4, cpus=4)], scheduler, FOUR)
    assert spans(done) == [(2, 4, 14), (1, 14, 24)]
    assert done.runs[1].lost == ((0, 4),)
    # The end it would have had at 10 is nobody's business.
    assert 10.0 not in [time for time, _, _ in scheduler.told]


def test_a_cancelled_job_waits_no_more_and_lets_go_what_comes_after_it() -> None:
    scheduler = script(t3=Decision(cancels=[1]), t5=Decision([2]))
    done = replay([job(1), job(2, 5, after=1), job(3, 3)], scheduler, FOUR)
    assert spans(done) == [(2, 5, 15)]
    assert [(each.id, each.submit, each.until, each.cancelled) for each in done.unrun] == [
        (1, 0, 3, True),
        (3, 3, 15, False),
    ]


def test_what_is_never_started_is_told_and_so_is_what_would_come_after_it() -> None:
    done = replay([job(1), job(2, 7), job(3, after=2)], script(t0=Decision([1])), FOUR)
    assert [(each.id, each.submit, each.until, each.cancelled) for each in done.unrun] == [
        (2, 7, 10, False),
        (3, 10, 10, False),
    ]


def test_a_scheduler_can_ask_to_be_asked_again() -> None:
    scheduler = script(t0=Decision(again_at=33), t33=Decision([1]))
    assert spans(replay([job(1)], scheduler, FOUR)) == [(1, 33, 43)]


def test_the_replay_is_over_when_all_jobs_are_though_the_scheduler_asks_on() -> None:
    scheduler = Scripted(lambda now: Decision([1] if now == 0 else [], again_at=now + 3))
    assert spans(replay([job(1)], scheduler, FOUR)) == [(1, 0, 10)]
    assert scheduler.told[-1] == (10, "decide", 0)


@pytest.mark.parametrize(
    ("decision", "want"),
    [
        pytest.param(Decision([9]), "starts job 9 at 0 s, which does not wait", id="unknown"),
        pytest.param(Decision([1, 1]), "starts job 1 at 0 s, which does not wait", id="twice"),
        pytest.param(Decision([1, 2]), r"starts job 2 .* asks 2 processors: 1 are free", id="too much"),
        pytest.param(Decision(preempts=[1]), "preempts job 1 at 0 s, which does not run", id="preempts what waits"),
        pytest.param(
            Decision(cancels=[3]), "cancels job 3 at 0 s, which does not wait", id="cancels what is not there"
        ),
        pytest.param(Decision(again_at=0), "asks at 0 s to be asked again at 0 s", id="no later"),
    ],
)
def test_a_scheduler_that_breaks_a_rule_is_stopped(decision: Decision, want: str) -> None:
    with pytest.raises(SimulationError, match=want):
        replay([job(1, cpus=3), job(2, cpus=2)], script(t0=decision), FOUR)


def test_a_scheduler_that_waits_for_nothing_is_stopped() -> None:
    with pytest.raises(SimulationError, match=r"asked 100,000 times.* while nothing happened: 1 jobs wait"):
        replay([job(1)], Scripted(lambda now: Decision(again_at=now + 60)), FOUR)


def test_two_jobs_of_one_id_are_refused() -> None:
    with pytest.raises(SimulationError, match="two jobs have the id 1"):
        fifo(job(1), job(1))


JOBS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 8), st.integers(1, 4), st.booleans()), min_size=1, max_size=25
)


@given(JOBS)
def test_every_job_runs_once_for_its_time_in_order_and_within_the_machines(
    drawn: list[tuple[int, int, int, bool]],
) -> None:
    jobs = [
        job(number, submit, runtime, cpus, after=number - 1 if follows and number else None)
        for number, (submit, runtime, cpus, follows) in enumerate(drawn)
    ]
    done = fifo(*jobs)
    assert done == fifo(*jobs)
    runs = {run.id: run for run in done.runs}
    assert sorted(runs) == [each.id for each in jobs]
    for each in jobs:
        run = runs[each.id]
        after = runs[each.after].end if each.after is not None else 0
        assert run.submit == max(each.submit, after)
        assert run.start >= run.submit
        assert run.end == run.start + each.runtime
    for moment in {run.start for run in done.runs}:
        assert sum(run.cpus for run in done.runs if run.start <= moment < run.end) <= FOUR.cpus
    by_arrival = sorted(done.runs, key=lambda run: run.submit)
    assert all(late.start >= early.start for early, late in pairwise(by_arrival) if late.submit > early.submit)
