"""Jobs that wait for each other in a ring: refused at the youngest, so that the others fail as dependents do."""

from __future__ import annotations

from collections.abc import Mapping

from batchwright.controllers.entries import Entry
from batchwright.controllers.store import Store
from batchwright.domain.dependencies import find_cycle, pins_by_name


def break_cycles(store: Store) -> None:
    """Marks a job of each ring in the namespaces where dependencies are new."""
    for namespace in tuple(store.cycles_due):
        store.cycles_due.discard(namespace)
        open_jobs = {
            entry.job.name: entry
            for entry in store.entries.values()
            if entry.job.namespace == namespace and not entry.is_final and entry.cycle is None and not entry.work
        }
        names = {entry.job.uid: name for name, entry in open_jobs.items()}
        edges = {name: _awaited(entry, names, open_jobs) for name, entry in open_jobs.items()}
        while (cycle := find_cycle(edges)) is not None:
            youngest = max(cycle[:-1], key=lambda name: (open_jobs[name].job.created_at, open_jobs[name].job.uid))
            start = cycle.index(youngest)
            ring = cycle[start:-1] + cycle[:start] + (youngest,)
            open_jobs[youngest].cycle = " → ".join(ring)
            store.dirty.add(open_jobs[youngest].job.uid)
            edges[youngest] = []


def _awaited(entry: Entry, names: Mapping[str, str], open_jobs: Mapping[str, Entry]) -> list[str]:
    """The open jobs this one waits for; a name that was pinned means that job and no later one."""
    pinned = pins_by_name(entry.job.spec.depends_on, entry.status.depends_on)
    found = []
    for each in entry.job.spec.depends_on:
        pin = pinned.get(each.name or "")
        uid = each.job_id or (pin.job_id if pin else None)
        name = names.get(uid) if uid else each.name
        # SEQUENTIAL alone names no job.
        if name is not None and name in open_jobs:
            found.append(name)
    return found
