"""An election over a Lease in memory: two candidates, and an API server that fails, forgets and is tampered with.

Time is the event loop's own and virtual, so that the figures hold on a busy machine.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from batchwright.cluster.lease import Leadership, Terms
from batchwright.cluster.resources import Resource
from batchwright.errors import AlreadyExists, ApiUnavailable, Conflict, Forbidden, LeadershipLost, NotFound
from virtualtime import in_virtual_time

TERMS = Terms("kube-system", "test", 10)
PATIENCE = 60.0
JSON = dict[str, Any]


class FakeLease:
    """The one object, with resourceVersions; `trouble` is asked before each request, `lost` after each write."""

    def __init__(self) -> None:
        self.body: JSON | None = None
        self.version = 0
        self.trouble: Callable[[str], Exception | None] = lambda verb: None
        self.lost: Callable[[str], Exception | None] = lambda verb: None

    def put(self, **spec: Any) -> None:
        """Somebody else's write."""
        self.version += 1
        before = self.body["spec"] if self.body else {}
        self.body = {"metadata": {"name": "test", "resourceVersion": str(self.version)}, "spec": {**before, **spec}}

    @property
    def holder(self) -> str:
        """Who stands in it."""
        return str(self.body["spec"]["holderIdentity"]) if self.body else ""

    async def get(self, resource: Resource, namespace: str, name: str) -> JSON:
        """Reads it."""
        self._raise(self.trouble("get"))
        if self.body is None:
            raise NotFound("no lease", 404)
        return self.body

    async def create(self, resource: Resource, namespace: str, body: JSON) -> JSON:
        """Makes it."""
        self._raise(self.trouble("create"))
        if self.body is not None:
            raise AlreadyExists("there is one", 409)
        self.put(**body["spec"])
        self._raise(self.lost("create"))
        assert self.body is not None
        return self.body

    async def patch(self, resource: Resource, namespace: str, name: str, body: JSON) -> JSON:
        """Changes it, if the version is its own."""
        self._raise(self.trouble("patch"))
        if self.body is None:
            raise NotFound("no lease", 404)
        if body["metadata"]["resourceVersion"] != self.body["metadata"]["resourceVersion"]:
            raise Conflict("changed", 409)
        self.put(**body["spec"])
        self._raise(self.lost("patch"))
        return self.body

    @staticmethod
    def _raise(error: Exception | None) -> None:
        if error is not None:
            raise error


class Candidate:
    """A Leadership that runs."""

    def __init__(self, lease: FakeLease, identity: str) -> None:
        loop = asyncio.get_running_loop()
        self.part = Leadership(lease, TERMS, identity, loop.time)  # type: ignore[arg-type]
        self.task = loop.create_task(self.part.run())

    async def leads(self) -> None:
        """Returns once it leads."""
        await asyncio.wait_for(self.part.held.wait(), PATIENCE)

    async def ends(self) -> str:
        """Why it ended."""
        with pytest.raises(LeadershipLost) as caught:
            await asyncio.wait_for(self.task, PATIENCE)
        return str(caught.value)

    async def end(self) -> None:
        """Ends it as a kill would."""
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError, LeadershipLost):
            await self.task


@pytest.fixture
def lease() -> FakeLease:
    return FakeLease()


async def first_of(lease: FakeLease) -> Candidate:
    """A candidate that leads."""
    made = Candidate(lease, "first")
    await made.leads()
    return made


async def two_of(lease: FakeLease) -> tuple[Candidate, Candidate]:
    """One that leads, and one that stands by."""
    first, second = await first_of(lease), Candidate(lease, "second")
    await asyncio.wait_for(second.part.standing_by.wait(), PATIENCE)
    return first, second


@in_virtual_time
async def test_one_leads_and_the_other_stands_by_for_as_long_as_it_renews(lease: FakeLease) -> None:
    first, second = await two_of(lease)
    await asyncio.sleep(2.5 * TERMS.seconds)
    assert lease.holder == "first"
    assert first.part.seconds_left() > 0
    assert second.part.seconds_left() < 0
    assert not second.part.held.is_set()


