"""Where faults strike: a namespace with a workload, the operator behind the proxy, and the cluster's own processes.

A fault blocks in `pause`, `until` and `strike_for` only: there the workload's wishes are tended (jobs ended once they
run) and an operator that has ended is started again, as a kubelet would; how often that was is counted.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from apiserver import Manifest, Refused
from batchwright.local import cluster as local_cluster
from batchwright.local import controlplane, processes
from batchwright.local.state import load_state
from chaos.market import Market
from chaos.patient import PatientApi
from chaos.proxy import Proxy
from chaos.strikes import Rule
from operatorprocess import OperatorProcess
from stage import FINAL, Stage, count_of

STEP_SECONDS = 0.2
RESTART_SECONDS = 1.0
# Retries wait for their back-off: with so few jobs open, an operator may have nothing to do for long.
FEW = 6
# How long a batch of work takes to make the operator write, read and tell.
WORK_SECONDS = 5.0


@dataclass(frozen=True)
class Want:
    """What a job must end as. `runs` says how many pods of each index run, `codes` the exit codes of a single job's
    attempts; None: whatever was said, as long as what ran agrees with it. `reason` is part of its statusReason.
    `most`: so often each element of an array runs at most, where `runs` does not say. `extra`: so many pods of a job,
    or of a multi-node job's main node, may run beyond what its attempts and preemptions say. `deleted`: the BatchJob is
    deleted on the way, and nothing of it is left."""

    state: str
    runs: Mapping[int, int] | None = None
    codes: tuple[int | None, ...] | None = None
    reason: str = ""
    deleted: bool = False
    extra: int = 0
    most: int = 1


@dataclass
class Wish:
    """Something to be done to a job once its status is such, by hand of a user; done once."""

    name: str
    when: Callable[[Mapping[str, object]], bool]
    do: Callable[[], None]
    is_done: bool = False


@dataclass
class Struck:
    """What a fault did: how often, by what, and notes for the report."""

    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    @property
    def times(self) -> int:
        """How often it struck."""
        return self.counts.total()


class Ground(Stage):
    """A namespace of one round. `bounded` asks faults to be as short as still makes sense; `strike_seconds` is how much
    longer than it lasts a fault waits for something to strike."""

    def __init__(
        self,
        api: PatientApi,
        namespace: str,
        cluster: local_cluster.Cluster,
        proxy: Proxy,
        operator: OperatorProcess,
        chance: random.Random,
        *,
        bounded: bool,
        kills: int,
        objects: int,
        strike_seconds: float,
    ) -> None:
        super().__init__(api, namespace)
        self.cluster, self.proxy, self.operator = cluster, proxy, operator
        self.chance, self.bounded, self.kills, self.objects = chance, bounded, kills, objects
        self.strike_seconds = strike_seconds
        self.wants: dict[str, Want] = {}
        self.ids: dict[str, str] = {}
        self.wishes: list[Wish] = []
        # Multi-node jobs, by name, of which a user ends the main node: how many nodes they have.
        self.gangs: dict[str, int] = {}
        self.struck: dict[str, Struck] = {}
        self.missed: list[str] = []
        self.own_ends: list[str] = []
        self.more_work: Callable[[], None] = lambda: None
        # Where instances are bought, in a run of which a fault strikes there.
        self.market: Market | None = None
        self._restart_at = 0.0

    def want(self, name: str, job_id: str, want: Want) -> None:
        """The job must end so."""
        self.wants[name], self.ids[name] = want, job_id

    def wish(self, name: str, state: str, change: Manifest) -> None:
        """The job's spec is changed so, once it is in the state; "ELEMENT RUNNING": once an element of it runs."""

        def holds(status: Mapping[str, object]) -> bool:
            return count_of(dict(status), "RUNNING") > 0 if state == "ELEMENT RUNNING" else status.get("state") == state

        def do() -> None:
            self.api.patch("BatchJob", name, self.namespace, {"spec": change})

        self.wishes.append(Wish(name, holds, do))

    def strike(self, fault: str, what: str = "", count: int = 1) -> None:
        """The fault struck."""
        self.struck.setdefault(fault, Struck()).counts[what or fault] += count

    def strike_each(self, fault: str, struck: Mapping[str, int]) -> None:
        """The fault struck, by what and how often."""
        for what, count in struck.items():
            self.strike(fault, what, count)

    def miss(self, fault: str, what: str) -> None:
        """A part of the fault found nothing to strike, which is a difference: what it is to show was not shown."""
        self.missed.append(f"{fault}: {what}")

    def note(self, fault: str, text: str) -> None:
        """Something the report is to say of the fault."""
        self.struck.setdefault(fault, Struck()).notes.append(text)

    def statuses(self) -> dict[str, dict[str, object]]:
        """The statuses of the namespace's BatchJobs by name."""
        return {job["metadata"]["name"]: job.get("status") or {} for job in self.api.list("BatchJob", self.namespace)}

    def open_jobs(self) -> list[str]:
        """The wanted jobs that have not finished."""
        statuses = self.statuses()
        return [
            name
            for name, want in self.wants.items()
            if not want.deleted and statuses.get(name, {}).get("state") not in FINAL
        ]

    def tend(self) -> None:
        """Does what is due: wishes, and the start of an operator that has ended."""
        if self.operator.has_ended and time.monotonic() >= self._restart_at:
            self.own_ends.append(self.operator.log[-1500:])
            self.restart_operator()
            self._restart_at = time.monotonic() + RESTART_SECONDS
        self.tend_wishes()

    def tend_wishes(self) -> None:
        """Does what users are to do by now."""
        due = [wish for wish in self.wishes if not wish.is_done]
        if due:
            statuses = self.statuses()
            for wish in due:
                if wish.when(statuses.get(wish.name, {})):
                    wish.do()
                    wish.is_done = True
        if self.gangs:
            self._tend_gangs(self.statuses())

    def _tend_gangs(self, statuses: Mapping[str, Mapping[str, object]]) -> None:
        """Ends the attempts of multi-node jobs of which all nodes run: none ends with a node that was never made."""
        for name, size in list(self.gangs.items()):
            state = statuses.get(name, {}).get("state")
            if state in FINAL:
                del self.gangs[name]
            elif state == "RUNNING":
                try:
                    self.end_if_all_run(self.ids[name], size)
                except Refused as refused:
                    if refused.status != 404:
                        raise

    def restart_operator(self) -> None:
        """kill -9 of what is left of the operator, and a new one, which is not waited for."""
        self.operator.kill()
        self.operator.start(wait=False)

    def pause(self, seconds: float) -> None:
        """Lets the world go on for so long."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.tend()
            time.sleep(min(STEP_SECONDS, max(left, 0.0)))

    def until(self, holds: Callable[[], bool], seconds: float, *, tending: bool = True) -> bool:
        """Whether the condition came to hold in time."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                return False
            if tending:
                self.tend()
            time.sleep(STEP_SECONDS / 4)
        return True

    def keep_busy(self) -> None:
        """Submits more work where hardly any is left: a fault that meets an idle operator proves nothing."""
        if len(self.open_jobs()) < FEW:
            self.more_work()

    def until_struck(self, struck: Callable[[], bool]) -> bool:
        """Whether the fault struck in time; more work is submitted for as long as there is nothing to strike."""
        deadline = time.monotonic() + self.strike_seconds
        while not struck():
            if time.monotonic() > deadline:
                return False
            self.more_work()
            self.until(struck, WORK_SECONDS)
        return True

    def strike_for(self, fault: str, rule: Rule, seconds: float, what: str = "") -> None:
        """The rule holds for so long, and on until it has struck; what it struck is counted. `what` says which of the
        fault's rules it is."""
        with self.proxy.rule(rule):
            self.pause(seconds)
            if not self.until_struck(lambda: bool(rule.struck)):
                self.miss(fault, what or str(rule.strike))
        self.strike_each(fault, rule.struck)

    def lasting(self, bounded: float, full: float) -> float:
        """Seconds that a fault lasts: in a bounded run, and else."""
        return bounded if self.bounded else full

    def restart_component(self, component: str) -> float:
        """kill -9 of a component of the control plane, and its start; seconds until the API server answered again."""
        state = load_state(self.cluster.directory)
        assert state is not None, "the cluster has no state"
        began = time.monotonic()
        ended = processes.end(self.cluster.directory, [component], seconds=0)
        assert ended, f"{component} did not run"
        controlplane.start(self.cluster.directory, state)
        return time.monotonic() - began
