"""What a BatchJob says of its elements, in its spec and its status. Pure.

Everything here speaks of indexes, which are those of the whole array, in a retry of some of them too.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any, Final

from batchwright.cli.formats import FINISHED, STATES, state_of
from batchwright.cli.references import address
from batchwright.domain.indexes import Runs, contains, format_runs, parse_indexes, subtract
from batchwright.errors import NotFound

JSON = dict[str, Any]
ELEMENTWISE: Final = ("N_TO_N", "SEQUENTIAL")
SHOWN: Final = 60


def is_array(job: JSON) -> bool:
    """Whether the job is an array."""
    return bool(job["spec"].get("arrayProperties"))


def size_of(job: JSON) -> int | None:
    """How many elements the whole array has; None while only a ConfigMap knows, and for other jobs."""
    said = _detail(job).get("size")
    asked = job["spec"].get("arrayProperties") or {}
    items = asked.get("items") or {}
    if said or asked.get("size"):
        return int(said or asked["size"])
    if items.get("list"):
        return len(items["list"])
    if items.get("matrix"):
        return prod(len(axis["values"]) for axis in items["matrix"])
    return None


def elements_of(job: JSON) -> Runs | None:
    """The indexes that run: all of the array, or those it was asked for; None where size_of knows none."""
    asked = (job["spec"].get("arrayProperties") or {}).get("indexes")
    if asked:
        return _parsed(asked)
    size = size_of(job)
    return None if size is None else ((0, size - 1),)


def ended(job: JSON, state: str) -> Runs:
    """The indexes that have SUCCEEDED or FAILED."""
    return _parsed(str(_detail(job).get(f"{state.lower()}Indexes") or ""))


def unfinished(job: JSON) -> Runs:
    """The indexes of elements that have not ended."""
    return subtract(subtract(elements_of(job) or (), ended(job, "SUCCEEDED")), ended(job, "FAILED"))


def terminal_state(job: JSON, index: int) -> str | None:
    """How the element ended; None when it has not."""
    for state in ("SUCCEEDED", "FAILED"):
        if contains(ended(job, state), index):
            return state
    # What a status does not list any more shares the end of the whole.
    return state_of(job) if state_of(job) in FINISHED else None


def failures(job: JSON) -> list[JSON]:
    """The groups of elements that failed alike."""
    return list(_detail(job).get("failures") or ())


def failure_of(job: JSON, index: int) -> JSON:
    """The group of a failed element; empty when it is in none."""
    return next((group for group in failures(job) if contains(_parsed(group["indexes"]), index)), {})


def first_failed(job: JSON) -> int | None:
    """The element of the first failure that was seen."""
    for group in failures(job):
        return _parsed(group["indexes"])[0][0]
    failed = ended(job, "FAILED")
    return failed[0][0] if failed else None


def summary_of(job: JSON) -> dict[str, int]:
    """Elements per state, every state present; all zero before the operator has written it."""
    said = _detail(job).get("statusSummary") or {}
    return {state: int(said.get(state, 0)) for state in STATES}


def is_elementwise(job: JSON) -> bool:
    """Whether elements wait for elements."""
    return any(entry.get("type") in ELEMENTWISE for entry in job["spec"].get("dependsOn") or ())


def check_elements(job: JSON, runs: Runs) -> None:
    """Raises NotFound when the job is no array, or has no such elements."""
    name = job["metadata"]["name"]
    if not is_array(job):
        raise _absent(f"job {name} is no array, and has no elements: say {name} in place of {address(name, runs)}")
    there = elements_of(job)
    if there is None:
        raise _absent(f"job {name} has no elements yet: its items are read from a ConfigMap when it starts")
    missing = subtract(runs, there)
    if not missing:
        return
    one = missing[0][0] == missing[-1][1]
    size = size_of(job)
    whole = "" if size is None else f": the array's indexes are 0 to {size - 1}"
    partial = size is None or there != ((0, size - 1),)
    only = f"{', and' if whole else ':'} it runs {short_runs(there)} alone" if partial else ""
    raise _absent(f"job {name} has no element{'' if one else 's'} {short_runs(missing)}{whole}{only}")


def short_runs(runs: Runs, width: int = SHOWN) -> str:
    """The runs as text of at most about `width` characters, what is left out counted."""
    text = format_runs(runs)
    if len(text) <= width:
        return text
    kept = text[:width].rpartition(",")[0] or text[:width]
    return f"{kept},… ({text.count(',') - kept.count(',')} more)"


def progress_text(job: JSON) -> str:
    """Where an array stands, on one line."""
    counts = summary_of(job)
    total = sum(counts.values())
    if not total:
        return ""
    done = counts["SUCCEEDED"] + counts["FAILED"]
    parts = [f"{done} of {total} done"]
    parts += [f"{counts['FAILED']} failed"] if counts["FAILED"] else []
    parts += [f"{counts['RUNNING']} running"] if counts["RUNNING"] else []
    return ", ".join(parts)


def _detail(job: JSON) -> JSON:
    return (job.get("status") or {}).get("arrayProperties") or {}


@lru_cache(maxsize=64)
def _parsed(text: str) -> Runs:
    return parse_indexes(text)


def _absent(text: str) -> NotFound:
    return NotFound(text, 404, "NotFound")
