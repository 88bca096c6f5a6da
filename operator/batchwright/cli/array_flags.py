"""The flags of `submit` that make an array, and those that tie its elements to others. Pure."""

from __future__ import annotations

from typing import Any, Final, get_args

import typer

from batchwright.cli.references import is_job_id, plain_name
from batchwright.errors import WorkloadError

JSON = dict[str, Any]
SIZE: Final = "--array-size"
ITEMS: Final = "--array-items"
CONCURRENCY: Final = "--max-concurrency"
DEPENDS: Final = "--depends-on"


def array_properties(size: int | None, rows: list[dict[str, str]] | None, max_concurrency: int | None) -> JSON | None:
    """arrayProperties of the flags; None for no array. Raises BadParameter."""
    if rows is not None and size is not None and size != len(rows):
        raise typer.BadParameter(f"{ITEMS} has {len(rows)} items: leave {SIZE} {size} out", param_hint=SIZE)
    if max_concurrency is not None and size is None and rows is None:
        raise typer.BadParameter(f"only with {SIZE} or {ITEMS}", param_hint=CONCURRENCY)
    whole = {
        "size": size,
        "items": {"list": rows} if rows is not None else None,
        "maxConcurrency": max_concurrency,
    }
    return {key: value for key, value in whole.items() if value is not None} or None


def parse_items(source: str, text: str) -> list[dict[str, str]]:
    """The rows of a YAML or JSON list, of maps or of plain values, as the operator reads one from a ConfigMap.

    Raises BadParameter naming the item that is wrong.
    """
    from batchwright.api.v1alpha1.array import MAX_ROWS, ArrayItems
    from batchwright.domain.items import item_table
    from batchwright.domain.itemtext import rows_of_text

    try:
        read = rows_of_text(text, source)
        if not 2 <= len(read) <= MAX_ROWS:
            raise WorkloadError(
                f"{source} has {len(read)} items, and an array takes 2 to {MAX_ROWS} this way; for more, name a "
                "ConfigMap in arrayProperties.items.configMap of a manifest (-f)"
            )
        # A dict would hide a parameter that is given twice.
        twice = next((number for number, row in enumerate(read) if len(dict(row)) < len(row)), None)
        if twice is not None:
            raise WorkloadError(f"{source}[{twice}] has a parameter twice")
        rows = [dict(row) for row in read]
        # Not validated: the table's own refusals name the item and say more.
        item_table(ArrayItems.model_construct(rows=tuple(rows), matrix=None, config_map=None), None)
    except WorkloadError as error:
        raise typer.BadParameter(str(error), param_hint=ITEMS) from error
    return rows


def parse_dependency(text: str) -> JSON:
    """One entry of dependsOn: JOB, JOB:TYPE, JOB:CONDITION, JOB:TYPE:CONDITION, or SEQUENTIAL[:CONDITION] alone.

    Nothing is ambiguous: names of jobs have neither colons nor capitals. Raises BadParameter.
    """
    job, *words = plain_name(text).split(":")
    entry: JSON = {}
    if job == "SEQUENTIAL":
        entry["type"] = job
    elif job:
        entry["jobId" if is_job_id(job) else "name"] = job
    else:
        raise typer.BadParameter(f"{text!r} names no job (only SEQUENTIAL goes without)", param_hint=DEPENDS)
    for word in words:
        key, value = _word(text, word)
        if key in entry or (key == "type" and "condition" in entry):
            raise typer.BadParameter(f"{text!r}: write JOB:TYPE:CONDITION", param_hint=DEPENDS)
        entry[key] = value
    return entry


def _word(whole: str, word: str) -> tuple[str, str]:
    from batchwright.api.v1alpha1.batchjob import DependencyCondition, DependencyType

    types, conditions = get_args(DependencyType), get_args(DependencyCondition)
    for key, known in (("type", types), ("condition", conditions)):
        for each in known:
            if word.upper() == each.upper():
                return key, each
    if word.isdecimal():
        reason = "no job depends on a single element; N_TO_N has each element wait for the same one of that job"
    else:
        reason = f"{word!r} is neither a type ({', '.join(types)}) nor a condition ({', '.join(conditions)})"
    raise typer.BadParameter(f"{whole!r}: {reason}", param_hint=DEPENDS)


def check_dependencies(entries: list[JSON], *, is_array: bool) -> None:
    """Raises BadParameter for SEQUENTIAL without a job on what is no array: it orders the elements of one."""
    for entry in entries:
        if not is_array and "name" not in entry and "jobId" not in entry:
            raise typer.BadParameter(
                f"SEQUENTIAL without a job orders the elements of an array: give {SIZE} or {ITEMS}", param_hint=DEPENDS
            )
