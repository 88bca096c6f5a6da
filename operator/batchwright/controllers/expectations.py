"""How long jobs are expected to run, and when what runs is expected to end: from what has run already, or by timeouts.

Of a job whose own pods have ended some (an array) their median run time, of others that of the jobs of the same
definition that have SUCCEEDED, whatever their revision; failing that, its timeout, which is long. A forecast from that
is a forecast, not a promise: nothing but forecasts may hang on it.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from statistics import median
from typing import Any

from batchwright.controllers.entries import Entry
from batchwright.controllers.store import Store
from batchwright.domain.observations import Pod
from batchwright.domain.texts import moment
from batchwright.scheduling.forecast import End
from batchwright.scheduling.state import State


class History:
    """Run times, in seconds, as far as the API server's objects know them."""

    def __init__(self) -> None:
        self._of_definitions: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self._of_jobs: defaultdict[str, list[float]] = defaultdict(list)

    def see_job(self, item: dict[str, Any]) -> None:
        """A BatchJob as the API server has it; what counts is one that SUCCEEDED, and is no array."""
        status = item.get("status") or {}
        started, stopped = status.get("startedAt"), status.get("stoppedAt")
        is_array = "arrayProperties" in status
        if status.get("state") != "SUCCEEDED" or is_array or not started or not stopped:
            return
        # Of several attempts the last one is the one that did it all.
        started = ((status.get("attempts") or [{}])[-1]).get("startedAt") or started
        definition = _definition_of(status.get("jobDefinition") or "")
        seconds = (moment(stopped) - moment(started)).total_seconds()
        self._of_definitions[item["metadata"]["namespace"], definition].append(max(0.0, seconds))

    def see_pod(self, pod: Pod) -> None:
        """A pod of ours."""
        if pod.phase == "Succeeded" and pod.started_at is not None and pod.stopped_at is not None:
            self._of_jobs[pod.job_id].append(max(0.0, (pod.stopped_at - pod.started_at).total_seconds()))

    def seconds(self, entry: Entry) -> float | None:
        """How long one pod of the job is expected to run; None if nothing tells."""
        known = self._of_jobs.get(entry.job.uid)
        if not known and entry.pinned is not None:
            known = self._of_definitions.get((entry.job.namespace, _definition_of(entry.pinned.name)))
        if known:
            return median(known)
        timeout = entry.pinned.rules.timeout_seconds if entry.pinned is not None else None
        return None if timeout is None else float(timeout)


def _definition_of(pinned: str) -> str:
    return pinned.rpartition(":")[0]


def expected_ends(store: Store, state: State, history: History, now: datetime) -> list[End]:
    """When each pod of what is held is expected to end; nothing of work of which nobody knows."""
    found: list[End] = []
    for uid, held in state.held.items():
        entry = store.entries[uid]
        seconds = history.seconds(entry)
        if seconds is None:
            continue
        known = entry.array
        pods = known.elements.live.values() if known is not None else entry.pods.values()
        ends = sorted(
            End((pod.started_at or now).timestamp() + seconds, uid, pod.node)
            for pod in pods
            if pod.node and not pod.gated and not pod.is_finished
        )
        ends += [End(now.timestamp() + seconds, uid)] * max(0, held.count - len(ends))
        if known is not None and not known.elements.gated:
            # The next element takes the place of each that ends.
            rest = max(0, known.elements.unfinished - held.count)
            ends = [
                End(end.at + seconds * max(0, (rest - place + len(ends) - 1) // len(ends)), uid, end.node)
                for place, end in enumerate(ends)
            ]
        found += ends
    return found
