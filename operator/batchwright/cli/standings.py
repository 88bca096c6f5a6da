"""The place of waiting jobs in their queues, for `describe`: one rehearsal of the next pass for all it is asked of.

Hazard: a rehearsal lists the whole cluster. What may not be read, or takes too long, leaves the page as it is without
it, and says so.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from batchwright.cli.arrays import is_array, summary_of
from batchwright.cli.facts import Facts
from batchwright.cli.formats import FINISHED, state_of
from batchwright.cli.plan import rehearse
from batchwright.cli.session import Session
from batchwright.errors import ApiError

if TYPE_CHECKING:
    from batchwright.controllers.rehearsal import Rehearsal

MOST_SECONDS: Final = 10.0


class Standings:
    """Adds to facts what a rehearsal says."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rehearsal: Rehearsal | None = None
        self._problem = ""

    async def add(self, facts: Facts) -> Facts:
        """The facts of a job that waits for room, or an array some of which does, with its place in the order it is to
        start; those of others as they are."""
        if not _waits(facts):
            return facts
        if self._rehearsal is None and not self._problem:
            await self._rehearse()
        if self._rehearsal is None:
            return replace(facts, unreadable=[*facts.unreadable, self._problem])
        from batchwright.cli.plan_text import standing_of

        found = standing_of(self._rehearsal, facts.job["spec"]["jobQueue"], facts.job["metadata"]["uid"])
        return facts if found is None else replace(facts, position=found[0], standing=found[1])

    async def _rehearse(self) -> None:
        try:
            async with asyncio.timeout(MOST_SECONDS):
                self._rehearsal = await rehearse(self._session)
        except ApiError as error:
            self._problem = f"the place in the queue: {error}"
        except TimeoutError:
            self._problem = (
                f"the place in the queue: not worked out in {MOST_SECONDS:.0f} s, see `batchwright queue top`"
            )


def _waits(facts: Facts) -> bool:
    if is_array(facts.job):
        # An array is PENDING as long as some of it waits, for room or for other jobs.
        return state_of(facts.job) not in FINISHED and summary_of(facts.job)["RUNNABLE"] > 0
    return state_of(facts.job) == "RUNNABLE"
