"""Virtual time: a heap of events, a scheduler that is asked after each moment, and the runs that came of it.

At one moment what ends goes first, then what is submitted, then the scheduler decides once; what starts and takes no
time ends at the same moment, after which it is asked again. Invariants: the same jobs and scheduler give the same
result; a scheduler that starts what does not wait, or more than there is, raises, and is not corrected; every job is
in the result once.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

from batchwright.errors import SimulationError
from batchwright.simulation.workload import Job, Machines

PROGRESS_EVERY: Final = 200
# A scheduler that waits for nothing would be asked for ever.
IDLE_WAKES: Final = 100_000


@dataclass(frozen=True, slots=True)
class Decision:
    """What a scheduler wants done now, by job id, in this order: preempt, cancel, start.

    A preempted job has lost its work and waits again; the scheduler that said so has it in its queue already. A
    cancelled one waits no more. `again_at` asks for another decision at a later time, though nothing may happen.
    """

    starts: Sequence[int] = ()
    preempts: Sequence[int] = ()
    cancels: Sequence[int] = ()
    again_at: float | None = None


class Scheduler(Protocol):
    """What the replay needs of a scheduler. `now` never goes back."""

    def submit(self, job: Job, now: float) -> None:
        """The job waits from now on."""

    def end(self, job: Job, now: float) -> None:
        """The job, which was started, has ended by itself: its processors are free."""

    def decide(self, now: float) -> Decision:
        """What to do now."""


@dataclass(frozen=True, slots=True)
class Run:
    """A finished job: from `start` to `end` it ran, and before that, in `lost`, in vain (it was preempted)."""

    id: int
    submit: float
    start: float
    end: float
    cpus: int
    share: str
    queue: str
    lost: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Unrun:
    """A job that did not finish: it waited from `submit` to `until`, when it was cancelled or the replay was over."""

    id: int
    submit: float
    until: float
    cpus: int
    share: str
    queue: str
    cancelled: bool
    lost: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the jobs: `runs` by end, `unrun` by id."""

    runs: tuple[Run, ...]
    unrun: tuple[Unrun, ...]

    @property
    def jobs(self) -> tuple[Run | Unrun, ...]:
        """All of them."""
        return (*self.runs, *self.unrun)


class _Kind(IntEnum):
    END = 0
    SUBMIT = 1
    WAKE = 2


def replay(
    jobs: Iterable[Job],
    scheduler: Scheduler,
    machines: Machines,
    progress: Callable[[int], None] | None = None,
) -> Result:
    """Runs the jobs to their end. `progress` is told now and then how many have ended.

    Raises SimulationError when the scheduler breaks a rule.
    """
    return _Replay(jobs, scheduler, machines, progress).run()


