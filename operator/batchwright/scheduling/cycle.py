"""One pass of the scheduler, from what is known to a plan.

Invariants, property-tested: no node over its room, no environment, queue, quota share or consumable over its limit; a
job is started once or waits with a reason; a job that waits first keeps its claim, and what passes it cannot delay it;
the same state gives the same plan.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np

from batchwright.scheduling import preemption, quota
from batchwright.scheduling.asking import Asking, Limits
from batchwright.scheduling.fairshare import HORIZON_SECONDS, FairShare, reserved_milli
from batchwright.scheduling.growing import Growing
from batchwright.scheduling.nodes import Columns
from batchwright.scheduling.reservation import earliest, earliest_for_gang
from batchwright.scheduling.room import Kept, Room, cpu_of
from batchwright.scheduling.snapshot import Candidate, Gang, Plan, Preempt, Queue, Snapshot, Start, WaitKind
from batchwright.scheduling.state import State
from batchwright.scheduling.turns import Cursor, Turns
from batchwright.scheduling.waiting import Group
from batchwright.scheduling.waits import Judgements, Waits

# Kinds of waiting that hold a place: what gets free is kept for them.
_HOPELESS = (
    WaitKind.NO_NODES,
    WaitKind.NODES_AWAY,
    WaitKind.NEVER_FITS,
    WaitKind.UNSUITABLE,
    WaitKind.INSUFFICIENT,
)
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
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    started_vcpus: Counter[tuple[str, str]] = field(default_factory=Counter)
    capacity: dict[str, int] = field(default_factory=dict)
    # What is kept for jobs that wait first: of a queue's maxConcurrency, by name; of a consumable resource, by name.
    kept_running: defaultdict[str, Kept] = field(default_factory=lambda: defaultdict(Kept))
    kept_consumables: defaultdict[str, Kept] = field(default_factory=lambda: defaultdict(Kept))
    # The books as they will be: without what this pass preempts, with one pod of each that waits first.
    later: dict[str, quota.QuotaBook] = field(default_factory=dict)
    # Since when jobs wait for what others are to be preempted for, and when the next of them has waited long enough.
    claims: dict[str, float] = field(default_factory=dict)
    again_at: float | None = None

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
        self.running = Counter(state.running)
        self.books = {name: book.copy() for name, book in state.books.items()}
        self.left = state.consumables_left()
        self.asking = Asking(state, self.growing, self.running, self.left, self.books, self._limits)
        # 2. In order: queues by priority, shares by usage or quota, jobs by priority and arrival.
        self.turns = Turns(
            [
                Cursor(queue, state.waiting[name], self._scored_by(queue), self._lent_by(queue))
                for name, queue in state.queues.items()
            ]
        )
        while (turn := self.turns.next()) is not None:
            self._try(*turn)
        self._forget_reservations()
        state.claims = self.claims
        waits = Waits(state, self.room, self.growing, self.judged, self.heads, self.starts, self.books)
        made = tuple(self.starts.values()), tuple(self.preempts)
        expecting = self.room.expecting() | self.growing.kept if state.growth else frozenset()
        demand = self.growing.demand()
        return Plan(*made, self.heads, self.firsts, waits, demand, expecting, self.again_at)

    def _try(self, cursor: Cursor, candidate: Candidate, group: Group) -> None:
        queue, left = cursor.queue, cursor.left(candidate)
        # 3. What the queue's own limits allow.
        ends = inf if group.seconds is None else self.now + group.seconds
        limits = self._limits(queue, candidate, left, ends)
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
        kind = WaitKind.NODES_COMING if is_coming else self._why_not(environments, candidate, ends)
        self.firsts.setdefault(queue.name, candidate.uid)
        self.judged[queue.name, "", group] = kind
        cursor.shut(group)
        if kind in _CLAIMING and queue.name not in self.heads:
            self.heads[queue.name] = candidate.uid
            self._keep_place(queue, candidate, environments)

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
        book = self.books.get(queue.name)
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
            return [bound] if self._is_open(bound) else []
        found = self.open.get(queue.name)
        if found is None:
            found = self.open[queue.name] = [name for name in queue.environments if self._is_open(name)]
        return found

    def _is_open(self, name: str) -> bool:
        return name in self.state.environments and self.state.environments[name].is_open

    def _start(self, cursor: Cursor, candidate: Candidate, group: Group, start: Start) -> None:
        before = self.starts.get(start.uid)
        if before is None:
            self.starts[start.uid] = start
        else:
            self.starts[start.uid] = Start(start.uid, start.environment, before.node, before.count + start.count)
        queue = cursor.queue
        self.running[queue.name] += start.count
        for book in (self.books.get(queue.name), self.later.get(queue.name)):
            if book is not None and candidate.share in book:
                book.add(candidate.share, candidate.shape.resources, start.count)
        for name, quantity in candidate.consumables:
            self.left[name] -= quantity * start.count
        if queue.fair_share is not None:
            cpu = cpu_of(candidate.shape) * start.count
            self.started_vcpus[queue.name, candidate.share] += cpu
            weight = queue.fair_share.weight(candidate.share)
            self.scores[queue.name][candidate.share] += cpu * HORIZON_SECONDS / 1000 * weight
        cursor.started(candidate, group, start.count)

    # Order.

    def _scored_by(self, queue: Queue) -> Callable[[str], float] | None:
        """Of a queue of fair share the scores of its shares, to which what starts in this pass is added."""
        policy = queue.fair_share
        if policy is None:
            return None
        usage, shares = self.state.usage[queue.name], self.state.waiting[queue.name].lines
        scores = self.scores[queue.name] = {share: usage.score(policy, share, self.now) for share in shares}
        return scores.__getitem__

    def _lent_by(self, queue: Queue) -> Callable[[Candidate], bool] | None:
        """Of a queue with quota shares whether the candidate's would borrow for it."""
        book = self.books.get(queue.name)
        if book is None:
            return None
        return lambda one: one.share in book and not book.is_nominal(one.share, one.shape.resources)

    # Limits.

    def _limits(self, queue: Queue, candidate: Candidate, count: int, ends: float = inf) -> Limits:
        limits = Limits(count)
        if queue.max_running is not None:
            taken = self.running[queue.name] + self.kept_running[queue.name].beside(ends)
            self._lower(limits, max(0, queue.max_running - taken), WaitKind.QUEUE_FULL)
        for name, quantity in candidate.consumables:
            self._lower(limits, max(0, self._left_of(name, ends)) // quantity, WaitKind.CONSUMABLE)
        if queue.quota_shares and limits.count:
            book = self.books[queue.name]
            known = candidate.share in book
            room = book.room(candidate.share, candidate.shape.resources, limits.count) if known else 0
            if room and queue.name in self.later:
                room = self.later[queue.name].room(candidate.share, candidate.shape.resources, room)
            self._lower(limits, room, WaitKind.QUOTA)
        if queue.fair_share is not None and queue.fair_share.reservation and limits.count:
            self._lower(limits, self._unreserved(queue, candidate), WaitKind.RESERVED)
        return limits

    @staticmethod
    def _lower(limits: Limits, count: int, kind: WaitKind) -> None:
        if count < limits.count:
            limits.count, limits.kind = count, kind

    def _left_of(self, name: str, ends: float) -> int:
        return self.left.get(name, 0) - self.kept_consumables[name].beside(ends)

    def _unreserved(self, queue: Queue, candidate: Candidate) -> int:
        """How many such pods the share may start beside what is kept for shares that use nothing yet."""
        cpu = cpu_of(candidate.shape)
        if not cpu:
            return candidate.count
        usage, share = self.state.usage[queue.name], candidate.share
        if not usage.held(share) and not self.started_vcpus[queue.name, share]:
            return 1
        used = sum(self.room.vcpus_of(name) for name in queue.environments if self._is_open(name))
        return max(0, self._most(queue, queue.fair_share) - used) // cpu

    def _most(self, queue: Queue, policy: FairShare | None) -> int:
        """The milli-CPU of the queue's environments in all, less what is kept for shares that use nothing yet. A start
        makes no share active that was not: it had a job that waited."""
        found = self.capacity.get(queue.name)
        if found is None:
            known = [self.state.environments[name] for name in queue.environments if self._is_open(name)]
            found = sum(self.growing.most_cpu(each.name) or self.state.nodes.most_cpu(each) for each in known)
            if policy is not None:
                waiting = self.state.waiting[queue.name].lines
                active = len(self.state.usage[queue.name].active(waiting, self.now))
                found -= reserved_milli(policy, found, active)
            self.capacity[queue.name] = found
        return found

    def _stop(self, cursor: Cursor, candidate: Candidate, group: Group, kind: WaitKind) -> None:
        """A limit of the queue stops the candidate, and with it all that come up against the same limit."""
        queue = cursor.queue
        if kind is WaitKind.QUEUE_FULL and self.running[queue.name] >= (queue.max_running or 0):
            self.judged[queue.name, "", None] = kind
            cursor.end()
        elif kind is WaitKind.QUEUE_FULL:
            # What is left is kept for the job that waits first; one that ends in time may still have it.
            self.judged[queue.name, "", group] = WaitKind.BEHIND
            cursor.shut(group)
        elif kind is WaitKind.CONSUMABLE:
            # It waits at the head for what is lacking: nobody behind it takes that first.
            for name, quantity in candidate.consumables:
                if self._left_of(name, inf) < quantity:
                    self.left[name] = 0
            self.judged[queue.name, "", group] = kind
            cursor.shut(group)
        else:
            self.judged[queue.name, candidate.share, group] = kind
            is_known = kind is WaitKind.QUOTA and candidate.share in self.books[queue.name]
            if is_known and self._claim_quota(cursor, candidate):
                cursor.shut_share(candidate.share)
            else:
                cursor.shut_in(candidate.share, group)

    # What waits first.

    def _why_not(self, environments: list[str], candidate: Candidate, ends: float) -> WaitKind:
        if candidate.gang is not None:
            return self._why_not_gang(environments, candidate, candidate.gang, ends)
        state, shape = self.state, candidate.shape
        known = [state.environments[name] for name in environments]
        if any(map(self.growing.has, environments)) and not any(
            len(state.nodes.possible(environment, shape)) for environment in known
        ):
            return self.asking.why_not(environments, shape)
        if not any(len(state.nodes.members(environment)) for environment in known):
            return WaitKind.NO_NODES
        possible = [environment for environment in known if len(state.nodes.possible(environment, shape))]
        if not possible:
            # A node that is rebooting is no misconfiguration: clients end a job on that word (Nextflow issue 7479).
            if any(state.nodes.absent_could(environment, shape) for environment in known):
                return WaitKind.NODES_AWAY
            suits = any(len(state.nodes.eligible(environment, shape)) for environment in known)
            return WaitKind.NEVER_FITS if suits else WaitKind.UNSUITABLE
        cpu = cpu_of(shape)
        if all(each.max_vcpus is not None and cpu > each.max_vcpus for each in possible):
            return WaitKind.OVER_MAXIMUM
        if all(self._is_at_maximum(each.name, cpu, ends) for each in possible):
            return WaitKind.AT_MAXIMUM
        if all(self.room.is_claimed(state.nodes.possible(each, shape), ends) for each in possible):
            return WaitKind.BEHIND
        return WaitKind.NO_ROOM

    def _why_not_gang(self, environments: list[str], candidate: Candidate, gang: Gang, ends: float) -> WaitKind:
        """The same for a gang: an environment would do if its nodes, were they empty, took all of it."""
        able = [name for name in environments if self.room.could_take(name, gang)]
        if not able:
            growing = [name for name in environments if self.growing.has(name)]
            if growing:
                return self.asking.why_no_gang(growing, gang)
            # What one of its nodes lacks, or else that there are not as many machines.
            single = (replace(candidate, shape=shape, gang=None) for shape in gang.counts)
            kinds = {self._why_not(environments, each, ends) for each in single}
            return next((kind for kind in _HOPELESS if kind in kinds), WaitKind.TOO_FEW)
        cpu = cpu_of(candidate.shape)
        if all(self._is_at_maximum(name, cpu, ends) for name in able):
            most = [self.state.environments[name].max_vcpus for name in able]
            is_over = all(each is not None and cpu > each for each in most)
            return WaitKind.OVER_MAXIMUM if is_over else WaitKind.AT_MAXIMUM
        is_claimed = self.room.is_claimed(self._possible(able, candidate), ends)
        return WaitKind.BEHIND if is_claimed else WaitKind.NO_ROOM

    def _is_at_maximum(self, name: str, cpu: int, ends: float = inf) -> bool:
        left = self.room.vcpus_left(name, ends)
        return left is not None and cpu > left

    def _keep_place(self, queue: Queue, candidate: Candidate, environments: list[str]) -> None:
        """Keeps for the candidate what it needs to start, whatever else of that gets free."""
        cpu = cpu_of(candidate.shape)
        possible = [name for name in environments if self._has_possible(name, candidate)]
        # What an environment at its maximum may still run is kept for it; others of theirs wait too.
        full = [name for name in possible if self._is_at_maximum(name, cpu)]
        for name in full:
            self.room.close(name)
        rest = [name for name in possible if name not in full]
        if rest:
            self._keep_nodes(queue, candidate, self._possible(rest, candidate), rest)
        for name in rest:
            self.room.keep(name, cpu, -inf)
        # Of what is counted nobody may have its part, even for a time: it would wait for that next, and lose its node.
        self.kept_running[queue.name].put(1, -inf)
        for name, quantity in candidate.consumables:
            self.kept_consumables[name].put(quantity, -inf)
        if queue.quota_shares:
            self._later(queue).add(candidate.share, candidate.shape.resources)

    def _has_possible(self, name: str, candidate: Candidate) -> bool:
        """Whether the environment has nodes that could take the candidate if they were empty."""
        if candidate.gang is not None:
            return self.room.could_take(name, candidate.gang)
        return bool(len(self.state.nodes.possible(self.state.environments[name], candidate.shape)))

    def _keep_nodes(self, queue: Queue, candidate: Candidate, columns: Columns, environments: list[str]) -> None:
        """Claims the node where the candidate is to start, or all of them."""
        state = self.state
        if candidate.gang is not None:
            self._keep_for_gang(queue, candidate, candidate.gang, columns, environments)
            return
        if queue.preempts and self._is_due(queue, candidate):
            found, column = preemption.by_priority(state, self.room, queue, candidate, columns, self.preempts)
            self.preempts += found
            if column is not None:
                # What the preempted leave is for nobody else, however long it takes.
                self.room.claim(np.array([column], dtype=np.intp), -inf, candidate.uid)
        kept = state.reservations.get(queue.name)
        column = state.nodes.column(kept[1]) if kept and kept[0] == candidate.uid and kept[2] > self.now else None
        if kept is not None and column is not None and column in columns:
            self.room.claim(np.array([column], dtype=np.intp), kept[2], candidate.uid)
            return
        first = earliest(state, self.room, columns, candidate.shape)
        if first is None or first[1] <= self.now:
            state.reservations.pop(queue.name, None)
            self.room.claim(columns, -inf, candidate.uid)
            return
        state.reservations[queue.name] = candidate.uid, state.nodes.names[first[0]], first[1]
        self.room.claim(np.array([first[0]], dtype=np.intp), first[1], candidate.uid)

    def _keep_for_gang(
        self, queue: Queue, candidate: Candidate, gang: Gang, columns: Columns, environments: list[str]
    ) -> None:
        """Claims the nodes that others are preempted on, or those that are sure to get free first, or else all."""
        self.state.reservations.pop(queue.name, None)
        freed = self._preempt_for_gang(queue, candidate, gang, environments)
        if freed is not None:
            self.room.claim(freed, -inf, candidate.uid)
            return
        known = [earliest_for_gang(self.state, self.room, name, gang) for name in environments]
        first = min((found for found in known if found is not None), key=lambda found: found[1], default=None)
        if first is None or first[1] <= self.now:
            self.room.claim(columns, -inf, candidate.uid)
        else:
            self.room.claim(self._columns(first[0]), first[1], candidate.uid)

    def _columns(self, machines: Iterable[str]) -> Columns:
        known = (self.state.nodes.column(machine) for machine in set(machines))
        return np.array(sorted(column for column in known if column is not None), dtype=np.intp)

    def _preempt_for_gang(
        self, queue: Queue, candidate: Candidate, gang: Gang, environments: list[str]
    ) -> Columns | None:
        """Takes back what others have, if that makes room for all of the gang: the nodes where it will be."""
        for name in environments if queue.preempts and self._is_due(queue, candidate) else ():
            found, machines = preemption.for_gang(self.state, self.room, queue, candidate, gang, name, self.preempts)
            if machines:
                self.preempts += found
                return self._columns(machines)
        return None

    def _possible(self, environments: list[str], candidate: Candidate) -> Columns:
        nodes, known = self.state.nodes, self.state.environments
        shapes = [candidate.shape] if candidate.gang is None else list(candidate.gang.counts)
        every = [nodes.possible(known[name], shape) for name in environments for shape in shapes]
        return every[0] if len(every) == 1 else np.unique(np.concatenate(every))

    def _forget_reservations(self) -> None:
        for name, (uid, _, _) in list(self.state.reservations.items()):
            if self.heads.get(name) != uid:
                del self.state.reservations[name]

    def _claim_quota(self, cursor: Cursor, candidate: Candidate) -> bool:
        """What the share's quota gets room for is the candidate's: within its maxCapacity it takes back what others
        borrow, and in its share what has less priority, for as many elements as that makes room for. Whether what is
        behind it in its share is to wait."""
        queue, request, share = cursor.queue, candidate.shape.resources, candidate.share
        book = self._later(queue)
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
            victim = self.state.held[uid]
            book.remove(victim.share, victim.shape.resources, pods)
            self.preempts.append(Preempt(uid, pods, candidate.uid, why))
        return bool(victims)

    def _is_due(self, queue: Queue, candidate: Candidate) -> bool:
        """Whether the candidate has waited long enough for others to be preempted for it; if not, this pass says when
        to look again."""
        since = self.now if candidate.uid in self.starts else self.state.claims.get(candidate.uid, self.now)
        self.claims[candidate.uid] = since
        due = since + queue.preempts_after
        if self.now < due:
            self.again_at = due if self.again_at is None else min(self.again_at, due)
        return self.now >= due

    def _victims(
        self, queue: Queue, candidate: Candidate, wanted: int, book: quota.QuotaBook
    ) -> tuple[quota.Victims, str]:
        request, gone = candidate.shape.resources, preemption.counted(self.preempts)
        held = [
            quota.Held(each.uid, each.share, each.shape.resources, count, each.priority, each.started)
            for each in self.state.held.values()
            if each.queue == queue.name and not each.is_fixed and (count := each.count - gone[each.uid])
        ]
        victims = quota.reclaim(book, candidate.share, request, wanted, held)
        why = f"Preempted: quota share {candidate.share} of JobQueue {queue.name} takes back what it had lent"
        if victims:
            return victims, why
        victims = quota.in_share(book, candidate.share, request, wanted, candidate.priority, held)
        why = f"Preempted for job {candidate.name} of the same quota share, which has priority {candidate.priority}"
        return victims, why

    def _later(self, queue: Queue) -> quota.QuotaBook:
        """The queue's book as it will be when what was preempted has gone."""
        book = self.later.get(queue.name)
        if book is None:
            book = self.later[queue.name] = self.books[queue.name].copy()
            for uid, count in preemption.counted(self.preempts).items():
                held = self.state.held[uid]
                if held.queue == queue.name and held.share in book:
                    book.remove(held.share, held.shape.resources, count)
        return book
