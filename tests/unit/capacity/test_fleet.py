"""Which instances go, and what the scheduler is told of those that stay or come."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from batchwright.capacity.fleet import Bounds, Retirement, Seen, growth_of, pause_after, retire
from capacityparts import blueprint, bounds, choices, instance, kind, seen, starting


@dataclass(frozen=True)
class Case:
    fleet: list[Seen]
    bounds: Bounds = field(default_factory=bounds)
    now: float = 1000.0
    ended: list[str] = field(default_factory=list)
    cordon: dict[str, str] = field(default_factory=dict)
    uncordon: list[str] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)
    failed: int = 0


def cordoned(identity: str = "i-1", why: Any = "idle", at: float = 900.0, **over: Any) -> Seen:
    return seen(identity, cordoned=why, cordoned_at=at, **over)


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
        Case([seen("i-1"), seen("i-2", idle_since=5.0)], bounds(minimum=4000), cordon={"i-1": "idle"}),
        id="minvCpus stay: the longest idle goes",
    ),
    pytest.param(Case([seen("i-1"), seen("i-2")], bounds(minimum=5000)), id="minvCpus between two instances"),
    pytest.param(Case([cordoned()], bounds(minimum=1), uncordon=["i-1"]), id="minvCpus were raised"),
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
        Case([cordoned(why="update", of=OLD, ours=1, at=0.0)], bounds(update_seconds=1000.0), ended=["i-1"]),
        id="its jobs ran on for too long",
    ),
    pytest.param(
        Case([cordoned(why="update", of=OLD, ours=1)], bounds(ends_jobs_on_update=True), ended=["i-1"]),
        id="terminateJobsOnUpdate",
    ),
    pytest.param(Case([cordoned(why="update")], uncordon=["i-1"]), id="the change was taken back"),
    pytest.param(
        Case([seen(is_interrupted=True, ours=1)], cordon={"i-1": "interrupted"}), id="EC2 wants it back: no new work"
    ),
    pytest.param(Case([cordoned(why="interrupted", is_interrupted=True, ours=1)]), id="its jobs run on"),
    pytest.param(Case([cordoned(why="interrupted", is_interrupted=True)], ended=["i-1"]), id="nobody is left"),
    pytest.param(Case([seen(of=instance(state="terminated"))], nodes=["node-i-1"]), id="ended: its Node goes"),
    pytest.param(Case([seen(ours=1)], bounds(digest=None), cordon={"i-1": "deleted"}), id="deleted, with jobs"),
    pytest.param(Case([starting(launched=999.0)], bounds(digest=None), ended=["i-1"]), id="deleted while it starts"),
]


@pytest.mark.parametrize("case", CASES)
def test_which_instances_go(case: Case) -> None:
    found: Retirement = retire(case.fleet, case.bounds, case.now)
    assert [each.instance.id for each, _ in found.ended] == case.ended
    assert {each.instance.id: why for each, why in found.cordon} == case.cordon
    assert [each.instance.id for each in found.uncordon] == case.uncordon
    assert list(found.nodes) == case.nodes
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


@pytest.mark.parametrize(("failures", "want"), [(0, 0), (1, 60), (2, 120), (4, 480), (30, 3600)])
def test_pauses_after_failures_grow(failures: int, want: float) -> None:
    assert pause_after(failures) == want


def test_a_scaling_update_replaces_nothing() -> None:
    first = blueprint(minvCpus=1)
    assert blueprint(minvCpus=2, maxvCpus=50, desiredvCpus=4).digest == first.digest
    assert blueprint(minvCpus=1, ec2KeyPair="mine").digest != first.digest
