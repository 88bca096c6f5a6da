"""The real scheduler in virtual time: what a replay does is told to its state, and its plans become decisions.

A job of a trace is one pod that asks processors and nothing else, and runs on one machine. Where a trace has jobs wider
than a machine, all machines are one pool: the scheduler places pods, and has no jobs that start on several nodes at
once. All machines are alike and belong to every environment; labels and taints are not part of a trace.

Invariants: as in a cluster, the scheduler knows the time that was asked for, never how long a job really runs; what is
preempted leaves at the same moment, and waits again from the front. Hazard: jobStateTimeLimitActions are not applied,
since what blocks a job in a cluster (nodes that boot, wrong labels) is not in a trace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from batchwright.api.v1alpha1 import ComputeEnvironmentSpec, JobQueueSpec
from batchwright.api.v1alpha1.quotashare import QuotaShare as QuotaShareSpec
from batchwright.domain.observations import Node
from batchwright.domain.quantities import CPU, MEBIBYTE, MEMORY
from batchwright.errors import SimulationError
from batchwright.scheduling.cycle import plan
from batchwright.scheduling.quota import QuotaShare
from batchwright.scheduling.snapshot import Candidate, Demand, Environment, Held, Queue, Shape, Start
from batchwright.scheduling.state import State
from batchwright.simulation.policy import Policy
from batchwright.simulation.replay import Decision
from batchwright.simulation.workload import Job, Machines

MILLI: Final = 1000
# The queue and the environment of a policy that has none.
ONE: Final = "all"
# Preemption that begets preemption for so long never ends.
_MOST_ROUNDS: Final = 1000


class PolicyScheduler:
    """A scheduler for `replay`. `description` says in words what it goes by.

    Raises SimulationError when the policy has no place for one of the jobs.
    """

    def __init__(self, policy: Policy, machines: Machines, jobs: Iterable[Job]) -> None:
        self._state = State()
        self._jobs: dict[str, Job] = {}
        self._candidates: dict[str, Candidate] = {}
        self._queues: dict[str, Queue] = {}
        self._used: dict[str, int] = {}
        # What the last pass would have environments grow by.
        self.demand: tuple[Demand, ...] = ()
        queues = _queues(policy)
        widest = 0
        for job in jobs:
            self._queues[job.queue] = _place(queues, job)
            widest = max(widest, job.cpus)
        is_pool = widest > machines.cpus_per_node > 0 and machines.nodes > 1
        for node in _nodes(Machines(1, machines.cpus) if is_pool else machines):
            self._state.nodes.put(node.name, node)
        self._state.tell(_environments(policy, queues.values()), {})
        for queue in queues.values():
            self._state.put_queue(queue.name, queue, 0.0)
        told = ", ".join(_describe(queue) for queue in queues.values())
        pool = f"; machines as one pool, for the widest job asks {widest} processors" if is_pool else ""
        self.description = f"Batchwright: {told}{pool}"

    def submit(self, job: Job, now: float) -> None:
        """It waits in its queue."""
        queue = self._queues[job.queue]
        candidate = Candidate(
            uid=f"job-{job.id:012d}",
            name=str(job.id),
            created_at=datetime.fromtimestamp(now, UTC),
            shape=Shape(((CPU, job.cpus * MILLI),)),
            share=job.share if queue.fair_share or queue.quota_shares else "",
            seconds=job.limit,
        )
        self._jobs[candidate.uid], self._candidates[candidate.uid] = job, candidate
        self._state.put_waiting(candidate.uid, queue.name, candidate)

    def end(self, job: Job, now: float) -> None:
        """It has left its machine."""
        uid = f"job-{job.id:012d}"
        self._leave(uid, now)
        del self._jobs[uid], self._candidates[uid]

    def decide(self, now: float) -> Decision:
        """Passes, until one preempts nothing: then what was preempted has made room for those it was done for."""
        starts: dict[int, None] = {}
        preempts: list[int] = []
        for _ in range(_MOST_ROUNDS):
            decided = plan(self._state, now)
            self.demand = decided.demand
            for start in decided.starts:
                self._start(start, now)
                starts[self._jobs[start.uid].id] = None
            for each in decided.preempts:
                job = self._jobs[each.uid]
                self._requeue(each.uid, now)
                # What was to start at this very moment has not run yet: it just waits on.
                if job.id in starts:
                    del starts[job.id]
                else:
                    preempts.append(job.id)
            if not decided.preempts:
                return Decision(list(starts), preempts, again_at=decided.again_at)
        raise SimulationError(f"the scheduler preempts without end at {now:g} s, last job {preempts[-1]}")

    def _start(self, start: Start, now: float) -> None:
        job, candidate = self._jobs[start.uid], self._candidates[start.uid]
        self._state.put_waiting(start.uid, self._queues[job.queue].name, None)
        self._occupy(start.node, job.cpus)
        held = Held(
            uid=start.uid,
            queue=self._queues[job.queue].name,
            environment=start.environment,
            shape=candidate.shape,
            share=candidate.share,
            nodes=((start.node, 1),),
            started=now,
            ends_at=None if job.limit is None else now + job.limit,
        )
        self._state.put_held(start.uid, held, now)

    def _leave(self, uid: str, now: float) -> None:
        [(node, _)] = self._state.held[uid].nodes
        self._state.put_held(uid, None, now)
        self._occupy(node, -self._jobs[uid].cpus)

    def _requeue(self, uid: str, now: float) -> None:
        self._leave(uid, now)
        candidate = self._candidates[uid] = replace(self._candidates[uid], returning=True)
        self._state.put_waiting(uid, self._queues[self._jobs[uid].queue].name, candidate)

    def _occupy(self, node: str, cpus: int) -> None:
        self._used[node] = self._used.get(node, 0) + cpus * MILLI
        self._state.nodes.occupy(node, {CPU: self._used[node]})


def _nodes(machines: Machines) -> list[Node]:
    # Of equal width, so that their names sort as their numbers do.
    width = len(str(machines.nodes))
    named = [f"machine{number:0{width}}" for number in range(1, machines.nodes + 1)]
    return [Node(name, name, {}, (), {CPU: machines.cpus_per_node * MILLI}, True, True) for name in named]


def _environments(policy: Policy, queues: Iterable[Queue]) -> dict[str, Environment]:
    """Those that queues name; one that the policy says nothing of has no limit."""
    named = sorted({name for queue in queues for name in queue.environments})
    return {name: _environment(name, policy.environments.get(name)) for name in named}


def _environment(name: str, spec: ComputeEnvironmentSpec | None) -> Environment:
    if spec is None:
        return Environment(name)
    most = spec.compute_resources.max_vcpus
    return Environment(name, spec.state == "ENABLED", max_vcpus=None if most is None else most * MILLI)


def _queues(policy: Policy) -> dict[str, Queue]:
    """The policy's queues; without any, one for all jobs."""
    if not policy.queues:
        environments = tuple(sorted(policy.environments)) or (ONE,)
        return {ONE: Queue(ONE, 0, environments, fair_share=policy.fairshare if policy.policies else None)}
    return {name: _queue(name, spec, policy) for name, spec in sorted(policy.queues.items())}


