"""Snapshots of any kind, for the properties of a pass."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

import builders as b
from batchwright.domain.observations import Node
from batchwright.domain.quantities import add
from batchwright.scheduling.fairshare import FairShare
from batchwright.scheduling.quota import QuotaShare
from batchwright.scheduling.snapshot import Candidate, Environment, Expression, Held, Queue, Shape, Snapshot

ZONES = st.sampled_from(["a", "b", "c"])
TAINTS = st.sampled_from([(), (), (b.taint(),), (b.taint(effect="PreferNoSchedule"),)])
TOLERATIONS = st.sampled_from([(), (), (b.toleration(),)])
SELECTORS = st.sampled_from([(), (), (("zone", "a"),), (("zone", "b"),)])
AFFINITIES = st.sampled_from(
    [(), (), (), ((Expression("zone", "In", ("a", "c")),),), ((Expression("zone", "NotIn", ("b",)),),)]
)
NAMES = ("e1", "e2", "e3")
QUEUES = ("q0", "q1", "q2")
SHARES = ("x", "y", "z")
NOW = 1000.0
# Ends before, at and after what candidates take.
SECONDS = st.none() | st.sampled_from([10.0, 20.0, 40.0])
ENDS = st.none() | st.sampled_from([990.0, 1010.0, 1020.0, 1030.0])
CONSUMABLES = st.sampled_from([(), (), (("licence", 1),), (("licence", 2),), (("gone", 1),)])


def often(usual: object, rare: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly the one."""
    return st.integers(0, 3).flatmap(lambda number: rare if number == 0 else st.just(usual))


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    asked = b.resources(draw(st.integers(0, 6)) * 500, draw(st.integers(0, 6)) * b.GIB, 1)
    if draw(st.integers(0, 5)) == 0:
        asked["nvidia.com/gpu"] = draw(st.integers(0, 2))
    return Shape(tuple(sorted(asked.items())), draw(SELECTORS), draw(TOLERATIONS), draw(AFFINITIES))


@st.composite
def nodes(draw: st.DrawFn, name: str) -> Node:
    amounts = b.resources(draw(st.integers(0, 8)) * 500, draw(st.integers(0, 8)) * b.GIB, draw(st.integers(0, 5)))
    return b.node(
        name,
        labels={"zone": draw(ZONES)},
        taints=draw(TAINTS),
        allocatable=amounts | b.resources(**{"nvidia.com/gpu": draw(st.sampled_from([0, 0, 2]))}),
        ready=draw(st.integers(0, 6)) > 0,
        schedulable=draw(st.integers(0, 6)) > 0,
    )


@st.composite
def environments(draw: st.DrawFn, name: str) -> Environment:
    return b.environment(
        name,
        is_open=draw(st.integers(0, 6)) > 0,
        node_selector=draw(SELECTORS),
        tolerations=draw(TOLERATIONS),
        max_vcpus=draw(often(None, st.integers(0, 8).map(lambda number: number * 500))),
    )


@st.composite
def quota_shares(draw: st.DrawFn) -> tuple[QuotaShare, ...]:
    return tuple(
        QuotaShare(
            name,
            limits=(("cpu", draw(st.integers(0, 6)) * 500),),
            strategy=draw(st.sampled_from(["RESERVE", "LEND", "LEND_AND_BORROW"])),
            borrow_percent=draw(st.sampled_from([-1, 0, 50])),
            lend_percent=draw(st.sampled_from([0, 50, 100])),
            preempts_in_share=draw(st.booleans()),
        )
        for name in SHARES[:2]
    )


@st.composite
def fair_shares(draw: st.DrawFn, *, reservation: bool = True) -> FairShare:
    reserved = draw(st.sampled_from([0, 0, 25, 50])) if reservation else 0
    return FairShare(600, reserved, (("x", draw(st.sampled_from([0.5, 1.0]))), ("y*", 2.0)))


@st.composite
def queues(draw: st.DrawFn, name: str, *, policies: bool = True, reservation: bool = True) -> Queue:
    """Without what waits. `policies`: with those of AWS Batch and ours."""
    over: dict[str, object] = {}
    if policies:
        kind = draw(st.sampled_from(["fifo", "fair", "quota"]))
        over = {
            "fair_share": draw(fair_shares(reservation=reservation)) if kind == "fair" else None,
            "quota_shares": draw(quota_shares()) if kind == "quota" else (),
            "max_running": draw(often(None, st.integers(0, 4))),
            "preempts": draw(st.booleans()),
        }
    order = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
    return b.queue(name=name, priority=draw(st.integers(0, 2)), environments=order, **over)


