"""What a pass keeps, or takes back from others, for jobs that wait first: nodes, and what their quota shares have lent.

What is kept for a job nobody behind it can take, and with that no job starves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf

import numpy as np

from batchwright.scheduling import preemption, quota
from batchwright.scheduling.allowance import Allowance
from batchwright.scheduling.nodes import Columns
from batchwright.scheduling.reservation import earliest, earliest_for_gang
from batchwright.scheduling.room import Room, cpu_of
from batchwright.scheduling.snapshot import Candidate, Gang, Preempt, Queue, Start
from batchwright.scheduling.state import State
from batchwright.scheduling.turns import Cursor


class Claims:
    """Of one pass. `starts` and `preempts` are the pass's, and grow with it; `preempts` here too."""

    def __init__(
        self,
        state: State,
        room: Room,
        allowance: Allowance,
        starts: Mapping[str, Start],
        preempts: list[Preempt],
        now: float,
    ) -> None:
        self._state, self._room, self._allowance, self._now = state, room, allowance, now
        self._starts, self._preempts = starts, preempts
        # Since when jobs wait for what others are to be preempted for; when the next has waited long enough.
        self._since: dict[str, float] = {}
        self.again_at: float | None = None
        # What of each queue's work could be preempted, and after how many preemptions that was worked out.
        self._held: dict[str, tuple[int, list[quota.Held]]] = {}

    def keep_place(self, queue: Queue, candidate: Candidate, environments: list[str]) -> None:
        """Keeps for the candidate what it needs to start, whatever else of that gets free."""
        cpu = cpu_of(candidate.shape)
        possible = [name for name in environments if self._has_possible(name, candidate)]
        # What an environment at its maximum may still run is kept for it; others of theirs wait too.
        full = [name for name in possible if self._room.is_at_maximum(name, cpu)]
        for name in full:
            self._room.close(name)
        rest = [name for name in possible if name not in full]
        if rest:
            self._keep_nodes(queue, candidate, self._state.possible(rest, candidate), rest)
        for name in rest:
            self._room.keep(name, cpu, -inf)
        self._allowance.keep(queue, candidate)

    def _has_possible(self, name: str, candidate: Candidate) -> bool:
        """Whether the environment has nodes that could take the candidate if they were empty."""
        if candidate.gang is not None:
            return self._room.could_take(name, candidate.gang)
        return bool(len(self._state.nodes.possible(self._state.environments[name], candidate.shape)))

    def _keep_nodes(self, queue: Queue, candidate: Candidate, columns: Columns, environments: list[str]) -> None:
        """Claims the node where the candidate is to start, or all of them."""
        state = self._state
        if candidate.gang is not None:
            self._keep_for_gang(queue, candidate, candidate.gang, columns, environments)
            return
        if queue.preempts and self._is_due(queue, candidate):
            found, column = preemption.by_priority(state, self._room, queue, candidate, columns, self._preempts)
            self._preempts += found
            if column is not None:
                # What the preempted leave is for nobody else, however long it takes.
                self._room.claim(np.array([column], dtype=np.intp), -inf, candidate.uid)
        kept = state.reservations.get(queue.name)
        column = state.nodes.column(kept[1]) if kept and kept[0] == candidate.uid and kept[2] > self._now else None
        if kept is not None and column is not None and column in columns:
            self._room.claim(np.array([column], dtype=np.intp), kept[2], candidate.uid)
            return
        first = earliest(state, self._room, columns, candidate.shape)
        if first is None or first[1] <= self._now:
            state.reservations.pop(queue.name, None)
            self._room.claim(columns, -inf, candidate.uid)
            return
        state.reservations[queue.name] = candidate.uid, state.nodes.names[first[0]], first[1]
        self._room.claim(np.array([first[0]], dtype=np.intp), first[1], candidate.uid)

    def _keep_for_gang(
        self, queue: Queue, candidate: Candidate, gang: Gang, columns: Columns, environments: list[str]
    ) -> None:
        """Claims the nodes that others are preempted on, or those that are sure to get free first, or else all."""
        self._state.reservations.pop(queue.name, None)
        freed = self._preempt_for_gang(queue, candidate, gang, environments)
        if freed is not None:
            self._room.claim(freed, -inf, candidate.uid)
            return
        known = [earliest_for_gang(self._state, self._room, name, gang) for name in environments]
        first = min((found for found in known if found is not None), key=lambda found: found[1], default=None)
        if first is None or first[1] <= self._now:
            self._room.claim(columns, -inf, candidate.uid)
        else:
            self._room.claim(self._columns(first[0]), first[1], candidate.uid)

    def _columns(self, machines: Iterable[str]) -> Columns:
        known = (self._state.nodes.column(machine) for machine in set(machines))
        return np.array(sorted(column for column in known if column is not None), dtype=np.intp)

    def _preempt_for_gang(
        self, queue: Queue, candidate: Candidate, gang: Gang, environments: list[str]
    ) -> Columns | None:
        """Takes back what others have, if that makes room for all of the gang: the nodes where it will be."""
        for name in environments if queue.preempts and self._is_due(queue, candidate) else ():
            found, machines = preemption.for_gang(self._state, self._room, queue, candidate, gang, name, self._preempts)
            if machines:
                self._preempts += found
                return self._columns(machines)
        return None

    def settle(self, heads: Mapping[str, str]) -> None:
        """At the end of the pass: forgets what is kept for jobs that are no longer the heads of their queues."""
        for name, (uid, _, _) in list(self._state.reservations.items()):
            if heads.get(name) != uid:
                del self._state.reservations[name]
        self._state.claims = self._since

    def claim_quota(self, cursor: Cursor, candidate: Candidate) -> bool:
        """What the share's quota gets room for is the candidate's: within its maxCapacity it takes back what others
        borrow, and in its share what has less priority, for as many elements as that makes room for. Whether what is
        behind it in its share is to wait."""
        queue, request, share = cursor.queue, candidate.shape.resources, candidate.share
        book = self._allowance.later(queue)
        nominal = book.nominal_room(share, request, cursor.left(candidate))
        for count in sorted({max(1, nominal), 1}, reverse=True):
            if book.room(share, request, count) == count or self._preempt_for_quota(queue, candidate, count, book):
                # What is taken back for it is its own, though it cannot start before the others have gone.
                book.add(share, request, count)
                return False
        if nominal:
            # What others give back of it is kept for this one.
            book.add(share, request)
            return False
        # Where its own share is in the way, smaller jobs behind it could go on for ever.
        return book.is_within(share, request)

    def _preempt_for_quota(self, queue: Queue, candidate: Candidate, wanted: int, book: quota.QuotaBook) -> bool:
        if not self._is_due(queue, candidate):
            return False
        victims, why = self._victims(queue, candidate, wanted, book)
        for uid, pods in victims:
            victim = self._state.held[uid]
            book.remove(victim.share, victim.shape.resources, pods)
            self._preempts.append(Preempt(uid, pods, candidate.uid, why))
        return bool(victims)

    def _is_due(self, queue: Queue, candidate: Candidate) -> bool:
        """Whether the candidate has waited long enough for others to be preempted for it; if not, this pass says when
        to look again."""
        since = self._now if candidate.uid in self._starts else self._state.claims.get(candidate.uid, self._now)
        self._since[candidate.uid] = since
        due = since + queue.preempts_after
        if self._now < due:
            self.again_at = due if self.again_at is None else min(self.again_at, due)
        return self._now >= due

    def _victims(
        self, queue: Queue, candidate: Candidate, wanted: int, book: quota.QuotaBook
    ) -> tuple[quota.Victims, str]:
        request, held = candidate.shape.resources, self._preemptible(queue)
        victims = quota.reclaim(book, candidate.share, request, wanted, held)
        why = f"Preempted: quota share {candidate.share} of JobQueue {queue.name} takes back what it had lent"
        if victims:
            return victims, why
        victims = quota.in_share(book, candidate.share, request, wanted, candidate.priority, held)
        why = f"Preempted for job {candidate.name} of the same quota share, which has priority {candidate.priority}"
        return victims, why

    def _preemptible(self, queue: Queue) -> list[quota.Held]:
        """What is held of the queue's shares, less what this pass has preempted: many ask, between two changes."""
        known = self._held.get(queue.name)
        if known is None or known[0] != len(self._preempts):
            gone = preemption.counted(self._preempts)
            found = [
                quota.Held(each.uid, each.share, each.shape.resources, count, each.priority, each.started)
                for each in self._state.held.values()
                if each.queue == queue.name and not each.is_fixed and (count := each.count - gone[each.uid])
            ]
            known = self._held[queue.name] = len(self._preempts), found
        return known[1]
