"""What an observer saw of the pipeline who knows nothing of the operator: how each pod ended, and what the Jobs say.

Pods are taken in while they end, because the cluster deletes the oldest ended ones beyond 12,500
(kube-controller-manager's --terminated-pod-gc-threshold). Times are Kubernetes' own, whole seconds: so that an order
that was kept never looks broken, but one broken by less than a second may go unseen. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from batchwright import names
from batchwright.domain.indexes import format_indexes
from batchwright.local.demo.pipeline import Stage

JSON = dict[str, Any]
_SHOWN = 60


@dataclass(frozen=True)
class Ended:
    """A pod that ended; `attempt` counts from 1. `exit_code` None: it never ran."""

    uid: str
    job: str
    index: int
    attempt: int
    succeeded: bool
    exit_code: int | None
    started_at: datetime | None
    stopped_at: datetime | None


@dataclass(frozen=True)
class Overlap:
    """The second in which the first element of the last stage started, since the stage before it had started.

    `waiting` elements of the stage before had not started in that second, of `of`.
    """

    after_seconds: float
    waiting: int
    of: int


def read_end(pod: JSON) -> Ended | None:
    """How a pod ended; None while it has not, and for pods of no BatchJob."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    job = (metadata.get("labels") or {}).get(names.LABEL_JOB_NAME)
    if job is None or status.get("phase") not in ("Succeeded", "Failed"):
        return None
    annotations = metadata.get("annotations") or {}
    containers = status.get("containerStatuses") or [{}]
    ended = (containers[0].get("state") or {}).get("terminated") or {}
    return Ended(
        uid=metadata["uid"],
        job=job,
        index=int(annotations.get(names.POD_INDEX, "0")),
        attempt=1 + int(annotations.get(names.POD_FAILURE_COUNT, "0")),
        succeeded=status["phase"] == "Succeeded",
        exit_code=ended.get("exitCode"),
        started_at=_time(ended.get("startedAt")),
        stopped_at=_time(ended.get("finishedAt")),
    )


class Witness:
    """The ends of the pods of these stages, each pod once."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.stages = tuple(stages)
        self._ended: dict[str, dict[str, Ended]] = {stage.job: {} for stage in stages}
        self._succeeded: dict[str, Counter[int]] = {stage.job: Counter() for stage in stages}

    def take(self, pods: Iterable[JSON]) -> list[Ended]:
        """Takes pods in; returns those that had not been seen to end before."""
        new: list[Ended] = []
        for pod in pods:
            ended = read_end(pod)
            if ended is None or ended.job not in self._ended or ended.uid in self._ended[ended.job]:
                continue
            self._ended[ended.job][ended.uid] = ended
            self._succeeded[ended.job][ended.index] += ended.succeeded
            new.append(ended)
        return new

    @property
    def is_complete(self) -> bool:
        """Whether as many pods succeeded as there are elements."""
        return all(self._succeeded[stage.job].total() >= stage.elements for stage in self.stages)

    def ran(self, stage: Stage) -> int:
        """How many pods of the stage ran."""
        return sum(ended.started_at is not None for ended in self._ended[stage.job].values())

    def recovered(self, stage: Stage) -> int:
        """How many elements of the stage succeeded after an attempt that failed."""
        failed = {ended.index for ended in self._ended[stage.job].values() if not ended.succeeded}
        return sum(self._succeeded[stage.job][index] > 0 for index in failed)

    def failures(self, stage: Stage) -> int:
        """How many attempts of the stage failed."""
        return sum(not ended.succeeded for ended in self._ended[stage.job].values())

    def span(self, stage: Stage) -> tuple[datetime, datetime] | None:
        """When the stage's first pod started and its last one ended; None when none was seen."""
        starts, stops = self._times(stage)
        return (min(starts), max(stops)) if starts and stops else None

    def overlap(self) -> Overlap | None:
        """How far the stage before the last one was when the last one began; None when either was not seen."""
        before, last = self.stages[-2], self.stages[-1]
        spans = self.span(before), self.span(last)
        if spans[0] is None or spans[1] is None:
            return None
        begun = spans[1][0]
        waiting = sum(start > begun for start, _ in self._by_element(before).values())
        return Overlap((begun - spans[0][0]).total_seconds(), waiting, before.elements)

    def differences(self, jobs: Mapping[str, JSON]) -> list[str]:
        """What was not as it should be: each element succeeds once, after what it waits for, and its Job says so.

        `jobs` are the Kubernetes Jobs by the stage's job.
        """
        found: list[str] = []
        for stage in self.stages:
            found += self._counted_wrong(stage)
            found += _told_wrong(stage, jobs.get(stage.job))
            if stage.after is not None:
                before = next(each for each in self.stages if each.job == stage.after)
                found += self._out_of_order(before, stage)
        return found

    def _counted_wrong(self, stage: Stage) -> list[str]:
        seen = self._succeeded[stage.job]
        times: dict[int, list[int]] = {}
        for index in sorted({*range(stage.elements), *seen}):
            wanted = 1 if index < stage.elements else 0
            if seen[index] != wanted:
                times.setdefault(seen[index], []).append(index)
        return [f"{stage.job}: {_listed(indexes)} succeeded {count} times" for count, indexes in times.items()]

    def _out_of_order(self, before: Stage, stage: Stage) -> list[str]:
        ends = {index: stop for index, (_, stop) in self._by_element(before).items()}
        last = max(ends.values(), default=None)
        early: list[int] = []
        for index, (start, _) in sorted(self._by_element(stage).items()):
            due = ends.get(index) if stage.elementwise else last
            if due is None or start < due:
                early.append(index)
        what = "its element" if stage.elementwise else "all"
        return [f"{stage.job}: {_listed(early)} started before {what} of {before.job} had ended"] if early else []

    def _by_element(self, stage: Stage) -> dict[int, tuple[datetime, datetime]]:
        """For each element the start of its first attempt and the end of its last one."""
        found: dict[int, tuple[datetime, datetime]] = {}
        for ended in self._ended[stage.job].values():
            if ended.started_at is None or ended.stopped_at is None:
                continue
            start, stop = found.get(ended.index, (ended.started_at, ended.stopped_at))
            found[ended.index] = min(start, ended.started_at), max(stop, ended.stopped_at)
        return found

    def _times(self, stage: Stage) -> tuple[list[datetime], list[datetime]]:
        every = self._ended[stage.job].values()
        return [e.started_at for e in every if e.started_at], [e.stopped_at for e in every if e.stopped_at]


def _told_wrong(stage: Stage, job: JSON | None) -> list[str]:
    """What the Kubernetes Job says otherwise."""
    if job is None:
        return [f"{stage.job}: its Kubernetes Job is not there"]
    status = job.get("status") or {}
    told, succeeded = status.get("completedIndexes"), status.get("succeeded", 0)
    wanted = format_indexes(range(stage.elements))
    found: list[str] = []
    if succeeded != stage.elements:
        found.append(f"{stage.job}: its Kubernetes Job counts {succeeded} of {stage.elements} elements as succeeded")
    if stage.size is not None and told != wanted:
        found.append(f"{stage.job}: its Kubernetes Job has completedIndexes {told!r}, not {wanted!r}")
    return found


def _listed(indexes: Sequence[int]) -> str:
    text = format_indexes(indexes)
    if len(text) > _SHOWN:
        text = f"{text[:_SHOWN].rpartition(',')[0]},…"
    return f"element{'s' if len(indexes) > 1 else ''} {text}"


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
