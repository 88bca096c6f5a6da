"""The pipeline of the slides at full size, with the operator killed in the middle: nothing lost, nothing repeated.

A, then B:10, then C:10,000, then D:10,000 element by element. What ran is counted by an outside watch of the pods, what
it cost by the API server's audit log; the statuses are compared with both.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest

from audittail import AuditTail, Write
from batchwright.cluster.client import USER_AGENT
from batchwright.local import cluster as local_cluster
from operatorprocess import OperatorProcess
from stage import Stage, count_of
from watches import RunCounter, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2700)]

SIZE = int(os.environ.get("BATCHWRIGHT_TEST_ARRAY_SIZE", "10000"))
NODES = 24
# What an element may cost the operator: under 1 ms is wanted of a quiet machine. With a load of 10 on 2 cores, 4 ms
# were seen, most of it the watch of pods.
CPU_MILLISECONDS = 6.0


@pytest.fixture
def counter(stage: Stage) -> Iterator[RunCounter]:
    made = RunCounter(stage.api, stage.namespace)
    yield made
    made.stop()


def most_in(seconds: float, writes: list[Write]) -> int:
    """The most writes in any stretch of time of that length."""
    most = first = 0
    for last, write in enumerate(writes):
        while write.at - writes[first].at > seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def test_ten_thousand_elements_in_pairs_and_the_operator_killed_between(
    stage: Stage, story_cluster: local_cluster.Cluster, operator: OperatorProcess, counter: RunCounter
) -> None:
    assert story_cluster.audit_log is not None
    # Each stage on the machines that suit it: then C needs no gates, and D one for each element.
    for name in ("cpu", "memory"):
        stage.nodes(NODES // 2, cpu=8, group=name)
        stage.environment(name, group=name)
        stage.queue(name, f"{stage.namespace}-{name}")
    stage.simulated(cpu="500m", simulate={"seconds": "0.5"})
    # The first job waits for the definition's revision.
    stage.submit("first", queue="cpu")
    stage.wait_final("first")
    audit = AuditTail(story_cluster.audit_log, USER_AGENT, stage.namespace)
    before = operator.cpu_seconds()

    ids = {"a": stage.submit("a", queue="cpu")}
    ids["b"] = stage.submit("b", queue="cpu", arrayProperties={"size": 10}, dependsOn=[{"name": "a"}])
    ids["c"] = stage.submit("c", queue="cpu", arrayProperties={"size": SIZE}, dependsOn=[{"name": "b"}])
    ids["d"] = stage.submit(
        "d", queue="memory", arrayProperties={"size": SIZE}, dependsOn=[{"name": "c", "type": "N_TO_N"}]
    )
    works = {}

    # Once while C and D are under way, once when C is about to end.
    cpu = 0.0
    for name, tenths in (("c", 3), ("d", 7)):
        enough = SIZE * tenths // 10
        status = stage.wait(name, lambda status, enough=enough: count_of(status, "SUCCEEDED") >= enough, seconds=1200)
        works[name] = status["jobName"]
        cpu += operator.cpu_seconds() - before
        operator.kill()
        operator.start(wait=False)
        before = 0.0
    statuses = stage.wait_all_final(5, seconds=1200)
    cpu += operator.cpu_seconds()
    audit.stop()
    # What a start costs, which is no element's.
    operator.kill()
    operator.start()
    starts = 2 * operator.cpu_seconds()

    assert {name: status["state"] for name, status in statuses.items()} == dict.fromkeys(
        ("first", *"abcd"), "SUCCEEDED"
    )
    for name in "cd":
        assert statuses[name]["arrayProperties"]["succeededIndexes"] == f"0-{SIZE - 1}"
        until(lambda name=name: len(counter.of(ids[name])) >= SIZE, f"the watch did not show the pods of {name}", 60)
        ran = counter.of(ids[name])
        assert set(ran) == set(range(SIZE)), "an element was lost"
        repeated = {position: count for position, count in ran.items() if count != 1}
        assert not repeated, f"elements of {name} ran more than once: {repeated}"
    assert counter.gaps == 0

    milliseconds = 1000 * (cpu - starts) / (2 * SIZE)
    by_element = Counter(
        (name, write.verb, write.resource)
        for write in audit.writes
        for name in "cd"
        if write.resource.startswith("pods") and write.name.startswith(works[name])
    )
    print(f"operator: {cpu:.1f} s of CPU, of which two starts {starts:.1f} s: {milliseconds:.2f} ms an element")
    print(f"operator's writes: {Counter((write.verb, write.resource) for write in audit.writes)}")
    print(f"of them on pods: {dict(by_element)}")
    assert by_element["d", "patch", "pods"] >= SIZE
    assert sum(count for (name, *_), count in by_element.items() if name == "d") <= 1.02 * SIZE
    assert sum(count for (name, *_), count in by_element.items() if name == "c") == 0
    for name in "cd":
        written = audit.of(lambda write, name=name: (write.resource, write.name) == ("batchjobs/status", name))
        span = written[-1].at - written[0].at
        print(f"status of {name}: {len(written)} writes in {span:.0f} s, at most {most_in(10.0, written)} in 10 s")
        # Each start of the operator may write at once.
        assert len(written) <= span + 5
        assert most_in(10.0, written) <= 13
    others = [write for write in audit.writes if not write.resource.startswith(("pods", "batchjobs/status"))]
    assert len(others) <= SIZE / 20, Counter((write.verb, write.resource) for write in others)
    assert milliseconds < CPU_MILLISECONDS
