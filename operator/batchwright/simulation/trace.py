"""The Standard Workload Format (SWF) 2.2: traces of real systems, and of models.

One line a job of 18 columns, -1 for what is not known; before them header comments `; Key: value`.
Definition: https://www.cs.huji.ac.il/labs/parallel/workload/swf.html

Invariants: every error names the line and the column; `parse(text(trace))` is the trace. Hazard: a job that was
checkpointed may have further lines for its parts (status 2, 3, 4); the first line sums them up (`is_part`).
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Final

from batchwright.errors import TraceError

_GZIP: Final = b"\x1f\x8b"
_HEADER: Final = re.compile(r";\s*([A-Za-z]+)\s*:\s*(.*?)\s*$")
_LEADING_NUMBER: Final = re.compile(r"\d+(?!\S)")
_UNKNOWN: Final = -1


class Status(IntEnum):
    """What became of a job; the middle three are parts of one that was checkpointed or swapped out."""

    FAILED = 0
    COMPLETED = 1
    PART_TO_BE_CONTINUED = 2
    LAST_PART_COMPLETED = 3
    LAST_PART_FAILED = 4
    CANCELLED = 5


_PARTS: Final = (Status.PART_TO_BE_CONTINUED, Status.LAST_PART_COMPLETED, Status.LAST_PART_FAILED)


@dataclass(frozen=True, slots=True)
class Record:
    """One line: the 18 columns in the order of the format. None is unknown (-1).

    Times are seconds, memory is KB a processor. `preceding` is the job after whose end, and `think` seconds, this one
    is submitted.
    """

    number: int
    submit: float
    wait: float | None = None
    run: float | None = None
    allocated: int | None = None
    cpu_time: float | None = None
    used_memory: float | None = None
    requested: int | None = None
    requested_time: float | None = None
    requested_memory: float | None = None
    status: int | None = None
    user: int | None = None
    group: int | None = None
    executable: int | None = None
    queue: int | None = None
    partition: int | None = None
    preceding: int | None = None
    think: float | None = None

    @property
    def is_part(self) -> bool:
        """Whether this is a part of a job that has a line of its own."""
        return self.status in _PARTS

    @property
    def processors(self) -> int | None:
        """What the job asked for; what it got, where nobody wrote down the former."""
        return self.requested or self.allocated


@dataclass(frozen=True, slots=True)
class Header:
    """A header comment, and its line."""

    line: int
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Trace:
    """A whole trace. `source` is what errors call it."""

    source: str
    headers: tuple[Header, ...]
    records: tuple[Record, ...]

    def number(self, key: str) -> int | None:
        """A header that is a number above 0, such as MaxProcs; None without it. Raises TraceError."""
        for header in self.headers:
            if header.key.lower() != key.lower() or header.value == str(_UNKNOWN):
                continue
            # Archived logs go on with a remark: `MaxNodes: 128 (of 140)`.
            found = _LEADING_NUMBER.match(header.value)
            if found is None or not int(found[0]):
                raise TraceError(
                    f"{self.source}: line {header.line}: header {header.key}: "
                    f"'{header.value}' is not a number above 0 (or -1 for unknown)"
                )
            return int(found[0])
        return None


# The title of each column for errors, and whether it takes fractions (times, and averages over processors, do).
_TITLES: Final = (
    "job number", "submit time", "wait time", "run time", "allocated processors", "average CPU time", "used memory",
    "requested processors", "requested time", "requested memory", "status", "user", "group", "executable", "queue",
    "partition", "preceding job", "think time",
)  # fmt: skip
_NAMES: Final = tuple(field.name for field in fields(Record))
_IS_REAL: Final = tuple("float" in str(field.type) for field in fields(Record))
_MANDATORY: Final = ("number", "submit")


def parse(source: str, data: bytes) -> Trace:
    """A trace from the bytes of its file, which may be gzip. Raises TraceError, naming line and column."""
    # Names in comments may be in any encoding; the columns are ASCII, and what is not is refused as no number.
    return parse_lines(source, _unpacked(source, data).decode("utf-8", "replace").splitlines())


def parse_lines(source: str, lines: Iterable[str]) -> Trace:
    """A trace from its lines. Raises TraceError, naming line and column."""
    headers: list[Header] = []
    records: list[Record] = []
    seen: set[int] = set()
    for number, line in enumerate(lines, start=1):
        stripped = line.strip()
        if stripped.startswith(";"):
            found = _HEADER.match(stripped)
            if found:
                headers.append(Header(number, found[1], found[2]))
        elif stripped:
            record = _record(f"{source}: line {number}", stripped.split())
            _check_references(f"{source}: line {number}", record, seen)
            seen.add(record.number)
            records.append(record)
    if not records:
        raise TraceError(f"{source}: no jobs in it: a trace has one line of {len(_NAMES)} columns for each job")
    return Trace(source, tuple(headers), tuple(records))


def text(trace: Trace) -> str:
    """The trace as a file in the Standard Workload Format."""
    lines = [f"; {header.key}: {header.value}".rstrip() for header in trace.headers]
    lines += [" ".join(_written(getattr(record, name)) for name in _NAMES) for record in trace.records]
    return "\n".join(lines) + "\n"


def _unpacked(source: str, data: bytes) -> bytes:
    if not data.startswith(_GZIP):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise TraceError(f"{source}: a gzip file that cannot be unpacked: {error}") from error


def _record(where: str, words: Sequence[str]) -> Record:
    if len(words) < len(_NAMES):
        raise TraceError(
            f"{where}: column {len(words) + 1} ({_TITLES[len(words)]}) is missing: "
            f"a job has {len(_NAMES)} columns, this line has {len(words)}"
        )
    if len(words) > len(_NAMES):
        raise TraceError(f"{where}: column {len(_NAMES) + 1}: '{words[len(_NAMES)]}' is more than the format has")
    return Record(*(_value(where, place, word) for place, word in enumerate(words)))  # type: ignore[arg-type]


def _value(where: str, place: int, word: str) -> int | float | None:
    try:
        value: int | float = int(word)
    except ValueError:
        value = _fraction(where, place, word)
    if value >= 0:
        return value
    if value != _UNKNOWN:
        raise TraceError(f"{_column(where, place)}: {word} is less than -1, which is unknown")
    if _NAMES[place] in _MANDATORY:
        raise TraceError(f"{_column(where, place)}: must be known, and not -1")
    return None


def _fraction(where: str, place: int, word: str) -> float:
    wanted = "a number" if _IS_REAL[place] else "a whole number"
    try:
        value = float(word)
    except ValueError:
        raise TraceError(f"{_column(where, place)}: '{word}' is not {wanted}") from None
    # Written as a fraction, but none: 4.0 processors.
    if not _IS_REAL[place] and value.is_integer():
        return int(value)
    if not _IS_REAL[place] or not abs(value) < float("inf"):
        raise TraceError(f"{_column(where, place)}: '{word}' is not {wanted}")
    return value


def _check_references(where: str, record: Record, seen: set[int]) -> None:
    if record.number in seen and not record.is_part:
        raise TraceError(f"{_column(where, 0)}: {record.number} is the number of an earlier line's job too")
    if record.preceding is not None and (record.preceding == record.number or record.preceding not in seen):
        column = _column(where, _NAMES.index("preceding"))
        raise TraceError(f"{column}: {record.preceding} is not the number of an earlier line's job")


def _column(where: str, place: int) -> str:
    return f"{where}: column {place + 1} ({_TITLES[place]})"


def _written(value: float | None) -> str:
    if value is None:
        return str(_UNKNOWN)
    return str(int(value)) if float(value).is_integer() else repr(value)
