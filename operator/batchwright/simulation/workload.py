"""What a trace asks of a scheduler: jobs with their shares and queues, and the machines they are meant for.

Invariant: every record of the trace is a job or is counted in `Workload.left_out` with the reason.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from batchwright.errors import SimulationError
from batchwright.simulation.trace import Record, Trace

UNKNOWN = "unknown"


class ShareBy(StrEnum):
    """The column whose value is a job's share."""

    user = "user"
    group = "group"
    queue = "queue"
    executable = "executable"


@dataclass(frozen=True, slots=True)
class Job:
    """One submission. `limit` is the time its user asked for, in seconds, or None; `runtime` how long it really runs,
    which no scheduler may look at. With `after` it is submitted `think` seconds after that job's end, if that is later
    than `submit`.
    """

    id: int
    submit: float
    runtime: float
    cpus: int
    share: str
    queue: str
    limit: float | None = None
    after: int | None = None
    think: float = 0


@dataclass(frozen=True, slots=True)
class Machines:
    """Equal machines. One machine is a pool, in which a job never has to be divided."""

    nodes: int
    cpus_per_node: int

    @property
    def cpus(self) -> int:
        """All processors."""
        return self.nodes * self.cpus_per_node

    def pieces(self, cpus: int) -> tuple[int, ...]:
        """A job of so many processors as pieces that fit a machine each: full machines, and the rest."""
        full, rest = divmod(cpus, self.cpus_per_node)
        return (self.cpus_per_node,) * full + ((rest,) if rest else ())


@dataclass(frozen=True, slots=True)
class Workload:
    """The jobs in the order of the trace, and how many records are none, by reason."""

    jobs: tuple[Job, ...]
    left_out: dict[str, int]


def build_machines(trace: Trace, nodes: int | None = None, cpus_per_node: int | None = None) -> Machines:
    """The machines that the flags --nodes and --cpus-per-node, and the trace's headers, say.

    Without flags: MaxNodes equal machines where they divide MaxProcs, else one pool of MaxProcs. Raises
    SimulationError when that is not enough or does not fit together, naming the flag.
    """
    if nodes is not None and cpus_per_node is not None:
        return Machines(nodes, cpus_per_node)
    max_nodes, max_cpus = trace.number("MaxNodes"), trace.number("MaxProcs")
    if max_cpus is None and max_nodes is not None:
        max_cpus = max_nodes * (cpus_per_node or 1)
    if max_cpus is None:
        raise SimulationError(
            f"{trace.source}: no header says how many processors there are (MaxProcs or MaxNodes): "
            "give --nodes and --cpus-per-node"
        )
    given, flag, missing = (
        (nodes, "--nodes", "--cpus-per-node") if nodes else (cpus_per_node, "--cpus-per-node", "--nodes")
    )
    if given is not None:
        if max_cpus % given:
            raise SimulationError(
                f"{flag} {given} does not divide the {max_cpus} processors of {trace.source} (MaxProcs): "
                f"give {missing} too"
            )
        return Machines(given, max_cpus // given) if nodes else Machines(max_cpus // given, given)
    if max_nodes is not None and max_cpus % max_nodes == 0:
        return Machines(max_nodes, max_cpus // max_nodes)
    return Machines(1, max_cpus)


def build_workload(trace: Trace, machines: Machines, share_by: ShareBy = ShareBy.user) -> Workload:
    """The trace's jobs that can be replayed. Raises SimulationError when there are none."""
    left_out: Counter[str] = Counter()
    kept: dict[int, Job] = {}
    for record in trace.records:
        reason = _reason_to_leave_out(record, machines)
        if reason:
            left_out[reason] += 1
        else:
            kept[record.number] = _job(record, share_by, kept)
    if not kept:
        said = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()))
        raise SimulationError(f"{trace.source}: no job can be replayed on {machines.cpus} processors: {said}")
    return Workload(tuple(kept.values()), dict(sorted(left_out.items())))


def _reason_to_leave_out(record: Record, machines: Machines) -> str | None:
    if record.is_part:
        return "part of a job that has a line of its own"
    if record.run is None:
        return "run time not known (it never ran)"
    if not record.processors:
        return "processors not known"
    if record.processors > machines.cpus:
        return "more processors than there are"
    return None


def _job(record: Record, share_by: ShareBy, kept: dict[int, Job]) -> Job:
    # A predecessor that is left out never ends: then the trace's own submit time holds.
    after = record.preceding if record.preceding in kept else None
    return Job(
        id=record.number,
        submit=record.submit,
        runtime=record.run or 0.0,
        cpus=record.processors or 0,
        share=_named(share_by.value, getattr(record, share_by.value)),
        queue=_named("queue", record.queue),
        limit=record.requested_time or None,
        after=after,
        think=(record.think or 0.0) if after is not None else 0.0,
    )


def _named(what: str, number: int | None) -> str:
    # A shareIdentifier is of letters and digits.
    return UNKNOWN if number is None else f"{what}{number}"
