"""What is known of every element of one array: kept up to date pod by pod, so that nothing is ever added up anew.

Everything here speaks of indexes, 0 to size - 1; the Kubernetes Job speaks of positions among those that run
(`arrayProperties.indexes`), which are the same where all run. A final state never changes. The record is rebuilt from
the status, the Kubernetes Job and the pods at every start, so nothing in it needs to be written anywhere else.

Evidence: a pod that succeeded ends its element at once; whether a failed one is retried is the Job controller's
verdict (`failedIndexes`), taken once the pod watch has shown the pod's end, so that the reason is known.
"""

from __future__ import annotations

import heapq
from array import array
from datetime import datetime
from typing import Final

from batchwright import names
from batchwright.api.v1alpha1.array import ArrayPropertiesDetail
from batchwright.domain import reasons
from batchwright.domain.attempts import outcome
from batchwright.domain.failures import NO_RECORD, Failures
from batchwright.domain.indexes import Runs, count, expand, parse_indexes, runs_of_marks
from batchwright.domain.jobresults import JobResults
from batchwright.domain.observations import Pod
from batchwright.domain.retry import Outcome

PENDING, RUNNABLE, STARTING, RUNNING, SUCCEEDED, FAILED, ABSENT = range(7)
_ENDED_BY_US: Final = (names.POD_CONDITION_TERMINATED, names.POD_CONDITION_DEPENDENCY_FAILED)
_OPENED: Final = bytes([RUNNABLE, *range(1, 256)])


