"""Leader election: who holds the Lease writes, and nobody else (coordination.k8s.io/v1).

Invariants: nothing is written on the strength of a lease that was not renewed within `deadline_seconds`, which is less
than the duration after which others may take it; a candidate waits out the whole duration. Both are measured by a clock
that nobody can set, and that goes on while the machine sleeps.
Hazard: no lease can stop a request that has been sent. What makes a late one harmless is that every write of ours names
the uid of its object, or makes an object whose name follows from it, and that a status tests the state it was decided
on (cluster.writes; docs/adr/0013).
"""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from batchwright.cluster import leaserecord
from batchwright.cluster.client import JSON, ApiClient
from batchwright.cluster.leaserecord import LeaseRecord, Sighting
from batchwright.cluster.resources import LEASES
from batchwright.errors import AlreadyExists, ApiError, Conflict, LeadershipLost, NotFound

logger = structlog.get_logger(__name__)
# CLOCK_MONOTONIC stands still while a machine is suspended, and a lease does not.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
RETRY_SECONDS = 0.5
RELEASE_SECONDS = 2.0


def clock() -> float:
    """Seconds since some moment, counted whatever becomes of the time of day."""
    return time.clock_gettime(_CLOCK)


def new_identity() -> str:
    """A name for this process that no other has had: two of one name would both lead."""
    return f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True, slots=True)
class Terms:
    """Which Lease, and for how long. What follows from the duration cannot contradict it."""

    namespace: str
    name: str
    seconds: int

    @property
    def deadline_seconds(self) -> float:
        """So long after its last renewal the holder stops writing."""
        return 0.7 * self.seconds

    @property
    def renew_seconds(self) -> float:
        """How often the holder renews it."""
        return 0.2 * self.seconds

    @property
    def look_seconds(self) -> float:
        """How often a candidate looks."""
        return 0.1 * self.seconds


