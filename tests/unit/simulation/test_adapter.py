"""The real scheduler in a replay: what the policy says is what happens, in virtual time."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from batchwright.errors import SimulationError
from batchwright.simulation.adapter import PolicyScheduler
from batchwright.simulation.policy import parse
from batchwright.simulation.replay import Result, Run, replay
from batchwright.simulation.trace import parse as parse_trace
from batchwright.simulation.workload import Job, Machines, build_machines, build_workload
from documentation import ROOT

HEAD = "---\napiVersion: batchwright.io/v1alpha1\n"
FAIR = HEAD + "kind: SchedulingPolicy\nmetadata: {name: fair}\nspec: {fairsharePolicy: {shareDecaySeconds: 600}}\n"
ENVIRONMENT = HEAD + "kind: ComputeEnvironment\nmetadata: {name: e}\nspec: {%s}\n"


def queue(name: str, spec: str = "") -> str:
    """A JobQueue of the environment `e`."""
    return (
        HEAD
        + f"kind: JobQueue\nmetadata: {{name: {name}}}\n"
        + f"spec: {{computeEnvironmentOrder: [{{order: 1, computeEnvironment: e}}], {spec}}}\n"
    )


def quotas(strategy: str) -> str:
    """Two quota shares of two vCPUs."""
    share = "{name: %s, capacityLimits: [{capacityUnit: vcpu, maxCapacity: 2}], resourceSharingConfiguration: {%s}}"
    return queue("q", f"quotaShares: [{share % ('ann', strategy)}, {share % ('bob', strategy)}]")


def job(
    number: int,
    cpus: int = 1,
    runtime: float = 100.0,
    share: str = "ann",
    *,
    submit: float = 0.0,
    name: str = "q",
    limit: float | None = None,
) -> Job:
    """A submission."""
    return Job(number, submit, runtime, cpus, share, name, limit)


def run(policy: str, jobs: list[Job], machines: Machines) -> Result:
    """Replays the jobs."""
    return replay(jobs, PolicyScheduler(parse("policy", policy), machines, jobs), machines)


FOUR = Machines(1, 4)


@dataclass(frozen=True)
class Case:
    policy: str
    jobs: list[Job]
    want: dict[int, float]  # job → when the run that counted began
    machines: Machines = FOUR


CASES = [
    pytest.param(
        Case(queue("q"), [job(1, 4), job(2, 4), job(3, 4, share="bob")], {1: 0, 2: 100, 3: 200}),
        id="first in, first out",
    ),
    pytest.param(
        Case(FAIR, [job(1, 4), job(2, 4, submit=1), job(3, 4, share="bob", submit=2)], {1: 0, 3: 100, 2: 200}),
        id="fair share: who has used nothing is next",
    ),
    pytest.param(
        Case(
            FAIR + queue("q", "schedulingPolicy: fair") + queue("r"),
            [job(1, 4), job(2, 4, submit=1), job(3, 4, share="bob", submit=2)],
            {1: 0, 3: 100, 2: 200},
        ),
        id="fair share of a queue that names its policy",
    ),
    pytest.param(
        Case(quotas("strategy: RESERVE"), [job(1, 2), job(2, 2), job(3, 2, share="bob")], {1: 0, 3: 0, 2: 100}),
        id="a quota share runs no more than its capacity",
    ),
    pytest.param(
        Case(
            quotas("strategy: LEND_AND_BORROW"),
            [job(1, 2), job(2, 2, submit=1), job(3, 2, share="bob", submit=10)],
            {1: 0, 3: 12, 2: 100},
        ),
        id="what was lent is taken back, 2 s later",
    ),
    pytest.param(
        Case(
            queue("q", "priority: 1") + queue("urgent", "priority: 2"),
            [job(1, 4), job(2, 4, submit=1), job(3, 4, submit=2, name="urgent")],
            {1: 0, 3: 100, 2: 200},
        ),
        id="queues by priority",
    ),
    pytest.param(
        Case(
            queue("q") + queue("urgent", "priority: 2, preemption: {lowerPriorityQueues: ENABLED}"),
            [job(1, 4), job(2, 4, 50, submit=10, name="urgent"), job(3, 4, submit=20)],
            {2: 12, 1: 62, 3: 162},
        ),
        id="preempted work runs again, before what came later",
    ),
    pytest.param(
        Case(
            queue("q") + queue("urgent", "priority: 2, preemption: {lowerPriorityQueues: ENABLED, afterSeconds: 0}"),
            [job(1, 4), job(2, 4, 50, submit=10, name="urgent")],
            {2: 10, 1: 60},
        ),
        id="preemption at once",
    ),
    pytest.param(
        Case(
            queue("q") + queue("urgent", "priority: 2, preemption: {lowerPriorityQueues: ENABLED, afterSeconds: 9}"),
            [job(1, 4, 17), job(2, 4, 50, submit=10, name="urgent")],
            {1: 0, 2: 17},
        ),
        id="what ends in time is not preempted",
    ),
    pytest.param(Case(queue("q", "maxConcurrency: 1"), [job(1), job(2)], {1: 0, 2: 100}), id="maxConcurrency"),
    pytest.param(
        Case(queue("q") + ENVIRONMENT % "computeResources: {maxvCpus: 2}", [job(1, 2), job(2, 1)], {1: 0, 2: 100}),
        id="maxvCpus",
    ),
    pytest.param(
        Case(queue("q"), [job(1, 2), job(2, 2), job(3, 3)], {1: 0, 2: 0, 3: 100}, Machines(2, 3)),
        id="a job needs one machine, however much is free in all",
    ),
    pytest.param(
        Case(queue("q"), [job(1, 2), job(2, 2), job(3, 6)], {1: 0, 2: 0, 3: 100}, Machines(2, 3)),
        id="a job wider than a machine makes them one pool",
    ),
    pytest.param(
        Case(
            queue("q"),
            [
                job(1, 3, limit=100),
                job(2, 4, submit=1, limit=100),
                job(3, 1, 300, submit=2, limit=300),
                job(4, 1, 50, submit=3, limit=50),
            ],
            {1: 0, 4: 3, 2: 100, 3: 200},
        ),
        id="what ends in time passes the head, what does not waits",
    ),
]


@pytest.mark.parametrize("case", CASES)
def test_when_jobs_start(case: Case) -> None:
    found = run(case.policy, case.jobs, case.machines)
    assert {each.id: each.start for each in found.runs} == case.want
    assert found.unrun == ()


def test_preempted_work_is_lost() -> None:
    policy = queue("q") + queue("urgent", "priority: 2, preemption: {lowerPriorityQueues: ENABLED}")
    found = run(policy, [job(1, 4), job(2, 4, 50, submit=10, name="urgent")], FOUR)
    assert {each.id: each.lost for each in found.runs} == {1: ((0.0, 12.0),), 2: ()}


def test_a_disabled_environment_starts_nothing() -> None:
    found = run(queue("q") + ENVIRONMENT % "state: DISABLED", [job(1)], FOUR)
    assert [each.id for each in found.unrun] == [1]


@pytest.mark.parametrize(
    ("policy", "jobs", "want"),
    [
        pytest.param(
            queue("a") + queue("b"), [job(7)], "job 7 is of q, and the policy's JobQueues are a, b", id="queue"
        ),
        pytest.param(quotas(""), [job(7, share="eve")], "job 7 is of share eve, and spec.quotaShares of", id="share"),
        pytest.param(queue("q", "state: DISABLED"), [job(7)], "JobQueue q: spec.state is DISABLED", id="disabled"),
    ],
)
def test_a_job_without_a_place_is_refused(policy: str, jobs: list[Job], want: str) -> None:
    with pytest.raises(SimulationError, match=want):
        PolicyScheduler(parse("policy", policy), FOUR, jobs)


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(FAIR, id="fair share"),
        pytest.param(
            queue("queue1", "priority: 1, preemption: {lowerPriorityQueues: ENABLED}") + queue("queue2"),
            id="preemption",
        ),
    ],
)
def test_the_example_trace_runs_to_its_end_and_always_alike(policy: str) -> None:
    trace = parse_trace("synthetic", (ROOT / "examples/traces/synthetic.swf").read_bytes())
    machines = build_machines(trace)
    jobs = list(build_workload(trace, machines).jobs)
    first, second = run(policy, jobs, machines), run(policy, jobs, machines)
    assert first == second
    assert sorted(each.id for each in first.runs) == sorted(each.id for each in jobs)
    assert _most_in_use(first.runs) <= machines.cpus


def _most_in_use(runs: tuple[Run, ...]) -> int:
    changes = sorted(
        change
        for each in runs
        for low, high in (*each.lost, (each.start, each.end))
        for change in ((low, 1, each.cpus), (high, 0, -each.cpus))
    )
    used, most = 0, 0
    for _, _, cpus in changes:
        used += cpus
        most = max(most, used)
    return most
