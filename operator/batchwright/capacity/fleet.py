"""The instances of one environment, joined with the nodes they have become: what is to go, and what is to come.

Pure: everything it looks at is given, the time too. An instance is known by its id, from whatever the provider shows
and the cluster shows, so an operator that has just started decides as one that has run for days.

Instances that EC2 takes back, or that are due for maintenance, get no new work; for what they run others are launched
before they go, and what still runs shortly before is ended with its grace period.

Invariants: only idle nodes go for being idle, cordoned first and looked at again; minvCpus stay; a node with somebody
else's pods is left alone; an instance that never becomes a node is ended, if it does not end by itself, and the next
one comes after a pause.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Literal

from batchwright.capacity.launching import Choice
from batchwright.capacity.port import Instance
from batchwright.domain.observations import Node
from batchwright.scheduling.snapshot import Growth, Offer, Shape

Alert = Literal["interrupted", "maintenance", "rebalance"]
Why = Literal["idle", "update", "deleted", "interrupted", "maintenance", "rebalance"]
# Between the cordon and the second look: what was on its way to the node is there by then.
SETTLE_SECONDS = 3.0
# A node of an instance that the provider does not know may be older than its knowledge.
UNKNOWN_SECONDS = 60.0
# How long before its end what an instance runs is asked for anew, and how long before it is ended there. EC2 warns of
# interruptions two minutes ahead, and an instance takes about one to be a node.
REPLACE_SECONDS: Mapping[Alert, float] = {"interrupted": inf, "maintenance": 900.0, "rebalance": -inf}
DRAIN_SECONDS: Mapping[Alert, float] = {"interrupted": 30.0, "maintenance": 300.0, "rebalance": -inf}
LONGEST_PAUSE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Seen:
    """An instance and its node. `ours` and `others` are how many pods are there, of ours and of others (daemons and
    static pods apart); `cordoned` is why we cordoned it, and when; `lost_since` when its node ceased to be ready;
    `warned` what somebody said of it, and `leaves_at` when it ends then; `was_coming` of one that was to be a node,
    never was, and whose end nobody foretold."""

    instance: Instance
    vcpus: int
    node: str = ""
    is_ready: bool = False
    ours: int = 0
    others: int = 0
    was_used: bool = False
    idle_since: float | None = None
    lost_since: float | None = None
    cordoned: Why | None = None
    cordoned_at: float = 0.0
    warned: Alert | None = None
    leaves_at: float | None = None
    was_coming: bool = False

    def is_due(self, seconds: Mapping[Alert, float], now: float) -> bool:
        """Whether it is so long before its end, or less."""
        if self.warned is None or self.leaves_at is None:
            return False
        return now >= self.leaves_at - seconds[self.warned]

    @property
    def is_counted(self) -> bool:
        """Whether it counts for maxvCpus: what EC2 takes back is gone in two minutes, and is replaced before."""
        return self.instance.is_live and self.warned != "interrupted"

    @property
    def is_empty(self) -> bool:
        """Whether nobody has a pod there."""
        return not self.ours and not self.others


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the environment wants: milli-vCPUs, seconds. `digest` is that of its blueprint, None once it is deleted."""

    minimum: int
    maximum: int
    digest: str | None
    idle_seconds: float = 60.0
    start_seconds: float = 900.0
    lost_seconds: float = 300.0
    update_seconds: float = 1800.0
    ends_jobs_on_update: bool = False


@dataclass(frozen=True, slots=True)
class Retirement:
    """What is to be done with instances that are there: `ended` are to be terminated, each with why; `gone` have
    ended, and their nodes are to; `failed` how many never became nodes, `stillborn` those of them that ended by
    themselves, and `failed_at` when the last of all these was launched; of `drain` the pods of ours are to be ended;
    `kept` would be ended if somebody else had no pods there."""

    ended: tuple[tuple[Seen, str], ...] = ()
    cordon: tuple[tuple[Seen, Why], ...] = ()
    uncordon: tuple[Seen, ...] = ()
    drain: tuple[Seen, ...] = ()
    gone: tuple[Seen, ...] = ()
    failed: int = 0
    kept: tuple[Seen, ...] = ()
    failed_at: float = 0.0
    stillborn: tuple[Seen, ...] = ()


