"""dependsOn: what a job waits for, and what ends it."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from batchwright.api.v1alpha1.batchjob import JobDependency, ResolvedDependency
from batchwright.domain.dependencies import Peer, find_cycle, resolve


def peer(name: str, state: str, uid: str = "") -> Peer:
    return Peer(uid or f"uid-{name}", name, state)  # type: ignore[arg-type]


def pin(name: str, state: str, uid: str = "") -> ResolvedDependency:
    return ResolvedDependency(name=name, job_id=uid or f"uid-{name}", state=state)  # type: ignore[arg-type]


def by_name(name: str) -> JobDependency:
    return JobDependency(name=name)


def by_id(uid: str) -> JobDependency:
    return JobDependency(job_id=uid)


@dataclass(frozen=True)
class Case:
    wanted: tuple[JobDependency, ...]
    peers: tuple[Peer, ...] = ()
    pinned: tuple[ResolvedDependency, ...] = ()
    want_waiting: tuple[str, ...] = ()
    want_failed: str | None = None
    want_found: dict[str, str] = field(default_factory=dict)  # jobId → state


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(Case(()), id="none"),
        pytest.param(
            Case((by_name("a"),), (peer("a", "SUCCEEDED"),), want_found={"uid-a": "SUCCEEDED"}), id="succeeded"
        ),
        pytest.param(
            Case(
                (by_name("a"),),
                (peer("a", "RUNNING"),),
                want_waiting=("a (RUNNING)",),
                want_found={"uid-a": "RUNNING"},
            ),
            id="still running",
        ),
        pytest.param(
            Case(
                (by_name("a"),),
                (peer("a", "FAILED"),),
                want_failed="BatchJob a failed",
                want_found={"uid-a": "FAILED"},
            ),
            id="failed",
        ),
        pytest.param(Case((by_name("a"),), want_waiting=("a (not there yet)",)), id="name that is not there yet"),
        pytest.param(
            Case((by_id("nope"),), want_failed="there is no BatchJob with jobId nope in this namespace"),
            id="unknown jobId",
        ),
        pytest.param(
            Case((by_id("uid-a"),), (peer("a", "SUCCEEDED"),), want_found={"uid-a": "SUCCEEDED"}), id="by jobId"
        ),
        pytest.param(
            Case(
                (by_name("a"),),
                pinned=(pin("a", "RUNNING"),),
                want_failed="BatchJob a was deleted before it succeeded",
                want_found={"uid-a": "RUNNING"},
            ),
            id="deleted parent",
        ),
        pytest.param(
            Case((by_name("a"),), pinned=(pin("a", "SUCCEEDED"),), want_found={"uid-a": "SUCCEEDED"}),
            id="parent deleted after it succeeded",
        ),
        pytest.param(
            Case(
                (by_name("a"),),
                (peer("a", "RUNNING", uid="uid-second"),),
                pinned=(pin("a", "SUCCEEDED"),),
                want_found={"uid-a": "SUCCEEDED"},
            ),
            id="a later job of the same name is another job",
        ),
        pytest.param(
            Case(
                (by_name("a"), by_name("b"), by_name("c")),
                (peer("a", "SUCCEEDED"), peer("b", "PENDING"), peer("c", "STARTING")),
                want_waiting=("b (PENDING)", "c (STARTING)"),
                want_found={"uid-a": "SUCCEEDED", "uid-b": "PENDING", "uid-c": "STARTING"},
            ),
            id="several, some waiting",
        ),
        pytest.param(
            Case(
                (by_name("a"), by_name("b")),
                (peer("a", "FAILED"), peer("b", "FAILED")),
                want_failed="BatchJob a failed",
                want_found={"uid-a": "FAILED", "uid-b": "FAILED"},
            ),
            id="the first failure is named",
        ),
        pytest.param(
            Case(
                (by_name("a"), by_id("uid-old")),
                (peer("a", "RUNNING", uid="uid-new"),),
                pinned=(pin("a", "RUNNING", uid="uid-new"), pin("a", "SUCCEEDED", uid="uid-old")),
                want_waiting=("a (RUNNING)",),
                want_found={"uid-new": "RUNNING", "uid-old": "SUCCEEDED"},
            ),
            id="a name and the jobId of an older job of that name",
        ),
    ],
)
def test_resolve(case: Case) -> None:
    names = {each.name: each for each in case.peers}
    uids = {each.uid: each for each in case.peers}
    resolution = resolve(case.wanted, case.pinned, names.get, uids.get)
    assert resolution.waiting == case.want_waiting
    assert resolution.failed == case.want_failed
    assert {each.job_id: each.state for each in resolution.found} == case.want_found
    assert resolution.is_satisfied == (not case.want_waiting and case.want_failed is None)


@pytest.mark.parametrize(
    ("edges", "want_length"),
    [
        pytest.param({}, None, id="empty"),
        pytest.param({"a": ["b"], "b": ["c"], "c": []}, None, id="chain"),
        pytest.param({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}, None, id="diamond"),
        pytest.param({"a": ["a"]}, 2, id="self"),
        pytest.param({"a": ["b"], "b": ["a"]}, 3, id="two"),
        pytest.param({"x": ["a"], "a": ["b"], "b": ["c"], "c": ["a"]}, 4, id="three, with one outside"),
    ],
)
def test_find_cycle(edges: dict[str, list[str]], want_length: int | None) -> None:
    cycle = find_cycle(edges)
    if want_length is None:
        assert cycle is None
        return
    assert cycle is not None
    assert len(cycle) == want_length
    assert cycle[0] == cycle[-1]
    # Read in the order of waiting: each waits for the next.
    assert all(after in edges[before] for before, after in pairwise(cycle))
