"""`list --array`: the elements of an array, by index.

States come from the status and from the pods that live; only of the elements that are shown are all pods read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from batchwright.cli.arrays import elements_of, is_array, size_of
from batchwright.cli.element_pods import live_pods, pods_of
from batchwright.cli.element_text import element_grid
from batchwright.cli.elements import Element, build_element, record, select
from batchwright.cli.formats import FINISHED, now, state_of
from batchwright.cli.jobs import find_job
from batchwright.cli.options import Output
from batchwright.cli.output import note, print_grid, print_value
from batchwright.cli.session import Session
from batchwright.errors import BatchwrightError

JSON = dict[str, Any]
LIMIT: Final = 1000


@dataclass(frozen=True)
class Chosen:
    """The elements to show, and how many more there are."""

    job: JSON
    elements: Sequence[Element]
    more: int


async def list_elements(
    session: Session, reference: str, states: Sequence[str], output: Output, limit: int = LIMIT
) -> None:
    """Prints the elements in these states (none: in any). Raises NotFound, BatchwrightError (no array)."""
    job = await find_job(session, reference)
    name = job["metadata"]["name"]
    if not is_array(job):
        raise BatchwrightError(f"--array {name}: job {name} is no array; `batchwright describe {name}` shows it")
    if elements_of(job) is None:
        note(f"job {name} has no elements yet: its items are read from a ConfigMap when it starts")
        return
    chosen = await choose(session, job, states, limit, details=output is not Output.name)
    print_elements(chosen, output, narrow=bool(states))


async def choose(session: Session, job: JSON, states: Sequence[str], limit: int, *, details: bool = True) -> Chosen:
    """The first elements of those states, by index; without `details` only with index and state."""
    # Before there is a Kubernetes Job there are no pods, and after the end none that live.
    started = bool((job.get("status") or {}).get("jobName"))
    alive = started and state_of(job) not in FINISHED and (not states or bool(set(states) - FINISHED))
    found = select(job, await live_pods(session, job) if alive else {}, states)
    shown = found[:limit]
    pods = await pods_of(session, job, [index for index, _ in shown]) if details and started else {}
    # The state they were chosen by, and not a later one: a table of FAILED elements has no others.
    elements = [replace(build_element(job, index, pods.get(index, ())), state=state) for index, state in shown]
    return Chosen(job, elements, len(found) - len(shown))


def print_elements(chosen: Chosen, output: Output, *, narrow: bool) -> None:
    """Prints them in the way that is asked for; what was left out is told on stderr."""
    name = chosen.job["metadata"]["name"]
    if output is Output.name:
        print("\n".join(element.name for element in chosen.elements), end="\n" if chosen.elements else "")
    elif output in (Output.json, Output.yaml):
        listed = [record(element) for element in chosen.elements]
        print_value({"jobName": name, "size": size_of(chosen.job), "elements": listed, "more": chosen.more}, output)
    elif chosen.elements:
        print_grid(element_grid(chosen.elements, now(), wide=output is Output.wide))
    else:
        note(f"no elements of {name}" + (" match" if narrow else ""))
    if chosen.more:
        note(f"{chosen.more} more: --limit {len(chosen.elements) + chosen.more} shows them too")
