"""The pods of elements, asked for by what is needed of them: an array of 100,000 has too many to read them all.

A pod bears its position among the elements that run (its completion index); everything here is told and tells indexes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from batchwright import names
from batchwright.cli.arrays import elements_of
from batchwright.cli.attempts import attempt_of, is_gated
from batchwright.cli.elements import Element, build_element
from batchwright.cli.session import Session
from batchwright.cluster.resources import PODS
from batchwright.domain.indexes import Positions

JSON = dict[str, Any]
# Indexes in one label selector: 6 KB of a URL.
ASKED_AT_ONCE: Final = 500
NOT_ENDED: Final = "status.phase!=Succeeded,status.phase!=Failed"


def positions_of(job: JSON) -> Positions:
    """Where the job's indexes stand."""
    return Positions(elements_of(job) or ())


def element_labels(job: JSON, index: int) -> str:
    """The label selector of one element's pods."""
    position = positions_of(job).position(index)
    return f"{names.LABEL_JOB_ID}={job['metadata']['uid']},{names.POD_INDEX}={position}"


async def read_element(session: Session, job: JSON, index: int) -> Element:
    """The element with all of its pods that are still there."""
    labels = element_labels(job, index)
    pods = await session.api.list_all(PODS, job["metadata"]["namespace"], labels=labels)
    return build_element(job, index, pods)


async def pods_of(session: Session, job: JSON, indexes: Sequence[int]) -> dict[int, list[JSON]]:
    """All pods of these elements, by index."""
    places = positions_of(job)
    found: dict[int, list[JSON]] = {index: [] for index in indexes}
    for start in range(0, len(indexes), ASKED_AT_ONCE):
        asked = ",".join(str(places.position(index)) for index in indexes[start : start + ASKED_AT_ONCE])
        async for index, pod in _indexed(session, job, places, f"{names.POD_INDEX} in ({asked})", None):
            found[index].append(pod)
    return found


async def live_pods(session: Session, job: JSON) -> dict[int, JSON]:
    """The newest pod that has not ended of each element that has one."""
    newest: dict[int, JSON] = {}
    async for index, pod in _indexed(session, job, positions_of(job), None, NOT_ENDED):
        if index not in newest or attempt_of(pod) > attempt_of(newest[index]):
            newest[index] = pod
    return newest


async def troubled_pods(session: Session, job: JSON) -> list[JSON]:
    """Released pods that do not run yet, of the first page of them."""
    labels = f"{names.LABEL_JOB_ID}={job['metadata']['uid']}"
    async for page in session.api.pages(
        PODS, job["metadata"]["namespace"], labels=labels, fields="status.phase=Pending"
    ):
        return [pod for pod in page["items"] if not is_gated(pod)]
    return []


async def _indexed(
    session: Session, job: JSON, places: Positions, labels: str | None, fields: str | None
) -> AsyncIterator[tuple[int, JSON]]:
    own = f"{names.LABEL_JOB_ID}={job['metadata']['uid']}"
    selected = f"{own},{labels}" if labels else own
    async for page in session.api.pages(PODS, job["metadata"]["namespace"], labels=selected, fields=fields):
        for pod in page["items"]:
            index = places.index(int(pod["metadata"]["annotations"][names.POD_INDEX]))
            if index is not None:
                yield index, pod
