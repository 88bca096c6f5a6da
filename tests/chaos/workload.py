"""A seeded workload of every kind of job, on simulated nodes, and what each must end as whatever strikes meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from chaos import bought
from chaos.ground import Ground, Want

CPU = "500m"
SIZE = 14
MACHINES = 3
MOST_OF_A_MACHINE = "5"
OWNER_LENDS = {"strategy": "LEND"}
BORROWS = {"strategy": "LEND_AND_BORROW", "borrowLimit": -1}


@dataclass(frozen=True)
class Planned:
    """One BatchJob to be submitted, what it must end as, and in which state its spec is changed how. `nodes`: how many
    a multi-node job has, whose attempts are ended when all of them run."""

    name: str
    definition: str
    want: Want
    queue: str = "queue"
    spec: Mapping[str, Any] = field(default_factory=dict)
    wish: tuple[str, dict[str, Any]] | None = None
    nodes: int = 0


def prepare(ground: Ground) -> None:
    """Nodes, environments, queues and definitions."""
    ground.nodes(MACHINES, cpu=8)
    ground.environment()
    ground.queue()
    # Another queue on the same nodes: arrays of this one come with gates, those of `alone` without.
    ground.queue("other", priority=5)
    ground.nodes(1, cpu=8, group="alone")
    ground.environment("alone", group="alone")
    ground.queue("alone", f"{ground.namespace}-alone")
    ground.nodes(1, cpu=2, group="shared")
    ground.environment("shared", group="shared")
    ground.queue(
        "shares",
        f"{ground.namespace}-shared",
        quotaShares=[_share("lab", OWNER_LENDS), _share("shop", BORROWS)],
    )
    ground.simulated("good", cpu=CPU, simulate={"seconds": "0.4"})
    ground.simulated("bad", cpu=CPU, simulate={"seconds": "0.3", "exit-code": "5"})
    again = {"exit-code": "5", "fail-attempts": "1"}
    ground.simulated("again", cpu=CPU, simulate=again, retryStrategy={"attempts": 2})
    ground.simulated("endless", cpu=CPU, simulate={"seconds": "3000"}, retryStrategy={"attempts": 2})
    ground.simulated("unpullable", cpu=CPU, simulate={"reason": "ImagePullBackOff"})
    judged = {"attempts": 3, "evaluateOnExit": [{"onReason": "OutOfMemory*", "action": "EXIT"}]}
    ground.simulated("judged", cpu=CPU, simulate={"exit-code": "137", "reason": "OOMKilled"}, retryStrategy=judged)
    ground.simulated("borrower", cpu="1", simulate={"seconds": "6"})
    ground.simulated("owner", cpu="1", simulate={"seconds": "1"})
    # They end when all of their nodes run. No machine has room for nodes of two: whole, one runs at one time.
    ground.gang("gang", cpu=MOST_OF_A_MACHINE, main={"seconds": "3000"})
    twice = {"seconds": "3000", "exit-code": "5", "fail-attempts": "1"}
    ground.gang("gang-again", cpu=CPU, main=twice, retryStrategy={"attempts": 2})
    if ground.market is not None:
        bought.prepare(ground)


def _share(name: str, sharing: Mapping[str, Any]) -> dict[str, Any]:
    limits = [{"capacityUnit": "vcpu", "maxCapacity": 1}]
    return {"name": name, "capacityLimits": limits, "resourceSharingConfiguration": sharing}


def submit(ground: Ground, prefix: str = "") -> None:
    """The whole workload, in an order by chance; every name begins with the prefix."""
    flaky = sorted(ground.chance.sample(range(SIZE), 2))
    broken = sorted(ground.chance.sample(range(SIZE), 3))
    again = {"seconds": "0.4", "exit-code": "5", "fail-attempts": "1", "fail-indexes": _listed(flaky)}
    ground.simulated(f"{prefix}flaky", cpu=CPU, simulate=again, retryStrategy={"attempts": 2})
    fails = {"seconds": "0.4", "exit-code": "6", "fail-indexes": _listed(broken)}
    ground.simulated(f"{prefix}broken", cpu=CPU, simulate=fails)
    planned = [*_singles(prefix), *_ended(prefix), *_sharing(prefix), *_arrays(prefix, flaky, broken), *_gangs(prefix)]
    ground.chance.shuffle(planned)
    for each in planned:
        job_id = ground.submit(each.name, each.definition, queue=each.queue, **each.spec)
        ground.want(each.name, job_id, each.want)
        if each.nodes:
            ground.gangs[each.name] = each.nodes
        if each.wish is not None:
            ground.wish(each.name, *each.wish)
    if ground.market is not None:
        bought.submit(ground)


def _listed(indexes: Iterable[int]) -> str:
    return ",".join(map(str, indexes))


def _once(codes: tuple[int | None, ...], reason: str = "") -> Want:
    """A single job that ends with these exit codes of its attempts."""
    runs = {0: len(codes)} if codes else {}
    return Want("SUCCEEDED" if codes and codes[-1] == 0 else "FAILED", runs, codes, reason)


def _singles(prefix: str) -> Iterator[Planned]:
    """Single jobs that end by themselves: all endings there are, and dependencies on all of them."""
    for number in range(4):
        depends = [{"name": f"{prefix}ok{number - 1}"}] if number % 2 else []
        yield Planned(f"{prefix}ok{number}", "good", _once((0,)), spec={"dependsOn": depends})
    yield Planned(f"{prefix}bad", "bad", _once((5,)), "alone")
    yield Planned(f"{prefix}again", "again", _once((5, 0)))
    yield Planned(f"{prefix}judged", "judged", _once((137,)))
    slow = {"timeout": {"attemptDurationSeconds": 2}}
    yield Planned(f"{prefix}slow", "endless", Want("FAILED", {0: 1}, reason="exceeded timeout"), spec=slow)
    yield Planned(f"{prefix}unpullable", "unpullable", Want("FAILED", {0: 1}, (None,), "Task failed to start"))

    def after(name: str, condition: str) -> dict[str, Any]:
        return {"dependsOn": [{"name": f"{prefix}{name}", "condition": condition}]}

    yield Planned(f"{prefix}rescue", "good", _once((0,)), spec=after("bad", "Failed"))
    yield Planned(f"{prefix}anyway", "good", _once((0,)), spec=after("again", "Completed"))
    orphaned = _once((), "Dependent Job failed")
    yield Planned(f"{prefix}orphaned", "good", orphaned, spec={"dependsOn": [{"name": f"{prefix}bad"}]})
    unneeded = _once((), "Dependent Job succeeded")
    yield Planned(f"{prefix}unneeded", "good", unneeded, spec=after("ok0", "Failed"))
    for name, other in (("left", "right"), ("right", "left")):
        depends = [{"name": f"{prefix}{other}"}]
        # One of the two closes the cycle; the other fails with it, or closes it too.
        yield Planned(f"{prefix}{name}", "good", _once(()), spec={"dependsOn": depends})


def _ended(prefix: str) -> Iterator[Planned]:
    """Jobs that somebody ends."""
    waits = {"dependsOn": [{"name": f"{prefix}nobody"}]}
    cancel = ("PENDING", {"cancel": {"reason": "not needed"}})
    yield Planned(f"{prefix}cancelled", "good", _once((), "not needed"), spec=waits, wish=cancel)
    enough = ("RUNNING", {"terminate": {"reason": "enough"}})
    yield Planned(f"{prefix}terminated", "endless", Want("FAILED", {0: 1}, reason="enough"), wish=enough)
    array = {"arrayProperties": {"size": 4}}
    # Terminated as soon as one element runs: which of the others had started is known only afterwards.
    yield Planned(f"{prefix}cutshort", "endless", Want("FAILED"), "alone", array, wish=("ELEMENT RUNNING", enough[1]))


def _sharing(prefix: str) -> Iterator[Planned]:
    """Two borrow all there is; the owner comes, and one of them has to go back and run again."""
    # A suspension that arrives late stops the job once more than is counted.
    preempted = Want("SUCCEEDED", codes=(0,), extra=1)
    for number in range(2):
        spec = {"quotaShareName": "shop"}
        yield Planned(f"{prefix}borrower{number}", "borrower", preempted, "shares", spec)
    owner = {"quotaShareName": "lab", "dependsOn": [{"name": f"{prefix}ok0"}]}
    yield Planned(f"{prefix}owner", "owner", _once((0,)), "shares", owner)


def _gangs(prefix: str) -> Iterator[Planned]:
    """Multi-node jobs: two that need all machines of the environment each, and one that fits beside either."""
    for name in ("gang", "gang-too"):
        yield Planned(f"{prefix}{name}", "gang", Want("SUCCEEDED", codes=(0,)), nodes=MACHINES)
    one = {"nodeOverrides": {"numNodes": 2}}
    yield Planned(f"{prefix}gang-again", "gang-again", Want("SUCCEEDED", codes=(5, 0)), spec=one, nodes=2)


def _arrays(prefix: str, flaky: list[int], broken: list[int]) -> Iterator[Planned]:
    """Arrays with and without gates, in pairs, in line, few at a time, with parameters of their own."""
    once = dict.fromkeys(range(SIZE), 1)
    twice = once | dict.fromkeys(flaky, 2)

    def array(size: int = SIZE, *depends: dict[str, str], **properties: Any) -> dict[str, Any]:
        return {"arrayProperties": {"size": size, **properties}, "dependsOn": list(depends)}

    def pairs(name: str) -> dict[str, str]:
        return {"name": f"{prefix}{name}", "type": "N_TO_N"}

    def without(runs: dict[int, int], indexes: list[int]) -> dict[int, int]:
        return {index: count for index, count in runs.items() if index not in indexes}

    yield Planned(f"{prefix}plain", f"{prefix}flaky", Want("SUCCEEDED", twice), "alone", array())
    yield Planned(f"{prefix}first", f"{prefix}broken", Want("FAILED", once), spec=array())
    second = Want("FAILED", without(twice, broken))
    yield Planned(f"{prefix}second", f"{prefix}flaky", second, spec=array(SIZE, pairs("first")))
    third = Want("FAILED", without(once, broken))
    yield Planned(f"{prefix}third", "good", third, "alone", array(SIZE, pairs("second")))
    few = Want("SUCCEEDED", dict.fromkeys(range(10), 1))
    yield Planned(f"{prefix}few", "good", few, "other", array(10, maxConcurrency=3))
    line = Want("SUCCEEDED", dict.fromkeys(range(5), 1))
    yield Planned(f"{prefix}line", "good", line, spec=array(5, {"type": "SEQUENTIAL"}))
    rows = {"arrayProperties": {"items": {"list": [{"file": f"{number}.txt"} for number in range(4)]}}}
    yield Planned(f"{prefix}items", "good", Want("SUCCEEDED", dict.fromkeys(range(4), 1)), spec=rows)
