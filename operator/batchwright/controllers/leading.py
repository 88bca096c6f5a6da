"""The operator as a candidate: it stands by until the Lease is its own, works as long as it is, and then ends.

A candidate reads nothing but the Lease. What it saw of the jobs while another wrote their statuses would be a picture
of yesterday; once it leads it lists everything, consistent with each write of the one before (ADR 0013).
"""

from __future__ import annotations

import asyncio

from batchwright.cluster.client import ApiClient
from batchwright.cluster.lease import Leadership
from batchwright.controllers.operator import Operator


async def lead(operator: Operator, leadership: Leadership, api: ApiClient) -> None:
    """Stands by, then works, until cancelled; gives the lease back at the end, once nothing can be written any more.

    Raises LeadershipLost, and what ended the operator. `api` is the client the operator writes with.
    """
    api.may_write = lambda: leadership.seconds_left() > 0
    election = asyncio.create_task(leadership.run(), name="leader election")
    won = asyncio.create_task(leadership.held.wait())
    tasks: list[asyncio.Task[object]] = [election, won]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not election.done():
            work = asyncio.create_task(operator.run(), name="operator")
            tasks.append(work)
            await asyncio.wait({election, work}, return_when=asyncio.FIRST_COMPLETED)
            # The cause first: an operator without a lease fails too.
            for ended in (election, work):
                if ended.done():
                    ended.result()
        else:
            election.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await leadership.release()
