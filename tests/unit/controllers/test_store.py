"""What the store makes of what it is shown, true or forged, in order or not."""

from __future__ import annotations

import pytest

import builders as b
from batchwright.controllers.store import Store
from batchwright.domain.observations import FinishedJob, Node, Work

MINE = b.work()
FINISHED = FinishedJob(b.UID, "default", "hello-1", "SUCCEEDED", "normal", b.NOW)


@pytest.fixture
def store() -> Store:
    made = Store()
    made.put_job(b.UID, b.job())
    return made


def seen(store: Store) -> tuple[Work | None, bool, str]:
    entry = store.entries[b.UID]
    return entry.work, entry.work_seen, entry.work_uid


FORGED = [
    pytest.param(b.work(uid="forged", namespace="attacker"), id="from another namespace"),
    pytest.param(b.work(uid="forged", name="second"), id="a second one in the same namespace"),
    pytest.param(b.work(uid="forged", name="second", complete=True, succeeded=1), id="a second one that succeeded"),
    pytest.param(b.work(uid="forged", namespace="attacker", failure="no"), id="from another namespace, failed"),
]


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_owner_touches_nobody(store: Store, forged: Work) -> None:
    store.put_work(MINE.uid, MINE)
    before = seen(store)
    store.dirty.clear()
    for record in (forged, None):
        store.put_work(forged.uid, record)
        assert seen(store) == before == (MINE, True, MINE.uid)
        assert store.works == {MINE.uid: MINE}
        assert store.work_of_job == {b.UID: MINE.uid}
        assert store.dirty == set()


def test_a_forged_owner_of_another_namespace_does_not_start_a_job(store: Store) -> None:
    forged = b.work(uid="forged", namespace="attacker")
    store.dirty.clear()
    for record in (forged, None):
        store.put_work(forged.uid, record)
        assert seen(store) == (None, False, "")
        assert store.dirty == set()
    store.put_work(MINE.uid, MINE)
    assert seen(store) == (MINE, True, MINE.uid)


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_owner_does_not_get_at_a_finished_job(forged: Work) -> None:
    """Retention deletes the Kubernetes Job that the store names: it must be the job's own."""
    store = Store()
    store.put_job(b.UID, FINISHED)
    store.put_work(MINE.uid, MINE)
    for record in (forged, None):
        store.put_work(forged.uid, record)
        assert store.work_of_job == {b.UID: MINE.uid}
        assert store.works == {MINE.uid: MINE}


@pytest.mark.parametrize("forged", FORGED)
def test_a_job_whose_work_is_gone_has_no_other(store: Store, forged: Work) -> None:
    store.put_work(MINE.uid, MINE)
    store.put_work(MINE.uid, None)
    store.dirty.clear()
    store.put_work(forged.uid, forged)
    assert seen(store) == (None, True, MINE.uid)
    assert (store.works, store.work_of_job, store.dirty) == ({}, {}, set())


def test_a_work_of_nobody_we_know_is_not_kept() -> None:
    store = Store()
    store.put_work(MINE.uid, MINE)
    store.put_work(MINE.uid, None)
    assert (store.works, store.work_of_job, store.dirty) == ({}, {}, set())


def test_the_work_is_kept_for_retention_after_the_job_has_finished(store: Store) -> None:
    store.put_work(MINE.uid, MINE)
    store.put_job(b.UID, FINISHED)
    done = b.work(complete=True, succeeded=1)
    store.put_work(MINE.uid, done)
    assert (store.works, store.work_of_job) == ({MINE.uid: done}, {b.UID: MINE.uid})
    store.put_work(MINE.uid, None)
    assert (store.works, store.work_of_job) == ({}, {})


def test_a_node_that_registers_again_stays_visible() -> None:
    """Its new object may be seen before the old one is missed."""
    store = Store()
    old, new = b.node(cpu=1000), b.node(cpu=2000)
    store.put_node("old", old)
    store.put_node("new", new)
    store.put_node("old", None)
    assert store.nodes == {"n1": new}
    store.put_node("new", None)
    assert (store.nodes, store.node_names) == ({}, {})


def test_a_node_that_registers_again_in_order() -> None:
    store = Store()
    store.put_node("old", b.node(cpu=1000))
    store.put_node("old", None)
    assert store.nodes == {}
    store.put_node("new", b.node(cpu=2000))
    assert store.nodes == {"n1": b.node(cpu=2000)}


@pytest.mark.parametrize("record", [None, b.node(ready=False)], ids=["gone", "not ready"])
@pytest.mark.parametrize("main", ["", "uid-main"], ids=["a job's pod", "another node of a multi-node job"])
def test_the_jobs_on_a_node_that_does_not_answer_look_again(record: Node | None, main: str) -> None:
    """Its pods say nothing for a long time."""
    store = Store()
    store.put_job(b.UID, b.job())
    store.put_job("uid-else", b.job(uid="uid-else", name="else"))
    store.put_node("uid-n1", b.node())
    store.put_pod("uid-p", b.running_pod(uid="uid-p", main=main))
    store.dirty.clear()
    store.put_node("uid-n1", record)
    assert store.dirty == {b.UID}
    store.put_pod("uid-p", None)
    store.dirty.clear()
    store.put_node("uid-n1", None)
    assert store.dirty == set()


@pytest.mark.parametrize(
    ("depends_on", "want"),
    [
        pytest.param([], set(), id="nothing"),
        pytest.param([{"name": "a"}], {"default"}, id="by name"),
        pytest.param([{"jobId": "uid-a"}], {"default"}, id="by jobId"),
    ],
)
def test_cycles_are_looked_for_where_jobs_depend_on_others(depends_on: list[dict[str, str]], want: set[str]) -> None:
    store = Store()
    store.put_job(b.UID, b.job(spec=b.spec(dependsOn=depends_on)))
    assert store.cycles_due == want


def test_what_was_read_is_not_undone_by_an_older_event(store: Store) -> None:
    """The pods of a finished Kubernetes Job are read when the watch has not shown their end."""
    ended = b.ended_pod(exit_code=1)
    store.put_pod(ended.uid, ended)
    store.dirty.clear()
    store.put_pod(ended.uid, b.running_pod())
    assert store.entries[b.UID].pods == {ended.uid: ended}
    assert store.dirty == set()


def test_a_node_that_is_gone_is_still_known_by_its_instance() -> None:
    store = Store()
    store.put_node("uid-1", b.node("ip-10-0-0-1", instance="i-1"))
    store.put_node("uid-1", None)
    assert (store.instance_of("ip-10-0-0-1"), store.instance_of("other")) == ("i-1", "other")
    store.put_node("uid-2", b.node("ip-10-0-0-1", instance="i-2"))
    assert store.instance_of("ip-10-0-0-1") == "i-2"
