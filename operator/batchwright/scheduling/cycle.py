"""One pass of the scheduler, from what is known to a plan.

Invariants, property-tested: no node over its room, no environment, queue, quota share or consumable over its limit; a
job is started once or waits with a reason; a job that waits first keeps its claim, and what passes it cannot delay it;
the same state gives the same plan.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from batchwright.scheduling.allowance import Allowance
from batchwright.scheduling.asking import Asking
from batchwright.scheduling.claims import Claims
from batchwright.scheduling.growing import Growing
from batchwright.scheduling.judging import Judging
from batchwright.scheduling.room import Room
from batchwright.scheduling.snapshot import Candidate, Plan, Preempt, Queue, Snapshot, Start, WaitKind
from batchwright.scheduling.state import State
from batchwright.scheduling.turns import Cursor, Turns
from batchwright.scheduling.waiting import Group
from batchwright.scheduling.waits import Judgements, Waits

# Kinds of waiting that hold a place: what gets free is kept for them.
_CLAIMING = (WaitKind.NO_ROOM, WaitKind.BEHIND, WaitKind.AT_MAXIMUM)


def plan(known: State | Snapshot, now: float | None = None) -> Plan:
    """What to start now, whom to preempt, and why the rest waits."""
    state = known if isinstance(known, State) else State.of(known)
    moment = now if now is not None else known.now if isinstance(known, Snapshot) else 0.0
    return _Pass(state, moment).run()


@dataclass
class _Pass:
    state: State
    now: float
    # By uid: all that starts of an array in one pass goes to one environment.
    starts: dict[str, Start] = field(default_factory=dict)
    open: dict[str, list[str]] = field(default_factory=dict)
    preempts: list[Preempt] = field(default_factory=list)
    heads: dict[str, str] = field(default_factory=dict)
    firsts: dict[str, str] = field(default_factory=dict)
    judged: Judgements = field(default_factory=dict)

    def run(self) -> Plan:
        """The pass, from top to bottom."""
        state = self.state
        # 1. What is free: allocatable, less what is bound, less what was sent and has no node yet.
        state.nodes.settle()
        self.room = Room(state.nodes, state.environments, state.vcpus)
        self.growing = Growing(state, self.room)
        for uid in sorted(state.unbound):
            held = state.held[uid]
            for node, shape, count in held.reserved:
                self.room.reserve(node, shape, count)
            if held.environment in state.environments and held.unbound:
                found = self.room.hold(held.environment, held.shape, held.unbound)
                self.growing.hold(held.environment, held.shape, held.unbound - found)
        for name, growth in state.growth.items():
            # What runs on nodes that go soon: there has to be room for it before they do.
            for shape, count in growth.leaving:
                if name in state.environments:
                    self.growing.hold(name, shape, count - self.room.hold(name, shape, count))
        self.allowance = Allowance(state, self.room, self.growing, self.preempts, self.now)
        self.asking = Asking(state, self.growing, self.allowance)
        self.judging = Judging(state, self.room, self.growing, self.asking)
        self.claims = Claims(state, self.room, self.allowance, self.starts, self.preempts, self.now)
        # 2. In order: queues by priority, shares by usage or quota, jobs by priority and arrival.
        self.turns = Turns(
            [
                Cursor(queue, state.waiting[name], self.allowance.scored_by(queue), self.allowance.lent_by(queue))
                for name, queue in state.queues.items()
            ]
        )
        while (turn := self.turns.next()) is not None:
            self._try(*turn)
        self.claims.settle(self.heads)
        waits = Waits(state, self.room, self.growing, self.judged, self.heads, self.starts, self.allowance.books)
        made = tuple(self.starts.values()), tuple(self.preempts)
        expecting = self.room.expecting() | self.growing.kept if state.growth else frozenset()
        demand = self.growing.demand()
        return Plan(*made, self.heads, self.firsts, waits, demand, expecting, self.claims.again_at)

    def _try(self, cursor: Cursor, candidate: Candidate, group: Group) -> None:
        queue, left = cursor.queue, cursor.left(candidate)
        # 3. What the queue's own limits allow.
        ends = inf if group.seconds is None else self.now + group.seconds
        limits = self.allowance.limits(queue, candidate, left, ends)
        if limits.count == 0:
            self.firsts.setdefault(queue.name, candidate.uid)
            self._stop(cursor, candidate, group, limits.kind or WaitKind.QUEUE_FULL)
            return
        wanted = self._portion(cursor, candidate, limits.count)
        # 4. The first environment, in the queue's order, with room that nobody has a claim on. The elements of an
        #    array stay together: where the first of them are, the others wait.
        environments = self._environments(queue, candidate)
        for name in environments:
            start = self._take(name, candidate, wanted, ends)
            if start is not None:
                self._start(cursor, candidate, group, start)
                return
        # 5. For what found no room, the first environment that can grow does; the rest waits aside, or, if it could
        #    start later, holds its place. What has a node coming needs none that is here.
        is_coming = self.asking.grow(cursor, candidate, group, environments)
        kind = WaitKind.NODES_COMING if is_coming else self.judging.why_not(environments, candidate, ends)
        self.firsts.setdefault(queue.name, candidate.uid)
        self.judged[queue.name, "", group] = kind
        cursor.shut(group)
        if kind in _CLAIMING and queue.name not in self.heads:
            self.heads[queue.name] = candidate.uid
            self.claims.keep_place(queue, candidate, environments)

    def _take(self, name: str, candidate: Candidate, wanted: int, ends: float) -> Start | None:
        """Takes room in the environment, if there is: for some of what is wanted, or for all of a gang."""
        if candidate.gang is not None:
            machines = self.room.take_gang(name, candidate.gang, candidate.shape, ends)
            return None if machines is None else Start(candidate.uid, name, machines[0], 1, machines)
        count, node = self.room.take(name, candidate.shape, wanted, ends)
        return Start(candidate.uid, name, node, count) if count else None

    def _portion(self, cursor: Cursor, candidate: Candidate, count: int) -> int:
        """How many of those that may start do so at this turn: shares take turns, element by element, so that one
        array does not take all there is."""
        queue = cursor.queue
        if count == 1 or not cursor.is_shared:
            return count
        book = self.allowance.books.get(queue.name)
        if queue.fair_share is None and (
            book is None or book.is_nominal(candidate.share, candidate.shape.resources, count)
        ):
            return count
        return max(1, min(count, cursor.left(candidate) // 100))

    def _environments(self, queue: Queue, candidate: Candidate) -> list[str]:
        """The open ones it may go to."""
        before = self.starts.get(candidate.uid)
        bound = before.environment if before is not None else candidate.environment
        if bound is not None:
            return [bound] if self.allowance.is_open(bound) else []
        found = self.open.get(queue.name)
        if found is None:
            found = self.open[queue.name] = [name for name in queue.environments if self.allowance.is_open(name)]
        return found

    def _start(self, cursor: Cursor, candidate: Candidate, group: Group, start: Start) -> None:
        before = self.starts.get(start.uid)
        if before is None:
            self.starts[start.uid] = start
        else:
            self.starts[start.uid] = Start(start.uid, start.environment, before.node, before.count + start.count)
        self.allowance.start(cursor.queue, candidate, start.count)
        cursor.started(candidate, group, start.count)

    def _stop(self, cursor: Cursor, candidate: Candidate, group: Group, kind: WaitKind) -> None:
        """A limit of the queue stops the candidate, and with it all that come up against the same limit."""
        queue = cursor.queue
        if kind is WaitKind.QUEUE_FULL and self.allowance.running[queue.name] >= (queue.max_running or 0):
            self.judged[queue.name, "", None] = kind
            cursor.end()
        elif kind is WaitKind.QUEUE_FULL:
            # What is left is kept for the job that waits first; one that ends in time may still have it.
            self.judged[queue.name, "", group] = WaitKind.BEHIND
            cursor.shut(group)
        elif kind is WaitKind.CONSUMABLE:
            # It waits at the head for what is lacking: nobody behind it takes that first.
            for name, quantity in candidate.consumables:
                if self.allowance.left_of(name, inf) < quantity:
                    self.allowance.left[name] = 0
            self.judged[queue.name, "", group] = kind
            cursor.shut(group)
        else:
            self.judged[queue.name, candidate.share, group] = kind
            is_known = kind is WaitKind.QUOTA and candidate.share in self.allowance.books[queue.name]
            if is_known and self.claims.claim_quota(cursor, candidate):
                cursor.shut_share(candidate.share)
            else:
                cursor.shut_in(candidate.share, group)
