"""Rounds of one MANAGED environment with a provider that answers as it is told: what is launched and when, what is
written down before, and what becomes of answers that are lost, partial, late or refusals."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from prometheus_client import REGISTRY

from batchwright import metrics
from batchwright.capacity.port import Order, Outcome, Refusal
from batchwright.controllers.gathering import blueprint_of
from batchwright.domain.declarations import Problem
from batchwright.domain.texts import timestamp
from batchwright.errors import (
    ApiUnavailable,
    CapacityError,
    Denied,
    LaunchUncertain,
    Misconfigured,
    ProviderThrottled,
    ProviderUnavailable,
)
from batchwright.names import LABEL_PLACEMENT_GROUP
from batchwright.settings import Settings
from environmentparts import FIRST, LASTING, PASSED, SECOND, World


async def test_what_is_asked_for_is_written_down_before_it_is_launched() -> None:
    world = World()
    world.count = 4
    await world.round()
    assert world.log == ["write 4", "launch"]
    (order,) = world.cloud.orders
    assert (order.count, [each.type.name for each in order.kinds]) == (4, ["m5.large", "r5.large"])
    supply = world.store.supplies["env"]
    assert (supply.pending, supply.desired, supply.starting) == (None, 8, 4)
    assert world.reasons == ["Launched"]


async def test_nothing_is_launched_that_could_not_be_written_down() -> None:
    world = World()
    world.count, world.write_error = 4, ApiUnavailable("no answer")
    await world.round()
    assert world.cloud.orders == []
    world.write_error = None
    await world.round(1)
    assert len(world.cloud.orders) == 1


async def test_a_demand_that_knows_nothing_of_the_last_launch_is_passed_over() -> None:
    world = World()
    world.count, world.stale = 4, True
    await world.round()
    assert world.cloud.orders == []


async def test_what_was_launched_counts_though_nobody_lists_it_yet() -> None:
    world = World()
    world.count = 4
    await world.round()
    world.cloud.instances, world.count = [], 0
    await world.round(5)
    assert world.store.supplies["env"].desired == 8
    await world.round(61)
    assert world.store.supplies["env"].desired == 0


async def test_what_a_group_owes_is_known_by_nothing_but_the_group() -> None:
    """It turns up as other instances, and would be counted twice if it were kept."""
    world = World()
    world.count, world.cloud.is_late = 4, True
    await world.round()
    assert world.store.supplies["env"].desired == 8
    assert [each.message for each in world.events.notices] == ["4 of 4 instances asked for: m5.large"]
    world.count = 0
    world.cloud.instances = [
        replace(each, id=f"i-{number}", is_awaited=False) for number, each in enumerate(world.cloud.instances)
    ]
    await world.round(5)
    assert world.store.supplies["env"].desired == 8


async def test_a_launch_whose_answer_is_lost_is_looked_for_and_not_repeated() -> None:
    world = World()
    world.count, world.cloud.answer = 4, LaunchUncertain("read timeout")
    await world.round()
    pending = world.store.supplies["env"].pending
    assert pending is not None
    world.cloud.answer = None
    for seconds in (11, 30, 50):
        await world.round(seconds)
    assert len(world.cloud.orders) == 1
    await world.round(75)
    assert (len(world.cloud.orders), world.store.supplies["env"].pending) == (2, None)


@pytest.mark.parametrize(
    ("found", "seconds", "want"),
    [
        pytest.param(4, 1, True, id="all are there"),
        pytest.param(2, 5, False, id="some are there"),
        pytest.param(2, 16, True, id="some are there, and no more come"),
        pytest.param(0, 59, False, id="none are there yet"),
        pytest.param(0, 61, True, id="it was never made"),
    ],
)
async def test_an_operator_that_finds_a_note_of_a_launch_waits_for_what_came_of_it(
    found: int, seconds: float, want: bool
) -> None:
    begun = datetime.fromtimestamp(time.time(), UTC)
    pending = {"token": "t", "count": 4, "createdAt": timestamp(begun)}
    world = World(status={"status": "VALID", "observedGeneration": 1, "pendingLaunch": pending})
    world.now = begun.timestamp()
    blueprint = blueprint_of(world.known)
    order = Order("t-0", found, (FIRST,))
    world.cloud.instances = [world.cloud.instance(blueprint, order, number) for number in range(found)]
    world.count = 1
    await world.round(seconds)
    assert bool(world.cloud.orders) == want


@pytest.mark.parametrize(
    ("error", "want_invalid", "too_early", "soon_enough"),
    [
        pytest.param(Denied("You may not", "UnauthorizedOperation"), True, 59, 61, id="denied"),
        pytest.param(Misconfigured("no subnet", "InvalidSubnetID.NotFound"), True, 59, 61, id="misconfigured"),
        pytest.param(ProviderThrottled("slower", "RequestLimitExceeded"), False, 9, 11, id="throttled"),
    ],
)
async def test_a_refusal_of_a_launch_is_said_and_not_repeated_at_once(
    error: CapacityError, want_invalid: bool, too_early: float, soon_enough: float
) -> None:
    world = World()
    world.count, world.cloud.answer = 2, error
    await world.round()
    assert world.problem is not None
    assert (world.problem.message, world.problem.is_invalid) == (str(error), want_invalid)
    assert world.reasons == [type(error).__name__]
    await world.round(too_early)
    assert len(world.cloud.orders) == 1
    world.cloud.answer = None
    await world.round(soon_enough)
    assert (len(world.cloud.orders), world.problem) == (2, None)


async def test_a_change_of_the_environment_is_tried_at_once() -> None:
    world = World()
    world.count, world.cloud.kinds_error = 2, Misconfigured("no such subnet", "InvalidSubnetID.NotFound")
    await world.round()
    await world.round(1)
    assert (world.cloud.asked_kinds, world.store.growth["env"].is_known) == (1, False)
    world.cloud.kinds_error = None
    world.resources["subnets"], world.generation = ["subnet-b"], 2
    await world.round(2)
    assert (len(world.cloud.orders), world.problem) == (1, None)


async def test_what_is_sold_out_is_left_for_the_next_choice_at_once() -> None:
    world = World()
    world.count, world.cloud.answer = 2, Outcome((), (PASSED,))
    await world.round()
    assert [each.node.name for each in world.store.growth["env"].barred] == ["m5.large/a"]
    assert world.problem == Problem("InsufficientCapacity", "none left")
    world.cloud.answer = None
    await world.round(1)
    assert [each.type.name for each in world.cloud.orders[-1].kinds] == ["r5.large"]
    assert world.problem is None
    # After three minutes it is a choice again.
    world.count = 0
    await world.round(181)
    assert world.store.growth["env"].barred == ()


async def test_an_order_that_is_filled_in_part_is_a_problem_and_no_invalid_environment() -> None:
    world = World()
    world.count = 2
    order = Order("t", 1, (FIRST,))
    made = world.cloud.instance(blueprint_of(world.known), order, 0)
    world.cloud.answer = Outcome((made,), (LASTING,))
    await world.round()
    assert world.problem is not None
    assert (world.problem.reason, world.problem.is_invalid) == ("UnauthorizedOperation", False)
    assert world.reasons == ["Launched", "UnauthorizedOperation"]


@pytest.mark.parametrize(
    ("refusal", "want"),
    [
        pytest.param(PASSED, None, id="capacity"),
        pytest.param(LASTING, Problem("UnauthorizedOperation", "You may not", is_invalid=True), id="rights"),
    ],
)
async def test_a_refusal_that_comes_late_is_as_one_that_came_at_once(refusal: Refusal, want: Problem | None) -> None:
    world = World()
    world.count, world.cloud.is_late = 2, True
    await world.round()
    world.cloud.instances = []
    world.environment.refuse([refusal], world.now + 5, is_invalid=True)
    await world.round(5)
    assert world.problem == want
    assert world.reasons[1] == refusal.code
    if want is None:
        assert [each.type.name for each in world.cloud.orders[-1].kinds] == ["r5.large"]
    else:
        assert len(world.cloud.orders) == 1


async def test_an_instance_that_comes_says_that_nothing_is_in_its_way() -> None:
    world = World()
    world.cloud.is_late = True
    world.count = 1
    await world.round()
    world.environment.refuse([LASTING], world.now + 5, is_invalid=True)
    world.count = 0
    world.cloud.instances = [replace(each, id="i-1", is_awaited=False) for each in world.cloud.instances]
    await world.round(10)
    assert world.problem is None


async def test_min_vcpus_are_there_whoever_waits() -> None:
    world = World(minvCpus=8)
    await world.round()
    assert sum(order.count * order.kinds[0].type.vcpus for order in world.cloud.orders) == 8000
    await world.round(5)
    assert len(world.cloud.orders) == 1


async def test_desired_vcpus_are_launched_once_for_each_change() -> None:
    world = World(desiredvCpus=4)
    await world.round()
    await world.round(5)
    assert len(world.cloud.orders) == 1
    world.cloud.instances = []
    await world.round(70)
    assert len(world.cloud.orders) == 1
    world.resources, world.generation = {"desiredvCpus": 6}, 2
    await world.round(75)
    assert len(world.cloud.orders) == 2


async def test_max_vcpus_are_not_exceeded_but_by_the_last() -> None:
    world = World(maxvCpus=5)
    world.count = 20
    await world.round()
    await world.round(1)
    have = sum(order.count * order.kinds[0].type.vcpus for order in world.cloud.orders)
    assert 5000 <= have < 5000 + SECOND.type.vcpus


async def test_nodes_that_never_come_make_pauses_and_one_at_a_time() -> None:
    world = World()
    world.count = 4
    await world.round()
    start = Settings().capacity_start_seconds
    await world.round(start + 1)
    assert len(world.cloud.ended) == 4
    assert world.problem is not None
    assert "did not become ready nodes" in world.problem.message
    assert len(world.cloud.orders) == 1
    await world.round(start + 62)
    assert [order.count for order in world.cloud.orders] == [4, 1]


async def test_instances_that_are_past_are_shown_no_more() -> None:
    world = World()
    world.count = 2
    await world.round()
    first, second = world.cloud.instances
    world.count, world.cloud.instances = 0, [replace(first, state="terminated"), replace(second, state="shutting-down")]
    await world.round(5)
    assert [each.id for each in world.store.supplies["env"].instances] == [second.id]


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"batchwright_{name}_total", {"environment": "env", **labels}) or 0.0


async def test_what_was_launched_refused_and_ended_is_counted() -> None:
    metrics.forget_environment("env")
    world = World()
    world.count = 4
    await world.round()
    assert counted("instances_launched") == 4
    world.cloud.answer, world.count = Outcome((), (PASSED, PASSED, LASTING)), 1
    await world.round(1)
    assert [counted("launches_refused", cause=cause) for cause in ("capacity", "error")] == [2, 1]
    assert counted("provider_errors") == 0
    world.environment.fail(ProviderUnavailable("no answer"), world.now)
    assert counted("provider_errors") == 1
    # None of them becomes a node.
    world.cloud.answer, world.count = None, 0
    await world.round(10_000)
    assert counted("instances_terminated") == len(world.cloud.ended) == 4


@pytest.mark.parametrize(
    ("group", "want"),
    [
        pytest.param(None, None, id="none"),
        pytest.param("near", "near", id="a name"),
        pytest.param("near us/1", "near-us-1-53552d54", id="one that is no label value"),
        pytest.param("/", "group-8a5edab2", id="one of which nothing is left"),
    ],
)
def test_nodes_bear_the_name_of_their_placement_group(group: str | None, want: str | None) -> None:
    known = World().known
    resources = known.spec.compute_resources.model_copy(update={"placement_group": group})
    known = replace(known, spec=known.spec.model_copy(update={"compute_resources": resources}))
    assert blueprint_of(known).labels.get(LABEL_PLACEMENT_GROUP) == want