@st.composite
def candidates(draw: st.DrawFn, uid: str, few: list[Shape], *, arrays: bool, policies: bool) -> Candidate:
    found = b.candidate(
        uid,
        after=draw(st.integers(0, 4)),
        shape=draw(st.sampled_from(few)),
        count=draw(st.sampled_from([1, 1, 2, 3, 7])) if arrays else 1,
        environment=draw(st.none() | st.sampled_from(NAMES)) if arrays else None,
    )
    if not policies:
        return found
    return replace(
        found,
        share=draw(st.sampled_from(SHARES)),
        priority=draw(often(0, st.integers(0, 2))),
        returning=draw(often(False, st.booleans())),
        seconds=draw(SECONDS),
        consumables=draw(CONSUMABLES),
    )


@st.composite
def held(draw: st.DrawFn, uid: str, few: list[Shape], on: list[str]) -> Held:
    """Bound to one or two nodes, or with no node yet; some of it may be on its way out."""
    where = tuple(
        (name, draw(st.integers(1, 2))) for name in draw(st.lists(st.sampled_from(on), unique=True, max_size=2))
    )
    unbound, bound = 0 if where else draw(st.integers(1, 2)), sum(number for _, number in where)
    gone = ((name, draw(often(0, st.integers(0, number)))) for name, number in where)
    leaving = tuple((name, number) for name, number in gone if number)
    return b.held(
        uid,
        draw(st.sampled_from(NAMES)),
        draw(st.sampled_from(few)),
        unbound + bound - sum(number for _, number in leaving),
        queue=draw(st.sampled_from(QUEUES)),
        unbound=unbound,
        nodes=where,
        share=draw(st.sampled_from(SHARES)),
        priority=draw(st.integers(0, 1)),
        started=float(draw(st.integers(0, 3))),
        ends_at=draw(ENDS),
        leaving=leaving,
        consumables=draw(CONSUMABLES),
    )


@st.composite
def snapshots(draw: st.DrawFn, *, arrays: bool = False, policies: bool = False, preemption: bool = True) -> Snapshot:
    """With `arrays`, some candidates stand for several pods, and some of those are bound to one environment."""
    found = [draw(nodes(f"n{number}")) for number in range(draw(st.integers(0, 5)))]
    occupied = {
        node.name: b.resources(draw(st.integers(0, 5)) * 500, draw(st.integers(0, 5)) * b.GIB, draw(st.integers(0, 3)))
        for node in found
        if draw(st.booleans())
    }
    few = draw(st.lists(shapes(), min_size=1, max_size=4))
    names = [node.name for node in found] or ["away"]
    work = [draw(held(f"h{number}", few, names)) for number in range(draw(st.integers(0, 4)))]
    all_queues: list[Queue] = []
    for name in QUEUES[: draw(st.integers(0, 3))]:
        queue = draw(queues(name, policies=policies))
        if not preemption:
            queue = replace(queue, preempts=False)
        waiting = [
            draw(candidates(f"{name}-{each}", few, arrays=arrays, policies=policies))
            for each in range(draw(st.integers(0, 6)))
        ]
        all_queues.append(replace(queue, waiting=tuple(sorted(waiting, key=lambda each: each.turn))))
    if not preemption:
        quotas = {queue.name for queue in all_queues if queue.quota_shares}
        work = [each for each in work if each.queue not in quotas]
    if not policies:
        work = [replace(each, leaving=(), ends_at=None) for each in work]
    for name, taken in b.occupied_by(work).items():
        occupied[name] = add(occupied.get(name, {}), taken)
    known = {name: draw(environments(name)) for name in NAMES if draw(st.integers(0, 6)) > 0}
    if not policies:
        known = {name: replace(each, max_vcpus=None) for name, each in known.items()}
    licences = {"licence": draw(st.integers(0, 5))}
    return Snapshot(tuple(found), occupied, known, tuple(all_queues), tuple(work), licences, NOW)
