"""What passes the job that waits first does not delay it: whole runs, from the first arrival to the last end."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

import builders as b
from batchwright.domain.observations import Node
from batchwright.scheduling.cycle import plan
from batchwright.scheduling.snapshot import Candidate, Queue
from batchwright.scheduling.state import State


@dataclass(frozen=True)
class Run:
    """A job: when it comes, and how much sooner it ends than it may."""

    candidate: Candidate
    arrives: float
    early: float


@st.composite
def runs(draw: st.DrawFn) -> list[Run]:
    found: list[Run] = []
    for number in range(draw(st.integers(1, 14))):
        arrives, seconds = float(draw(st.integers(0, 20))), float(draw(st.integers(1, 20)))
        candidate = b.candidate(
            f"j{number:02d}",
            after=arrives,
            shape=b.shape(cpu=draw(st.integers(1, 4)) * 1000, memory=0),
            seconds=seconds,
            consumables=draw(st.sampled_from([(), (), (("licence", 1),)])),
        )
        found.append(Run(candidate, arrives, draw(st.sampled_from([0.0, 0.0, seconds / 2]))))
    return found


@dataclass
class World:
    """One queue, first in, first out, and a clock."""

    state: State
    runs: dict[str, Run]
    fits: set[str]
    ends: dict[str, float] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    promised: dict[str, float] = field(default_factory=dict)
    void: set[tuple[str, str, float]] = field(default_factory=set)
    now: float = -1.0

    def play(self) -> None:
        """Until nothing is left to happen; every pass starts all that it can."""
        while (now := self._next_moment()) is not None:
            self._end(now)
            for uid, run in self.runs.items():
                if run.arrives == now:
                    self.state.put_waiting(uid, "normal", run.candidate)
            while self._pass(now):
                pass
            self._note_promises()

    def _next_moment(self) -> float | None:
        arrivals = [run.arrives for run in self.runs.values() if run.arrives > self.now]
        ends = [end for uid, end in self.ends.items() if uid in self.state.held and end > self.now]
        self.now = min(arrivals + ends, default=-1.0)
        return None if self.now < 0 else self.now

    def _end(self, now: float) -> None:
        for uid, end in self.ends.items():
            if uid in self.state.held and end <= now:
                self.state.put_held(uid, None, now)
        self._occupy()

    def _pass(self, now: float) -> int:
        decided = plan(self.state, now)
        for start in decided.starts:
            run = self.runs[start.uid]
            seconds = run.candidate.seconds or 0.0
            self.started[start.uid], self.ends[start.uid] = now, now + seconds - run.early
            held = b.running(
                start.uid,
                start.node,
                run.candidate.shape,
                environment=start.environment,
                started=now,
                ends_at=now + seconds,
                consumables=run.candidate.consumables,
            )
            self.state.put_waiting(start.uid, "normal", None)
            self.state.put_held(start.uid, held, now)
        self._occupy()
        return len(decided.starts)

    def _occupy(self) -> None:
        taken = b.occupied_by(self.state.held.values())
        for name in self.state.nodes.names or [f"n{number}" for number in range(3)]:
            self.state.occupy(name, taken.get(name, {}))

    def _note_promises(self) -> None:
        """Of those that nobody is before: who waits for a licence has no claim on nodes, but still goes first."""
        waiting = [each for each, _ in self.state.waiting["normal"].candidates() if each.uid in self.fits]
        first = min(waiting, key=lambda each: each.turn, default=None)
        for uid, node, when in self.state.reservations.values():
            if first is None or uid != first.uid:
                self.void.add((uid, node, when))
            elif (uid, node, when) not in self.void:
                self.promised[uid] = min(when, self.promised.get(uid, when))


def world(found: list[Run], nodes: list[Node], queue: Queue, max_vcpus: int | None, licences: int) -> World:
    snapshot = b.snapshot(
        queue, nodes=nodes, environments=(b.environment(max_vcpus=max_vcpus),), consumables={"licence": licences}
    )
    largest = min(max(node.allocatable["cpu"] for node in nodes), max_vcpus or 1 << 40)
    fits = {run.candidate.uid for run in found if dict(run.candidate.shape.resources)["cpu"] <= largest}
    return World(State.of(snapshot), {run.candidate.uid: run for run in found}, fits)


NODES = st.lists(st.sampled_from([2000, 3000, 4000]), min_size=1, max_size=3).map(
    lambda sizes: [b.node(f"n{number}", cpu=cpu) for number, cpu in enumerate(sizes)]
)


@given(
    runs(),
    NODES,
    st.sampled_from([None, None, 2, 3]),
    st.sampled_from([None, None, 4000, 6000]),
    st.integers(1, 2),
)
def test_the_first_that_waits_starts_when_it_was_promised(
    found: list[Run], nodes: list[Node], max_running: int | None, max_vcpus: int | None, licences: int
) -> None:
    """EASY backfill: with every end known, nothing that comes later costs the head any time."""
    played = world(found, nodes, b.queue(max_running=max_running), max_vcpus, licences)
    played.play()
    late = {uid: (played.started.get(uid), when) for uid, when in played.promised.items()}
    assert all(start is not None and start <= when for start, when in late.values()), late
    # Nobody starves: what could ever start has started when nothing is left to happen.
    assert set(played.started) == played.fits


def job(uid: str, arrives: int, cpu: int, seconds: float) -> Run:
    return Run(b.candidate(uid, after=arrives, shape=b.shape(cpu=cpu, memory=0), seconds=seconds), float(arrives), 0.0)


def test_what_ends_too_late_does_not_run_past() -> None:
    found = [job("j0", 0, 3000, 10), job("j1", 1, 4000, 10), job("j2", 2, 1000, 9), job("j3", 3, 1000, 8)]
    played = world(found, [b.node("n0")], b.queue(), None, 0)
    played.play()
    assert played.promised["j1"] == 10.0
    assert played.started == {"j0": 0.0, "j1": 10.0, "j2": 20.0, "j3": 20.0}


def test_what_ends_in_time_runs_past() -> None:
    """The property above would hold for a scheduler without backfill too."""
    found = [job("j0", 0, 3000, 10), job("j1", 1, 4000, 10), job("j2", 2, 1000, 8)]
    played = world(found, [b.node("n0")], b.queue(), None, 0)
    played.play()
    assert played.promised["j1"] == 10.0
    assert played.started == {"j0": 0.0, "j1": 10.0, "j2": 2.0}
