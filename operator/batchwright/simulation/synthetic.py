"""A synthetic trace: five users whose habits make a scheduler choose. No real system or person is behind it.

`python -m batchwright.simulation.synthetic` prints the one in examples/traces/synthetic.swf. Invariant: the same seed
and size give the same text (Mersenne Twister; fractions are rounded to whole seconds at once).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from batchwright.simulation.trace import Header, Record, Status, Trace, text

SEED: Final = 20
JOBS: Final = 500
NODES: Final = 16
CPUS_PER_NODE: Final = 8

_HOUR: Final = 3600


@dataclass(frozen=True, slots=True)
class Habit:
    """How a user works: `part` of all jobs, in bursts of `burst` at one moment, each of `cpus` processors for about
    `minutes`, asking for `asked` times as long. All in the first `hours` of the day from `first_hour`.
    """

    user: int
    queue: int
    part: float
    burst: int
    cpus: Sequence[int]
    minutes: float
    asked: float
    first_hour: float
    hours: float


# Together some twelve hours of all machines, asked for within ten, so that there is a choice to make.
HABITS: Final = (
    Habit(user=1, queue=1, part=0.40, burst=3, cpus=(1, 1, 2, 4), minutes=15, asked=2, first_hour=0, hours=10),
    Habit(user=2, queue=1, part=0.32, burst=40, cpus=(4,), minutes=25, asked=1.5, first_hour=1, hours=6),
    Habit(user=3, queue=2, part=0.14, burst=1, cpus=(16, 32, 64), minutes=16, asked=1.3, first_hour=0, hours=9),
    Habit(user=4, queue=2, part=0.02, burst=1, cpus=(96, 128), minutes=12, asked=3, first_hour=2, hours=8),
    Habit(user=5, queue=1, part=0.12, burst=1, cpus=(1, 2, 8), minutes=120, asked=1.2, first_hour=0, hours=8),
)


def build_trace(jobs: int = JOBS, seed: int = SEED) -> Trace:
    """A trace of about so many jobs (rounded per user, at least one each), for 16 machines of 8 processors."""
    random = Random(seed)
    drafts: list[Record] = []
    for habit in HABITS:
        drafts += _records(habit, max(1, round(jobs * habit.part)), random)
    drafts.sort(key=lambda record: (record.submit, record.user or 0, record.number))
    records = [_numbered(number, record) for number, record in enumerate(drafts, start=1)]
    return Trace("synthetic", _headers(len(records), seed), tuple(records))


def _records(habit: Habit, count: int, random: Random) -> list[Record]:
    records: list[Record] = []
    submit = 0
    for number in range(count):
        if number % habit.burst == 0:
            submit = round((habit.first_hour + random.random() * habit.hours) * _HOUR)
        # A long tail, as run times have; never beyond what was asked, where a real system would have ended the job.
        limit = round(habit.minutes * 60 * habit.asked * 2)
        run = min(limit, max(1, round(random.lognormvariate(0, 0.6) * habit.minutes * 60)))
        cpus = random.choice(habit.cpus)
        records.append(
            Record(
                number=number,
                submit=submit,
                run=run,
                requested=cpus,
                requested_time=limit,
                status=Status.COMPLETED,
                user=habit.user,
                group=1 + habit.user % 2,
                executable=habit.user,
                queue=habit.queue,
                partition=1,
            )
        )
    return records


def _numbered(number: int, record: Record) -> Record:
    return replace(record, number=number)


def _headers(jobs: int, seed: int) -> tuple[Header, ...]:
    said = [
        ("Version", "2.2"),
        ("Computer", "none: a synthetic workload"),
        ("Information", f"python -m batchwright.simulation.synthetic {jobs} {seed}"),
        ("MaxJobs", str(jobs)),
        ("MaxRecords", str(jobs)),
        ("UnixStartTime", "0"),
        ("TimeZoneString", "UTC"),
        ("MaxNodes", str(NODES)),
        ("MaxProcs", str(NODES * CPUS_PER_NODE)),
        ("MaxQueues", "2"),
        ("Queue", "1 narrow jobs"),
        ("Queue", "2 wide jobs"),
    ]
    return tuple(Header(line, key, value) for line, (key, value) in enumerate(said, start=1))


def main(arguments: Sequence[str]) -> None:
    """Prints a trace; the arguments are the number of jobs and the seed."""
    jobs, seed = (int(word) for word in [*arguments, *map(str, (JOBS, SEED)[len(arguments) :])])
    sys.stdout.write(text(build_trace(jobs, seed)))


if __name__ == "__main__":
    main(sys.argv[1:])