class Elements:
    """The elements of one array. Callers read the attributes and change them by the methods alone.

    `states` has a byte an element; `counts` how many are in each; `ended` every element that got a final state, in that
    order (what waits for it reads on from where it was); `live` the pods under way, by index; `attention` the elements
    that something may have to be done about; `granted` those that may start and whose pod has not been released yet;
    `releasing` those of them whose gate is being lifted; `preempted` those whose pod under way is marked to make room;
    `backing_off` those whose next attempt the Job controller holds back; `given_back` the pods whose room was given
    back for want of a node; `condemned` those that got a final state of ours which the Kubernetes Job does not know of
    yet; `terminating` those that somebody asked to end; `verdicts` those that failed by the Kubernetes Job's word, with
    the number and the end of their last attempt that was seen; `wakes` when to look at which again; `results` what the
    Kubernetes Job says.
    """

    def __init__(self, size: int, runs: Runs) -> None:
        self.size = size
        self.runs = runs
        self.total = count(runs)
        self.states = bytearray([ABSENT]) * size
        self.counts = [0] * 7
        self.ended: list[int] = []
        self.live: dict[int, Pod] = {}
        self.attention: set[int] = set()
        self.granted: set[int] = set()
        self.releasing: set[int] = set()
        self.preempted: set[int] = set()
        self.backing_off: set[int] = set()
        self.given_back: set[str] = set()
        self.condemned: dict[int, Outcome] = {}
        self.outcomes: dict[int, tuple[int, Outcome]] = {}
        self.failures = Failures()
        self.unmet: array[int] | None = None
        self.is_open = False
        self.gated = False
        self.parallelism = 0
        self.bound = 0
        self.unbound = 0
        self.started_at: datetime | None = None
        self.last_started_at: datetime | None = None
        self.stopped_at: datetime | None = None
        self.version = 0
        self.terminating: dict[int, str] = {}
        self.served: set[tuple[str, str]] = set()
        self.wakes: list[tuple[datetime, int]] = []
        self.results = JobResults(runs)
        self._deleted: set[int] = set()
        self.verdicts: dict[int, tuple[int, Outcome]] = {}
        self._ready: list[int] = []
        for first, last in runs:
            self.states[first : last + 1] = bytes(last + 1 - first)
        self.counts[PENDING] = self.total

    @classmethod
    def restored(cls, size: int, runs: Runs, detail: ArrayPropertiesDetail | None) -> Elements:
        """The record as a status tells of it. Raises ValueError on a text that is no set of indexes."""
        made = cls(size, runs)
        if detail is None:
            return made
        for index in expand(parse_indexes(detail.succeeded_indexes)):
            made._finish(index, SUCCEEDED)
        known = made.failures.restore(detail.failures)
        # By kind and not by index, so that the order of the groups stays.
        for index in [*known, *(i for i in expand(parse_indexes(detail.failed_indexes)) if i not in known)]:
            ended = known.get(index, NO_RECORD)
            if made.fail(index, ended):
                made.condemned[index] = ended
                # It was written when its last attempt may not have been seen yet.
                if ended == NO_RECORD or ended.status_reason.startswith(reasons.OF_ATTEMPTS):
                    made.verdicts[index] = (-1, ended)
        return made

    # Reading.

    @property
    def unfinished(self) -> int:
        """Elements without a final state."""
        return self.total - self.counts[SUCCEEDED] - self.counts[FAILED]

    @property
    def started(self) -> int:
        """Elements that have ever started, but for those that wait for another attempt."""
        return self.counts[STARTING] + self.counts[RUNNING] + self.counts[SUCCEEDED] + self.counts[FAILED]

    @property
    def ready(self) -> int:
        """Elements that could start if there were room."""
        return self.counts[RUNNABLE] - len(self.granted) - len(self.backing_off)

    @property
    def active(self) -> int:
        """Elements that have started, or were told that they may."""
        return len(self.granted) + self.counts[STARTING] + self.counts[RUNNING]

    def is_met(self, index: int) -> bool:
        """Whether all that the element waits for has ended as it should."""
        return self.unmet is None or self.unmet[index] == 0

    def indexes_in(self, *states: int) -> Runs:
        """The runs of the elements in one of these states."""
        table = bytes(1 if state in states else 0 for state in range(256))
        return runs_of_marks(self.states.translate(table))

    # What waits.

    def open(self) -> None:
        """The array was taken in: what waits for no other element is RUNNABLE."""
        if self.is_open:
            return
        self.is_open = True
        self.version += 1
        if self.unmet is None and not self.live:
            self.states = self.states.translate(_OPENED)
            self.counts[RUNNABLE] += self.counts[PENDING]
            self.counts[PENDING] = 0
            self._ready = list(expand(self.indexes_in(RUNNABLE)))
            return
        for index in expand(self.indexes_in(PENDING)):
            if self.is_met(index):
                self._wait(index)

    def meet(self, index: int) -> None:
        """One of the things the element waits for has ended as it should."""
        if self.unmet is None or self.states[index] == ABSENT:
            return
        self.unmet[index] -= 1
        if self.unmet[index] == 0 and self.is_open and self.states[index] == PENDING:
            self._wait(index)

    def grant(self, number: int) -> list[int]:
        """Lets the lowest `number` ready elements start, and names them."""
        chosen: list[int] = []
        while self._ready and len(chosen) < number:
            index = heapq.heappop(self._ready)
            if self.states[index] == RUNNABLE and index not in self.granted and index not in self.backing_off:
                self.granted.add(index)
                chosen.append(index)
                if index in self.live:
                    self.attention.add(index)
        return chosen

    def withdraw(self) -> None:
        """Takes back every leave to start that no pod has used yet."""
        for index in self.granted:
            heapq.heappush(self._ready, index)
        self.granted.clear()

    def latest(self, number: int, node: str = "") -> list[Pod]:
        """Up to `number` pods that hold room, on that node if one is named, those that started last first."""
        holding = [
            pod
            for pod in self.live.values()
            if not pod.gated and not pod.deleting and pod.mark is None and node in ("", pod.node)
        ]
        holding.sort(key=lambda pod: (pod.started_at or pod.created_at, pod.index), reverse=True)
        return holding[:number]

    # What ends.

    def fail(self, index: int, ended: Outcome) -> bool:
        """Ends the element FAILED; False if it has a final state already, or is none of this array's."""
        if not self._finish(index, FAILED):
            return False
        self.failures.add(index, ended)
        return True

    def condemn(self, index: int, ended: Outcome) -> None:
        """Ends an element that has not started; the Kubernetes Job will have to be told when it makes its pod.

        One whose gate is being lifted has: the pod may run before another word about it arrives."""
        if index in self.releasing or (index in self.live and not self.live[index].gated):
            return
        if self.fail(index, ended):
            self.condemned[index] = ended
            if index in self.live:
                self.attention.add(index)

    def condemn_waiting(self, ended: Outcome) -> None:
        """Ends every element that has not started."""
        for index in expand(self.indexes_in(PENDING, RUNNABLE)):
            self.condemn(index, ended)

    def fail_rest(self, ended: Outcome) -> None:
        """Ends every element that has no final state: nothing of the array runs any more."""
        for index in expand(self.indexes_in(PENDING, RUNNABLE, STARTING, RUNNING)):
            self.fail(index, ended)

    # Evidence.

    def see_pod(self, pod: Pod, instance: str) -> None:
        """A pod of the array was seen; `instance` is the instance id of its node."""
        index = self.results.index_of(pod.index)
        if index is None:
            return
        known = self.live.get(index)
        if known is not None and (not pod.gated or pod.uid != known.uid):
            self.releasing.discard(index)
        if pod.is_finished:
            # A finished pod is seen again as its finalizers go: the leave may be that of the attempt after it by then.
            if known is not None and known.uid == pod.uid:
                self._forget(index)
                self.granted.discard(index)
                if self.states[index] == RUNNABLE:
                    # It never ran: ended with its gate on, or its whole life fell into a gap of the watch.
                    heapq.heappush(self._ready, index)
            self._see_end(index, pod, instance)
            return
        if known is not None and known.uid != pod.uid and known.failures > pod.failures:
            return
        if known is not None:
            self._forget(index)
        self.live[index] = pod
        if pod.is_preempted:
            self.preempted.add(index)
        if index in self.backing_off:
            self.backing_off.discard(index)
            heapq.heappush(self._ready, index)
        if pod.gated:
            self.attention.add(index)
            if self.states[index] in (STARTING, RUNNING):
                self._wait(index)
            return
        self.granted.discard(index)
        if pod.node:
            self.bound += 1
        else:
            self.unbound += 1
        self._note_start(pod)
        if self.states[index] < SUCCEEDED:
            self._move(index, STARTING if pod.started_at is None else RUNNING)
        self.attention.add(index)

    def see_pod_gone(self, pod: Pod) -> None:
        """A pod that had not finished is gone."""
        index = self.results.index_of(pod.index)
        if index is None or index not in self.live or self.live[index].uid != pod.uid:
            return
        self._forget(index)
        self.releasing.discard(index)
        if self.states[index] < SUCCEEDED:
            self._wait(index)
        self.results.look_again()

    def look_again(self, pod: Pod) -> None:
        """What was to be done about this pod has failed."""
        index = self.results.index_of(pod.index)
        if index is not None:
            self.attention.add(index)
            self.releasing.discard(index)

    def settle(self, ending: str = "") -> None:
        """Takes over the results of the Kubernetes Job, but for those whose pod's end has not been seen yet.

        `ending`: why the Job was told to end, which is then why its pods were deleted.
        """
        for position, succeeded in self.results.fresh():
            self._settle(position, succeeded, ending)

    def retried(self, index: int) -> None:
        """The element's attempt failed and another one follows, once the Job controller's back-off is over: until its
        pod is there, room for it would lie idle."""
        if self.states[index] in (STARTING, RUNNING) and index not in self.live:
            self._wait(index)
            if self.gated and self.states[index] == RUNNABLE:
                self.backing_off.add(index)

    def _settle(self, position: int, succeeded: bool, ending: str) -> None:
        index = self.results.index_of(position)
        if index is None:
            return
        if index in self.live:
            self.results.look_again()
            return
        self.results.count(position)
        self.condemned.pop(index, None)
        failures, ended = self.outcomes.pop(index, (-1, NO_RECORD))
        if ending and (ended is NO_RECORD or index in self._deleted):
            ended = Outcome(ended.exit_code, "", ending)
        if succeeded:
            self._finish(index, SUCCEEDED)
        elif self.fail(index, ended) and not ending:
            self.verdicts[index] = (failures, ended)

    def _see_end(self, index: int, pod: Pod, instance: str) -> None:
        if pod.stopped_at is not None and (self.stopped_at is None or pod.stopped_at > self.stopped_at):
            self.stopped_at = pod.stopped_at
        self._note_start(pod)
        if self.states[index] >= SUCCEEDED:
            if pod.gated:
                # Ended by our word: the Job controller needs nothing more.
                self.condemned.pop(index, None)
            elif pod.phase == "Failed" and pod.failures > self.verdicts.get(index, (pod.failures, NO_RECORD))[0]:
                # The verdict came before the end of its pod was seen.
                ended = outcome(pod, {pod.node: instance})
                self.failures.correct(index, self.verdicts[index][1], ended)
                self.verdicts[index] = (pod.failures, ended)
                self.version += 1
            return
        if (pod.is_preempted or pod.lost_its_host) and pod.phase == "Failed":
            # The Job controller ignores its failure, and makes the next pod, which may have been seen already.
            if index not in self.live:
                self._wait(index)
            return
        ended = outcome(pod, {pod.node: instance})
        if pod.phase == "Succeeded":
            self.results.count(pod.index)
            self.outcomes.pop(index, None)
            if ended.status_reason == reasons.ATTEMPT_TIMED_OUT:
                self.fail(index, ended)
            else:
                self._finish(index, SUCCEEDED)
            return
        if pod.gated:
            # It never ran: no attempt. What refused it is known, but for an operator that was started since.
            if pod.mark is not None and pod.mark.type in _ENDED_BY_US:
                self.outcomes[index] = (pod.failures, Outcome(None, "", pod.mark.message))
            return
        if index not in self.outcomes or self.outcomes[index][0] <= pod.failures:
            self.outcomes[index] = (pod.failures, ended)
            by_job = pod.deleting and pod.mark is None and not pod.disruption
            (self._deleted.add if by_job else self._deleted.discard)(index)
        self.attention.add(index)

    def _note_start(self, pod: Pod) -> None:
        if pod.started_at is not None:
            self.started_at = min(self.started_at or pod.started_at, pod.started_at)
            self.last_started_at = max(self.last_started_at or pod.started_at, pod.started_at)

    def _forget(self, index: int) -> None:
        pod = self.live.pop(index)
        self.preempted.discard(index)
        self.given_back.discard(pod.uid)
        if pod.gated:
            return
        if pod.node:
            self.bound -= 1
        else:
            self.unbound -= 1

    def _wait(self, index: int) -> None:
        """The element has no pod that may run: it waits, for other elements or for room."""
        if self.is_open and self.is_met(index):
            self._move(index, RUNNABLE)
            if index not in self.granted:
                heapq.heappush(self._ready, index)
        else:
            self._move(index, PENDING)

    def _finish(self, index: int, state: int) -> bool:
        if not 0 <= index < self.size or self.states[index] >= SUCCEEDED:
            return False
        self._move(index, state)
        self.granted.discard(index)
        self.backing_off.discard(index)
        self.ended.append(index)
        return True

    def _move(self, index: int, state: int) -> None:
        before = self.states[index]
        if before != state:
            self.counts[before] -= 1
            self.counts[state] += 1
            self.states[index] = state
            self.version += 1
