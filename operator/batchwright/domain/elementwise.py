"""Dependencies between elements: N_TO_N from another array, SEQUENTIAL within one (AWS Batch User Guide, array jobs).

N_TO_N of equal sizes pairs equal indexes. Beyond AWS: where one size divides the other, an element waits for its share
of the larger array (fan-in), or shares its element of the smaller one (fan-out). Indexes that a retry left out have
nothing to wait for, and nobody waits for them.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from batchwright.api.v1alpha1.batchjob import DependencyCondition
from batchwright.domain import reasons
from batchwright.domain.elements import ABSENT, FAILED, PENDING, RUNNABLE, SUCCEEDED, Elements
from batchwright.domain.retry import Outcome

_MET_BY = {"Succeeded": (SUCCEEDED,), "Completed": (SUCCEEDED, FAILED), "Failed": (FAILED,)}


@dataclass(frozen=True, slots=True)
class Ratio:
    """How two sizes relate: `fan_in` elements of the needed array for one here, or one for `fan_out` here."""

    fan_in: int = 1
    fan_out: int = 1

    def dependents(self, index: int) -> range:
        """The elements that wait for element `index` of the needed array."""
        first = index // self.fan_in * self.fan_out
        return range(first, first + self.fan_out)


def ratio(needed: int, size: int) -> Ratio | None:
    """The ratio of an array of `size` to the one it needs; None where neither size divides the other."""
    if needed % size == 0:
        return Ratio(fan_in=needed // size)
    if size % needed == 0:
        return Ratio(fan_out=size // needed)
    return None


@dataclass(slots=True)
class Edge:
    """One dependency between elements. `read` is how far the results of `needed` have been taken over.

    `ratio` None: SEQUENTIAL, each element waits for the one before it.
    """

    needed: Elements
    condition: DependencyCondition
    ratio: Ratio | None
    read: int = 0

    def dependents(self, index: int, size: int) -> range:
        """The elements that wait for element `index` of `needed`."""
        if self.ratio is None:
            return range(index + 1, min(index + 2, size))
        return self.ratio.dependents(index)


def join(elements: Elements, edge: Edge) -> None:
    """Makes the elements wait along the edge."""
    if elements.unmet is None:
        elements.unmet = array("i", bytes(4 * elements.size))
    for index in range(edge.needed.size):
        if edge.needed.states[index] != ABSENT:
            for dependent in edge.dependents(index, elements.size):
                elements.unmet[dependent] += 1


def follow(elements: Elements, edge: Edge) -> None:
    """Takes over what has ended since the last time: elements become RUNNABLE, or can never run."""
    ended = edge.needed.ended
    met_by = _MET_BY[edge.condition]
    # SEQUENTIAL reads what it writes: an element that cannot run ends the one after it, and so on.
    while edge.read < len(ended):
        index = ended[edge.read]
        edge.read += 1
        state = edge.needed.states[index]
        for dependent in edge.dependents(index, elements.size):
            if state in met_by:
                elements.meet(dependent)
            elif elements.states[dependent] in (PENDING, RUNNABLE):
                elements.condemn(dependent, unmet_outcome(state == SUCCEEDED))


def unmet_outcome(succeeded: bool) -> Outcome:
    """How an element ends that can never run, because what it needs succeeded (or failed)."""
    return Outcome(None, "", reasons.DEPENDENT_JOB_SUCCEEDED if succeeded else reasons.DEPENDENT_JOB_FAILED)
