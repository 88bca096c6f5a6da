"""The scheduler alone, without a cluster: a pass over 100,000 queued jobs in 1,000 shares and 5,000 nodes.

    make bench-scheduler
    make bench-scheduler BENCH="--jobs 20000 --profile"

Two situations: `full`, where everything that runs takes every processor, so that a pass starts nothing, and `empty`,
where a pass starts as much as there is room for. A pass from scratch is what a new leader does; an incremental one is
what follows on the end of one job: the room it leaves is given to the next in turn, and that start is noted.
"""

from __future__ import annotations

import cProfile
import gc
import multiprocessing
import pstats
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, TypeVar

import orjson
import typer
from rich.console import Console
from rich.table import Table

from batchwright.domain.observations import Node
from batchwright.scheduling.cycle import plan
from batchwright.scheduling.fairshare import FairShare
from batchwright.scheduling.snapshot import Candidate, Environment, Held, Plan, Queue, Shape, Snapshot
from batchwright.scheduling.state import State

GIBIBYTE = 1 << 30
NOW = 1_800_000_000.0
BEGIN = datetime.fromtimestamp(NOW, UTC)
SITUATIONS = {"full": True, "empty": False}
QUEUE, ENVIRONMENT = "normal", "everything"
NODE = {"cpu": 32_000, "memory": 128 * GIBIBYTE, "pods": 110}


def _shape(vcpus: int, memory_gib: int) -> Shape:
    return Shape((("cpu", vcpus * 1000), ("memory", memory_gib * GIBIBYTE), ("pods", 1)))


