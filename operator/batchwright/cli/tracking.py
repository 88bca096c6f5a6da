"""What a wait knows of its jobs, and when it is over. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from batchwright.cli.arrays import is_array, summary_of
from batchwright.cli.bars import array_line
from batchwright.cli.changes import Change, Listed
from batchwright.cli.formats import FINISHED, attempts_of, reason_of, state_of

JSON = dict[str, Any]


class Goal(StrEnum):
    """What a wait waits for."""

    finished = "finished"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    RUNNING = "RUNNING"


class Outcome(StrEnum):
    """How a job stands to the goal."""

    open = "open"
    reached = "reached"
    missed = "missed"
    deleted = "deleted"


@dataclass(frozen=True)
class Transition:
    """A job's state, reason or attempt changed, or an array's counts; `before` is None at first sight."""

    job: JSON
    before: str | None

    @property
    def is_progress(self) -> bool:
        """Whether nothing but an array's counts has changed."""
        return is_array(self.job) and self.before == state_of(self.job)

    def line(self) -> str:
        """One line for a log."""
        now = state_of(self.job)
        if is_array(self.job):
            return array_line(self.job)
        arrow = now if self.before in (None, now) else f"{self.before} → {now}"
        attempts, reason = attempts_of(self.job), reason_of(self.job)
        attempt = f" (attempt {attempts})" if attempts > 1 else ""
        return f"{self.job['metadata']['name']} {arrow}{attempt}" + (f": {reason}" if reason else "")


class Tracker:
    """The jobs of one wait, by uid, in the order given."""

    def __init__(self, jobs: Sequence[JSON]) -> None:
        self.jobs: dict[str, JSON] = {job["metadata"]["uid"]: job for job in jobs}
        self.deleted: set[str] = set()

    def take(self, change: Change) -> list[Transition]:
        """Takes in a change; returns what is new to be shown. Jobs that are not waited for are passed over."""
        if isinstance(change, Listed):
            there = {item["metadata"]["uid"]: item for item in change.items}
            namespace = change.namespace
            meant = {uid for uid, job in self.jobs.items() if namespace in (None, job["metadata"]["namespace"])}
            self.deleted |= meant - there.keys()
            return [seen for uid in self.jobs if uid in there for seen in self._update(there[uid])]
        uid = change.item["metadata"]["uid"]
        if uid not in self.jobs:
            return []
        seen = self._update(change.item)
        if change.deleted:
            self.deleted.add(uid)
        return seen

    def _update(self, job: JSON) -> list[Transition]:
        uid = job["metadata"]["uid"]
        before, self.jobs[uid] = self.jobs[uid], job
        same = _shown(before) == _shown(job)
        return [] if same else [Transition(job, state_of(before))]

    def outcomes(self, goal: Goal) -> dict[str, Outcome]:
        """Each job's outcome by uid."""
        return {
            uid: outcome(job, goal)
            if outcome(job, goal) is not Outcome.open or uid not in self.deleted
            else Outcome.deleted
            for uid, job in self.jobs.items()
        }

    def is_over(self, goal: Goal) -> bool:
        """Whether nothing is left to wait for."""
        return all(result is not Outcome.open for result in self.outcomes(goal).values())


def outcome(job: JSON, goal: Goal) -> Outcome:
    """How one job stands to the goal. RUNNING is also reached by a job that ran and SUCCEEDED unseen.

    An array, which itself is never RUNNING, reaches it with its first element.
    """
    state = state_of(job)
    if goal is Goal.RUNNING:
        counts = summary_of(job)
        if counts["RUNNING"] or counts["SUCCEEDED"]:
            return Outcome.reached
        if state in ("RUNNING", "SUCCEEDED"):
            return Outcome.reached
        return Outcome.missed if state == "FAILED" else Outcome.open
    if state not in FINISHED:
        return Outcome.open
    wanted = "SUCCEEDED" if goal is Goal.finished else str(goal)
    return Outcome.reached if state == wanted else Outcome.missed


def _shown(job: JSON) -> tuple[str, str, int, dict[str, int]]:
    return state_of(job), reason_of(job), attempts_of(job), summary_of(job)
