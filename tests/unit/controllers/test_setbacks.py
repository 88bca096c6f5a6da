"""Launches that come to nothing: when the next is made, and what is said meanwhile."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import builders as b
from batchwright.capacity.port import Order, Outcome, Warned
from batchwright.controllers.gathering import blueprint_of
from batchwright.controllers.scheduling import environment_of
from batchwright.domain.declarations import Problem
from batchwright.domain.observations import Node
from batchwright.errors import (
    CapacityError,
    Denied,
    LaunchUncertain,
    Misconfigured,
    ProviderThrottled,
    ProviderUnavailable,
)
from batchwright.names import LABEL_ENVIRONMENT
from batchwright.scheduling.cycle import plan
from batchwright.settings import Settings
from environmentparts import PASSED, SECOND, SMALL, World


def node_of(instance: str, cpu: int = 2000, **over: Any) -> Node:
    labels = {LABEL_ENVIRONMENT: "env"}
    return replace(b.node(f"node-{instance}", cpu=cpu, instance=instance, labels=labels), **over)


async def test_an_older_node_that_is_well_ends_no_row_of_failures() -> None:
    """It says nothing of the image and the zone of what is launched now."""
    world, start = World(), Settings().capacity_start_seconds
    world.count = 1
    await world.round()
    (old,) = world.cloud.instances
    world.launched[old.id] = world.now - 9999
    world.store.tenants.put("pod", f"node-{old.id}")
    nodes = (node_of(old.id),)
    world.count = 4
    await world.round(1, nodes)
    pause = 0.0
    for number, want in enumerate((60, 120, 240)):
        at = pause + (start + 1) * (number + 1)
        fresh = [each.id for each in world.cloud.instances if each.id != old.id]
        await world.round(at, nodes)
        assert set(world.cloud.ended[-len(fresh) :]) == set(fresh)
        await world.round(at + want - 1, nodes)
        assert len(world.cloud.orders) == number + 2
        pause += want + 1
        await world.round(at + want + 1, nodes)
        assert [order.count for order in world.cloud.orders[2:]] == [1] * (number + 1)
        (probe,) = [each.id for each in world.cloud.instances if each.id != old.id]
        world.launched[probe] = world.now + at + want + 1
        for seconds in (5, 10, 600):
            await world.round(at + want + seconds, nodes)
        assert len(world.cloud.orders) == number + 3
    await world.round(at + want + 700, (*nodes, node_of(probe)))
    await world.round(at + want + 701, (*nodes, node_of(probe)))
    assert world.cloud.orders[-1].count > 1


def ended(world: World, reason: str, **over: Any) -> None:
    """All instances end by themselves."""
    world.cloud.instances = [
        replace(each, state="terminated", reason=reason, **over) if each.is_live else each
        for each in world.cloud.instances
    ]


async def test_what_ends_before_it_is_a_node_is_a_failure() -> None:
    """A key that may not be used, a limit of volumes, a bootstrap that shuts down: the next one would end as well."""
    world = World()
    world.count = 2
    await world.round()
    ended(world, "Client.InternalError: Client error on launch")
    await world.round(5)
    assert world.problem is not None
    assert (world.problem.reason, world.problem.is_invalid) == ("NodesNotReady", False)
    assert "2 instances ended before they were nodes (Client.InternalError: Client error" in world.problem.message
    assert world.reasons == ["Launched", "Ended", "Ended"]
    assert world.events.notices[-1].message.endswith(
        "before it was a node: Client.InternalError: Client error on launch"
    )
    # EC2 shows them for an hour: they count once.
    for seconds in (10, 64):
        await world.round(seconds)
    assert len(world.cloud.orders) == 1
    await world.round(66)
    assert [order.count for order in world.cloud.orders] == [2, 1]
    assert world.reasons[3:] == ["Launched"]
    world.launched[world.cloud.instances[-1].id] = world.now + 66
    ended(world, "Client.InternalError: Client error on launch")
    await world.round(70)
    await world.round(189)
    assert len(world.cloud.orders) == 2
    await world.round(191)
    assert len(world.cloud.orders) == 3


async def test_what_somebody_has_end_is_none() -> None:
    world = World()
    world.count = 1
    await world.round()
    ended(world, "Client.UserInitiatedShutdown: User initiated shutdown", was_taken=True)
    await world.round(5)
    assert len(world.cloud.orders) == 2
    (fresh,) = [each for each in world.cloud.instances if each.is_live]
    world.environment.memory.warn(Warned(fresh.id, "SPOT_INTERRUPTION"), world.now + 6)
    ended(world, "")
    await world.round(7)
    assert len(world.cloud.orders) == 3
    (fresh,) = [each for each in world.cloud.instances if each.is_live]
    # That it has ended is no warning.
    world.environment.memory.warn(Warned(fresh.id, "STATE_CHANGE"), world.now + 8)
    ended(world, "")
    await world.round(9)
    assert len(world.cloud.orders) == 3
    assert world.problem is not None


async def test_what_we_ended_is_none_either() -> None:
    """Also where the provider takes some time to show it."""
    world = World(minvCpus=2)
    await world.round()
    made = list(world.cloud.instances)
    world.resources, world.generation = {"imageId": "ami-2"}, 2
    await world.round(5)
    assert world.cloud.ended == [each.id for each in made]
    world.cloud.instances += made
    world.resources, world.generation = {}, 3
    await world.round(6)
    ended(world, "")
    await world.round(7)
    assert world.problem is None


def asked(world: World, count: int = 4) -> dict[str, int]:
    """How many pods a pass asks for of this environment, and of the queue's next one, which has all there is."""
    known = environment_of(world.known), b.environment("next", node_selector=(("next", ""),))
    names = [each.name for each in known]
    snapshot = b.snapshot(
        b.queue(b.candidate("a", count=count, shape=SMALL), environments=names),
        environments=known,
        growth={"env": world.store.growth["env"], "next": b.growth(b.offer(b.node("n", labels={"next": ""})))},
    )
    return {each.environment: each.count for each in plan(snapshot).demand}


