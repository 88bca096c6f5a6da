"""kill -9 of the operator at random moments while arrays of every kind run: nothing is lost, nothing runs twice.

What ran is known from an outside watch of the pods; it is compared with what the definitions say must run, and with
what the statuses say has run.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from threading import Event

import pytest

from batchwright.domain.indexes import expand, parse_indexes
from operatorprocess import OperatorProcess
from stage import Stage
from watches import PodObserver

SEED = 20261124
SIZE = 60
FLAKY = (3, 17, 40)
BROKEN = (8, 21, 22, 59)
KILLS = 10


@pytest.fixture
def pods(stage: Stage) -> Iterator[PodObserver]:
    made = PodObserver(stage.api, stage.namespace)
    yield made
    made.stop()


@pytest.mark.timeout(600)
def test_killed_at_random_moments_every_element_runs_as_often_as_its_attempts_say(
    stage: Stage, operator: OperatorProcess, pods: PodObserver
) -> None:
    chance = random.Random(SEED)
    stage.nodes(2, cpu=4)
    stage.environment()
    stage.queue()
    # Another queue on the same nodes: every array of this one needs gates; those of the second stage need them anyway.
    stage.queue("other")
    stage.nodes(1, cpu=4, group="alone")
    stage.environment("alone", group="alone")
    stage.queue("alone", f"{stage.namespace}-alone")
    stage.simulated("good", cpu="500m", simulate={"seconds": "0.4"})
    flaky = {"seconds": "0.4", "exit-code": "5", "fail-attempts": "1", "fail-indexes": ",".join(map(str, FLAKY))}
    stage.simulated("flaky", cpu="500m", simulate=flaky, retryStrategy={"attempts": 2})
    broken = {"seconds": "0.4", "exit-code": "6", "fail-indexes": ",".join(map(str, BROKEN))}
    stage.simulated("broken", cpu="500m", simulate=broken)

    def pairs(needed: str) -> list[dict[str, str]]:
        return [{"name": needed, "type": "N_TO_N"}]

    whole = {"size": SIZE}
    once, twice = dict.fromkeys(range(SIZE), 1), dict.fromkeys(range(SIZE), 1) | dict.fromkeys(FLAKY, 2)
    left = once | dict.fromkeys(BROKEN, 0)
    line = [{"type": "SEQUENTIAL"}]
    wanted: dict[str, dict[int, int]] = {}
    ids: dict[str, str] = {}
    for name, definition, queue, depends, properties, want in [
        ("plain", "flaky", "alone", [], whole, twice),
        ("first", "broken", "queue", [], whole, once),
        ("second", "flaky", "queue", pairs("first"), whole, twice | dict.fromkeys(BROKEN, 0)),
        ("third", "good", "alone", pairs("second"), whole, left),
        ("few", "good", "other", [], {"size": 30, "maxConcurrency": 3}, dict.fromkeys(range(30), 1)),
        ("line", "good", "queue", line, {"size": 8}, dict.fromkeys(range(8), 1)),
        ("merge", "good", "alone", pairs("plain"), {"size": 6}, dict.fromkeys(range(6), 1)),
    ]:
        ids[name] = stage.submit(name, definition, queue=queue, dependsOn=depends, arrayProperties=properties)
        wanted[name] = want
    for _ in range(KILLS):
        Event().wait(chance.uniform(0.5, 4.0))
        operator.kill()
        operator.start(wait=False)

    statuses = stage.wait_all_final(len(wanted), seconds=400)
    for name, want in wanted.items():
        detail = statuses[name]["arrayProperties"]
        assert pods.ran(ids[name]) == Counter({index: count for index, count in want.items() if count}), name
        succeeded = {pod.position for pod in pods.of(ids[name]) if pod.phase == "Succeeded"}
        assert set(expand(parse_indexes(detail["succeededIndexes"]))) == succeeded, name
        assert set(expand(parse_indexes(detail["failedIndexes"]))) == set(want) - succeeded, name
    told = [(each["indexes"], each["statusReason"]) for each in statuses["third"]["arrayProperties"]["failures"]]
    assert told == [("8,21,22,59", "Dependent Job failed")]
    for name, needed in (("second", "first"), ("third", "second")):
        starts, ends = pods.starts(ids[name]), pods.ends(ids[needed])
        assert all(starts[position] > ends[position] for position in starts)
    assert pods.most[ids["few"]] <= 3
    assert pods.most[ids["line"]] == 1
    # Pods that wait with their gate go with their Job when no element is left that can run.
    assert not [pod for each in ids.values() for pod in pods.of(each) if pod.is_killed and pod.bound is not None]
    assert not pods.gaps
