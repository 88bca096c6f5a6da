"""One element of an array: its state, and what is known of its attempts from its pods and the job's status. Pure.

How an element ended is the status's to say; what lives is seen in the pods, of which the newest counts. A pod that is
gone leaves what the status keeps: the ranges, and for failures the group the element is in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from batchwright.cli.arrays import (
    ended,
    failure_of,
    is_elementwise,
    size_of,
    summary_of,
    terminal_state,
    unfinished,
)
from batchwright.cli.attempts import attempt_of, is_gated, main_container
from batchwright.cli.formats import FINISHED, state_of
from batchwright.domain.indexes import expand
from batchwright.domain.reasons import DEPENDENT_JOB_FAILED

JSON = dict[str, Any]


@dataclass(frozen=True)
class ElementAttempt:
    """One attempt; `entry` has the form of an entry of a job's status.attempts, without an end while it runs."""

    number: int
    entry: JSON


@dataclass(frozen=True)
class Element:
    """An element. `made` is the number of attempts so far, None when its pods are gone and nobody knows."""

    job: JSON
    index: int
    state: str
    made: int | None = None
    attempts: Sequence[ElementAttempt] = field(default=())
    pods: Sequence[JSON] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """How it is addressed: `sim:17`."""
        return f"{self.job['metadata']['name']}:{self.index}"

    @property
    def last(self) -> JSON:
        """The last attempt that is known; empty for none."""
        return self.attempts[-1].entry if self.attempts else {}

    @property
    def exit_code(self) -> int | None:
        """How its last attempt ended."""
        code = (self.last.get("container") or {}).get("exitCode")
        return code if code is not None or self.state != "FAILED" else failure_of(self.job, self.index).get("exitCode")

    @property
    def reasons(self) -> list[str]:
        """statusReason and reason of how it ended, or of its last attempt."""
        group = failure_of(self.job, self.index) if self.state == "FAILED" else {}
        said = group.get("statusReason") or self.last.get("statusReason")
        more = group.get("reason") or (self.last.get("container") or {}).get("reason")
        return [text for text in (said, more) if text]


def build_element(job: JSON, index: int, pods: Sequence[JSON]) -> Element:
    """The element, given all of its pods that are still there."""
    ordered = sorted(pods, key=lambda pod: (attempt_of(pod), pod["metadata"]["creationTimestamp"]))
    attempts = tuple(element_attempt(pod) for pod in ordered if not is_gated(pod))
    state = element_state(job, index, ordered[-1] if ordered else None)
    if attempts:
        made: int | None = attempts[-1].number
    elif ordered:
        made = attempt_of(ordered[-1]) - 1
    elif failure_of(job, index).get("statusReason") == DEPENDENT_JOB_FAILED:
        made = 0
    else:
        made = None if terminal_state(job, index) else 0
    return Element(job, index, state, made, attempts, ordered)


def element_state(job: JSON, index: int, newest: JSON | None) -> str:
    """The element's state by its newest pod; None: it has none (any more)."""
    state = terminal_state(job, index)
    if state is not None:
        return state
    return idle_state(job) if newest is None or is_gated(newest) else live_state(newest)


def idle_state(job: JSON) -> str:
    """The state of an element that has not ended and whose pod is not released, or not there.

    Where elements wait both for elements and for room, only the operator knows which: PENDING then.
    """
    counts = summary_of(job)
    if state_of(job) == "SUBMITTED":
        return "SUBMITTED"
    if counts["PENDING"] and not counts["RUNNABLE"]:
        return "PENDING"
    if counts["RUNNABLE"] and not counts["PENDING"]:
        return "RUNNABLE"
    return "PENDING" if is_elementwise(job) else "RUNNABLE"


def live_state(pod: JSON) -> str:
    """The state that a released pod shows."""
    status = pod.get("status") or {}
    if status.get("phase") == "Succeeded":
        return "SUCCEEDED"
    if status.get("phase") == "Failed":
        return "RUNNABLE"  # the next attempt's pod comes after the Job controller's back-off
    main = main_container(pod)
    states = {each["name"]: each.get("state") or {} for each in status.get("containerStatuses") or ()}
    return "RUNNING" if {"running", "terminated"} & states.get(main, {}).keys() else "STARTING"


def select(job: JSON, live: Mapping[int, JSON], wanted: Sequence[str]) -> list[tuple[int, str]]:
    """Index and state of every element in one of the `wanted` states (none given: of all), by index.

    `live` has the newest pod that has not ended of each element that has one.
    """
    found = [
        (index, state)
        for state in ("SUCCEEDED", "FAILED")
        if not wanted or state in wanted
        for index in expand(ended(job, state))
    ]
    idle = state_of(job) if state_of(job) in FINISHED else idle_state(job)
    for index in expand(unfinished(job)):
        state = element_state(job, index, live[index]) if index in live else idle
        if not wanted or state in wanted:
            found.append((index, state))
    return sorted(found)


def parameters_of(job: JSON, index: int) -> dict[str, str] | None:
    """The items of the element; None where a ConfigMap has them."""
    items = (job["spec"].get("arrayProperties") or {}).get("items")
    if not items:
        return {}
    if items.get("list"):
        return dict(items["list"][index])
    if not items.get("matrix"):
        return None
    row: dict[str, str] = {}
    rest = index
    for axis in reversed(items["matrix"]):  # the last parameter varies fastest
        rest, place = divmod(rest, len(axis["values"]))
        row[axis["name"]] = axis["values"][place]
    return {axis["name"]: row[axis["name"]] for axis in items["matrix"]}


def record(element: Element) -> JSON:
    """The element for programs, in the words of a job's status and of AWS's DescribeJobs."""
    metadata = element.job["metadata"]
    parameters = parameters_of(element.job, element.index)
    whole: JSON = {
        "jobName": metadata["name"],
        "namespace": metadata["namespace"],
        "jobId": f"{metadata['uid']}:{element.index}",
        "arrayProperties": {"index": element.index, "size": size_of(element.job)},
        "state": element.state,
        "statusReason": element.reasons[0] if element.reasons else None,
        "exitCode": element.exit_code,
        "parameters": parameters or None,
        "attemptsMade": element.made,
        "attempts": [{"attempt": each.number} | each.entry for each in element.attempts],
    }
    return {key: value for key, value in whole.items() if value is not None}


def element_attempt(pod: JSON) -> ElementAttempt:
    """The attempt in a pod."""
    from batchwright.cluster.projections import pod as project
    from batchwright.domain.attempts import attempt

    seen = project(pod)
    entry = attempt(seen, {}).to_wire()
    if not seen.is_finished:
        # Under way: what an end would say is not said yet.
        entry = {key: value for key, value in entry.items() if key in ("startedAt", "container")}
        entry["container"] = {key: value for key, value in entry["container"].items() if key in ("podName", "nodeName")}
    return ElementAttempt(attempt_of(pod), entry)