@in_virtual_time
async def test_a_lease_that_is_given_back_is_taken_at_once(lease: FakeLease) -> None:
    first, second = await two_of(lease)
    await first.end()
    began = asyncio.get_running_loop().time()
    await first.part.release()
    assert first.part.seconds_left() <= 0
    await second.leads()
    assert asyncio.get_running_loop().time() - began <= TERMS.look_seconds
    assert lease.body is not None
    assert lease.body["spec"]["leaseTransitions"] == 1


@in_virtual_time
async def test_who_is_killed_is_followed_when_the_lease_has_run_out(lease: FakeLease) -> None:
    first, second = await two_of(lease)
    await first.end()
    killed = asyncio.get_running_loop().time()
    await second.leads()
    waited = asyncio.get_running_loop().time() - killed
    assert TERMS.seconds - TERMS.renew_seconds <= waited <= TERMS.seconds + TERMS.look_seconds
    # What it was allowed to write ended before.
    assert first.part.seconds_left() < 0


@in_virtual_time
async def test_a_lease_that_is_taken_away_ends_its_holder(lease: FakeLease) -> None:
    first = await first_of(lease)
    lease.put(holderIdentity="thief")
    assert "is thief's now, and was first's" in await first.ends()
    assert first.part.seconds_left() <= 0
    await first.part.release()
    assert lease.holder == "thief"


@in_virtual_time
async def test_one_that_cannot_renew_ends_before_another_may_take_it(lease: FakeLease) -> None:
    first, second = await two_of(lease)
    # Its renewals alone fail: the other reads and writes.
    first.part._api = _Broken()  # type: ignore[assignment]
    assert "could not be renewed for 7 s" in await first.ends()
    assert not second.part.held.is_set()
    await second.leads()


class _Broken:
    async def patch(self, *_: Any, **__: Any) -> None:
        raise ApiUnavailable("no route", 503)


@pytest.mark.parametrize(
    "tamper",
    [
        pytest.param(lambda lease: setattr(lease, "body", None), id="deleted"),
        pytest.param(lambda lease: lease.put(renewTime="1999-01-01T00:00:00.000000Z"), id="a time changed"),
        pytest.param(lambda lease: lease.put(leaseDurationSeconds=2**31 - 1), id="the duration changed"),
    ],
)
@in_virtual_time
async def test_a_lease_that_is_tampered_with_stays_its_holders(
    lease: FakeLease, tamper: Callable[[FakeLease], None]
) -> None:
    first, second = await two_of(lease)
    tamper(lease)
    await asyncio.sleep(1.5 * TERMS.seconds)
    assert not first.task.done()
    assert first.part.seconds_left() > 0
    assert not second.part.held.is_set()
    assert lease.holder == "first"
    assert lease.body is not None
    assert lease.body["spec"]["leaseDurationSeconds"] == TERMS.seconds


@pytest.mark.parametrize("verb", ["create", "patch"])
@in_virtual_time
async def test_a_claim_whose_answer_was_lost_is_known_as_ours(lease: FakeLease, verb: str) -> None:
    if verb == "patch":
        lease.put(holderIdentity="", leaseDurationSeconds=1, leaseTransitions=0)
    losses = iter([ApiUnavailable("cut", 503)])
    lease.lost = lambda found: next(losses, None) if found == verb else None
    late = Leadership(lease, TERMS, "first", asyncio.get_running_loop().time)  # type: ignore[arg-type]
    # One that stands by already does not end when a write of its own fails.
    late.standing_by.set()
    task = asyncio.create_task(late.run())
    await asyncio.wait_for(late.held.wait(), PATIENCE)
    assert lease.holder == "first"
    task.cancel()


@in_virtual_time
async def test_rights_that_are_missing_are_said_at_once(lease: FakeLease) -> None:
    lease.trouble = lambda verb: Forbidden("leases is forbidden", 403)
    with pytest.raises(Forbidden):
        await Leadership(lease, TERMS, "first").run()  # type: ignore[arg-type]


@in_virtual_time
async def test_a_renewal_that_fails_now_and_then_is_tried_again(lease: FakeLease) -> None:
    first = await first_of(lease)
    calls = iter(range(1000))
    lease.trouble = lambda verb: ApiUnavailable("busy", 503) if next(calls) % 2 else None
    await asyncio.sleep(2.5 * TERMS.seconds)
    assert not first.task.done()
