"""Takes work back to make room, as a plan says: a single job as a whole, an array element by element.

A single job's pod is marked, and then its Kubernetes Job suspended and the count on it raised, in one write: the mark
is on the API server, so an operator that is started in between goes on from there. An element's pod is marked and
deleted; the Job controller makes another one, which waits at its gate. Neither is charged an attempt (the first rule of
the podFailurePolicy).
"""

from __future__ import annotations

from collections.abc import Callable

from batchwright import metrics, names
from batchwright.cluster.client import ApiClient
from batchwright.controllers import acting
from batchwright.controllers.entries import Array, Entry
from batchwright.domain.actions import Action, EndAttempt, Notice, SuspendWork
from batchwright.domain.observations import Pod
from batchwright.domain.texts import bounded
from batchwright.joblog import about_job
from batchwright.scheduling.snapshot import Preempt

# The reason of the mark on the pod of a main node whose job goes back, and is not preempted.
GAVE_BACK = "GaveBack"


class Preempting:
    """Carries out preemptions; `act` has an action carried out, `notify` makes an event."""

    def __init__(
        self,
        api: ApiClient,
        act: Callable[[str, Entry, Action], None],
        notify: Callable[[Entry, Notice], None],
    ) -> None:
        self._api = api
        self._act = act
        self._notify = notify

    def begin(self, entry: Entry, preempt: Preempt) -> None:
        """Takes back what the plan says; nothing if it has ended meanwhile."""
        if entry.work is None or entry.work.is_finished:
            return
        known = entry.array
        with about_job(entry.job.uid, entry.job.namespace, entry.job.name):
            taken = self._elements(entry, known, preempt) if known is not None else self._single(entry, preempt)
        if taken and known is not None:
            # Nobody else counts those of elements; a single job's stand on its Kubernetes Job.
            count = (entry.status.preemptions or 0) + taken
            entry.status = entry.status.model_copy(update={"preemptions": count})
        if taken:
            metrics.PREEMPTIONS.labels(entry.job.spec.job_queue).inc(taken)
            self._notify(entry, Notice("Preempted", bounded(preempt.why)))
            configured = entry.job.spec.preemption_configuration
            limit = configured.preemption_retries_before_termination if configured is not None else None
            count = entry.work.preemptions + 1
            if limit is not None and count > limit and known is None:
                entry.expired = f"Preempted {count} times, and preemptionRetriesBeforeTermination is {limit}"

    def _elements(self, entry: Entry, known: Array, preempt: Preempt) -> int:
        latest = known.elements.latest(preempt.count + len(known.leaving), preempt.node)
        chosen = [pod for pod in latest if pod.uid not in known.leaving]
        for pod in chosen[: preempt.count]:
            known.leaving.add(pod.uid)
            ending = EndAttempt(pod, names.POD_CONDITION_PREEMPTED, "Preempted", bounded(preempt.why))
            self._act(entry.job.uid, entry, ending)
        return len(chosen[: preempt.count])

    def _single(self, entry: Entry, preempt: Preempt) -> int:
        if entry.preempting or entry.resuming or entry.work is None:
            return 0
        entry.preempting, entry.making_room = bounded(preempt.why), True
        self._act(entry.job.uid, entry, SuspendWork(entry.work))
        return 1

    async def suspend(self, entry: Entry, action: SuspendWork) -> None:
        """Marks the pods of a single job, and suspends its Kubernetes Job. Only to make room is a preemption, which is
        counted: a multi-node job also goes back because it has lost a machine, say."""
        live = [pod for pod in entry.pods.values() if not pod.is_finished]
        # Where an operator before this one has begun, the mark says why.
        is_ours = bool(entry.preempting)
        makes_room = entry.making_room if is_ours else not any(_went_back(pod) for pod in live)
        for pod in live:
            if pod.mark is None:
                reason = "Preempted" if makes_room else GAVE_BACK
                await acting.mark_preempted(self._api, pod, entry.preempting or "Preempted", reason)
        await acting.suspend_work(self._api, action.work, makes_room=makes_room)


def _went_back(pod: Pod) -> bool:
    return pod.mark is not None and pod.mark.type == names.POD_CONDITION_PREEMPTED and pod.mark.reason == GAVE_BACK
