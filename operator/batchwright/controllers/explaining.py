"""Why jobs wait: told to those that have just begun to, to the first of each queue, and now and then to the others.

From memory: a text is written with a status that is written anyway, or when the kind of waiting changes, and never for
a place in the queue alone. jobStateTimeLimitActions, which hang on the same answers, are here too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from batchwright import metrics
from batchwright.controllers.entries import Entry
from batchwright.controllers.scheduling import Scheduling, share_of
from batchwright.controllers.store import Store
from batchwright.domain.actions import Notice
from batchwright.domain.conditions import unscheduled
from batchwright.domain.texts import bounded, moment
from batchwright.names import CONDITION_SCHEDULED
from batchwright.scheduling.explain import explain
from batchwright.scheduling.limits import BY_KIND, DEBOUNCE_SECONDS, TimeLimit, due, next_due, seen, text
from batchwright.scheduling.snapshot import Answers, Plan, WaitKind

# Waits that somebody must end.
LASTING = (WaitKind.NEVER_FITS, WaitKind.TOO_FEW, WaitKind.UNSUITABLE, WaitKind.OVER_MAXIMUM)
# How many that wait are looked at again in a pass, beside those that are new or first.
REVIEWED = 200


def note_wait(entry: Entry, *, is_runnable: bool, now: datetime) -> None:
    """After a decision: since when the job could start. An operator before this one has said so in the condition."""
    if not is_runnable:
        entry.runnable_since = None
    elif entry.runnable_since is None:
        told = (each for each in entry.held.get("conditions") or () if each["type"] == CONDITION_SCHEDULED)
        condition = next(told, None)
        entry.runnable_since = now if condition is None else min(now, moment(condition["lastTransitionTime"]))
        # Before it uses anything, which is counted later.
        metrics.begin_share(entry.job.spec.job_queue, share_of(entry))


class Explaining:
    """Tells waiting jobs why. `said` hears of a job whose status has a new text, `notify` makes an event, `touch` and
    `wake` make a job look again, `wake` at a time."""

    def __init__(
        self,
        store: Store,
        scheduling: Scheduling,
        interval_seconds: float,
        *,
        said: Callable[[str], None],
        notify: Callable[[Entry, Notice], None],
        touch: Callable[[str], None],
        wake: Callable[[str, Entry, datetime], None],
    ) -> None:
        self.fresh: set[str] = set()
        self._store = store
        self._scheduling = scheduling
        self._interval_seconds = interval_seconds
        self._said, self._notify, self._touch, self._wake = said, notify, touch, wake
        self._review: deque[str] = deque()
        self._heads: dict[str, str | None] = {}

    def tell(self, placed: Plan, now: datetime) -> None:
        """After a pass, and before its starts are carried out: they take what waits out of what the answers hang on."""
        if not self._review:
            self._review.extend(self._scheduling.state.waiting_uids)
        some = {self._review.popleft() for _ in range(min(REVIEWED, len(self._review)))}
        chosen, self.fresh = self.fresh | some | set(placed.firsts.values()), set()
        for uid in sorted(chosen):
            self._explain(uid, placed.waits, now)

    def limit(self, placed: Plan, now: datetime) -> bool:
        """Ends the job at the head of a queue whose jobStateTimeLimitActions say so; whether some time runs."""
        runs = False
        for known in self._store.queues.values():
            uid = placed.firsts.get(known.name)
            before = self._heads.get(known.name)
            self._heads[known.name] = uid
            if before is not None and before != uid and before in self._store.entries:
                # Its time at the head is over, and starts anew when it is there again.
                self._store.entries[before].blocked = None
            entry = self._store.entries.get(uid or "")
            actions = known.spec.job_state_time_limit_actions
            if uid is None or entry is None or not actions or entry.work is not None:
                continue
            limits = tuple(TimeLimit(each.reason, each.max_time_seconds, each.action) for each in actions)
            kind = placed.waits.kind_of(uid)
            entry.blocked = seen(entry.blocked, BY_KIND.get(kind) if kind else None, now.timestamp())
            over, when = due(limits, entry.blocked, now.timestamp()), next_due(limits, entry.blocked)
            if entry.blocked.away_since is not None:
                # Something else is the reason now, and counts once it has lasted.
                when = entry.blocked.away_since + DEBOUNCE_SECONDS
            if over is not None:
                entry.expired = text(over)
                self._touch(uid)
            elif when is not None:
                runs = True
                self._wake(uid, entry, datetime.fromtimestamp(when, UTC))
        return runs

    def _explain(self, uid: str, waits: Answers, now: datetime) -> None:
        entry, kind = self._store.entries.get(uid), waits.kind_of(uid)
        if entry is None or kind is None or entry.pinned is None or entry.pinned.shape is None:
            return
        is_recent = entry.waits_at is not None and (now - entry.waits_at).total_seconds() < self._interval_seconds
        if entry.waits_kind is kind and (is_recent or kind is WaitKind.BEHIND):
            return
        told = bounded(explain(waits[uid], entry.pinned.shape, entry.job.spec.job_queue))
        entry.waits_kind, entry.waits_at = kind, now
        if told == entry.waits:
            return
        entry.waits = told
        if entry.array is not None and entry.work is not None:
            self._touch(uid)
            return  # Some of it runs: that the rest waits is the way of arrays.
        entry.status = unscheduled(
            entry.status, kind.reason, told, entry.runnable_since or now, entry.status.conditions
        )
        if kind is not WaitKind.BEHIND:
            self._notify(entry, Notice("Unschedulable", told, warning=kind in LASTING))
        self._said(uid)