class _Replay:
    def __init__(
        self,
        jobs: Iterable[Job],
        scheduler: Scheduler,
        machines: Machines,
        progress: Callable[[int], None] | None,
    ) -> None:
        self._scheduler = scheduler
        self._progress = progress
        self._free = machines.cpus
        self._jobs: dict[int, Job] = {}
        self._held: dict[int, list[Job]] = defaultdict(list)
        self._submitted: dict[int, float] = {}
        self._waiting: set[int] = set()
        self._started: dict[int, float] = {}
        self._lost: dict[int, tuple[tuple[float, float], ...]] = {}
        self._runs: list[Run] = []
        self._unrun: list[Unrun] = []
        # (time, kind, order, job, which start of it): an end whose start was preempted is out of date.
        self._events: list[tuple[float, int, int, int, int]] = []
        self._pushed = 0
        self._wakes: set[float] = set()
        self._idle = 0
        for job in jobs:
            if job.id in self._jobs:
                raise SimulationError(f"two jobs have the id {job.id}")
            self._jobs[job.id] = job
            if job.after in self._jobs and job.after != job.id:
                self._held[job.after or 0].append(job)
            else:
                self._push(job.submit, _Kind.SUBMIT, job.id)

    def run(self) -> Result:
        now = 0.0
        while self._events and len(self._runs) + len(self._unrun) < len(self._jobs):
            now = self._events[0][0]
            happened = False
            while self._events and self._events[0][0] == now:
                happened |= self._take(now)
            if happened:
                self._carry_out(self._scheduler.decide(now), now)
        for job_id in sorted(self._waiting | (self._jobs.keys() - self._submitted.keys())):
            job = self._jobs[job_id]
            self._give_up(job, self._submitted.get(job_id, max(now, job.submit)), max(now, job.submit), cancelled=False)
        return Result(tuple(self._runs), tuple(sorted(self._unrun, key=lambda each: each.id)))

    def _push(self, time: float, kind: _Kind, job_id: int = 0) -> None:
        self._pushed += 1
        heapq.heappush(self._events, (time, kind, self._pushed, job_id, len(self._lost.get(job_id, ()))))

    def _take(self, now: float) -> bool:
        """Takes the next event; whether it was one that the scheduler should be asked after."""
        _, kind, _, job_id, start = heapq.heappop(self._events)
        if kind == _Kind.WAKE:
            self._wakes.discard(now)
            return True
        self._idle = 0
        job = self._jobs[job_id]
        if kind == _Kind.SUBMIT:
            self._submitted[job_id] = now
            self._waiting.add(job_id)
            self._scheduler.submit(job, now)
            return True
        if start != len(self._lost.get(job_id, ())):
            return False
        began = self._started.pop(job_id)
        self._free += job.cpus
        self._runs.append(
            Run(job.id, self._submitted[job_id], began, now, job.cpus, job.share, job.queue, self._lost.get(job_id, ()))
        )
        self._scheduler.end(job, now)
        self._release(job, now)
        if self._progress and len(self._runs) % PROGRESS_EVERY == 0:
            self._progress(len(self._runs))
        return True

    def _release(self, job: Job, now: float) -> None:
        """Submits what comes after a job."""
        for follower in self._held.pop(job.id, ()):
            self._push(max(follower.submit, now + follower.think), _Kind.SUBMIT, follower.id)

    def _carry_out(self, decision: Decision, now: float) -> None:
        for job_id in decision.preempts:
            if job_id not in self._started:
                raise SimulationError(f"the scheduler preempts job {job_id} at {now:g} s, which does not run")
            self._lost[job_id] = (*self._lost.get(job_id, ()), (self._started.pop(job_id), now))
            self._free += self._jobs[job_id].cpus
            self._waiting.add(job_id)
        for job_id in decision.cancels:
            job = self._take_waiting(job_id, "cancels", now)
            self._give_up(job, self._submitted[job_id], now, cancelled=True)
            self._release(job, now)
        for job_id in decision.starts:
            job = self._take_waiting(job_id, "starts", now)
            if job.cpus > self._free:
                raise SimulationError(
                    f"the scheduler starts job {job_id} at {now:g} s, which asks {job.cpus} processors: "
                    f"{self._free} are free"
                )
            self._free -= job.cpus
            self._started[job_id] = now
            self._push(now + job.runtime, _Kind.END, job_id)
        if decision.again_at is not None:
            if decision.again_at <= now:
                raise SimulationError(f"the scheduler asks at {now:g} s to be asked again at {decision.again_at:g} s")
            if decision.again_at not in self._wakes:
                self._wakes.add(decision.again_at)
                self._push(decision.again_at, _Kind.WAKE)
        self._idle = 0 if decision.starts or decision.cancels or decision.preempts else self._idle + 1
        if self._idle > IDLE_WAKES:
            raise SimulationError(
                f"the scheduler was asked {IDLE_WAKES:,} times, until {now:g} s, while nothing happened: "
                f"{len(self._waiting)} jobs wait"
            )

    def _take_waiting(self, job_id: int, verb: str, now: float) -> Job:
        if job_id not in self._waiting:
            raise SimulationError(f"the scheduler {verb} job {job_id} at {now:g} s, which does not wait")
        self._waiting.remove(job_id)
        return self._jobs[job_id]

    def _give_up(self, job: Job, submit: float, until: float, *, cancelled: bool) -> None:
        lost = self._lost.get(job.id, ())
        self._unrun.append(Unrun(job.id, submit, until, job.cpus, job.share, job.queue, cancelled, lost))
