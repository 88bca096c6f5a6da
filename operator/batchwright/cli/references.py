"""What a person types for a job, elements of an array, or a node: `sim`, `sim:17`, `sim:3,7-9`, `train#2`. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import typer

from batchwright import names
from batchwright.domain.indexes import Runs, format_runs, parse_indexes

_UID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PREFIXES: Final = (f"batchjob.{names.GROUP}/", f"batchjobs.{names.GROUP}/", "batchjob/", "batchjobs/", "bj/")


@dataclass(frozen=True)
class Reference:
    """A job by name or jobId, and elements of it, or a node; no `runs` and no `node`: the whole job."""

    job: str
    runs: Runs | None = None
    node: int | None = None

    @property
    def index(self) -> int | None:
        """The one element that is meant; None for several, or for the whole job."""
        if self.runs is None or len(self.runs) != 1 or self.runs[0][0] != self.runs[0][1]:
            return None
        return self.runs[0][0]


def is_job_id(text: str) -> bool:
    """Whether text has the form of a jobId (a uid)."""
    return _UID.fullmatch(text) is not None


def plain_name(reference: str) -> str:
    """The reference without a leading kind."""
    for prefix in _PREFIXES:
        if reference.startswith(prefix):
            return reference.removeprefix(prefix)
    return reference


def address(name: str, runs: Runs) -> str:
    """How elements are written: `sim:3,7-9`."""
    return f"{name}:{format_runs(runs)}"


def parse_reference(text: str) -> Reference:
    """The job and the elements, or the node, of a text. Raises BadParameter, a ValueError of the command line's."""
    name, mark, number = plain_name(text).partition("#")
    if mark:
        if not name or not number.isdecimal() or len(number) > 4:
            raise typer.BadParameter(f"{text!r}: a node of a multi-node job is JOB#NUMBER, such as train#2")
        return Reference(name, node=int(number))
    job, colon, elements = plain_name(text).partition(":")
    if not colon:
        return Reference(job)
    if not job:
        raise typer.BadParameter(f"{text!r} has no job before the colon: an element is JOB:INDEX, such as sim:17")
    return Reference(job, read_indexes(text, elements))


def read_indexes(whole: str, indexes: str) -> Runs:
    """Indexes and ranges of them. Raises BadParameter, which quotes `whole`."""
    try:
        runs = parse_indexes(indexes)
    except ValueError as error:
        raise typer.BadParameter(f"{whole!r}: {error} (elements are written 17, or 3,7-9)") from error
    if not runs:
        raise typer.BadParameter(f"{whole!r} names no element: elements are written 17, or 3,7-9")
    return runs


def elements_allowed(values: Sequence[str]) -> Sequence[str]:
    """A callback for arguments that take jobs and elements: refuses malformed ones before anything is done."""
    for value in values or ():
        if parse_reference(value).node is not None:
            raise typer.BadParameter(
                f"{value!r} is a node of a multi-node job, which starts and ends with the others: name the job "
                "(`describe` and `logs` take nodes)"
            )
    return values


def parts_allowed(values: Sequence[str]) -> Sequence[str]:
    """The same for arguments that take nodes too."""
    for value in values or ():
        parse_reference(value)
    return values


def job_or_elements(value: str) -> str:
    """The same for an argument that is one of them."""
    elements_allowed([value])
    return value


def element_allowed(value: str) -> str:
    """The same for an argument that takes one of them: a job, or a single element."""
    reference = parse_reference(value)
    if reference.runs is not None and reference.index is None:
        raise typer.BadParameter(f"{value!r} names several elements: name one, such as {reference.job}:17")
    return value


def whole_jobs_only(values: Sequence[str]) -> Sequence[str]:
    """A callback for arguments that take no elements."""
    for value in values or ():
        reference = parse_reference(value)
        if reference.node is not None:
            raise typer.BadParameter(
                f"{value!r} is a node, and this takes whole jobs: say {reference.job} (`describe` and `logs` take "
                "nodes)"
            )
        if reference.runs is not None:
            raise typer.BadParameter(
                f"{value!r} is an element, and this takes whole jobs: say {reference.job} "
                f"(`describe`, `logs`, `cancel`, `terminate` and `retry` take elements)"
            )
    return values


def whole_job_only(value: str | None) -> str | None:
    """The same for an option that takes one job."""
    whole_jobs_only([value] if value else [])
    return value