def _queue(name: str, spec: JobQueueSpec, policy: Policy) -> Queue:
    if spec.state != "ENABLED":
        raise SimulationError(f"JobQueue {name}: spec.state is {spec.state}, so it takes no jobs: make it ENABLED")
    order = sorted(spec.compute_environment_order, key=lambda each: each.order)
    return Queue(
        name=name,
        priority=spec.priority,
        environments=tuple(each.compute_environment for each in order),
        fair_share=policy.fairshare if spec.scheduling_policy else None,
        quota_shares=tuple(_quota_share(each) for each in spec.quota_shares),
        max_running=spec.max_concurrency,
        preempts=spec.preemption.lower_priority_queues == "ENABLED",
        preempts_after=spec.preemption.after_seconds,
    )


def _quota_share(spec: QuotaShareSpec) -> QuotaShare:
    sharing = spec.resource_sharing_configuration
    return QuotaShare(
        name=spec.name,
        is_open=spec.state == "ENABLED",
        limits=tuple(_limit(each.capacity_unit, each.max_capacity) for each in spec.capacity_limits),
        strategy=sharing.strategy,
        borrow_percent=sharing.borrow_percent,
        lend_percent=sharing.lend_percent,
        preempts_in_share=spec.preemption_configuration.in_share_preemption == "ENABLED",
    )


def _limit(unit: str, amount: int) -> tuple[str, int]:
    if unit == "vcpu":
        return CPU, amount * MILLI
    return (MEMORY, amount * MEBIBYTE) if unit == "memoryMiB" else (unit, amount)


def _place(queues: Mapping[str, Queue], job: Job) -> Queue:
    """The queue of the job's name, or the only one there is."""
    found = queues.get(job.queue) or (next(iter(queues.values())) if len(queues) == 1 else None)
    if found is None:
        raise SimulationError(
            f"job {job.id} is of {job.queue}, and the policy's JobQueues are {', '.join(queues)}: "
            f"name one of them {job.queue}, or give one JobQueue for all"
        )
    if found.quota_shares and job.share not in {share.name for share in found.quota_shares}:
        names = ", ".join(share.name for share in found.quota_shares)
        raise SimulationError(
            f"job {job.id} is of share {job.share}, and spec.quotaShares of JobQueue {found.name} has {names}: "
            "add it, or choose another column with --share-by"
        )
    return found


def _describe(queue: Queue) -> str:
    if queue.fair_share is not None:
        return f"{queue.name} by fair share"
    return f"{queue.name} by quota shares" if queue.quota_shares else f"{queue.name} first in, first out"
