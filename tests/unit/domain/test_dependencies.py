"""dependsOn: what a job waits for, and what ends it."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from batchwright.api.v1alpha1.batchjob import JobDependency, ResolvedDependency
from batchwright.domain.dependencies import Link, Peer, find_cycle, resolve

FAILED = "Dependent Job failed"


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
    ("condition", "state", "want_waiting", "want_failed", "want_reason"),
    [
        pytest.param("Succeeded", "SUCCEEDED", False, None, "", id="Succeeded: succeeded"),
        pytest.param("Succeeded", "FAILED", False, "BatchJob a failed", FAILED, id="Succeeded: failed"),
        pytest.param("Completed", "SUCCEEDED", False, None, "", id="Completed: succeeded"),
        pytest.param("Completed", "FAILED", False, None, "", id="Completed: failed"),
        pytest.param("Failed", "FAILED", False, None, "", id="Failed: failed"),
        pytest.param(
            "Failed",
            "SUCCEEDED",
            False,
            "BatchJob a succeeded, and condition Failed asks for its failure",
            "Dependent Job succeeded",
            id="Failed: succeeded",
        ),
        pytest.param("Succeeded", "RUNNING", True, None, "", id="Succeeded: running"),
        pytest.param("Completed", "PENDING", True, None, "", id="Completed: pending"),
        pytest.param("Failed", "STARTING", True, None, "", id="Failed: starting"),
    ],
)
@pytest.mark.parametrize("deleted", [False, True], ids=["there", "deleted since"])
def test_conditions(
    condition: str, state: str, want_waiting: bool, want_failed: str | None, want_reason: str, deleted: bool
) -> None:
    if deleted and want_waiting:
        ended = {"Succeeded": "succeeded", "Completed": "ended", "Failed": "failed"}[condition]
        want_waiting, want_failed, want_reason = False, f"BatchJob a was deleted before it {ended}", FAILED
    peers = {} if deleted else {"a": peer("a", state)}
    wanted = (JobDependency(name="a", condition=condition),)  # type: ignore[arg-type]
    uids = {each.uid: each for each in peers.values()}
    found = resolve(wanted, (pin("a", state),), peers.get, uids.get)
    assert found.waiting == ((f"a ({state})",) if want_waiting else ())
    assert found.failed == want_failed
    assert want_failed is None or found.reason == want_reason


NO_RATIO = (
    "dependsOn N_TO_N: BatchJob a has 6 elements and this array 4, and neither number divides the other; make one a "
    "multiple of the other, or leave type out to wait for the whole job"
)


def array(size: int | None, state: str = "PENDING") -> Peer:
    return Peer("uid-a", "a", state, True, size)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Elementwise:
    peer: Peer | None
    size: int | None = 4
    is_array: bool = True
    pinned: tuple[ResolvedDependency, ...] = ()
    condition: str | None = None
    want_links: tuple[Link, ...] = ()
    want_waiting: tuple[str, ...] = ()
    want_failed: str | None = None
    want_reason: str = FAILED
    want_unlinked: bool = False


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(Elementwise(array(4), want_links=(Link("uid-a", "Succeeded"),)), id="equal"),
        pytest.param(Elementwise(array(8), want_links=(Link("uid-a", "Succeeded"),)), id="fan-in"),
        pytest.param(
            Elementwise(array(2), condition="Failed", want_links=(Link("uid-a", "Failed"),)), id="fan-out, condition"
        ),
        pytest.param(
            Elementwise(array(4, "FAILED"), want_links=(Link("uid-a", "Succeeded"),)),
            id="it has ended: its elements count",
        ),
        pytest.param(Elementwise(array(6), want_failed=NO_RATIO, want_reason=NO_RATIO), id="no ratio"),
        pytest.param(
            Elementwise(
                array(None), want_waiting=("a (how many elements it has is not known yet)",), want_unlinked=True
            ),
            id="its size is not known",
        ),
        pytest.param(
            Elementwise(
                array(4, "FAILED"),
                size=None,
                want_waiting=("a (how many elements this array has is not known yet)",),
                want_unlinked=True,
            ),
            id="the size of this one is not known: no verdict on the whole",
        ),
        pytest.param(Elementwise(None, want_waiting=("a (not there yet)",), want_unlinked=True), id="not there yet"),
        pytest.param(Elementwise(peer("a", "RUNNING"), want_waiting=("a (RUNNING)",)), id="no array: as a whole"),
        pytest.param(Elementwise(peer("a", "FAILED"), want_failed="BatchJob a failed"), id="no array, failed"),
        pytest.param(
            Elementwise(array(4), size=None, is_array=False, want_waiting=("a (PENDING)",)),
            id="a single job: as a whole",
        ),
        pytest.param(
            Elementwise(None, pinned=(pin("a", "PENDING"),), want_failed="BatchJob a was deleted before it succeeded"),
            id="deleted before its end",
        ),
        pytest.param(Elementwise(None, pinned=(pin("a", "SUCCEEDED"),)), id="deleted, succeeded"),
        pytest.param(
            Elementwise(None, pinned=(pin("a", "FAILED"),), want_failed="BatchJob a failed"), id="deleted, failed"
        ),
        pytest.param(
            Elementwise(None, pinned=(pin("a", "FAILED"),), condition="Completed"), id="deleted, failed, Completed"
        ),
    ],
)
def test_n_to_n(case: Elementwise) -> None:
    names = {} if case.peer is None else {"a": case.peer}
    uids = {} if case.peer is None else {"uid-a": case.peer}
    wanted = (JobDependency(name="a", type="N_TO_N", condition=case.condition),)  # type: ignore[arg-type]
    found = resolve(wanted, case.pinned, names.get, uids.get, case.size, is_array=case.is_array)
    assert (found.links, found.waiting, found.failed) == (case.want_links, case.want_waiting, case.want_failed)
    assert (found.reason, found.unlinked) == (case.want_reason, case.want_unlinked)


@pytest.mark.parametrize(
    ("name", "want"), [(None, ()), ("a", ("a (RUNNING)",))], ids=["within the array", "and for a job"]
)
def test_sequential(name: str | None, want: tuple[str, ...]) -> None:
    wanted = (JobDependency(name=name, type="SEQUENTIAL"),)
    found = resolve(wanted, (), {"a": peer("a", "RUNNING")}.get, {}.get, 4, is_array=True)
    assert (found.waiting, found.links, found.failed) == (want, (), None)


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
