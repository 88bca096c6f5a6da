"""Arrays and jobs that wait for each other, element by element, end as a slow and obvious reference says.

Whatever the watches show late, whenever the operator dies, whatever the API server fails, and however the room changes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given, settings

from batchwright.cluster.client import JSON
from batchwright.domain import reasons
from batchwright.domain.indexes import expand, parse_indexes
from batchwright.domain.observations import FINAL_STATES
from property.arraydriver import World, reads_pods_of_the_cluster
from property.arrayplans import STEPS, Scenario, scenarios
from property.arrayreference import HOST, Answer, Ending, answers, attempts_of

ROUNDS = 200
ALL = 10**6


@pytest.fixture(scope="module", autouse=True)
def clock() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        reads_pods_of_the_cluster(patch)
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        yield
        structlog.reset_defaults()


def live_through(scenario: Scenario) -> World:
    """Everybody moves in any order for a while; then all goes on in good order until nothing is left to do."""
    world = World(scenario)
    for step in range(STEPS):
        for plan, when in zip(scenario.jobs, scenario.submitted, strict=True):
            if when == step:
                world.submit(plan)
        for ask in scenario.asks:
            if ask.step == step:
                world.ask(ask)
        for when, number in scenario.changes:
            if when == step:
                world.set_slots(number)
        if step in scenario.restarts:
            world.restart()
        some_move(world)
    world.set_slots(max(2, scenario.slots))
    world.cluster.trouble = 0
    for _ in range(ROUNDS):
        if in_order(world):
            return world
    held = {plan.name: world.held.get(plan.uid) for plan in scenario.jobs}
    raise AssertionError(f"it does not end: {held}")


def some_move(world: World) -> None:
    """Somebody moves. A pass is the likeliest, or nothing would get far."""
    random, cluster, engine = world.random, world.cluster, world.engine
    for _ in range(random.randint(1, 6)):
        what = random.randrange(12)
        if what == 0:
            world.see_works(random.randint(1, 3))
        elif what == 1:
            world.see_pods(random.randint(1, 6))
        elif what == 2:
            world.see_nodes()
        elif what <= 4 and engine.waiting:
            engine.run_task(random.randrange(len(engine.waiting)))
        elif what == 5 and engine.writer.offered:
            world.write(random.choice(list(engine.writer.offered)))
        elif what == 6 and cluster.jobs:
            cluster.control(random.choice(list(cluster.jobs.values())))
        elif what <= 9:
            going = [pod for pod in cluster.pods.values() if not pod.is_finished]
            if going:
                cluster.move(random.choice(going))
        else:
            cluster.now += random.choice([0, 0.3, 3])
            world.look()
            look_at_room(world)


def in_order(world: World) -> bool:
    """One round in which everybody gets his turn; whether all is done."""
    cluster, engine = world.cluster, world.engine
    for job in list(cluster.jobs.values()):
        cluster.control(job)
    for pod in [pod for pod in cluster.pods.values() if not pod.is_finished]:
        cluster.move(pod)
    world.see_nodes()
    world.see_pods(ALL)
    world.see_works(ALL)
    world.look()
    while engine.waiting:
        engine.run_task(0)
    world.look()
    look_at_room(world)
    for uid in list(engine.writer.offered):
        world.write(uid)
    cluster.now += 1.5
    states = [world.held[plan.uid].get("state") for plan in world.scenario.jobs]
    return all(state in FINAL_STATES for state in states) and all(job.work.is_finished for job in cluster.jobs.values())


def look_at_room(world: World) -> None:
    # What is cancelled may be let run before it is stopped, in an array without gates; and a request that seemed to
    # fail may have made a job, whose room was given to another meanwhile.
    if not world.scenario.asks and not world.scenario.trouble:
        world.check_room()


def ending_of(held: JSON) -> Ending:
    return Ending(held["state"], _lost(held.get("statusReason") or ""))


def _lost(text: str) -> str:
    return HOST if text.startswith(reasons.HOST_TERMINATED_PREFIX) else text


def endings_of(detail: JSON) -> dict[int, Ending]:
    """How each element ended, as the status tells."""
    found = {
        index: Ending("SUCCEEDED", reasons.ESSENTIAL_CONTAINER_EXITED)
        for index in expand(parse_indexes(detail.get("succeededIndexes", "")))
    }
    failed = set(expand(parse_indexes(detail.get("failedIndexes", ""))))
    for group in detail.get("failures", ()):
        ending = Ending("FAILED", _lost(group.get("statusReason", "")), group.get("exitCode"))
        for index in expand(parse_indexes(group["indexes"])):
            assert index not in found, "an element in two groups"
            found[index] = ending
    assert failed == {index for index, ending in found.items() if ending.state == "FAILED"}
    return found


def check(world: World, want: list[Answer]) -> None:
    asked = {ask.reason for ask in world.scenario.asks}
    for plan, answer in zip(world.scenario.jobs, want, strict=True):
        held = world.held[plan.uid]
        assert ending_of(held) in answer.job, f"{plan.name}: {ending_of(held)}, not {answer.job}"
        if plan.size is None:
            if len(answer.job) == 1:
                check_attempts(world, plan.number, 0, answer)
            continue
        detail = held.get("arrayProperties")
        if detail is None:
            assert held["statusReason"] in asked | {"Dependent Job failed", "Dependent Job succeeded"}
            continue
        counts = detail["statusSummary"]
        found = endings_of(detail)
        assert set(found) == set(plan.present)
        assert counts == dict.fromkeys(counts, 0) | {
            state: sum(1 for each in found.values() if each.state == state) for state in FINAL_STATES
        }
        for index, ending in found.items():
            allowed = answer.elements[index]
            plain = Ending(ending.state, ending.reason) if ending.reason in asked else ending
            assert plain in allowed, f"{plan.name}:{index}: {ending}, not {allowed}"
            if len(allowed) == 1:
                check_attempts(world, plan.number, index, answer)


def check_attempts(world: World, number: int, index: int, answer: Answer) -> None:
    """As many attempts as the script says, or none if it cannot run."""
    [ending] = answer.elements[index]
    want, last = attempts_of(world.scenario.jobs[number], index)
    made = world.cluster.attempts[number, index]
    assert made == (want if ending == last else 0), f"j{number}:{index}: {made} attempts"


@given(scenarios())
def test_it_ends_as_the_reference_says(scenario: Scenario) -> None:
    check(live_through(scenario), answers(scenario))


@given(scenarios(asked=True))
@settings(max_examples=settings.default.max_examples)  # type: ignore[union-attr]
def test_with_requests_it_ends_in_one_of_the_allowed_ways(scenario: Scenario) -> None:
    check(live_through(scenario), answers(scenario))
