"""What becomes of arrays, said the slow and obvious way: of each element, every ending that is allowed.

An element ends as its script says if what it needs ended as asked, else it fails for that. Without requests there is
one answer, but for an element with two reasons to fail: it has the one that comes first.
"""

from __future__ import annotations

from dataclasses import dataclass

from batchwright.domain import reasons
from batchwright.domain.retry import Outcome, evaluate
from property.arrayplans import LOST, OUT_OF_MEMORY, Ask, JobPlan, Need, Scenario

HOST = "host terminated"
MET_BY = {"Succeeded": {"SUCCEEDED"}, "Completed": {"SUCCEEDED", "FAILED"}, "Failed": {"FAILED"}}
UNMET = {"SUCCEEDED": reasons.DEPENDENT_JOB_SUCCEEDED, "FAILED": reasons.DEPENDENT_JOB_FAILED}


@dataclass(frozen=True)
class Ending:
    """How a job or an element ends; a lost host's name is left out."""

    state: str
    reason: str
    exit_code: int | None = None


@dataclass
class Answer:
    """Of one job: its own endings, and those of each element that runs."""

    job: set[Ending]
    elements: dict[int, set[Ending]]

    def states(self) -> set[str]:
        return {ending.state for ending in self.job}

    def states_of(self, index: int) -> set[str]:
        return {ending.state for ending in self.elements[index]}


def attempts_of(plan: JobPlan, index: int) -> tuple[int, Ending]:
    """How many attempts an element makes that may run, and how the last one ends."""
    for attempt in range(plan.attempts):
        code = plan.code(index, attempt)
        if code == 0:
            return attempt + 1, Ending("SUCCEEDED", reasons.ESSENTIAL_CONTAINER_EXITED)
        ending, outcome = _failure(code)
        if attempt + 1 == plan.attempts or evaluate(plan.rules, outcome) == "EXIT":
            return attempt + 1, ending
    raise AssertionError("a job has one attempt or more")


def _failure(code: int) -> tuple[Ending, Outcome]:
    if code == LOST:
        return Ending("FAILED", HOST), Outcome(None, "DeletionByPodGC", reasons.host_terminated("n1"))
    text = reasons.OUT_OF_MEMORY if code == OUT_OF_MEMORY else ""
    exited = reasons.ESSENTIAL_CONTAINER_EXITED
    return Ending("FAILED", exited, code), Outcome(code, text, exited)


def answers(scenario: Scenario) -> list[Answer]:
    """In the order of the jobs."""
    known: list[Answer] = []
    for plan in scenario.jobs:
        asked = [ask for ask in scenario.asks if ask.job == plan.number]
        known.append(_answer(plan, scenario.jobs, known, asked))
    return known


def is_elementwise(plan: JobPlan, need: Need, plans: tuple[JobPlan, ...]) -> bool:
    """Whether the dependency is between elements."""
    return need.type == "N_TO_N" and plan.size is not None and plans[need.job or 0].size is not None


def _answer(plan: JobPlan, plans: tuple[JobPlan, ...], known: list[Answer], asked: list[Ask]) -> Answer:
    # 1. What the job waits for as a whole.
    may_run, refusals = True, set()
    for need in plan.needs:
        if need.job is None:
            continue
        if is_elementwise(plan, need, plans):
            text = _no_ratio(plan, plans[need.job])
            if text:
                may_run = False
                refusals.add(text)
            continue
        states = known[need.job].states()
        met_by = MET_BY[need.condition or "Succeeded"]
        may_run = may_run and bool(states & met_by)
        refusals |= {UNMET[state] for state in states - met_by}
    # 2. The elements, the lowest first.
    elements: dict[int, set[Ending]] = {}
    for index in plan.present:
        able, found = may_run, {Ending("FAILED", text) for text in refusals}
        for condition, states in _needed(plan, index, plans, known, elements):
            met_by = MET_BY[condition or "Succeeded"]
            able = able and bool(states & met_by)
            found |= {Ending("FAILED", UNMET[state]) for state in states - met_by}
        if able:
            found.add(attempts_of(plan, index)[1])
        for ask in asked:
            if not ask.indexes or index in map(int, ask.indexes.split(",")):
                found.add(Ending("FAILED", ask.reason))
                if able and ask.field.startswith("terminate"):
                    # Whoever ends well when asked to stop has succeeded.
                    found.add(Ending("SUCCEEDED", reasons.ESSENTIAL_CONTAINER_EXITED))
        elements[index] = found
    # 3. The job itself.
    whole = {Ending("FAILED", ask.reason) for ask in asked if not ask.indexes}
    whole |= {Ending("FAILED", text) for text in refusals}
    if may_run and plan.size is None:
        last = attempts_of(plan, 0)[1]
        whole.add(Ending(last.state, last.reason))
    elif may_run:
        states = [{ending.state for ending in found} for found in elements.values()]
        if all("SUCCEEDED" in each for each in states):
            whole.add(Ending("SUCCEEDED", f"All {len(states)} elements succeeded"))
        if any("FAILED" in each for each in states):
            whole.add(Ending("FAILED", reasons.ARRAY_CHILD_FAILED))
    return Answer(whole, elements)


def _no_ratio(plan: JobPlan, needed: JobPlan) -> str:
    assert plan.size is not None
    assert needed.size is not None
    if needed.size % plan.size == 0 or plan.size % needed.size == 0:
        return ""
    return (
        f"dependsOn N_TO_N: BatchJob {needed.name} has {needed.size} elements and this array {plan.size}, and neither "
        "number divides the other; make one a multiple of the other, or leave type out to wait for the whole job"
    )


def _needed(
    plan: JobPlan, index: int, plans: tuple[JobPlan, ...], known: list[Answer], elements: dict[int, set[Ending]]
) -> list[tuple[str | None, set[str]]]:
    """The condition and the possible states of every element this one waits for."""
    found = []
    for need in plan.needs:
        if need.type == "SEQUENTIAL" and index - 1 in elements:
            found.append((need.condition, {ending.state for ending in elements[index - 1]}))
        if need.job is not None and is_elementwise(plan, need, plans):
            needed = plans[need.job]
            found += [
                (need.condition, known[need.job].states_of(other))
                for other in needed_indexes(plan, needed, index)
                if other in needed.present
            ]
    return found


def needed_indexes(plan: JobPlan, needed: JobPlan, index: int) -> list[int]:
    """Those elements of the other array that stand for the same share of the whole as this one."""
    assert plan.size is not None
    assert needed.size is not None
    return [
        other
        for other in range(needed.size)
        if other * plan.size < (index + 1) * needed.size and index * needed.size < (other + 1) * plan.size
    ]