@dataclass
class _Draft:
    ended: list[tuple[Seen, str]] = field(default_factory=list)
    cordon: list[tuple[Seen, Why]] = field(default_factory=list)
    uncordon: list[Seen] = field(default_factory=list)
    drain: list[Seen] = field(default_factory=list)
    failed: int = 0
    failed_at: float = 0.0
    kept: list[Seen] = field(default_factory=list)

    def fail(self, seen: Seen) -> None:
        """It never became a node."""
        self.failed += 1
        self.failed_at = max(self.failed_at, seen.instance.launched_at)


def retire(fleet: Iterable[Seen], bounds: Bounds, now: float) -> Retirement:
    """Which instances go, or are made ready to."""
    every = sorted(fleet, key=lambda each: each.instance.id)
    live = [seen for seen in every if seen.instance.is_live]
    draft = _Draft()
    staying = [seen for seen in live if not _must_go(seen, bounds, now, draft)]
    _retire_idle(staying, bounds, now, draft)
    draft.ended += [(seen, "it was stopped") for seen in every if seen.instance.is_stopped]
    gone = tuple(seen for seen in every if seen.node and not seen.instance.is_live)
    stillborn = tuple(seen for seen in every if _is_stillborn(seen, bounds))
    for seen in stillborn:
        draft.fail(seen)
    decided = tuple(draft.ended), tuple(draft.cordon), tuple(draft.uncordon), tuple(draft.drain)
    return Retirement(*decided, gone, draft.failed, tuple(draft.kept), draft.failed_at, stillborn)


def _is_stillborn(seen: Seen, bounds: Bounds) -> bool:
    """Whether it has ended by itself before it was a node: what is launched like it would end as well."""
    is_past = not seen.instance.is_live and not seen.instance.was_taken
    return is_past and seen.was_coming and seen.instance.digest in ("", bounds.digest)


def _must_go(seen: Seen, bounds: Bounds, now: float, draft: _Draft) -> bool:
    """Whether the instance goes whatever it costs: it is old, lost, or nobody's."""
    why: Why | None = None
    if bounds.digest is None:
        why = "deleted"
    elif seen.warned in ("interrupted", "maintenance"):
        why = seen.warned
    elif seen.instance.digest and seen.instance.digest != bounds.digest and seen.instance.spare != 0:
        # A group at its least size would only start another.
        why = "update"
    else:
        why = seen.warned
    if not seen.node or (not seen.is_ready and not seen.was_used and seen.lost_since is None):
        if why in ("deleted", "update"):
            draft.ended.append((seen, WORDS[why]))
        elif now - seen.instance.launched_at >= bounds.start_seconds:
            draft.fail(seen)
            draft.ended.append((seen, f"its node was not ready within {bounds.start_seconds:.0f} s"))
        else:
            return False
        return True
    if seen.lost_since is not None and now - seen.lost_since >= bounds.lost_seconds:
        draft.ended.append((seen, f"its node has not been ready for {bounds.lost_seconds:.0f} s"))
        return True
    if why is None:
        return False
    if seen.is_due(DRAIN_SECONDS, now) and seen.ours:
        draft.drain.append(seen)
    if seen.cordoned != why:
        draft.cordon.append((seen, why))
    elif now - seen.cordoned_at >= SETTLE_SECONDS and (not seen.ours or _is_overdue(seen, why, bounds, now)):
        if seen.others:
            draft.kept.append(seen)
        else:
            draft.ended.append((seen, WORDS[why]))
    return True


WORDS: dict[Why, str] = {
    "idle": "it is idle",
    "update": "the environment has changed",
    "interrupted": "EC2 takes it back",
    "maintenance": "maintenance of its host is due",
    "rebalance": "EC2 may take it back soon",
    "deleted": "the environment is deleted",
}


def _is_overdue(seen: Seen, why: Why, bounds: Bounds, now: float) -> bool:
    if why == "maintenance":
        return seen.leaves_at is not None and now >= seen.leaves_at
    if why != "update":
        return False
    return bounds.ends_jobs_on_update or now - seen.cordoned_at >= bounds.update_seconds


