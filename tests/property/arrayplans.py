"""What a property test of arrays submits: jobs, what they wait for, how each attempt of each element will end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from batchwright.api.v1alpha1.common import EvaluateOnExit
from batchwright.domain.indexes import expand, parse_indexes

LOST = -1  # the node went away under the container
OUT_OF_MEMORY = 137


@dataclass(frozen=True)
class Need:
    """One dependency; `job` is the number of an earlier job, None for SEQUENTIAL alone."""

    job: int | None
    type: str | None = None
    condition: str | None = None

    def wire(self) -> dict[str, str]:
        made = {"name": None if self.job is None else f"j{self.job}", "type": self.type, "condition": self.condition}
        return {key: value for key, value in made.items() if value is not None}


@dataclass(frozen=True)
class JobPlan:
    """One BatchJob. `scripts` has the exit codes of the attempts of those elements that do not succeed at once."""

    number: int
    size: int | None = None
    indexes: str | None = None
    needs: tuple[Need, ...] = ()
    attempts: int = 1
    evaluate: tuple[tuple[str, str, str], ...] = ()
    scripts: dict[int, tuple[int, ...]] = field(default_factory=dict)
    limit: int | None = None
    queue: str = "normal"

    @property
    def name(self) -> str:
        return f"j{self.number}"

    @property
    def uid(self) -> str:
        return f"{self.number:08}-0000-0000-0000-000000000000"

    @property
    def present(self) -> tuple[int, ...]:
        """The indexes that run; of a single job, 0."""
        if self.indexes is not None:
            return tuple(expand(parse_indexes(self.indexes)))
        return tuple(range(self.size or 1))

    @property
    def rules(self) -> tuple[EvaluateOnExit, ...]:
        return tuple(
            EvaluateOnExit.model_validate({"action": action, key: text}) for action, key, text in self.evaluate
        )

    def code(self, index: int, attempt: int) -> int:
        """How an attempt ends, counted from 0."""
        script = self.scripts.get(index, ())
        return script[attempt] if attempt < len(script) else 0

    def spec(self) -> dict[str, Any]:
        wire: dict[str, Any] = {"jobQueue": self.queue, "jobDefinition": "hello"}
        if self.size is not None:
            array = {"size": self.size, "indexes": self.indexes, "maxConcurrency": self.limit}
            wire["arrayProperties"] = {key: value for key, value in array.items() if value is not None}
        wire["dependsOn"] = [need.wire() for need in self.needs]
        retry: dict[str, Any] = {"attempts": self.attempts}
        if self.evaluate:
            retry["evaluateOnExit"] = [{"action": action, key: text} for action, key, text in self.evaluate]
        wire["retryStrategy"] = retry
        return wire


@dataclass(frozen=True)
class Ask:
    """Somebody ends a job or some elements of it. `step` is when."""

    step: int
    job: int
    field: str
    indexes: str = ""

    @property
    def reason(self) -> str:
        return f"{self.field} of {self.job}"


@dataclass(frozen=True)
class Scenario:
    """All of a test. `submitted` is the step each job comes at, `slots` the room, `changes` what becomes of it when,
    `restarts` the steps at which the operator dies, `trouble` how many requests of a hundred the API server fails."""

    jobs: tuple[JobPlan, ...]
    submitted: tuple[int, ...]
    asks: tuple[Ask, ...] = ()
    slots: int = 4
    changes: tuple[tuple[int, int], ...] = ()
    restarts: tuple[int, ...] = ()
    trouble: int = 0
    seed: int = 0


STEPS = 150
CONDITIONS = st.sampled_from([None, None, None, "Succeeded", "Completed", "Failed"])
# One that Job rules can say, and two for which the operator must look at each retry.
EVALUATE = st.sampled_from(
    [
        (),
        (),
        (("EXIT", "onExitCode", "3"),),
        (("EXIT", "onReason", "OutOfMemoryError*"),),
        (
            ("RETRY", "onStatusReason", "Host EC2*"),
            ("EXIT", "onReason", "OutOfMemoryError*"),
            ("EXIT", "onExitCode", "1"),
        ),
    ]
)
CODES = st.sampled_from([0, 1, 1, 3, OUT_OF_MEMORY, LOST])
STEP = st.integers(0, STEPS - 1)


@st.composite
def jobs(draw: st.DrawFn, number: int, before: tuple[JobPlan, ...], asked: bool) -> JobPlan:
    size = draw(st.none() | st.integers(2, 12)) if number else draw(st.integers(2, 12))
    indexes = None
    if size is not None and draw(st.integers(0, 5)) == 0:
        chosen = draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=size, unique=True))
        indexes = ",".join(map(str, chosen))
    needs: list[Need] = []
    for _ in range(draw(st.integers(0, 3)) if before else 0):
        needed = draw(st.sampled_from(before))
        fits = size is not None and needed.size is not None and not (needed.size % size and size % needed.size)
        # Most pairs have no ratio: seldom enough is what refuses a whole job.
        wanted = draw(st.sampled_from(["N_TO_N", "N_TO_N", None] if fits else [None, None, None, None, None, "N_TO_N"]))
        needs.append(Need(needed.number, wanted, draw(CONDITIONS)))
    if size is not None and draw(st.integers(0, 4)) == 0:
        first = draw(st.none() | st.sampled_from(before)) if before else None
        needs.append(Need(None if first is None else first.number, "SEQUENTIAL", draw(CONDITIONS)))
    attempts = draw(st.integers(1, 3))
    present = JobPlan(number, size, indexes).present
    scripts = draw(
        st.dictionaries(st.sampled_from(present), st.lists(CODES, min_size=1, max_size=attempts).map(tuple), max_size=4)
    )
    return JobPlan(
        number,
        size,
        indexes,
        tuple(dict.fromkeys(needs)),
        attempts,
        draw(EVALUATE) if attempts > 1 else (),
        scripts,
        draw(st.none() | st.integers(1, 4)) if size is not None else None,
        draw(st.sampled_from(["normal", "normal", "other"])),
    )


@st.composite
def scenarios(draw: st.DrawFn, *, asked: bool = False) -> Scenario:
    """Two to six jobs, each waiting for earlier ones; they may come in any order."""
    plans: tuple[JobPlan, ...] = ()
    for number in range(draw(st.integers(2, 6))):
        plans += (draw(jobs(number, plans, asked)),)
    first = draw(st.lists(st.integers(0, STEPS // 3), min_size=len(plans), max_size=len(plans)))
    return Scenario(
        plans,
        tuple(first),
        draw(asks(plans)) if asked else (),
        draw(st.integers(1, 8)),
        tuple(draw(st.lists(st.tuples(STEP, st.integers(0, 8)), max_size=2))),
        tuple(draw(st.lists(STEP, max_size=3))),
        draw(st.sampled_from([0, 0, 10])),
        draw(st.integers(0, 2**32)),
    )


@st.composite
def asks(draw: st.DrawFn, plans: tuple[JobPlan, ...]) -> tuple[Ask, ...]:
    made: list[Ask] = []
    for _ in range(draw(st.integers(1, 3))):
        plan = draw(st.sampled_from(plans))
        whole = ["terminate", "cancel"]
        what = draw(st.sampled_from(whole if plan.size is None else [*whole, "terminateElements", "cancelElements"]))
        indexes = ""
        if what.endswith("Elements"):
            chosen = draw(st.lists(st.integers(0, plan.size - 1), min_size=1, max_size=4, unique=True))
            indexes = ",".join(map(str, chosen))
        ask = Ask(draw(STEP), plan.number, what, indexes)
        # terminate and cancel can be set once, and requests about elements are told apart by their indexes.
        if not any((ask.job, ask.field, ask.indexes) == (old.job, old.field, old.indexes) for old in made):
            made.append(ask)
    return tuple(made)
