"""When the names of a multi-node job's nodes are published, and of which nodes.

The main node's at once, for the others need it; all of them as soon as all have addresses; and what has come in between
once a second, since each time is one write of all names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from batchwright.domain.observations import Pod

PUBLISH_EVERY: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Published:
    """The pods whose names have been published, by name and address, and when that was done."""

    pods: frozenset[tuple[str, str]]
    at: datetime

    @classmethod
    def of(cls, pods: Sequence[Pod], at: datetime) -> Published:
        """These pods, of which those without an address have no name yet."""
        return cls(_named(pods), at)


def are_published(pods: Sequence[Pod], published: Published | None) -> bool:
    """Whether every one of them that has an address can be found by name. A node that ended keeps its name."""
    return _named(pods) <= (published.pods if published is not None else frozenset())


def publish_at(
    main: Pod, others: Sequence[Pod], size: int, published: Published | None, now: datetime
) -> datetime | None:
    """When the names of these pods of one start are to be published, of a job of so many nodes; None where they are, or
    none has an address."""
    pods = (main, *others)
    if are_published(pods, published):
        return None
    if published is None or not are_published((main,), published) or len(_named(pods)) == size:
        return now
    return max(now, published.at + PUBLISH_EVERY)


def _named(pods: Sequence[Pod]) -> frozenset[tuple[str, str]]:
    return frozenset((pod.name, pod.address) for pod in pods if pod.address)
