"""First come, first served: the order every batch system is compared with. Nothing runs past the head of the line."""

from __future__ import annotations

from collections import deque

from batchwright.simulation.replay import Decision
from batchwright.simulation.workload import Job, Machines


class FirstComeFirstServed:
    """One line for all queues, over processors alone: it knows no machines, shares or limits."""

    def __init__(self, machines: Machines) -> None:
        self._free = machines.cpus
        self._line: deque[Job] = deque()

    def submit(self, job: Job, now: float) -> None:
        """To the end of the line."""
        self._line.append(job)

    def end(self, job: Job, now: float) -> None:
        """Its processors are free."""
        self._free += job.cpus

    def decide(self, now: float) -> Decision:
        """Starts from the head what fits, and stops at the first that does not."""
        starts = []
        while self._line and self._line[0].cpus <= self._free:
            job = self._line.popleft()
            self._free -= job.cpus
            starts.append(job.id)
        return Decision(starts)
