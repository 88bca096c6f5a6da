"""Capacity: MANAGED environments get the instances that what waits needs, and lose those that nobody needs.

Level-triggered: each round asks the providers what there is, joins it with the nodes, and decides anew. The provider's
own list, by tags, is the only record; what the operator adds is one line in the environment's status before a launch
(`pendingLaunch`), so that one that was killed in between neither loses instances nor buys them twice.
Hazard: a demand that was worked out before the last launch is known would be bought twice; hence its `version`.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from batchwright import metrics
from batchwright.api.v1alpha1 import ComputeEnvironmentSpec
from batchwright.capacity.fleet import within_spare
from batchwright.capacity.port import Instance, Provider, Refusal, Warned
from batchwright.capacity.soldout import SoldOut
from batchwright.cluster.client import ApiClient
from batchwright.cluster.events import EventRecorder, Subject
from batchwright.cluster.resources import NODES
from batchwright.controllers.capacityacting import cordon, is_really_empty, kept_for_others
from batchwright.controllers.declared import Declared
from batchwright.controllers.environment import ManagedEnvironment
from batchwright.controllers.gathering import blueprint_of
from batchwright.controllers.hostloss import HostLoss
from batchwright.controllers.providers import Providers, provider_of
from batchwright.controllers.reconciler import Key
from batchwright.controllers.store import Store
from batchwright.domain.observations import Node
from batchwright.errors import ApiError, CapacityError, Denied
from batchwright.names import LABEL_ENVIRONMENT, label_value
from batchwright.scheduling.snapshot import Demand
from batchwright.settings import Settings

logger = structlog.get_logger(__name__)
Result = TypeVar("Result")
# With no instance anywhere and nothing that waits for one, it is enough to look for what was left over.
QUIET_SECONDS = 60.0
# A Node of an instance that nobody knows may be newer than the list of instances.
STRANGER_SECONDS = 60.0
ORPHAN_SECONDS = 30.0


@dataclass(frozen=True)
class _Look:
    """What one provider has said in a round."""

    name: str
    provider: Provider
    listed: tuple[Instance, ...]
    refused: tuple[tuple[str, Refusal], ...]
    warned: tuple[Warned, ...]


class Capacity:
    """Looks after every MANAGED environment. `changed` makes the engine pass anew; `publish` has an environment's
    status written soon, `write` now."""

    def __init__(
        self,
        api: ApiClient,
        store: Store,
        settings: Settings,
        events: EventRecorder,
        providers: Providers,
        *,
        changed: Callable[[], None],
        publish: Callable[[Key], None],
        write: Callable[[Key], Awaitable[None]],
    ) -> None:
        self._api, self._store, self._settings, self._events = api, store, settings, events
        self._providers = providers
        self._losing = HostLoss(api, store, events)
        self._changed, self._publish, self._write = changed, publish, write
        self._environments: dict[str, ManagedEnvironment] = {}
        self._demand: dict[str, tuple[Demand, ...]] = {}
        self._woken = asyncio.Event()
        # Since when they are seen, by provider: what one lists says nothing of another's.
        self._strangers: defaultdict[str, dict[str, float]] = defaultdict(dict)
        self._orphans: defaultdict[str, dict[str, float]] = defaultdict(dict)
        self._sold_out = SoldOut()

    def see_demand(self, demand: tuple[Demand, ...], expecting: frozenset[str]) -> None:
        """What the last pass would have environments grow by, and which nodes are not idle, though nobody is there."""
        self._store.expecting = expecting
        found: defaultdict[str, list[Demand]] = defaultdict(list)
        for each in demand:
            found[each.environment].append(each)
        now = {name: tuple(listed) for name, listed in found.items()}
        if now != self._demand:
            self._demand = now
            self.touch()

    def touch(self) -> None:
        """Something changed that may concern instances."""
        if self._environments or any(known.spec.type == "MANAGED" for known in self._store.environments.values()):
            self._woken.set()

    async def run(self) -> None:
        """Works until cancelled."""
        is_started = False
        while True:
            began, is_done = time.time(), False
            try:
                if not is_started:
                    await self._providers.start()
                    is_started = True
                await self._round(began)
                is_done = True
            except (ApiError, CapacityError) as error:
                logger.warning("capacity not reconciled", error=str(error))
            await self._wait(self._pause(began, time.time(), is_done=is_done))

    def _pause(self, began: float, now: float, *, is_done: bool) -> float:
        """Seconds until the next round, after one that began then. What came due while it lasted (a call may take as
        long as its timeout) was not seen to by it, and is due now."""
        is_quiet = not self._demand and not any(each.fleet for each in self._environments.values())
        is_quiet = is_quiet and is_done and not self._providers.must_look
        seconds = QUIET_SECONDS if is_quiet else self._settings.capacity_interval_seconds
        return min([seconds, *(max(each.due(began) - now, 0.0) for each in self._environments.values())])

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._woken.wait(), seconds)
        except TimeoutError:
            return
        # Many jobs that come together make few launches.
        await asyncio.sleep(self._settings.capacity_gather_seconds)
        self._woken.clear()

    async def _round(self, now: float) -> None:
        managed = {known.uid: known for known in self._store.environments.values() if known.spec.type == "MANAGED"}
        for uid in self._environments.keys() - managed.keys():
            self._forget(self._environments.pop(uid))
        nodes = {node.instance: node for node in self._store.nodes.values()}
        names = self._providers.in_use(managed.values())
        mine = {name: [known for known in managed.values() if provider_of(known) == name] for name in names}
        answers = await _all_of([self._ask(name, mine[name], now) for name in names])
        looks = {look.name: look for look in answers if look is not None}
        # Providers may share a queue: whoever reads a warning, it is for all.
        warned = [each for look in looks.values() for each in look.warned]
        await _all_of([self._look_after(look, mine[name], warned, nodes, now) for name, look in looks.items()])
        known = {each.id for look in looks.values() for each in look.listed}
        for look in looks.values():
            # What may be of an instance of one that did not answer is told again.
            unasked = {each.instance for each in look.warned if each.instance not in known and len(looks) < len(names)}
            await self._settle(look.provider, look.warned, unasked)

    async def _ask(self, name: str, mine: list[Declared[ComputeEnvironmentSpec]], now: float) -> _Look | None:
        """What one provider has; None if it does not say."""
        try:
            provider = self._providers.get(name)
            listed = await provider.describe()
            if refused := await provider.refused():
                listed = await provider.describe()
            return _Look(name, provider, listed, refused, await self._warnings(provider))
        except CapacityError as error:
            logger.warning("provider does not answer", provider=name, error=str(error))
            if isinstance(error, Denied) and not mine:
                # Nobody wants it: the look for what may be left over is given up.
                self._providers.drop(name)
            for known in mine:
                environment = self._environment(known)
                environment.fail(error, now)
                await environment.post()
            return None

    async def _look_after(
        self,
        look: _Look,
        mine: list[Declared[ComputeEnvironmentSpec]],
        warned: list[Warned],
        nodes: dict[str, Node],
        now: float,
    ) -> None:
        """The environments of one provider."""
        provider, listed = look.provider, look.listed
        by_environment: defaultdict[str, list[Instance]] = defaultdict(list)
        for instance in listed:
            by_environment[instance.environment].append(instance)
        rounds = []
        for known in mine:
            environment = self._environment(known)
            ids = {each.id for each in by_environment[known.uid]}
            for each in warned:
                if each.instance in ids:
                    news = environment.memory.warn(each, now)
                    if news is not None:
                        metrics.WARNED.labels(known.name, news).inc()
            environment.refuse([refusal for uid, refusal in look.refused if uid == known.uid], now, is_invalid=True)
            rounds.append(environment.round(known, provider, by_environment[known.uid], nodes, now))
        await _all_of(rounds)
        kept = {known.uid: blueprint_of(known).digest for known in mine}
        strays = [each for uid, found in by_environment.items() if uid not in kept for each in found]
        await self._end_orphans(look.name, strays, nodes, now)
        await provider.tidy(kept)
        await self._delete_strangers(look.name, {each.id for each in listed}, mine, now)

    async def _warnings(self, provider: Provider) -> tuple[Warned, ...]:
        """What is known of instances that are to go. Notices get lost in any case: without them the states of instances
        say so, later."""
        try:
            return await provider.warnings()
        except CapacityError as error:
            logger.warning("warnings not read", provider=provider.name, error=str(error))
            return ()

    async def _settle(self, provider: Provider, warned: Collection[Warned], unasked: set[str]) -> None:
        """What was acted upon is settled: its node is cordoned and says why. What was not comes again, and so does all
        that was said with it."""
        open_ids = {identity for each in self._environments.values() for identity in each.unheeded()} | unasked
        again = {each.handle for each in warned if each.instance in open_ids and each.handle}
        handled = [each for each in warned if each.instance not in open_ids and each.handle not in again]
        if not handled:
            return
        try:
            await provider.settle(handled)
        except CapacityError as error:
            logger.warning("warnings not settled: they come again", provider=provider.name, error=str(error))

    def _environment(self, known: Declared[ComputeEnvironmentSpec]) -> ManagedEnvironment:
        found = self._environments.get(known.uid)
        if found is None:
            found = self._environments[known.uid] = ManagedEnvironment(
                self._api,
                self._store,
                self._settings,
                self._events,
                self._sold_out,
                known,
                demand=lambda: self._demand.get(known.name, ()),
                changed=self._changed,
                publish=lambda: self._publish(("", known.name)),
                write=lambda: self._write(("", known.name)),
            )
        return found

    def _forget(self, environment: ManagedEnvironment) -> None:
        if not any(known.name == environment.name for known in self._store.environments.values()):
            self._store.growth = {k: v for k, v in self._store.growth.items() if k != environment.name}
            self._store.supplies.pop(environment.name, None)
            metrics.forget_environment(environment.name)
        self._changed()

    async def _end_orphans(self, name: str, strays: list[Instance], nodes: dict[str, Node], now: float) -> None:
        """Instances of environments that are deleted: jobs that run there may end, then they go. A moment is given to
        what may be of an environment that is not known yet."""
        live = {each.id for each in within_spare(each for each in strays if each.is_live or each.is_stopped)}
        known = self._orphans[name] = {key: since for key, since in self._orphans[name].items() if key in live}
        self._providers.note(name, bool(strays))
        ending = []
        for each in strays:
            node = nodes.get(each.id)
            if not each.is_live and node is not None:
                await self._losing.end_node(node.name, each.id)
                node = None
            if each.id not in live:
                continue
            since = known.setdefault(each.id, now)
            if node is not None and node.schedulable:
                await cordon(self._api, node.name, "deleted")
            is_due = now - since >= min(ORPHAN_SECONDS, 6 * self._settings.capacity_interval_seconds)
            if is_due and (node is None or await self._is_deserted(node)):
                ending.append(each.id)
        if ending:
            logger.info("instances without an environment", provider=name, instances=ending)
            await self._providers.get(name).terminate(ending)
            for identity in ending:
                if identity in nodes:
                    await self._losing.end_node(nodes[identity].name, identity)

    async def _is_deserted(self, node: Node) -> bool:
        """Whether nobody is on the node of a deleted environment. Of somebody else it is said there: the environment,
        which would say it, is gone."""
        if self._store.tenants.ours(node.name):
            return False
        if not self._store.tenants.others(node.name) and await is_really_empty(self._api, node.name):
            return True
        uid = next((uid for uid, name in self._store.node_names.items() if name == node.name), "")
        await self._events.post(Subject(NODES, None, node.name, uid), kept_for_others(node.name))
        return False

    async def _delete_strangers(
        self, provider: str, listed: set[str], mine: list[Declared[ComputeEnvironmentSpec]], now: float
    ) -> None:
        """Nodes of these environments whose instance is none any more, and that are not ready."""
        labels = {label_value(known.name) for known in mine}
        since = self._strangers[provider]
        present = set()
        for node in list(self._store.nodes.values()):
            if node.labels.get(LABEL_ENVIRONMENT) in labels and not node.ready and node.instance not in listed:
                present.add(node.name)
                if now - since.setdefault(node.name, now) >= STRANGER_SECONDS:
                    await self._losing.end_node(node.name, node.instance)
        self._strangers[provider] = {name: when for name, when in since.items() if name in present}


async def _all_of(parts: Collection[Coroutine[Any, Any, Result]]) -> list[Result]:
    """What all of them give, when all have ended: what is left of one round must not act in the next. Raises what one
    has raised; what others have is logged."""
    found = await asyncio.gather(*parts, return_exceptions=True)
    errors = [each for each in found if isinstance(each, BaseException)]
    # What nobody expects goes first: it ends the operator.
    errors.sort(key=lambda each: isinstance(each, ApiError | CapacityError))
    for error in errors[1:]:
        logger.warning("part of a round failed too", error=str(error))
    if errors:
        raise errors[0]
    return [each for each in found if not isinstance(each, BaseException)]
