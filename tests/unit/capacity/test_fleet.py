"""Which instances go, and what the scheduler is told of those that stay or come."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

import builders as b
from batchwright.capacity.fleet import REPLACE_SECONDS, Bounds, Retirement, Seen, growth_of, pause_after, retire
from capacityparts import blueprint, bounds, choices, instance, kind, seen, starting


@dataclass(frozen=True)
class Case:
    fleet: list[Seen]
    ended: list[str] = field(default_factory=list)
    bounds: Bounds = field(default_factory=bounds)
    now: float = 1000.0
    cordon: dict[str, str] = field(default_factory=dict)
    uncordon: list[str] = field(default_factory=list)
    drain: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: int = 0


def cordoned(identity: str = "i-1", why: Any = "idle", at: float = 900.0, **over: Any) -> Seen:
    return seen(identity, cordoned=why, cordoned_at=at, **over)


def taken(**over: Any) -> Seen:
    """An instance of which somebody said that EC2 takes it back in two minutes."""
    return cordoned(**{"why": over.pop("cordoned", "interrupted"), "warned": "interrupted", "leaves_at": 1120.0} | over)


def stillborn(**over: Any) -> Seen:
    """An instance that was to be a node, and has ended."""
    return starting(of=instance(**{"state": "terminated", "reason": "Client error on launch", **over}), was_coming=True)


OLD = replace(instance(), digest="another")
CASES = [
    pytest.param(Case([]), id="nothing there"),
    pytest.param(Case([seen(idle_since=950.0)]), id="idle for less than the delay"),
    pytest.param(Case([seen(idle_since=940.0)], cordon={"i-1": "idle"}), id="idle for the delay: cordoned first"),
    pytest.param(Case([seen(idle_since=None, ours=1)]), id="somebody of ours is there"),
    pytest.param(Case([seen(others=1)]), id="somebody else is there: left alone"),
    pytest.param(Case([seen(idle_since=None)]), id="cordoned by a person: left alone"),
    pytest.param(Case([cordoned(at=998.0)]), id="cordoned just now: looked at again later"),
    pytest.param(Case([cordoned()], ended=["i-1"]), id="cordoned and still idle: ended"),
    pytest.param(Case([cordoned(ours=1)], uncordon=["i-1"]), id="a job came after all"),
    pytest.param(Case([cordoned(others=1)], uncordon=["i-1"]), id="somebody else came after all"),
    pytest.param(
        Case([seen("i-1"), seen("i-2", idle_since=5.0)], bounds=bounds(minimum=4000), cordon={"i-1": "idle"}),
        id="minvCpus stay: the longest idle goes",
    ),
    pytest.param(Case([seen("i-1"), seen("i-2")], bounds=bounds(minimum=5000)), id="minvCpus between two instances"),
    pytest.param(Case([cordoned()], bounds=bounds(minimum=1), uncordon=["i-1"]), id="minvCpus were raised"),
    pytest.param(Case([starting(launched=101.0)]), id="still starting"),
    pytest.param(Case([starting(launched=100.0)], ended=["i-1"], failed=1), id="never became a node"),
    pytest.param(
        Case([seen(of=instance(launched=10.0), is_ready=False, was_used=False)], ended=["i-1"], failed=1),
        id="registered, and never ready",
    ),
    pytest.param(Case([seen(is_ready=False, lost_since=800.0, ours=2)]), id="not ready for a while"),
    pytest.param(
        Case([seen(is_ready=False, lost_since=700.0, ours=2)], ended=["i-1"]), id="not ready for too long, jobs or not"
    ),
    pytest.param(Case([seen(of=OLD, ours=1)], cordon={"i-1": "update"}), id="made of something else: cordoned"),
    pytest.param(Case([cordoned(why="update", of=OLD, ours=1)]), id="its jobs may run on"),
    pytest.param(Case([cordoned(why="update", of=OLD)], ended=["i-1"]), id="its jobs have ended"),
    pytest.param(
        Case([cordoned(why="update", of=OLD, ours=1, at=0.0)], bounds=bounds(update_seconds=1000.0), ended=["i-1"]),
        id="its jobs ran on for too long",
    ),
    pytest.param(
        Case([cordoned(why="update", of=OLD, ours=1)], bounds=bounds(ends_jobs_on_update=True), ended=["i-1"]),
        id="terminateJobsOnUpdate",
    ),
    pytest.param(
        Case(
            [cordoned(why="update", of=OLD, ours=1, others=1, at=0.0)],
            bounds=bounds(update_seconds=1000.0),
            kept=["i-1"],
        ),
        id="its jobs ran on for too long, and somebody else is there: left alone",
    ),
    pytest.param(Case([cordoned(why="update", of=OLD, others=1)], kept=["i-1"]), id="somebody else is there"),
    pytest.param(Case([cordoned(why="update")], uncordon=["i-1"]), id="the change was taken back"),
    pytest.param(Case([taken(ours=1, cordoned=None)], cordon={"i-1": "interrupted"}), id="EC2 wants it: no new work"),
    pytest.param(Case([taken(ours=1)]), id="EC2 wants it: its jobs run on"),
    pytest.param(Case([taken(ours=1, leaves_at=1030.0)], drain=["i-1"]), id="EC2 wants it: shortly before, they end"),
    pytest.param(Case([taken(leaves_at=1030.0)], ended=["i-1"]), id="EC2 wants it: nobody is left"),
    pytest.param(
        Case([taken(ours=1, cordoned="idle", leaves_at=1030.0)], cordon={"i-1": "interrupted"}, drain=["i-1"]),
        id="EC2 wants what was cordoned already: the note says so",
    ),
    pytest.param(
        Case([taken(of=OLD, ours=1, cordoned="update")], cordon={"i-1": "interrupted"}),
        id="EC2 wants what is replaced already: that is more urgent",
    ),
    pytest.param(
        Case([cordoned(why="maintenance", warned="maintenance", leaves_at=1301.0, ours=1)]),
        id="maintenance: its jobs run on until shortly before",
    ),
    pytest.param(
        Case([cordoned(why="maintenance", warned="maintenance", leaves_at=1300.0, ours=1)], drain=["i-1"]),
        id="maintenance: then they end",
    ),
    pytest.param(
        Case([cordoned(why="maintenance", warned="maintenance", leaves_at=1000.0, ours=1)], ["i-1"], drain=["i-1"]),
        id="maintenance: and those that do not, with it",
    ),
    pytest.param(
        Case([cordoned(why="maintenance", warned="maintenance", leaves_at=9e9)], ended=["i-1"]),
        id="maintenance some day: goes as soon as nobody is there",
    ),
    pytest.param(Case([seen(warned="rebalance", ours=1)], cordon={"i-1": "rebalance"}), id="rebalance: no new work"),
    pytest.param(Case([cordoned(why="rebalance", warned="rebalance", ours=1, at=0.0)]), id="rebalance: its jobs end"),
    pytest.param(Case([cordoned(why="rebalance", warned="rebalance")], ended=["i-1"]), id="rebalance: nobody is left"),
    pytest.param(
        Case([cordoned(why="update", of=OLD, warned="rebalance", ours=1)]), id="rebalance of what is replaced already"
    ),
    pytest.param(Case([seen(of=instance(state="terminated"))], gone=["node-i-1"]), id="ended: its Node goes"),
    pytest.param(Case([stillborn()], failed=1), id="ended by itself before it was a node"),
    pytest.param(Case([stillborn(state="shutting-down")], failed=1), id="is ending before it was a node"),
    pytest.param(Case([stillborn(was_taken=True)]), id="somebody ended it before it was a node"),
    pytest.param(
        Case([stillborn(is_stopped=True)], ended=["i-1"], failed=1), id="stopped by itself before it was a node"
    ),
    pytest.param(Case([stillborn(digest="another")]), id="ended before it was a node, and is not wanted any more"),
    pytest.param(Case([stillborn()], bounds=bounds(digest=None)), id="ended before it was a node, of what is deleted"),
    pytest.param(
        Case([seen(of=instance(state="terminated"))], gone=["node-i-1"], failed=0), id="ended, and was a node once"
    ),
    pytest.param(
        Case([seen(of=instance(state="terminated", is_stopped=True), ours=1)], ended=["i-1"], gone=["node-i-1"]),
        id="stopped: it ends for good",
    ),
    pytest.param(Case([seen(ours=1)], bounds=bounds(digest=None), cordon={"i-1": "deleted"}), id="deleted, with jobs"),
    pytest.param(Case([starting(launched=999.0)], bounds=bounds(digest=None), ended=["i-1"]), id="deleted, starting"),
]


@pytest.mark.parametrize("case", CASES)
def test_which_instances_go(case: Case) -> None:
    found: Retirement = retire(case.fleet, case.bounds, case.now)
    assert [each.instance.id for each, _ in found.ended] == case.ended
    assert {each.instance.id: why for each, why in found.cordon} == case.cordon
    assert [each.instance.id for each in found.uncordon] == case.uncordon
    assert [each.instance.id for each in found.drain] == case.drain
    assert [each.node for each in found.gone] == case.gone
    assert [each.instance.id for each in found.kept] == case.kept
    assert found.failed == case.failed


def test_what_the_scheduler_is_told() -> None:
    fleet = [
        starting("i-1"),
        starting("i-2"),
        seen("i-3", was_used=False),
        seen("i-4"),
        cordoned("i-5"),
        seen("i-6", of=instance("i-6", state="terminated")),
    ]
    growth = growth_of(fleet, choices(kind()), choices(kind(zone="b")), bounds(), 7)
    assert (growth.most, growth.left, growth.version) == (100_000, 80_000, 7)
    assert [(node.name, count) for node, count in growth.coming] == [("m5.xlarge/a", 2)]
    assert [node.name for node in growth.unused] == ["node-i-3"]
    assert [offer.node.name for offer in growth.offers] == ["m5.xlarge/a"]
    assert [offer.node.name for offer in growth.barred] == ["m5.xlarge/b"]


def test_what_is_made_of_something_else_is_no_capacity_that_comes() -> None:
    fleet = [starting(instance=replace(instance(), digest="another"))]
    assert growth_of(fleet, choices(kind()), (), bounds(), 1).coming == ()


def test_what_ec2_takes_back_counts_no_more_and_is_no_capacity() -> None:
    """Else an environment that is full could replace nothing before it is gone."""
    pods = ((b.shape(), 2),)
    growth = growth_of([taken(ours=2, was_used=False), seen("i-2")], choices(kind()), (), bounds(), 1, leaving=pods)
    assert (growth.left, growth.unused, growth.leaving) == (96_000, (), pods)


@pytest.mark.parametrize(
    ("warned", "leaves_at", "want"),
    [
        pytest.param("interrupted", 1120.0, True, id="an interruption: at once"),
        pytest.param("maintenance", 1901.0, False, id="maintenance: not yet"),
        pytest.param("maintenance", 1900.0, True, id="maintenance: in time for another node"),
        pytest.param("rebalance", 500.0, False, id="a recommendation: never"),
        pytest.param(None, None, False, id="nobody said anything"),
    ],
)
def test_when_what_runs_is_asked_for_elsewhere(warned: Any, leaves_at: float | None, want: bool) -> None:
    assert seen(warned=warned, leaves_at=leaves_at).is_due(REPLACE_SECONDS, 1000.0) is want


@pytest.mark.parametrize(("failures", "want"), [(0, 0), (1, 60), (2, 120), (4, 480), (30, 3600)])
def test_pauses_after_failures_grow(failures: int, want: float) -> None:
    assert pause_after(failures, 60.0) == want


def test_a_scaling_update_replaces_nothing() -> None:
    first = blueprint(minvCpus=1)
    assert blueprint(minvCpus=2, maxvCpus=50, desiredvCpus=4).digest == first.digest
    assert blueprint(minvCpus=1, ec2KeyPair="mine").digest != first.digest