def _retire_idle(staying: list[Seen], bounds: Bounds, now: float, draft: _Draft) -> None:
    have = sum(seen.vcpus for seen in staying)
    # Groups of instances have a least size of their own.
    spare = {seen.instance.group: seen.instance.spare for seen in staying if seen.instance.spare is not None}
    # The ones that have been idle for longest go first.
    for seen in sorted(staying, key=lambda each: (-_idle_for(each, now), each.instance.id)):
        group = seen.instance.group
        is_spare = seen.is_empty and have - seen.vcpus >= bounds.minimum and spare.get(group, 1) > 0
        if seen.cordoned == "idle":
            if not is_spare:
                draft.uncordon.append(seen)
            else:
                have -= seen.vcpus
                _take_one(spare, group)
                if now - seen.cordoned_at >= SETTLE_SECONDS:
                    draft.ended.append((seen, WORDS["idle"]))
        elif seen.cordoned is not None:
            # What it was cordoned for holds no more: the change was taken back.
            draft.uncordon.append(seen)
        elif is_spare and seen.is_ready and _idle_for(seen, now) >= bounds.idle_seconds:
            have -= seen.vcpus
            _take_one(spare, group)
            draft.cordon.append((seen, "idle"))


def _take_one(spare: dict[str, int], group: str) -> None:
    if group in spare:
        spare[group] -= 1


def _idle_for(seen: Seen, now: float) -> float:
    return -1.0 if seen.idle_since is None else now - seen.idle_since


def within_spare(instances: Iterable[Instance]) -> list[Instance]:
    """Those that may all go, and leave groups of instances as big as they have to be."""
    left: dict[str, int] = {}
    found: list[Instance] = []
    for each in sorted(instances, key=lambda each: (not each.is_awaited, each.id)):
        if each.spare is not None:
            if left.setdefault(each.group, each.spare) <= 0:
                continue
            left[each.group] -= 1
        found.append(each)
    return found


def pause_after(failures: int, first: float) -> float:
    """How long nothing is launched after so many times that what came never became a node, in seconds; `first` after
    the first."""
    return min(LONGEST_PAUSE_SECONDS, first * 2.0 ** max(0, failures - 1)) if failures else 0.0


def growth_of(
    fleet: Sequence[Seen],
    choices: Iterable[Choice],
    barred: Iterable[Choice],
    bounds: Bounds,
    version: int,
    *,
    is_known: bool = True,
    leaving: Iterable[tuple[Shape, int]] = (),
) -> Growth:
    """What the scheduler is to know: what may come, and what is coming. An instance whose type the environment does not
    name any more counts for nothing, but for its vCPUs. `leaving` are the pods of instances that end soon."""
    offered, sold_out = tuple(choices), tuple(barred)
    nodes: dict[tuple[str, ...], Node] = {each.kind.key: each.node for each in (*sold_out, *offered)}
    coming: dict[tuple[str, ...], int] = {}
    unused: list[Node] = []
    for seen in fleet:
        key = seen.instance.key
        if not seen.instance.is_live or seen.cordoned or seen.warned or key not in nodes:
            continue
        if seen.instance.digest and seen.instance.digest != bounds.digest:
            continue
        if not seen.is_ready and not seen.was_used and seen.lost_since is None:
            coming[key] = coming.get(key, 0) + 1
        elif seen.is_ready and not seen.was_used:
            unused.append(_named(nodes[key], seen.node))
    live = sum(seen.vcpus for seen in fleet if seen.is_counted)
    return Growth(
        most=bounds.maximum,
        left=bounds.maximum - live,
        offers=tuple(Offer(each.node, each.kind.type.vcpus) for each in offered),
        barred=tuple(Offer(each.node, each.kind.type.vcpus) for each in sold_out),
        coming=tuple((nodes[key], count) for key, count in coming.items()),
        unused=tuple(unused),
        leaving=tuple(leaving),
        is_known=is_known,
        version=version,
    )


def _named(node: Node, name: str) -> Node:
    return Node(name, "", node.labels, node.taints, node.allocatable, node.ready, node.schedulable)