# One node is exactly full with what HELD_PER_NODE pods of HELD_SHAPE take.
HELD_SHAPE, HELD_PER_NODE = _shape(8, 32), 4
SHAPES = (HELD_SHAPE, _shape(1, 2), _shape(2, 4), _shape(4, 16), _shape(16, 64))


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything."""

    jobs: int = 100_000
    shares: int = 1_000
    nodes: int = 5_000


def snapshot(size: Size, *, full: bool) -> Snapshot:
    """The cluster, empty or with singles on every node that take all of it."""
    nodes = tuple(Node(f"node-{index:05}", f"i-{index:05}", {}, (), NODE, True, True) for index in range(size.nodes))
    waiting = tuple(
        Candidate(
            uid=f"job-{index:06}",
            name=f"job-{index}",
            created_at=BEGIN + timedelta(seconds=index),
            shape=SHAPES[index % len(SHAPES)],
            share=f"share{index * 7 % size.shares}",
        )
        for index in range(size.jobs)
    )
    held = tuple(
        Held(
            uid=f"held-{index:06}",
            queue=QUEUE,
            environment=ENVIRONMENT,
            shape=HELD_SHAPE,
            share=f"share{index * 13 % size.shares}",
            nodes=((nodes[index // HELD_PER_NODE].name, 1),),
            started=NOW - index % 3600,
            # Of half of the work it is known when it ends.
            ends_at=NOW - index % 3600 + 7200 if index % 2 else None,
        )
        for index in range(size.nodes * HELD_PER_NODE if full else 0)
    )
    taken = {name: amount * HELD_PER_NODE for name, amount in HELD_SHAPE.resources}
    return Snapshot(
        nodes=nodes,
        occupied={node.name: taken for node in nodes} if full else {},
        environments={ENVIRONMENT: Environment(ENVIRONMENT)},
        queues=(Queue(QUEUE, 1, (ENVIRONMENT,), waiting, FairShare(decay_seconds=3600)),),
        held=held,
        now=NOW,
    )


class Cluster:
    """A full cluster that is scheduled change by change."""

    def __init__(self, found: Snapshot) -> None:
        self.state = State.of(found)
        self._waiting = {candidate.uid: candidate for queue in found.queues for candidate in queue.waiting}
        self._taken = {name: dict(taken) for name, taken in found.occupied.items()}
        self._oldest = [held.uid for held in reversed(found.held)]
        self.now = found.now

    def step(self) -> Plan:
        """One job ends, a pass, and its starts carried out."""
        self.now += 1
        ended = self.state.held[self._oldest.pop()]
        [(node, _)] = ended.nodes
        self.state.put_held(ended.uid, None, self.now)
        self._occupy(node, ended.shape, -1)
        decided = plan(self.state, self.now)
        for start in decided.starts:
            candidate = self._waiting.pop(start.uid)
            self.state.put_waiting(start.uid, QUEUE, None)
            self._occupy(start.node, candidate.shape, 1)
            held = Held(start.uid, QUEUE, start.environment, candidate.shape, share=candidate.share)
            self.state.put_held(start.uid, replace(held, nodes=((start.node, 1),), started=self.now), self.now)
        return decided

    def _occupy(self, node: str, shape: Shape, count: int) -> None:
        taken = self._taken[node]
        for name, amount in shape.resources:
            taken[name] += count * amount
        self.state.nodes.occupy(node, taken)


@dataclass(frozen=True, slots=True)
class Scratch:
    """A pass from scratch: CPU-seconds to build the state and to plan, seconds by the clock, what was started, and the
    growth in MB with the snapshot it was made from."""

    build: float
    plan: float
    passed: float
    starts: int
    megabytes: float


def from_scratch(size: Size, *, full: bool) -> Scratch:
    """State.of and plan, once."""
    gc.collect()
    before = _resident()
    found = snapshot(size, full=full)
    clock, start = time.perf_counter(), time.process_time()
    state = State.of(found)
    built = time.process_time()
    decided = plan(state, found.now)
    done = time.process_time()
    passed = time.perf_counter() - clock
    return Scratch(built - start, done - built, passed, len(decided.starts), _resident() - before)


@dataclass(frozen=True, slots=True)
class Incremental:
    """Passes that follow on one end each: milliseconds by the clock, and of the CPU, and what was started in all."""

    median: float
    worst: float
    cpu: float
    starts: int


def incremental(found: Snapshot, rounds: int) -> Incremental:
    """So many steps of a full cluster, after a first pass."""
    cluster = Cluster(found)
    plan(cluster.state, found.now)
    times, cpu, starts = [], [], 0
    for _ in range(rounds):
        begin, used = time.perf_counter(), time.process_time()
        starts += len(cluster.step().starts)
        times.append((time.perf_counter() - begin) * 1000)
        cpu.append((time.process_time() - used) * 1000)
    return Incremental(statistics.median(times), max(times), statistics.median(cpu), starts)


Answer = TypeVar("Answer")


def _apart(measure: Callable[[], Answer]) -> Answer:
    """Measures in a process of its own, whose memory has no room left over by what was measured before."""
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=lambda: answers.put(measure()))
    child.start()
    answer: Answer = answers.get()
    child.join()
    return answer


def _resident() -> float:
    """Resident memory of this process in MB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def bench(
    jobs: Annotated[int, typer.Option(min=1, help="Jobs that wait.")] = Size().jobs,
    shares: Annotated[int, typer.Option(min=1, help="Shares they are of.")] = Size().shares,
    nodes: Annotated[int, typer.Option(min=1, help="Nodes.")] = Size().nodes,
    rounds: Annotated[int, typer.Option(min=1, help="Incremental passes.")] = 50,
    profile: Annotated[bool, typer.Option("--profile", help="Where the time goes, in place of figures.")] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON on standard output, in place of a table.")] = False,
) -> None:
    """Measure the scheduler alone: from scratch, and change by change."""
    size = Size(jobs, shares, nodes)
    if rounds > nodes * HELD_PER_NODE:
        raise typer.BadParameter(f"only {nodes * HELD_PER_NODE} jobs run that could end", param_hint="--rounds")
    if profile:
        for name, is_full in SITUATIONS.items():
            _profile(f"from scratch, {name}", partial(from_scratch, size, full=is_full))
        _profile("incremental, full", partial(incremental, snapshot(size, full=True), rounds))
        return
    figures = {name: _apart(partial(from_scratch, size, full=is_full)) for name, is_full in SITUATIONS.items()}
    steps = incremental(snapshot(size, full=True), rounds)
    if json:
        print(orjson.dumps({"scratch": figures, "incremental": steps}, option=orjson.OPT_INDENT_2).decode())
        return
    table = Table("", "build, CPU s", "plan, CPU s", "both, CPU s", "by the clock, s", "starts", "memory MB")
    for name, each in figures.items():
        cells = (each.build, each.plan, each.build + each.plan, each.passed)
        table.add_row(
            f"from scratch, {name}", *(f"{cell:.3f}" for cell in cells), f"{each.starts:,}", f"{each.megabytes:.0f}"
        )
    screen = Console(width=110)
    screen.print(f"{jobs:,} jobs in {shares:,} shares, {nodes:,} nodes, {nodes * HELD_PER_NODE:,} run when full")
    screen.print(table)
    screen.print(
        f"incremental, {rounds} ends: median {steps.cpu:.1f} ms of CPU, by the clock {steps.median:.1f} ms, "
        f"worst {steps.worst:.1f} ms; {steps.starts} started"
    )


def _profile(title: str, run: Callable[[], object]) -> None:
    profiler = cProfile.Profile()
    profiler.enable()
    run()
    profiler.disable()
    print(f"== {title}")
    pstats.Stats(profiler).sort_stats("tottime").print_stats(22)


if __name__ == "__main__":
    typer.run(bench)
