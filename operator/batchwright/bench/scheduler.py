"""The scheduler alone, without a cluster: a pass over 100,000 queued jobs in 1,000 shares and 5,000 nodes.

Two situations: `full`, where everything that runs takes every processor, so that a pass starts nothing, and `empty`,
where a pass starts as much as there is room for. A pass from scratch is what a new leader does; an incremental one is
what follows on the end of one job: the room it leaves is given to the next in turn, and that start is noted.
"""

from __future__ import annotations

import gc
import multiprocessing
import resource
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from batchwright.domain.observations import Node
from batchwright.process import spare_the_collector
from batchwright.scheduling.cycle import plan
from batchwright.scheduling.fairshare import FairShare
from batchwright.scheduling.snapshot import Candidate, Environment, Held, Plan, Queue, Shape, Snapshot
from batchwright.scheduling.state import State

GIBIBYTE = 1 << 30
NOW = 1_800_000_000.0
BEGIN = datetime.fromtimestamp(NOW, UTC)
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
    spare_the_collector()
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


def from_scratch_apart(size: Size, *, full: bool) -> Scratch:
    """The same in a process of its own, whose memory has no room left over by what was measured before."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(from_scratch, size, full=full).result()


def _resident() -> float:
    """Resident memory of this process in MB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6
