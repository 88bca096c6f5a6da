"""`python -m chaos.soak`: the work of hours in minutes, and the operator's memory meanwhile, which must stay flat.

Time is short by simulation: pods last a tenth of a second, and what has finished is deleted after seconds. Everything a
store could forget to forget comes and goes: jobs of every end, retries, arrays, dependencies, definitions and their
revisions. Garbage is collected each second, so that what waits for that is not taken for what is kept. Memory is
compared by jobs, not by hours: two hours of a job a second are 7,200 jobs.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import linear_regression, median
from tempfile import TemporaryDirectory
from typing import Annotated

import orjson
import typer

from batchwright.local import cluster as local_cluster
from batchwright.local import install
from chaos.patient import PatientApi
from operatorprocess import OperatorProcess
from stage import FINAL, Stage

MEBIBYTE = 1 << 20
COLLECTING = Path(__file__).parent / "collecting"
# So many jobs are open at one time, as a rule: memory follows them, and it is the rest that is looked for.
OPEN = 60
BATCH = 12
SAMPLE_SECONDS = 1.0
CLEAN_SECONDS = 120
# Far beyond their ends: what is noted for then must go with the jobs.
LONG = {"attemptDurationSeconds": 14 * 86400}
# MiB per 1,000 jobs. The last four minutes that were measured (docs/reliability.md) grew by 1 MiB in 336 jobs.
MOST = 5.0
RETENTION = {"podSeconds": 2, "jobSeconds": 4}


@dataclass(frozen=True)
class Sample:
    """At a moment: seconds since the start, jobs that were submitted so far, and memory in MiB."""

    seconds: float
    jobs: int
    mib: float


@dataclass(frozen=True)
class Verdict:
    """What the tail of the samples says: growth in MiB per 1,000 jobs, and from its first third to its last."""

    jobs: int
    seconds: float
    mib_per_1000_jobs: float
    growth_mib: float
    peak_mib: float

    def is_flat(self, most: float) -> bool:
        """Whether memory grew by no more than `most` MiB per 1,000 jobs."""
        return self.mib_per_1000_jobs <= most


def judge(samples: Sequence[Sample]) -> Verdict:
    """The verdict on the second half of the samples; the first is warming up."""
    tail = samples[len(samples) // 2 :]
    slope = linear_regression([each.jobs for each in tail], [each.mib for each in tail]).slope
    third = len(tail) // 3
    growth = median(each.mib for each in tail[-third:]) - median(each.mib for each in tail[:third])
    return Verdict(
        jobs=tail[-1].jobs - tail[0].jobs,
        seconds=round(tail[-1].seconds - tail[0].seconds, 1),
        mib_per_1000_jobs=round(slope * 1000, 3),
        growth_mib=round(growth, 2),
        peak_mib=round(max(each.mib for each in samples), 1),
    )


class Soak:
    """A cluster with an operator, and work that comes and goes; a context manager."""

    def __init__(self) -> None:
        self._name = f"soak-{os.getpid()}"
        self._directory = TemporaryDirectory(prefix="soak-")
        self._submitted = 0

    def __enter__(self) -> Soak:
        try:
            made = local_cluster.up(local_cluster.Options(name=self._name, runtime="binary", nodes=0))
            install.apply_crds(made.kubeconfig)
            self._operator = OperatorProcess(
                made.kubeconfig,
                Path(self._directory.name) / "operator.log",
                environment={"PYTHONPATH": str(COLLECTING)},
            )
            self._operator.start()
        except BaseException:
            local_cluster.down(self._name)
            raise
        self._stage = Stage(PatientApi(made.kubeconfig), f"soak-{uuid.uuid4().hex[:6]}")
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self._stage.namespace}}
        self._stage.api.create(namespace)
        self._stage.nodes(4, cpu=64)
        self._stage.environment()
        self._stage.queue(retention=RETENTION)
        return self

    def __exit__(self, *_: object) -> None:
        self._operator.kill()
        local_cluster.down(self._name)
        self._directory.cleanup()

    @property
    def log(self) -> str:
        """What the operator logged."""
        return self._operator.log

    def run(self, seconds: float) -> list[Sample]:
        """Has work come and go for so long; then all of it must go."""
        began = time.monotonic()
        pid = self._operator.pid
        samples: list[Sample] = []
        while (now := time.monotonic() - began) < seconds:
            if not samples or now - samples[-1].seconds >= SAMPLE_SECONDS:
                samples.append(Sample(round(now, 2), self._submitted, self._operator.memory_bytes() / MEBIBYTE))
            if len(self._open()) < OPEN:
                self._submit()
            else:
                time.sleep(0.1)
        deadline = time.monotonic() + CLEAN_SECONDS
        while left := self._stage.api.list("BatchJob", self._stage.namespace):
            if time.monotonic() > deadline:
                raise AssertionError(f"{len(left)} BatchJobs stay, such as {left[0]['metadata']['name']}: {left[0]}")
            time.sleep(0.5)
        if self._operator.has_ended or self._operator.pid != pid:
            raise AssertionError(f"the operator ended:\n{self.log[-2000:]}")
        return samples

    def _open(self) -> list[str]:
        jobs = self._stage.api.list("BatchJob", self._stage.namespace)
        return [job["metadata"]["name"] for job in jobs if (job.get("status") or {}).get("state") not in FINAL]

    def _submit(self) -> None:
        """A batch with definitions of its own, which go with the batch before it; every job ends by itself."""
        stage, first = self._stage, self._submitted
        good = stage.simulated(f"good-{first}", cpu="100m", simulate={"seconds": "0.1"}, timeout=LONG)
        once = {"seconds": "0.1", "exit-code": "3", "fail-attempts": "1"}
        flaky = stage.simulated(f"flaky-{first}", cpu="100m", simulate=once, retryStrategy={"attempts": 2})
        bad = stage.simulated(f"bad-{first}", cpu="100m", simulate={"seconds": "0.1", "exit-code": "4"})
        for number in range(first, first + BATCH):
            place = number - first
            if place == 0:
                stage.submit(f"a{number}", good, arrayProperties={"size": 5})
            elif place == 1:
                follows = [{"name": f"a{first}", "type": "N_TO_N"}]
                stage.submit(f"n{number}", good, arrayProperties={"size": 5}, dependsOn=follows)
            elif place == 2:
                stage.submit(f"s{number}", flaky)
            elif place == 3:
                stage.submit(f"s{number}", bad)
            elif place == 4:
                stage.submit(f"s{number}", good, dependsOn=[{"name": f"s{first + 3}", "condition": "Failed"}])
            else:
                stage.submit(f"s{number}", good)
        self._submitted += BATCH
        if first >= KEPT:
            for name in ("good", "flaky", "bad"):
                stage.api.delete("JobDefinition", f"{name}-{first - KEPT}", stage.namespace)


# Definitions stay for so many jobs after theirs: all of those have ended by then.
KEPT = 10 * BATCH


def soak(
    minutes: Annotated[float, typer.Option(min=0.5, help="How long work comes and goes.")] = 6.0,
    most: Annotated[float, typer.Option(help="MiB per 1,000 jobs by which the second half may grow.")] = MOST,
    json: Annotated[bool, typer.Option(help="Every sample too, as JSON.")] = False,
) -> None:
    """Has work come and go, and says how the operator's memory did; exit code 1 when it grew by more than it may."""
    with Soak() as running:
        samples = running.run(minutes * 60)
    verdict = judge(samples)
    if json:
        told = {"verdict": asdict(verdict), "samples": [asdict(each) for each in samples]}
        print(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
    else:
        _show(samples, verdict)
    if not verdict.is_flat(most):
        print(f"more than {most:+.1f} MiB per 1,000 jobs", file=sys.stderr)
        raise typer.Exit(1)


def _show(samples: Sequence[Sample], verdict: Verdict) -> None:
    step = max(1, len(samples) // 20)
    for each in samples[::step]:
        print(f"{each.seconds:7.0f} s {each.jobs:7d} jobs {each.mib:8.1f} MiB")
    print(
        f"second half: {verdict.jobs} jobs in {verdict.seconds:.0f} s, {verdict.mib_per_1000_jobs:+.3f} MiB per 1,000 "
        f"jobs, {verdict.growth_mib:+.2f} MiB from its first third to its last; peak {verdict.peak_mib} MiB"
    )


if __name__ == "__main__":
    typer.run(soak)
