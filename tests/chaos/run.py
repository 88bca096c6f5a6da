"""A run: one cluster, and for each round a namespace with a workload, the faults of the round, and the verdict."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from batchwright.local import cluster as local_cluster
from batchwright.local import install
from chaos import workload
from chaos.circumstances import circumstances
from chaos.exactlyonce import (
    PodWitness,
    differences,
    leftovers_after_deletion,
    leftovers_at_end,
    runs,
)
from chaos.faults import Fault
from chaos.ground import Ground, Struck
from chaos.logrecords import defects, tracebacks
from chaos.market import Market
from chaos.patient import PatientApi
from chaos.proxy import Proxy
from chaos.said import not_said_once
from operatorprocess import OperatorProcess

GRACE_SECONDS = "4"


@dataclass(frozen=True)
class Plan:
    """What a run does: by rounds, the faults that strike one after the other while a workload runs."""

    rounds: Sequence[Sequence[Fault]]
    seed: int = 1
    kills: int = 60
    objects: int = 10_000
    bounded: bool = False
    deadline_seconds: float = 180.0
    strike_seconds: float = 60.0


@dataclass
class Verdict:
    """What came of one round."""

    faults: tuple[str, ...]
    seconds: float
    jobs: int
    pods: int
    struck: dict[str, Struck]
    differences: list[str]
    writes: int = 0
    own_ends: int = 0
    errors: list[str] = field(default_factory=list)

    @property
    def is_right(self) -> bool:
        """Whether nothing was lost, repeated, left over or said to be a defect."""
        return not self.differences and not self.errors


class Run:
    """The cluster, the proxy and the operator of a run; a context manager."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._name = f"chaos-{os.getpid()}"
        self._buys = any(fault.buys for faults in plan.rounds for fault in faults)
        self._market: Market | None = None
        self._directory = tempfile.TemporaryDirectory(prefix="chaos-")
        self.log = Path(self._directory.name) / "operator.log"

    def __enter__(self) -> Run:
        directory = Path(self._directory.name)
        try:
            options = local_cluster.Options(name=self._name, runtime="binary", nodes=0, audit=True, aws=self._buys)
            self._cluster = local_cluster.up(options)
            install.apply_crds(self._cluster.kubeconfig)
            self._proxy = Proxy(self._cluster.kubeconfig, directory, self._plan.seed, self._strike_down)
            self._proxy.start()
        except BaseException:
            local_cluster.down(self._name)
            raise
        self._api = PatientApi(self._cluster.kubeconfig)
        self._operator = OperatorProcess(
            self._proxy.kubeconfig, self.log, "--log-format", "json", start_grace_seconds=GRACE_SECONDS
        )
        if self._cluster.aws_endpoint is not None:
            self._market = Market(self._cluster.aws_endpoint)
            self._operator.environment = self._market.environment()
        self._operator.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._operator.kill()
        self._proxy.stop()
        if self._market is not None:
            self._market.link.stop()
        local_cluster.down(self._name)
        self._directory.cleanup()

    def keep_log(self, path: str) -> None:
        """Copies what the operators of the run logged."""
        shutil.copy(self.log, path)

    def _strike_down(self) -> None:
        self._operator.strike_down()

    def round(self, number: int, faults: Sequence[Fault]) -> Verdict:
        """One round, in a namespace of its own."""
        began = time.monotonic()
        namespace = f"c{number}-{uuid.uuid4().hex[:5]}"
        chance = random.Random(f"{self._plan.seed}/{number}")
        self._api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        ground = Ground(
            self._api,
            namespace,
            self._cluster,
            self._proxy,
            self._operator,
            chance,
            bounded=self._plan.bounded,
            kills=self._plan.kills,
            objects=self._plan.objects,
            strike_seconds=self._plan.strike_seconds,
        )
        written = _writes(self._proxy)
        logged = len(self._operator.log)
        witness = PodWitness(self._api, namespace)
        batches = 0

        def more_work() -> None:
            nonlocal batches
            workload.submit(ground, f"w{batches}-")
            batches += 1

        ground.more_work = more_work
        ground.market = self._market
        try:
            workload.prepare(ground)
            more_work()
            for fault in faults:
                ground.keep_busy()
                fault.inject(ground)
            found = [f"{name} struck nothing" for name in [*without_effect(faults, ground.struck), *ground.missed]]
            found += self._judge(ground, witness, logged)
            counted, _ = runs(ground, witness)
        finally:
            witness.stop()
            ground.close()
            self._api.delete("Namespace", namespace)
        log = self._operator.log[logged:]
        return Verdict(
            tuple(fault.name for fault in faults),
            time.monotonic() - began,
            len(ground.wants),
            sum(each.total() for each in counted.values()),
            ground.struck,
            found,
            _writes(self._proxy) - written,
            len(ground.own_ends),
            [*defects(log), *(f"an operator ended with {error}" for error in tracebacks(log))],
        )

    def _judge(self, ground: Ground, witness: PodWitness, logged: int) -> list[str]:
        in_time = ground.until(lambda: not ground.open_jobs(), self._plan.deadline_seconds)
        found = []
        if not in_time:
            log = self._operator.log[logged:]
            found = [
                f"not finished: {self._where(ground, name)}; {circumstances(ground, name, log)}"
                for name in ground.open_jobs()
            ]
        if in_time:
            found += leftovers_at_end(ground)
        found += differences(ground, witness)
        found += not_said_once(ground, self._operator.log[logged:])
        return found + leftovers_after_deletion(ground)

    @staticmethod
    def _where(ground: Ground, name: str) -> str:
        status = ground.statuses().get(name, {})
        return f"{name} is {status.get('state')}: {status.get('statusReason')}"


def without_effect(faults: Sequence[Fault], struck: Mapping[str, Struck]) -> list[str]:
    """The names of the faults that did not strike: what they are to show was not shown."""
    return [fault.name for fault in faults if struck.get(fault.name, Struck()).times == 0]


def _writes(proxy: Proxy) -> int:
    return sum(count for what, count in proxy.counts.items() if what.split(" ")[0] not in ("read", "watch"))
