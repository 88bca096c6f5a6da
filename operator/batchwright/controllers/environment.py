"""One MANAGED environment, round by round: gather, decide, act.

A round is: what there is and what may be had; which instances go; what the scheduler is to know; what to launch for
what the scheduler wants. Whatever goes wrong ends in the environment's status, and in a pause.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from math import inf

import structlog

from batchwright import metrics
from batchwright.api.v1alpha1 import ComputeEnvironmentSpec
from batchwright.api.v1alpha1.computeenvironment import PendingLaunch
from batchwright.capacity.fleet import WORDS, Bounds, Retirement, Seen, Why, growth_of, retire
from batchwright.capacity.launching import Batch, Choice, available, plan_floor, plan_launches
from batchwright.capacity.nodes import Learnt, node_of
from batchwright.capacity.port import Blueprint, Instance, Kind, Order, Outcome, Provider, Refusal
from batchwright.capacity.soldout import LASTING, SoldOut
from batchwright.cluster.client import ApiClient
from batchwright.cluster.events import EventRecorder, Subject
from batchwright.cluster.resources import COMPUTE_ENVIRONMENTS
from batchwright.controllers import capacityacting as acting
from batchwright.controllers import refusals
from batchwright.controllers.declared import Declared
from batchwright.controllers.gathering import Memory, blueprint_of, bounds_of, learn, leaving, see, supply_of, unheeded
from batchwright.controllers.hostloss import HostLoss
from batchwright.controllers.pricing import note_prices
from batchwright.controllers.scheduling import environment_of
from batchwright.controllers.setbacks import MENDING_SECONDS, Failures, Pause, Shortage, is_settled, not_ready, word
from batchwright.controllers.store import Store
from batchwright.domain.actions import Notice
from batchwright.domain.declarations import Problem
from batchwright.domain.observations import Node
from batchwright.domain.texts import timestamp
from batchwright.errors import ApiError, CapacityError, Denied, LaunchUncertain, Misconfigured
from batchwright.scheduling.snapshot import Demand
from batchwright.settings import Settings

logger = structlog.get_logger(__name__)
# Types and prices are asked for again after this long.
KINDS_SECONDS = 600.0
# An instance that was launched, and that the provider does not list, is counted for this long.
UNLISTED_SECONDS = 60.0


class ManagedEnvironment:
    """`demand` tells what the last pass wants; `publish` has the status written soon, `write` before it returns."""

    def __init__(
        self,
        api: ApiClient,
        store: Store,
        settings: Settings,
        events: EventRecorder,
        sold_out: SoldOut,
        known: Declared[ComputeEnvironmentSpec],
        *,
        demand: Callable[[], tuple[Demand, ...]],
        changed: Callable[[], None],
        publish: Callable[[], None],
        write: Callable[[], Awaitable[None]],
    ) -> None:
        self._api, self._store, self._settings, self._events = api, store, settings, events
        self._losing = HostLoss(api, store, events)
        self._sold_out = sold_out
        self._demand, self._changed, self._publish, self._write = demand, changed, publish, write
        self._known = known
        self.name = known.name
        metrics.begin_environment(known.name)
        self.memory = Memory()
        self.fleet: tuple[Seen, ...] = ()
        # When nodes that were cordoned are to be looked at again.
        self._second_look = 0.0
        self._kinds: tuple[Kind, ...] | None = None
        self._kinds_at = 0.0
        self._digest = ""
        self._launched: dict[str, Instance] = {}
        self._cordoned: dict[str, Why] = {}
        self._failures, self._shortage = Failures(settings.capacity_pause_seconds), Shortage()
        self._pause = Pause(settings.capacity_patience_seconds)
        self._version = 0
        self._told: object = None
        self._notices: list[Notice] = []
        pending = known.status.get("pendingLaunch")
        self._pending = PendingLaunch.model_validate(pending) if pending else None
        # For which generation desiredvCpus has been seen to; one that has never had a verdict is new.
        is_new = known.status.get("status") in (None, "CREATING")
        self._floor_for = 0 if is_new else int(known.status.get("observedGeneration") or 0)

    def due(self, began: float) -> float:
        """When the next look is due that nothing else may cause, after a round that began then; infinite for never. The
        end of a pause is one: as long as it is not known what there is, nothing is asked for."""
        return min((when for when in (self._second_look, self._pause.until) if when > began), default=inf)

    def fail(self, error: CapacityError, now: float) -> None:
        """The provider did not answer, or not as one would wish."""
        self._pause.fail(error, now)
        metrics.PROVIDER_ERRORS.labels(self.name).inc()
        self._notify(Notice(type(error).__name__, str(error), warning=True))
        self._tell(now)

    async def round(
        self,
        known: Declared[ComputeEnvironmentSpec],
        provider: Provider,
        listed: list[Instance],
        nodes: dict[str, Node],
        now: float,
    ) -> None:
        """Looks at everything once."""
        if known.generation != self._known.generation and self._pause.problem is not None:
            self._pause.forget()
            self._kinds_at = 0.0
        self._pause.see(now)
        self._shortage.see(now)
        self._known = known
        blueprint = blueprint_of(known)
        refused: CapacityError | None = None
        try:
            try:
                await self._ask_kinds(provider, blueprint, now)
            except CapacityError as error:
                # What there is has to be seen to all the same: it may be about to end.
                refused = error
            self._gather(listed, nodes, now)
            await note_prices(self._api, self._store, self.fleet, self._kinds or ())
            await self._retire(provider, bounds_of(self._known.spec, blueprint, self._settings), nodes, now)
            if self._pending is not None and is_settled(self._pending, self.fleet, now):
                self._pending = None
            if refused is not None:
                raise refused
            self._tell(now)
            await self._launch(provider, blueprint, now)
        except CapacityError as error:
            self.fail(error, now)
        except ApiError as error:
            logger.warning("environment not reconciled", name=self.name, cause=type(error).__name__, error=str(error))
            self._notices += filter(None, [refusals.refused("do what follows from it", error)])
        self._tell(time.time())
        await self.post()

    # 1. What there is.

    async def _ask_kinds(self, provider: Provider, blueprint: Blueprint, now: float) -> None:
        is_fresh = self._kinds is not None and now - self._kinds_at < KINDS_SECONDS
        if self._digest == blueprint.digest and (is_fresh or self._pause.until > now):
            return
        if self._digest != blueprint.digest:
            # Another image keeps something else for itself.
            self.memory.learnt = Learnt()
            self._kinds = None
        self._digest = blueprint.digest
        try:
            self._kinds = await provider.kinds(blueprint)
        except (Misconfigured, Denied):
            # What is said to be wrong is not there any more; another error says nothing of it.
            self._kinds = None
            raise
        self._kinds_at = now
        self._pause.clear()

    def _gather(self, listed: list[Instance], nodes: dict[str, Node], now: float) -> None:
        instances = {each.id: each for each in listed}
        for identity, instance in list(self._launched.items()):
            if identity in instances or now - instance.launched_at > UNLISTED_SECONDS:
                del self._launched[identity]
        every = list(instances.values()) + list(self._launched.values())
        ids = {each.id for each in every}
        known = {seen.instance.id for seen in self.fleet}
        if any(each.id not in known and each.is_live and not each.is_awaited for each in every):
            self._pause.clear()
        self.memory.keep(ids)
        self._cordoned = {identity: why for identity, why in self._cordoned.items() if identity in ids}
        vcpus = {kind.type.name: kind.type.vcpus for kind in self._kinds or ()}
        self.fleet = see(every, nodes, self._store, vcpus, self.memory, now)

    # 2. What goes.

    async def _retire(self, provider: Provider, bounds: Bounds, nodes: dict[str, Node], now: float) -> None:
        decided = retire(self.fleet, bounds, now)
        for seen in self.fleet:
            node = nodes.get(seen.instance.id)
            wanted = blueprint_of(self._known).labels
            if node is not None and any(node.labels.get(key) != value for key, value in wanted.items()):
                await acting.label(self._api, node.name, wanted)
        for seen in decided.uncordon:
            await acting.uncordon(self._api, seen.node)
        for seen, why in decided.cordon:
            await acting.cordon(self._api, seen.node, why, seen.leaves_at if why == seen.warned else None)
            self._cordoned[seen.instance.id] = why
        for seen in decided.drain:
            await self._losing.drain(seen, WORDS[seen.warned or "interrupted"])
        await self._end(provider, decided)
        for seen in decided.kept:
            self._notify(acting.kept_for_others(seen.node))
        for seen in decided.gone:
            identity = seen.instance.id
            await self._losing.end_node(seen.node, identity, is_guilty=identity in self.memory.guilty)
            self.memory.nodes.pop(identity, None)
        self._second_look = now + 3.5 if decided.cordon else 0.0
        self._failures.see(self.fleet)
        for seen in decided.stillborn:
            # The provider shows it for a while: it counts once.
            self.memory.ended.add(seen.instance.id)
            self._notify(acting.ended_early(seen.instance))
        if decided.failed:
            self._pause.hold(not_ready(decided, bounds.start_seconds), now + self._failures.count(decided, now))

    async def _end(self, provider: Provider, decided: Retirement) -> None:
        ending: list[tuple[Seen, str]] = []
        for seen, why in decided.ended:
            # What still runs is ended on purpose, if it is ours; an idle node is looked at again.
            is_past = seen.instance.is_stopped or seen.lost_since is not None
            if is_past or await acting.is_really_empty(self._api, seen.node, but_for_ours=seen.ours > 0):
                ending.append((seen, why))
        if not ending:
            return
        await provider.terminate([seen.instance.id for seen, _ in ending])
        metrics.TERMINATED.labels(self.name).inc(len(ending))
        for seen, why in ending:
            self._notify(Notice("Terminated", f"Instance {seen.instance.id} ({seen.instance.type}) ended: {why}"))
            self._launched.pop(seen.instance.id, None)
            self.memory.ended.add(seen.instance.id)
            if seen.lost_since is not None and not seen.warned and seen.instance.is_live:
                self.memory.guilty.add(seen.instance.id)
        gone = {seen.instance.id for seen, _ in ending}
        self.fleet = tuple(
            replace(seen, instance=replace(seen.instance, state="shutting-down")) if seen.instance.id in gone else seen
            for seen in self.fleet
        )

    # 3. What the scheduler is to know.

    def _choices(self, now: float) -> tuple[list[Choice], list[Choice]]:
        blueprint, learnt = blueprint_of(self._known), learn(self.fleet, self._store, self.memory, self._kinds or ())
        offered: list[Choice] = []
        barred: list[Choice] = []
        for kind in self._kinds or ():
            choice = Choice(kind, node_of(kind, blueprint, learnt))
            (barred if self._sold_out.has(kind, now, blueprint.digest) else offered).append(choice)
        return offered, barred

    def _tell(self, now: float) -> None:
        offered, barred = self._choices(now)
        bounds = bounds_of(self._known.spec, blueprint_of(self._known), self._settings)
        # A launch that may have been made is asked of no other, too.
        is_known = self._kinds is not None and (self._pending is not None or not self._pause.is_yielding(now))
        growth = growth_of(
            self.fleet,
            offered if is_known else (),
            barred,
            bounds,
            self._version + 1,
            is_known=is_known,
            leaving=leaving(self.fleet, self._store, now),
        )
        told = (
            *(growth.most, growth.left, growth.offers, growth.barred, growth.coming, growth.unused, growth.leaving),
            is_known,
        )
        if told != self._told:
            self._told, self._version = told, self._version + 1
            self._store.growth = self._store.growth | {self.name: growth}
            self._changed()
        self._show()

    def _show(self) -> None:
        problem = self._pause.problem or self._shortage.problem
        supply = supply_of(self.fleet, self._pending, problem, is_known=self._kinds is not None, digest=self._digest)
        if supply != self._store.supplies.get(self.name):
            self._store.supplies[self.name] = supply
            self._publish()

    # 4. What comes.

    async def _launch(self, provider: Provider, blueprint: Blueprint, now: float) -> None:
        if self._kinds is None or self._pending is not None or self._pause.until > now:
            return
        if self._failures and self._failures.is_tried(self.fleet):
            return
        offered, barred = self._choices(now)
        batches = self._floor(offered) or self._wanted(blueprint, offered, barred)
        if not batches:
            self._floor_for = self._known.generation
            return
        if self._failures:
            # What was launched has not become nodes: one shows whether it does now.
            batches = (replace(batches[0], count=1),)
        token = uuid.uuid4().hex[:20]
        total = sum(batch.count for batch in batches)
        created = timestamp(datetime.now(UTC))
        self._pending = PendingLaunch(token=token, count=total, created_at=created)
        self._show()
        try:
            await self._write()
        except ApiError:
            self._pending = None
            raise
        for number, batch in enumerate(batches):
            order = Order(f"{token}-{number}", batch.count, batch.kinds)
            try:
                outcome = await provider.launch(blueprint, order)
            except LaunchUncertain:
                # It stays pending: what came of it is looked for, and not asked for again.
                raise
            except CapacityError:
                self._pending = None
                raise
            self._pause.launched()
            self._take(order, outcome, now)
        self._pending = None

    def _floor(self, offered: list[Choice]) -> tuple[Batch, ...]:
        """Instances for minvCpus; and for desiredvCpus, once for each change of the environment."""
        found = self._known.spec.compute_resources
        wanted = found.min_vcpus or 0
        if self._known.generation != self._floor_for and self._known.spec.state == "ENABLED":
            wanted = max(wanted, found.desired_vcpus or 0)
        live = sum(seen.vcpus for seen in self.fleet if seen.instance.is_live and not seen.cordoned)
        return plan_floor(1000 * wanted - live, offered, 1000 * (found.max_vcpus or 0) - live)

    def _wanted(self, blueprint: Blueprint, offered: list[Choice], barred: list[Choice]) -> tuple[Batch, ...]:
        demand = [each for each in self._demand() if each.version == self._version]
        live = sum(seen.vcpus for seen in self.fleet if seen.is_counted)
        left = 1000 * (self._known.spec.compute_resources.max_vcpus or 0) - live
        asked = [(each.shape, each.count) for each in demand]
        if blueprint.strategy == "BEST_FIT":
            places = {kind: place for place, kind in enumerate(self._kinds or ())}
            offered = sorted((*offered, *barred), key=lambda each: places[each.kind])
        planned = plan_launches(asked, offered, environment_of(self._known), blueprint.strategy, left)
        return available(planned, {each.kind for each in barred})

    def _take(self, order: Order, outcome: Outcome, now: float) -> None:
        """Takes over what came of a launch."""
        real = [each for each in outcome.instances if not each.is_awaited]
        self._launched |= {each.id: each for each in real}
        if real:
            self._pause.clear()
        if outcome.instances:
            metrics.LAUNCHED.labels(self.name).inc(len(outcome.instances))
            types = sorted({each.type for each in outcome.instances})
            count, done = len(outcome.instances), "launched" if real else "asked for"
            self._notify(Notice("Launched", f"{count} of {order.count} instances {done}: {', '.join(types)}"))
            known = {seen.instance.id for seen in self.fleet}
            fresh = [each for each in outcome.instances if each.id not in known]
            vcpus = {kind.type.name: kind.type.vcpus for kind in self._kinds or ()}
            self.fleet += see(fresh, {}, self._store, vcpus, self.memory, now)
        is_filled = len(outcome.instances) >= order.count
        if is_filled:
            self._shortage.end()
        self.refuse(outcome.refusals, now, is_invalid=not outcome.instances, is_filled=is_filled)

    def refuse(self, refusals: Collection[Refusal], now: float, *, is_invalid: bool, is_filled: bool = False) -> None:
        """These were not filled; with `is_invalid` nothing else was either, with `is_filled` enough came of others."""
        short = [refusal for refusal in refusals if refusal.is_capacity]
        until = now
        for refusal in refusals:
            metrics.LAUNCHES_REFUSED.labels(self.name, "capacity" if refusal.is_capacity else "error").inc()
            if refusal.is_capacity:
                seconds = self._settings.capacity_sold_out_seconds * (LASTING if refusal.is_lasting else 1)
                until, owner = max(until, now + seconds), blueprint_of(self._known).digest
                self._sold_out.bar(refusal.kinds, now, seconds, scope=refusal.scope, owner=owner)
            else:
                problem = Problem(word(refusal.code), refusal.message, is_invalid=is_invalid)
                self._pause.hold(problem, now + MENDING_SECONDS)
            self._notify(Notice(word(refusal.code), refusal.message, warning=True))
        if short and not is_filled:
            self._shortage.begin(short, until)

    def _notify(self, notice: Notice) -> None:
        self._notices.append(notice)

    def unheeded(self) -> list[str]:
        """Instances that somebody warned of, and whose nodes do not say so yet."""
        return unheeded(self.fleet, self._cordoned, self.memory)

    async def post(self) -> None:
        """Makes events of what happened."""
        subject = Subject(COMPUTE_ENVIRONMENTS, None, self.name, self._known.uid)
        notices, self._notices = self._notices, []
        for notice in notices:
            await self._events.post(subject, notice)