async def test_a_launch_whose_answer_is_lost_is_asked_of_no_other() -> None:
    world = World()
    world.count, world.cloud.answer = 4, LaunchUncertain("read timeout")
    await world.round()
    assert asked(world) == {"env": 4}
    for seconds in (5, 11, 30, 55):
        await world.round(seconds)
        assert asked(world) == {"env": 4}
    # It was never made, and the next is not either: then another may have it.
    await world.round(62)
    assert len(world.cloud.orders) == 2
    world.cloud.answer = Misconfigured("no such group", "InvalidGroup.NotFound")
    await world.round(125)
    assert asked(world) == {"next": 4}


async def test_one_call_too_many_moves_nothing_to_the_next_environment() -> None:
    world = World()
    world.count, world.cloud.answer = 4, ProviderThrottled("slower", "RequestLimitExceeded")
    await world.round()
    assert (world.problem, asked(world)) == (Problem("RequestLimitExceeded", "slower"), {"env": 4})
    for number in range(1, 6):
        await world.round(11 * number)
        assert asked(world) == {"env": 4}
    await world.round(66)
    assert len(world.cloud.orders) == 7
    assert asked(world) == {"next": 4}
    # It is tried again all the same, and one launch that is made ends the row.
    await world.round(77)
    world.cloud.answer = None
    await world.round(88)
    assert len(world.cloud.orders) == 9
    world.cloud.answer, world.count = ProviderThrottled("slower", "RequestLimitExceeded"), 1
    await world.round(90)
    assert asked(world, 5) == {"env": 1}


async def test_what_may_be_had_is_known_though_it_cannot_be_asked_for_once_more() -> None:
    world = World()
    await world.round()
    world.cloud.kinds_error = ProviderUnavailable("no answer")
    await world.round(601)
    assert (world.cloud.asked_kinds, asked(world)) == (2, {"env": 4})
    world.cloud.kinds_error = Misconfigured("no such subnet", "InvalidSubnetID.NotFound")
    await world.round(612)
    assert (world.cloud.asked_kinds, asked(world)) == (3, {"next": 4})


@pytest.mark.parametrize("error", [Denied("You may not"), Misconfigured("no such image")])
async def test_what_somebody_has_to_mend_is_left_to_the_next_environment(error: CapacityError) -> None:
    world = World()
    world.count, world.cloud.answer = 4, error
    await world.round()
    assert asked(world) == {"next": 4}


async def test_what_a_type_turned_out_to_have_is_remembered_when_its_last_node_is_gone() -> None:
    world = World()
    world.count = 1
    await world.round()
    (made,) = world.cloud.instances
    await world.round(5, (node_of(made.id, cpu=1700),))
    world.cloud.instances, world.count = [], 0
    world.store.put_node(f"node-{made.id}", None)
    await world.round(70)
    cpus = {offer.node.name: offer.node.allocatable["cpu"] for offer in world.store.growth["env"].offers}
    assert cpus["m5.large/a"] == 1700
    # What is made of something else has to show it anew.
    world.resources, world.generation = {"imageId": "ami-2"}, 2
    await world.round(75)
    cpus = {offer.node.name: offer.node.allocatable["cpu"] for offer in world.store.growth["env"].offers}
    assert cpus["m5.large/a"] > 1800


async def test_best_fit_waits_for_its_type() -> None:
    world = World(allocationStrategy="BEST_FIT")
    world.count, world.cloud.answer = 2, Outcome((), (PASSED,))
    await world.round()
    world.cloud.answer = None
    await world.round(1)
    assert [[each.type.name for each in order.kinds] for order in world.cloud.orders] == [["m5.large"]]
    await world.round(181)
    assert [[each.type.name for each in order.kinds] for order in world.cloud.orders] == [["m5.large"]] * 2


async def test_a_shortage_is_said_as_long_as_it_lasts() -> None:
    world = World()
    both = replace(PASSED, message="no r5 either", kinds=(SECOND,))
    world.count, world.cloud.answer = 2, Outcome((), (PASSED, both, PASSED))
    await world.round()
    want = Problem("InsufficientCapacity", "none left; no r5 either")
    # What is sold out is asked for again when that is past, and the answer is waited for.
    for seconds in (5, 100, 181, 239):
        world.count = 0
        await world.round(seconds)
        assert world.problem == want
    await world.round(241)
    assert world.problem is None


async def test_an_order_that_is_filled_from_elsewhere_is_no_shortage() -> None:
    world = World()
    world.count = 1
    made = world.cloud.instance(blueprint_of(world.known), Order("t", 1, (SECOND,)), 0)
    world.cloud.answer = Outcome((made,), (PASSED,))
    await world.round()
    assert world.problem is None
    assert [each.node.name for each in world.store.growth["env"].barred] == ["m5.large/a"]
