"""The life of an array job: its elements move on by themselves, and it ends when they all have.

AWS Batch User Guide, array jobs: the job itself is SUBMITTED or PENDING until every element has a final state; then
SUCCEEDED if all succeeded, else FAILED. Level-triggered as `lifecycle.decide`, but over a record that is kept up to
date (`Elements`): a decision looks at what has changed, and costs nothing for the elements that have not.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from batchwright import names
from batchwright.api.v1alpha1.batchjob import BatchJobSpec, BatchJobStatus
from batchwright.domain import reasons
from batchwright.domain.actions import Action, EndAttempt, EndWork, Notice, ReadObstacle, ReadPods, ReleasePod
from batchwright.domain.arraystatus import with_elements
from batchwright.domain.elements import FAILED, SUCCEEDED, Elements
from batchwright.domain.elementwise import Edge, follow
from batchwright.domain.failures import NO_RECORD
from batchwright.domain.granting import STUCK_SECONDS, close, shrink, wanted
from batchwright.domain.indexes import Runs, expand, parse_indexes, runs_of_marks
from batchwright.domain.lifecycle import (
    OBSTACLE_SECONDS,
    POD_DUE_SECONDS,
    Decision,
    View,
    decide,
    final_status,
    present_status,
    waiting_status,
)
from batchwright.domain.observations import FINAL_STATES, Pod, Work
from batchwright.domain.podwatch import RunningView, watch_pod
from batchwright.domain.retry import Outcome, evaluate
from batchwright.domain.texts import bounded, timestamp

_IS_UNFINISHED: Final = bytes(1 if state < SUCCEEDED else 0 for state in range(256))


def decide_array(view: View, elements: Elements, edges: Sequence[Edge], now: datetime) -> Decision:
    """What to do about one array. Total: every view has an answer."""
    if view.job.status.state in FINAL_STATES:
        return Decision(view.job.status)
    terminate = view.job.spec.terminate
    elements.settle(terminate.reason if terminate is not None and view.work is not None and view.work.ending else "")
    _take_in_attempts(view, elements)
    notices = _serve_requests(view.job.spec, elements)
    # After all that ends elements, and SEQUENTIAL after the others: it waits for elements of this very array.
    for edge in sorted(edges, key=lambda edge: edge.ratio is None):
        follow(elements, edge)
    decision = _decide(view, elements, now)
    return replace(decision, notices=notices + decision.notices) if notices else decision


def _decide(view: View, elements: Elements, now: datetime) -> Decision:
    # A parent that failed or was deleted ends what has not started yet.
    if view.dependencies.failed is not None and view.work is not None:
        elements.condemn_waiting(Outcome(None, "", view.dependencies.reason))
    if view.work is not None:
        return _with_work(view, view.work, elements, now)
    if view.started or view.job.status.job_name:
        if elements.unfinished == 0:
            return _finished(view, elements, now)
        return _ended_early(view, elements, decide(view, now), now)
    return _before_start(view, elements, now)


def _before_start(view: View, elements: Elements, now: datetime) -> Decision:
    decision = decide(view, now)
    if decision.is_final:
        return _ended_early(view, elements, decision, now)
    if not decision.runnable:
        return decision
    elements.open()
    if elements.unfinished == 0:
        return _finished(view, elements, now)
    more = wanted(elements, _limit(view), is_sent=False)
    if more:
        return Decision(waiting_status(view, "PENDING", now), runnable=True, notices=decision.notices)
    names = ", ".join(entry.name for entry in view.dependencies.found if entry.state not in FINAL_STATES)
    text = f"Waiting for elements of {names}"
    return Decision(present_status(view, "PENDING", text), notices=decision.notices)


def _with_work(view: View, work: Work, elements: Elements, now: datetime) -> Decision:
    # After a restart an array that this one waits for may be looked at later.
    if not view.dependencies.unlinked:
        elements.open()
    spec = view.job.spec
    ending = spec.terminate or spec.cancel
    if ending is not None:
        elements.condemn_waiting(Outcome(None, "", ending.reason))
        close(elements)
    if work.is_finished and not elements.live:
        # The pod watch may be behind the Job watch; one read settles it.
        if not view.pods_complete and not _is_explained(view, elements):
            return Decision(present_status(view, "PENDING", None), actions=(ReadPods(work),))
        why = spec.terminate.reason if spec.terminate else work.failure or "The Kubernetes Job failed"
        elements.fail_rest(Outcome(None, "", bounded(why)))
        return _finished(view, elements, now)
    if work.deleting:
        return Decision(present_status(view, "PENDING", f"The Kubernetes Job {work.name} is being deleted"))
    if work.is_finished:
        # Its last pods are about to be seen.
        return Decision(present_status(view, "PENDING", view.job.status.status_reason))
    if spec.terminate is not None:
        actions: tuple[Action, ...] = () if work.ending else (EndWork(work),)
        return Decision(present_status(view, "PENDING", f"Terminating: {spec.terminate.reason}"), actions=actions)
    if elements.unfinished == 0 and (elements.condemned or ending is not None):
        # What is left can never run: one word to the Job instead of one to each pod. After a cancel always: pods that
        # the Job controller ended for want of parallelism count as nothing, so the Job would wait for ever.
        actions = () if work.ending else (EndWork(work),)
        return Decision(present_status(view, "PENDING", None), actions=actions)
    actions, notices, wake_at = _attend(view, elements, now)
    text = view.unready or (view.waits if elements.ready and not elements.active else "")
    if not elements.live and elements.unfinished and (elements.active or not elements.gated):
        # It may start, and there is no pod: what the scheduler once said is not the reason.
        text = view.obstacle or text
        due = work.created_at + timedelta(seconds=POD_DUE_SECONDS)
        if now >= due:
            actions += (ReadObstacle(work),)
        wake_at = _earlier(wake_at, due if now < due else now + timedelta(seconds=OBSTACLE_SECONDS))
    more = 0 if ending is not None or view.unready is not None else wanted(elements, _limit(view), is_sent=True)
    if text and text == view.waits:
        status = waiting_status(view, "PENDING", now, elements.started_at)
    else:
        status = present_status(view, "PENDING", text, elements.started_at)
    return Decision(status, more > 0, actions, notices, wake_at)


def _is_explained(view: View, elements: Elements) -> bool:
    """Whether of every failed element the last attempt has been seen; one that somebody ended may have had more."""
    return all(
        ended != NO_RECORD
        and (failures + 1 >= view.rules.attempts or evaluate(view.rules.evaluate_on_exit, ended) == "EXIT")
        for failures, ended in {
            verdict for index, verdict in elements.verdicts.items() if index not in elements.terminating
        }
    )


def _finished(view: View, elements: Elements, now: datetime) -> Decision:
    failed = elements.counts[FAILED]
    spec = view.job.spec
    if failed == 0:
        text = f"All {elements.total} elements succeeded"
        return Decision(_final(view, elements, now, "SUCCEEDED", text))
    groups = elements.failures.to_status()
    told = "; ".join(
        ", ".join(part for part in (group.status_reason, _code(group.exit_code), group.reason) if part)
        + f" (element{'' if group.indexes.isdecimal() else 's'} {bounded(group.indexes, 60)})"
        for group in groups[:3]
    )
    notice = Notice("Failed", bounded(f"{failed} of {elements.total} elements failed: {told}"), warning=True)
    ended_by = spec.terminate or spec.cancel
    ours = ended_by is not None and any(group.status_reason == ended_by.reason for group in groups)
    reason = ended_by.reason if ended_by is not None and ours else reasons.ARRAY_CHILD_FAILED
    status = _final(view, elements, now, "FAILED", reason)
    if ours:
        terminated = spec.terminate is not None
        status = status.model_copy(
            update={"is_terminated": True if terminated else None, "is_cancelled": None if terminated else True}
        )
    return Decision(status, notices=(notice,))


def _code(exit_code: int | None) -> str:
    return "" if exit_code is None else f"exit code {exit_code}"


def _final(view: View, elements: Elements, now: datetime, state: str, reason: str) -> BatchJobStatus:
    status = final_status(view, now, "SUCCEEDED" if state == "SUCCEEDED" else "FAILED", reason)
    started = timestamp(elements.started_at) if elements.started_at else status.started_at
    stopped = timestamp(elements.stopped_at) if elements.stopped_at else status.stopped_at
    return with_elements(status.model_copy(update={"started_at": started, "stopped_at": stopped}), elements, now)


def _ended_early(view: View, elements: Elements, decision: Decision, now: datetime) -> Decision:
    """The job ends as a whole, whatever its elements were doing."""
    elements.fail_rest(Outcome(None, "", decision.status.status_reason or ""))
    return replace(decision, status=with_elements(decision.status, elements, now))


def _limit(view: View) -> int | None:
    properties = view.job.spec.array_properties
    return None if properties is None else properties.max_concurrency


def _serve_requests(spec: BatchJobSpec, elements: Elements) -> tuple[Notice, ...]:
    """terminateElements and cancelElements: what has not started ends here, what runs is stopped by `_attend`."""
    notices: list[Notice] = []
    for field, requests in (("terminateElements", spec.terminate_elements), ("cancelElements", spec.cancel_elements)):
        for request in requests:
            if (field, request.indexes) in elements.served:
                continue
            elements.served.add((field, request.indexes))
            try:
                runs = parse_indexes(request.indexes)
            except ValueError as error:
                notices.append(Notice("RequestIgnored", f"{field} {request.indexes}: {error}", warning=True))
                continue
            for index in _unfinished(elements, runs):
                elements.condemn(index, Outcome(None, "", request.reason))
                if field == "terminateElements" and elements.states[index] < SUCCEEDED:
                    elements.terminating.setdefault(index, request.reason)
                    elements.attention.add(index)
    return tuple(notices)


def _unfinished(elements: Elements, runs: Runs) -> list[int]:
    """The elements of these runs that have no final state."""
    found: list[int] = []
    for first, last in runs:
        marks = elements.states[first : last + 1].translate(_IS_UNFINISHED)
        found += (first + index for index in expand(runs_of_marks(marks)))
    return found


def _attend(
    view: View, elements: Elements, now: datetime
) -> tuple[tuple[Action, ...], tuple[Notice, ...], datetime | None]:
    """Looks at the elements that something may have to be done about, one by one."""
    while elements.wakes and elements.wakes[0][0] <= now:
        elements.attention.add(heapq.heappop(elements.wakes)[1])
    actions: list[Action] = []
    notices: list[Notice] = []
    stuck = False
    looked_at, elements.attention = elements.attention, set()
    for index in sorted(looked_at):
        pod = elements.live.get(index)
        if pod is None:
            continue
        if elements.states[index] >= SUCCEEDED:
            # A pod that is seen to run though its result is known ended before that, and the watch of pods is behind,
            # or the Job controller ends it.
            if not elements.results.is_counted(index):
                actions.append(_stop(pod, elements, index))
        elif index in elements.terminating:
            actions.append(_ending(pod, names.POD_CONDITION_TERMINATED, elements.terminating[index]))
        elif pod.gated:
            actions += _gated(view, elements, index, pod)
        else:
            step = watch_pod(_running_view(view), (pod,), view.start_grace_seconds, now)
            actions += step.actions
            # Without the index, so that the same of ten thousand elements is one event; `failures` says which.
            notices += [replace(notice, message=f"Of the elements: {notice.message}") for notice in step.notices]
            if step.wake_at is not None:
                heapq.heappush(elements.wakes, (step.wake_at, index))
            if pod.unschedulable and not elements.gated:
                due = pod.created_at + timedelta(seconds=STUCK_SECONDS)
                if now < due:
                    heapq.heappush(elements.wakes, (due, index))
                stuck = stuck or now >= due
    if stuck:
        shrink(elements, now)
    return tuple(actions), tuple(notices), elements.wakes[0][0] if elements.wakes else None


def _running_view(view: View) -> RunningView:
    rules = view.rules
    return RunningView(rules.attempts, rules.evaluate_on_exit, rules.timeout_seconds, (), view.answering)


def _take_in_attempts(view: View, elements: Elements) -> None:
    """Elements whose attempt has failed, and that have another one, wait again."""
    for index in sorted(elements.attention.difference(elements.live)):
        elements.attention.discard(index)
        if index not in elements.outcomes or elements.states[index] >= SUCCEEDED:
            continue
        failures, ended = elements.outcomes[index]
        if failures + 1 < view.rules.attempts and evaluate(view.rules.evaluate_on_exit, ended) == "RETRY":
            elements.retried(index)
            if index in elements.terminating:
                elements.condemn(index, Outcome(None, "", elements.terminating[index]))


def _stop(pod: Pod, elements: Elements, index: int) -> EndAttempt:
    """The element has its result already, and its pod must not run."""
    ended = elements.condemned.get(index)
    text = ended.status_reason if ended is not None else "The element has ended"
    of_dependency = text in (reasons.DEPENDENT_JOB_FAILED, reasons.DEPENDENT_JOB_SUCCEEDED)
    return _ending(
        pod, names.POD_CONDITION_DEPENDENCY_FAILED if of_dependency else names.POD_CONDITION_TERMINATED, text
    )


def _ending(pod: Pod, mark: str, text: str) -> EndAttempt:
    return EndAttempt(pod, pod.mark.type if pod.mark else mark, "Ended", bounded(text))


def _gated(view: View, elements: Elements, index: int, pod: Pod) -> list[Action]:
    ended = elements.outcomes.get(index)
    if ended is not None and pod.failures > ended[0] and evaluate(view.rules.evaluate_on_exit, ended[1]) == "EXIT":
        return [_ending(pod, names.POD_CONDITION_NO_RETRY, "evaluateOnExit says EXIT")]
    if index not in elements.granted:
        return []
    elements.releasing.add(index)
    return [ReleasePod(pod)]


def _earlier(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else min(one, other)
