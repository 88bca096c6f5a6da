"""What environments grow by, worked out along one pass: pods that found no room go to nodes that are on their way, and
those for which there is none of these either become demand.

Invariants: what is on its way is counted once; demand is for pods that a node the environment may start would take, in
the order of the pass; it stays within the environment's maxvCpus but for its last pod (AWS: "never exceeds maxvCpus by
more than a single instance").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice

from batchwright.domain.observations import Node
from batchwright.names import INSTANCE_TYPE, LABEL_PLACEMENT_GROUP, ZONE
from batchwright.scheduling.coming import Run, Runs
from batchwright.scheduling.nearness import Labels, apart, missing, options
from batchwright.scheduling.offers import Bill, Fitting, bill, fitting, room_for, suits
from batchwright.scheduling.room import Room, cpu_of
from batchwright.scheduling.snapshot import Demand, Gang, Growth, Shape, Shortfall, Topology, WaitKind
from batchwright.scheduling.state import State

# Beyond so many kinds of request an environment is not asked to grow for more at one time.
MOST_SHAPES = 200
# So many places are looked at for the machines of one gang that are to be close to each other.
MOST_PLACES = 32


class Growing:
    """The growth of every environment during one pass."""

    def __init__(self, state: State, room: Room) -> None:
        self._state = state
        self._room = room
        self._runs: dict[str, Runs] = {}
        self._left = {name: growth.left for name, growth in state.growth.items()}
        self._cpu: Counter[str] = Counter()
        self._wanted: dict[tuple[str, Shape], int] = {}
        self._shapes: Counter[str] = Counter()
        self._suited: dict[tuple[int, str, Shape], bool] = {}
        # Machines that are there and wait for others to come, for the rest of a gang: they are not idle.
        self.kept: set[str] = set()

    def has(self, name: str) -> bool:
        """Whether the environment grows at all."""
        return name in self._state.growth

    def most_cpu(self, name: str) -> int | None:
        """The milli-vCPUs the environment may grow to; None for one that does not grow."""
        growth = self._state.growth.get(name)
        return None if growth is None else growth.most

    def take(self, name: str, shape: Shape, count: int) -> int:
        """Takes what is coming for up to so many pods, and asks for the rest: how many are provided for."""
        environment = self._state.environments.get(name)
        if environment is None or count <= 0:
            return 0
        cpu = cpu_of(shape)
        left = self._room.vcpus_left(name)
        if left is not None and cpu:
            count = min(count, max(0, left - self._cpu[name]) // cpu)
        taken = self._from_coming(name, shape, count)
        taken += self._ask(name, shape, count - taken)
        self._cpu[name] += taken * cpu
        return taken

    def take_gang(self, name: str, gang: Gang, asked: Mapping[Shape, int], there: set[str]) -> bool:
        """The same for these nodes of a gang, all of them, or nothing is taken. Nodes that are coming are for it alone
        then, so that there are as many as it needs; those that are `there` wait for them."""
        environment, total = self._state.environments.get(name), cpu_of(gang.total)
        left = self._room.vcpus_left(name) if environment is not None else 0
        if environment is None or (left is not None and total > left - self._cpu[name]):
            return False
        self._make_runs(name)
        required = {level.key for level in gang.topology if level.is_required}
        for labels in islice(self._together(name, gang, asked, there), MOST_PLACES):
            # Of what is only preferred, nothing that is coming is bought again.
            needed = tuple(label for label in labels if label[0] in required)
            if self._take_all(name, gang, asked, needed, labels):
                self.kept |= there
                self._cpu[name] += total
                return True
        return False

    def _take_all(self, name: str, gang: Gang, asked: Mapping[Shape, int], needed: Labels, wanted: Labels) -> bool:
        """Of what is coming, that with the labels that are needed; of what is asked for, that with those wanted."""
        kept = set(self.kept)
        before = self._runs[name].copy(), self._left.get(name, 0), dict(self._wanted)
        shapes = self._shapes[name]
        taking = {shape: apart(shape, gang, needed) for shape in asked}
        takers = {
            id(run): [shape for shape in asked if self._takes(run, name, taking[shape])] for run in self._runs[name]
        }
        rest: dict[Shape, int] = {}
        most = {
            id(run): max((room_for(run.free, taking[shape]) for shape in takers[id(run)]), default=0)
            for run in self._runs[name]
        }
        # As such machines will be given out (scheduling.gang): what fits the fewest of them first, and of them those
        # that the fewest others fit; of these those that take the most, and then the smallest, for what comes after it
        # may need the large ones.
        for shape in sorted(asked, key=lambda each: (sum(each in found for found in takers.values()), each)):
            runs = sorted(self._runs[name], key=lambda run: (len(takers[id(run)]), -most[id(run)], run.order))
            found = self._from_coming(name, taking[shape], asked[shape], runs, is_alone=True)
            rest[apart(shape, gang, wanted)] = asked[shape] - found
        if self._ask_all(name, {shape: count for shape, count in rest.items() if count > 0}):
            return True
        self._runs[name], self._left[name], self._wanted = before
        self._shapes[name], self.kept = shapes, kept
        return False

    def _ask_all(self, name: str, asked: Mapping[Shape, int]) -> bool:
        """Asks for all of these, if maxvCpus leaves room for machines for all of them, the last of which may exceed it;
        what is launched for them is held to the same (capacity.launching)."""
        whole = Bill()
        for shape, count in asked.items():
            if not self._may_ask(name, shape):
                return False
            found = [
                bill(each.node.allocatable, each.vcpus, shape, count) for each in self._fitting(name, shape).offers
            ]
            whole += min((each for each in found if each), key=lambda each: (each.total, each.largest))
        if asked and not whole.is_within(self._left[name]):
            return False
        for shape, count in asked.items():
            self._want(name, shape, count)
        self._left[name] = self._left.get(name, 0) - whole.total
        return True

    def _together(
        self, name: str, gang: Gang, asked: Collection[Shape], there: Collection[str] = ()
    ) -> Iterator[Labels]:
        """The labels that new machines for these nodes of a gang could share, the best first; nothing where none is to
        be had that must be."""
        topology = self._topology(name, gang)
        if not topology or name not in self._state.growth:
            return iter(((),))
        runs, nodes = self._make_runs(name), self._state.nodes
        kinds = {shape: [offer.node for offer in self._fitting(name, shape).offers] for shape in asked}
        for shape, known in kinds.items():
            known += [run.node for run in runs if self._takes(run, name, shape)]
        near: list[Mapping[str, str]] = [run.node.labels for run in runs for _ in range(min(run.count, gang.size))]
        columns = [column for each in there if (column := nodes.column(each)) is not None]
        near += [{level.key: nodes.label(column, level.key) for level in topology} for column in columns]
        return options(topology, kinds, near)

    def _topology(self, name: str, gang: Gang) -> tuple[Topology, ...]:
        """What the gang asks for, and one zone for a placement group: a cluster placement group cannot span zones (EC2
        User Guide). Others may, so it is only preferred."""
        growth = self._state.growth.get(name)
        every = growth.offers + growth.barred if growth is not None else ()
        is_grouped = any(LABEL_PLACEMENT_GROUP in offer.node.labels for offer in every)
        if not is_grouped or any(level.key in (ZONE, LABEL_PLACEMENT_GROUP) for level in gang.topology):
            return gang.topology
        return (Topology(ZONE), *gang.topology)

    def unshared(self, name: str, gang: Gang) -> str:
        """A label that all nodes of the gang must share, and that the environment cannot give them, whatever is to be
        had; empty for none."""
        growth = self._state.growth[name]
        known = {shape: self._fitting(name, shape) for shape in gang.counts}
        kinds = {shape: [offer.node for offer in each.offers + each.barred] for shape, each in known.items()}
        return missing(gang.topology, kinds) if growth.is_known and all(kinds.values()) else ""

    def lacking(self, name: str, gang: Gang) -> tuple[dict[Shape, int], set[str]]:
        """How many nodes of each shape found no room on machines that are there, and are not new; and the machines
        where the others did."""
        growth = self._state.growth.get(name)
        fresh = {node.name for node in growth.unused} if growth is not None else set()
        return self._room.lacking(name, gang, fresh)

    def hold(self, name: str, shape: Shape, count: int) -> None:
        """As `take`, for pods that were started already: the environment's vCPUs count them."""
        if name in self._state.environments and count > 0:
            self._ask(name, shape, count - self._from_coming(name, shape, count))

    def demand(self) -> tuple[Demand, ...]:
        """What is asked for, in the order in which it was."""
        growth = self._state.growth
        return tuple(Demand(name, shape, count, growth[name].version) for (name, shape), count in self._wanted.items())

    def why_not(self, name: str, shape: Shape) -> WaitKind:
        """Why the environment does not grow for the pod."""
        growth, known = self._state.growth[name], self._fitting(name, shape)
        if known.offers:
            most = self._state.environments[name].max_vcpus
            return WaitKind.OVER_MAXIMUM if most is not None and cpu_of(shape) > most else WaitKind.AT_MAXIMUM
        if known.barred:
            return WaitKind.INSUFFICIENT
        if not growth.is_known:
            return WaitKind.NO_NODES
        return WaitKind.NEVER_FITS if known.suited else WaitKind.UNSUITABLE

    def why_no_gang(self, name: str, gang: Gang) -> set[WaitKind]:
        """Why the environment does not grow for each of the nodes of the gang, or for all of them together."""
        if self.unshared(name, gang):
            return {WaitKind.UNSUITABLE}
        kinds = {self.why_not(name, shape) for shape in gang.counts}
        return (
            kinds
            if next(self._together(name, gang, gang.counts), None) is not None
            else kinds | {WaitKind.INSUFFICIENT}
        )

    def barred(self, name: str, shape: Shape) -> set[str]:
        """The instance types that would take the pod, and that nobody has to give at present."""
        if not self.has(name):
            return set()
        return {each.node.labels.get(INSTANCE_TYPE, each.node.name) for each in self._fitting(name, shape).barred}

    def shortfall(self, name: str, shape: Shape) -> Shortfall:
        """The offer that comes closest to taking the pod, and what it is short of."""
        growth, environment = self._state.growth[name], self._state.environments[name]
        every = growth.offers + growth.barred
        found = [offer.node.allocatable for offer in every if suits(offer.node, environment, shape)]
        used, limit = self._room.vcpus_of(name), environment.max_vcpus
        kinds = len({offer.node.name for offer in every})
        if not found:
            return Shortfall(name, kinds, used=used, limit=limit, of="kinds of node")
        best = min(found, key=lambda has: _distance(has, shape))
        missing = {key: amount - best.get(key, 0) for key, amount in shape.resources if amount > best.get(key, 0)}
        return Shortfall(name, kinds, best, missing, used, limit, of="kinds of node")

    def describe(self, name: str) -> str:
        """What is on its way to the environment, in words."""
        growth = self._state.growth[name]
        coming = sum(count for _, count in growth.coming)
        pods = sum(count for (asked, _), count in self._wanted.items() if asked == name)
        told = [f"{coming} nodes of it are on their way"] if coming else []
        return " and ".join(told + ([f"more are to be started for {pods} pods"] if pods else []))

    def _fitting(self, name: str, shape: Shape) -> Fitting:
        found = self._state.offers_for.get((name, shape))
        if found is None:
            found = fitting(self._state.growth[name], self._state.environments[name], shape)
            self._state.offers_for[name, shape] = found
        return found

    def _ask(self, name: str, shape: Shape, count: int) -> int:
        if count <= 0 or not self._may_ask(name, shape):
            return 0
        cost = self._fitting(name, shape).cost
        count = min(count, -(-self._left[name] // cost))
        self._left[name] -= count * cost
        self._want(name, shape, count)
        return count

    def _may_ask(self, name: str, shape: Shape) -> bool:
        if name not in self._state.growth or self._left[name] <= 0:
            return False
        if (name, shape) not in self._wanted and self._shapes[name] >= MOST_SHAPES:
            return False
        most = self._state.environments[name].max_vcpus
        return bool(self._fitting(name, shape).offers) and (most is None or cpu_of(shape) <= most)

    def _want(self, name: str, shape: Shape, count: int) -> None:
        if (name, shape) not in self._wanted:
            self._shapes[name] += 1
            self._wanted[name, shape] = 0
        self._wanted[name, shape] += count

    def _make_runs(self, name: str) -> Runs:
        runs = self._runs.get(name)
        if runs is None:
            growth = self._state.growth.get(name)
            runs = self._runs[name] = Runs() if growth is None else self._runs_of(growth)
        return runs

    def _takes(self, run: Run, name: str, shape: Shape) -> bool:
        return self._suits(run.node, name, shape) and room_for(run.free, shape) > 0

    def _from_coming(
        self, name: str, shape: Shape, count: int, order: Iterable[Run] | None = None, *, is_alone: bool = False
    ) -> int:
        runs = self._make_runs(name)
        rest = count
        for run in runs.could_take(shape) if order is None else order:
            if rest <= 0:
                break
            fits = room_for(run.free, shape)
            if not fits or not self._suits(run.node, name, shape):
                continue
            full = min(run.count, rest // fits)
            last = rest - full * fits if full < run.count else 0
            if is_alone:
                self.kept.add(run.node.name)
            else:
                runs.put(run.node, _less(run.free, shape, fits), full)
                runs.put(run.node, _less(run.free, shape, last), 1 if last else 0)
            rest -= full * fits + last
            runs.take(run, full + (last > 0))
        return count - rest

    def _runs_of(self, growth: Growth) -> Runs:
        # What something starts on in this pass suits it after all.
        alone = ((node, 1) for node in growth.unused if self._room.is_untouched(node.name))
        return Runs((*growth.coming, *alone))

    def _suits(self, node: Node, name: str, shape: Shape) -> bool:
        key = (id(node), name, shape)
        found = self._suited.get(key)
        if found is None:
            found = self._suited[key] = suits(node, self._state.environments[name], shape)
        return found


def _less(free: Mapping[str, int], shape: Shape, count: int) -> dict[str, int]:
    asked = dict(shape.resources)
    return {name: amount - asked.get(name, 0) * count for name, amount in free.items()}


def _distance(has: Mapping[str, int], shape: Shape) -> float:
    return sum(max(0, amount - has.get(name, 0)) / amount for name, amount in shape.resources if amount > 0)
