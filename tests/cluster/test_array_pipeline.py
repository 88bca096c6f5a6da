"""The pipeline of the AWS Batch slides in real containers: A, then B:10, then C:12, then D:12 element by element.

Every attempt of every element writes a file of its own, with a random number in its name: what ran twice would leave
two. Times are the kernel's uptime, which all containers of the node share.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from batchwright.local import cluster as local_cluster
from batchwright.local import images
from batchwright.local.realnode import import_image
from stage import Stage, sharing, shell

pytestmark = [pytest.mark.real_node, pytest.mark.skipif(os.geteuid() != 0, reason="a real node needs root")]

# $1 names the stage, $2 the elements that fail at first, $3 what the element was given.
SCRIPT = """
read begin rest < /proc/uptime
sleep 0.3
index="${AWS_BATCH_JOB_ARRAY_INDEX:--1}"
code=0
case " $2 " in *" $index "*) [ "$AWS_BATCH_JOB_ATTEMPT" != 1 ] || code=7;; esac
read end rest < /proc/uptime
read random < /proc/sys/kernel/random/uuid
echo "$1 $index $AWS_BATCH_JOB_ATTEMPT $begin $end $code $3" > "/shared/$random"
exit "$code"
"""
FLAKY = {"c": (2, 7), "d": (5,)}


@dataclass(frozen=True)
class Record:
    """What one attempt wrote of itself."""

    stage: str
    index: int
    attempt: int
    begin: float
    end: float
    code: int
    given: str


@pytest.fixture(scope="session", autouse=True)
def busybox(story_cluster: local_cluster.Cluster) -> None:
    import_image(story_cluster.name, story_cluster.directory, images.ensure_busybox())


def records_of(directory: Path) -> list[Record]:
    found = []
    for file in directory.iterdir():
        stage, index, attempt, begin, end, code, given = file.read_text().rstrip("\n").split(" ", 6)
        found.append(Record(stage, int(index), int(attempt), float(begin), float(end), int(code), given))
    return found


@pytest.mark.timeout(400)
def test_the_pipeline_of_the_slides(stage: Stage, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    stage.real_environment()
    stage.define(
        "stage",
        parameters={"flaky": "", "given": "none"},
        retryStrategy={"attempts": 2},
        containerProperties=shell(SCRIPT, "Ref::stage", "Ref::flaky", "Ref::given", **sharing(shared)),
    )
    table = [{"given": f"file {number} of 12"} for number in range(12)]

    def flaky(name: str) -> dict[str, str]:
        return {"stage": name, "flaky": " ".join(map(str, FLAKY.get(name, ())))}

    stage.submit("a", "stage", parameters=flaky("a"))
    stage.submit("b", "stage", parameters=flaky("b"), arrayProperties={"size": 10}, dependsOn=[{"name": "a"}])
    stage.submit(
        "c",
        "stage",
        parameters=flaky("c"),
        arrayProperties={"size": 12, "items": {"list": table}},
        dependsOn=[{"name": "b"}],
    )
    stage.submit(
        "d",
        "stage",
        parameters=flaky("d"),
        arrayProperties={"size": 12},
        dependsOn=[{"name": "c", "type": "N_TO_N"}],
    )
    statuses = stage.wait_all_final(4, seconds=360)
    assert {name: status["state"] for name, status in statuses.items()} == dict.fromkeys("abcd", "SUCCEEDED")

    records = records_of(shared)
    ran = Counter((record.stage, record.index, record.attempt) for record in records)
    wanted = {("a", -1, 1)} | {("b", index, 1) for index in range(10)}
    for name in "cd":
        wanted |= {(name, index, 1) for index in range(12)} | {(name, index, 2) for index in FLAKY[name]}
    assert ran == dict.fromkeys(wanted, 1), "each attempt once, and no other"

    by_stage = {name: [record for record in records if record.stage == name] for name in "abcd"}
    for before, after in (("a", "b"), ("b", "c")):
        ended, began = max(each.end for each in by_stage[before]), min(each.begin for each in by_stage[after])
        assert began >= ended, f"{after} began at {began}, before {before} ended at {ended}"
    for record in by_stage["d"]:
        needed = [each for each in by_stage["c"] if each.index == record.index]
        assert record.begin >= max(each.end for each in needed), f"d:{record.index} did not wait for c:{record.index}"
        assert [each.code for each in sorted(needed, key=lambda each: each.attempt)][-1] == 0
    assert min(each.begin for each in by_stage["d"]) < max(each.end for each in by_stage["c"]), "d streams behind c"
    assert {(each.index, each.given) for each in by_stage["c"]} == {(n, f"file {n} of 12") for n in range(12)}
    assert {each.given for name in "abd" for each in by_stage[name]} == {"none"}
