"""Sums and indexes of the store stay right whatever comes in which order."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

import builders as b
from batchwright.controllers.ledger import Ledger
from batchwright.controllers.store import Store
from batchwright.domain.observations import FinishedJob, Occupant
from batchwright.domain.quantities import Resources, add

UIDS = st.sampled_from(["p1", "p2", "p3", "p4"])
NODES = st.sampled_from(["", "n1", "n2"])
REQUESTS = st.dictionaries(st.sampled_from(["cpu", "memory", "pods"]), st.integers(0, 5))
MOVES = st.lists(st.one_of(st.tuples(UIDS, NODES, REQUESTS), UIDS), max_size=40)


def summed(pods: dict[str, tuple[str, Resources]]) -> dict[str, Resources]:
    total: dict[str, Resources] = {}
    for node, request in pods.values():
        total[node] = add(total.get(node, {}), request)
    return without_zeros(total)


def without_zeros(sums: dict[str, Resources]) -> dict[str, Resources]:
    cleaned = {node: {name: amount for name, amount in each.items() if amount} for node, each in sums.items()}
    return {node: each for node, each in cleaned.items() if each}


@given(MOVES)
def test_the_ledger_adds_up(moves: list[object]) -> None:
    ledger, pods = Ledger(), {}
    for move in moves:
        if isinstance(move, str):
            ledger.release(move)
            pods.pop(move, None)
        else:
            uid, node, request = move  # type: ignore[misc]
            ledger.account(uid, node, request)
            pods.pop(uid, None)
            if node:
                pods[uid] = (node, request)
        assert without_zeros(dict(ledger.occupied)) == summed(pods)
    for uid in list(pods):
        ledger.release(uid)
    assert not without_zeros(dict(ledger.occupied))


@given(st.lists(st.tuples(UIDS, NODES, REQUESTS, st.sampled_from(["ours", "ended", "gone", "other"])), max_size=40))
def test_the_store_charges_nodes_for_pods_that_are_on_them(moves: list[tuple[str, str, Resources, str]]) -> None:
    store, pods = Store(), {}
    for uid, node, request, what in moves:
        pods.pop(uid, None)
        if what == "gone":
            store.put_pod(uid, None)
        elif what == "other":
            store.put_occupant(uid, Occupant(uid, node, request))
        else:
            phase = "Failed" if what == "ended" else "Running"
            store.put_pod(uid, replace(b.pod(), uid=uid, node=node, request=request, phase=phase))
        if what in ("ours", "other") and node:
            pods[uid] = (node, request)
        assert without_zeros(dict(store.ledger.occupied)) == summed(pods)


JOBS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(1, 2),
        st.sampled_from(["put", "finish", "drop"]),
        st.sets(st.sampled_from("abc")),
    ),
    max_size=30,
)


@given(JOBS)
def test_names_and_dependents_of_the_store(moves: list[tuple[str, int, str, set[str]]]) -> None:
    """Two generations of each name, as one deletes a job and submits it again; the watch shows the deletion first."""
    store = Store()
    alive: dict[str, tuple[str, set[str], bool]] = {}  # uid → name, dependencies, finished
    for name, number, what, needs in moves:
        uid = f"{name}{number}"
        holder = next((other for other, (held, _, _) in alive.items() if held == name and other != uid), None)
        if what == "drop":
            store.put_job(uid, None)
            alive.pop(uid, None)
        elif holder is not None:
            continue
        elif what == "finish":
            store.put_job(uid, FinishedJob(uid, "default", name, "FAILED", "normal", None))
            alive[uid] = (name, set(), True)
        elif uid not in alive:
            depends = [{"name": each} for each in sorted(needs - {name})]
            store.put_job(uid, b.job(uid=uid, name=name, spec=b.spec(dependsOn=depends)))
            alive[uid] = (name, needs - {name}, False)
        assert {key[1]: uid for key, uid in store.by_name.items()} == {held: uid for uid, (held, _, _) in alive.items()}
        assert set(store.entries) == {uid for uid, (_, _, done) in alive.items() if not done}
        assert set(store.finished) == {uid for uid, (_, _, done) in alive.items() if done}
        assert store.dirty <= set(store.entries)
        wanted: dict[str, set[str]] = {}
        for waiting, (_, depends_on, _) in alive.items():
            for each in depends_on:
                wanted.setdefault(each, set()).add(waiting)
        assert {key[1]: set(uids) for key, uids in store.dependents.items()} == wanted
