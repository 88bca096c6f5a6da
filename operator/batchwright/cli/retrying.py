"""The BatchJob that runs failed work again: the whole of a single job, or some elements of an array. Pure.

Elements keep the indexes, the size and the items they have in the whole array, so that a retry of a retry is one of the
whole array too. The definition is the revision that the job ran, whatever has become of it since.
"""

from __future__ import annotations

import re
from typing import Any, Final

from batchwright import names
from batchwright.cli.arrays import ended, is_array, short_runs, size_of
from batchwright.cli.formats import FINISHED, definition_of, state_of
from batchwright.domain.indexes import Runs, format_runs, intersect, subtract
from batchwright.errors import BatchwrightError

JSON = dict[str, Any]
# The bound of arrayProperties.indexes, and of an object's name.
LONGEST: Final = 16384
LONGEST_NAME: Final = 128
# What belongs to the run that is over, and not to the work.
LEFT_OUT: Final = ("dependsOn", "terminate", "cancel", "terminateElements", "cancelElements")
_RETRY: Final = re.compile(r"(?P<base>.+)-retry-[1-9][0-9]*")


def chosen_elements(job: JSON, asked: Runs | None, *, failed: bool) -> Runs:
    """The elements of an array to run again: those that failed, the `asked`, or those asked that failed.

    None of them: nothing failed. Raises BatchwrightError for elements that have not ended, and for what no job can say.
    """
    name = job["metadata"]["name"]
    if asked is None and state_of(job) not in FINISHED:
        so_far = ended(job, "FAILED")
        example = f", or name elements that have: --elements {short_runs(so_far)}" if so_far else ""
        raise BatchwrightError(f"{name} has not finished: `batchwright wait {name}` first{example}")
    over = ended(job, "FAILED")
    wanted = over if asked is None else asked
    if asked is not None:
        if state_of(job) not in FINISHED:
            open_ones = subtract(subtract(asked, over), ended(job, "SUCCEEDED"))
            if open_ones:
                raise BatchwrightError(
                    f"elements of {name} that have not ended: {short_runs(open_ones)}; leave them out"
                )
        if failed:
            wanted = intersect(asked, over)
    if len(format_runs(wanted)) > LONGEST:
        raise BatchwrightError(_too_many(name, wanted, by_range=failed or asked is None))
    return wanted


def _too_many(name: str, wanted: Runs, *, by_range: bool) -> str:
    """What to do instead; `by_range`: a range of indexes and --failed say the first part that fits."""
    text = format_runs(wanted)
    said = f"too many ranges of elements for one job ({len(text)} characters, at most {LONGEST}): retry them in parts"
    if not by_range:
        return f"{said}, with fewer --elements at a time"
    cut = int(re.split("[,-]", text[:LONGEST].rpartition(",")[0])[-1])
    first, last = wanted[0][0], wanted[-1][1]
    return (
        f"{said}: `batchwright retry {name} --failed --elements {first}-{cut}`, and then those from {cut + 1} to {last}"
    )


def build_retry(job: JSON, name: str, elements: Runs | None) -> JSON:
    """The BatchJob to create; `elements` are those of an array."""
    spec = {key: value for key, value in job["spec"].items() if key not in LEFT_OUT}
    spec["jobDefinition"] = definition_of(job)
    if is_array(job) and elements is not None:
        size = size_of(job)
        spec["arrayProperties"] = {
            **job["spec"]["arrayProperties"],
            **({"size": size} if size is not None else {}),
            "indexes": format_runs(elements),
        }
    return {
        "apiVersion": names.API_VERSION,
        "kind": "BatchJob",
        "metadata": {"name": name, "namespace": job["metadata"]["namespace"]},
        "spec": spec,
    }


def retry_name(name: str, number: int) -> str:
    """`sim-retry-1`, and of a job that is a retry itself the next of the same row."""
    match = _RETRY.fullmatch(name)
    suffix = f"-retry-{number}"
    return (match["base"] if match else name)[: LONGEST_NAME - len(suffix)].rstrip("-.") + suffix