class Leadership:
    """One process's part in the election. `held` is set once it leads, `standing_by` once another is known to."""

    def __init__(self, api: ApiClient, terms: Terms, identity: str, now: Callable[[], float] = clock) -> None:
        self.identity = identity
        self.held = asyncio.Event()
        self.standing_by = asyncio.Event()
        self._api = api
        self._terms = terms
        self._now = now
        self._seen: Sighting | None = None
        self._looked_at = now()
        self._leads_until = 0.0

    def seconds_left(self) -> float:
        """How long something may still be written without another renewal; 0 or less: not at all."""
        return self._leads_until - self._now()

    def silence_seconds(self) -> float:
        """How long ago the Lease was last read or written."""
        return self._now() - self._looked_at

    async def run(self) -> None:
        """Takes the lease when it is free and renews it until cancelled. Raises LeadershipLost once it is another's or
        could not be renewed, and the ApiError of a first look that fails."""
        await self._look()
        while not await self._take():
            if not self.standing_by.is_set():
                logger.info("standing by", leader=self._holder(), identity=self.identity)
                self.standing_by.set()
            await asyncio.sleep(self._terms.look_seconds)
            try:
                async with asyncio.timeout(self._terms.deadline_seconds):
                    await self._look()
            except (ApiError, TimeoutError) as error:
                logger.warning("lease not read", error=str(error) or "no answer")
        logger.info("leading", identity=self.identity)
        self.held.set()
        try:
            await self._keep()
        except LeadershipLost:
            self._leads_until = 0.0
            raise

    async def release(self) -> None:
        """Gives the lease back if it is ours, so that another need not wait; from here on nothing may be written."""
        if self.seconds_left() <= 0:
            return
        self._leads_until = 0.0
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._patch(leaserecord.release(datetime.now(UTC)))
        except (ApiError, TimeoutError) as error:
            logger.warning("lease not given back: it runs out by itself", error=str(error) or "no answer")
        else:
            logger.info("lease given back", identity=self.identity)

    def _holder(self) -> str:
        return self._seen.record.holder if self._seen is not None and self._seen.record is not None else ""

    async def _look(self) -> None:
        try:
            body: JSON | None = await self._api.get(LEASES, self._terms.namespace, self._terms.name)
        except NotFound:
            body = None
        self._see(body)

    def _see(self, body: JSON | None) -> None:
        record = None if body is None else leaserecord.read_lease(body, self._terms.seconds)
        self._looked_at = self._now()
        self._seen = leaserecord.sight(self._seen, record, self._looked_at)

    async def _take(self) -> bool:
        """Writes ourselves in if the lease is free; whether that was done."""
        seen, began = self._seen, self._now()
        if seen is None or not leaserecord.may_take(seen, self.identity, began):
            return False
        spec = leaserecord.claim(self.identity, self._terms.seconds, datetime.now(UTC), seen.record)
        try:
            async with asyncio.timeout(self._terms.deadline_seconds):
                await (self._create(spec) if seen.record is None else self._patch(spec))
        except (AlreadyExists, Conflict, NotFound):
            return False  # Another was faster.
        except (ApiError, TimeoutError) as error:
            if not self.standing_by.is_set() and isinstance(error, ApiError):
                raise
            logger.warning("lease not taken", error=str(error) or "no answer")
            return False
        self._leads_until = began + self._terms.deadline_seconds
        return True

    async def _keep(self) -> None:
        pause = self._terms.renew_seconds
        while True:
            await asyncio.sleep(min(pause, max(0.0, self.seconds_left())))
            began = self._now()
            try:
                async with asyncio.timeout(self.seconds_left()):
                    await self._renew()
            except (ApiError, TimeoutError) as error:
                logger.warning("lease not renewed", error=str(error) or "no answer", seconds_left=self.seconds_left())
                pause = min(RETRY_SECONDS, self._terms.look_seconds)
            else:
                self._leads_until = began + self._terms.deadline_seconds
                pause = self._terms.renew_seconds
            if self.seconds_left() <= 0:
                raise LeadershipLost(
                    f"the Lease {self._where} could not be renewed for {self._terms.deadline_seconds:g} s: "
                    "another operator may take it, so this one ends"
                )

    async def _renew(self) -> None:
        spec = leaserecord.renewal(self.identity, self._terms.seconds, datetime.now(UTC))
        try:
            await self._patch(spec)
            return
        except (Conflict, NotFound):
            await self._look()
        found = self._seen.record if self._seen is not None else None
        if found is None:
            # Deleted. Whoever has seen it waits until it would have run out, so it is ours to make again.
            logger.warning("lease is gone, making it again", lease=self._where)
            await self._create(leaserecord.claim(self.identity, self._terms.seconds, datetime.now(UTC), None))
        elif found.holder == self.identity:
            # Somebody has changed a label, or our write was done and its answer lost.
            await self._patch(spec)
        else:
            raise LeadershipLost(
                f"the Lease {self._where} is {found.holder or 'nobody'}'s now, and was {self.identity}'s: this "
                "operator ends"
            )

    @property
    def _where(self) -> str:
        return f"{self._terms.namespace}/{self._terms.name}"

    async def _create(self, spec: JSON) -> None:
        body = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self._terms.name},
            "spec": spec,
        }
        self._see(await self._api.create(LEASES, self._terms.namespace, body))

    async def _patch(self, spec: JSON) -> None:
        """Changes the Lease if it is still as it was seen. Raises Conflict when it is not."""
        record: LeaseRecord | None = self._seen.record if self._seen is not None else None
        if record is None:
            # Without a version the API server would overwrite anybody's.
            raise Conflict(f"the Lease {self._where} was not there when it was last looked at")
        body = {"metadata": {"resourceVersion": record.version}, "spec": spec}
        self._see(await self._api.patch(LEASES, self._terms.namespace, self._terms.name, body))
