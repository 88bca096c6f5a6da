"""Stories of dependencies with arrays: whole jobs, element by element, one after the other, met and failed.

Order is proved by an outside watch of the pods: "after" is the order in which the API server stored the changes.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from apiserver import Refused
from stage import Stage, count_of, summary
from watches import PodObserver

DEPENDENT_FAILED = "Dependent Job failed"


@pytest.fixture
def pods(normal: Stage) -> Iterator[PodObserver]:
    made = PodObserver(normal.api, normal.namespace)
    yield made
    assert not made.gaps
    made.stop()


@pytest.fixture
def quick(normal: Stage) -> Stage:
    """Definitions: `hello` succeeds, `bad` fails, `odd` fails for the elements 1 and 4, each in half a second."""
    normal.simulated(cpu="500m", simulate={"seconds": "0.5"})
    normal.simulated("bad", cpu="500m", simulate={"seconds": "0.5", "exit-code": "3"})
    normal.simulated("odd", cpu="500m", simulate={"seconds": "0.5", "exit-code": "3", "fail-indexes": "1,4"})
    return normal


def ended_before(pods: PodObserver, first: str, then: str) -> bool:
    """Whether every pod of one job had ended before any of the other was given a node."""
    return max(pods.ends(first).values()) < min(pods.starts(then).values())


def test_an_array_between_two_jobs(quick: Stage, pods: PodObserver) -> None:
    """Submitted back to front: what is needed need not be there yet."""
    last = quick.submit("last", dependsOn=[{"name": "middle"}])
    middle = quick.submit("middle", arrayProperties={"size": 10}, dependsOn=[{"name": "setup"}])
    waiting = quick.wait("middle", lambda status: "not there yet" in status.get("statusReason", ""))
    assert waiting["state"] == "PENDING"
    assert waiting["arrayProperties"]["statusSummary"] == summary(PENDING=10)
    setup = quick.submit("setup")
    statuses = quick.wait_all_final(3, seconds=90)
    assert {status["state"] for status in statuses.values()} == {"SUCCEEDED"}
    assert ended_before(pods, setup, middle)
    assert ended_before(pods, middle, last)
    assert pods.ran(middle) == dict.fromkeys(range(10), 1)


def test_n_to_n_pairs_elements_and_does_not_wait_for_all(quick: Stage, pods: PodObserver) -> None:
    first = quick.submit("first", arrayProperties={"size": 30, "maxConcurrency": 3})
    second = quick.submit("second", arrayProperties={"size": 30}, dependsOn=[{"name": "first", "type": "N_TO_N"}])
    statuses = quick.wait_all_final(2, seconds=120)
    assert {status["state"] for status in statuses.values()} == {"SUCCEEDED"}
    starts, ends = pods.starts(second), pods.ends(first)
    assert all(starts[position] > ends[position] for position in range(30))
    assert pods.ran(second) == dict.fromkeys(range(30), 1)
    assert min(starts.values()) < max(pods.starts(first).values()), "the second streams behind the first"


def test_n_to_n_on_other_nodes_costs_the_first_array_no_gates(quick: Stage, pods: PodObserver) -> None:
    quick.nodes(1, group="b")
    quick.environment("large", group="b")
    quick.queue("large", f"{quick.namespace}-large")
    first = quick.submit("first", arrayProperties={"size": 12})
    needs = [{"name": "first", "type": "N_TO_N"}]
    second = quick.submit("second", queue="large", arrayProperties={"size": 12}, dependsOn=needs)
    statuses = quick.wait_all_final(2, seconds=90)
    assert {status["state"] for status in statuses.values()} == {"SUCCEEDED"}
    starts, ends = pods.starts(second), pods.ends(first)
    assert all(starts[position] > ends[position] for position in range(12))
    assert not any(pod.was_gated for pod in pods.of(first))
    assert all(pod.was_gated for pod in pods.of(second))
    # What sees to a gate sheds the record of who set which field, and with it most of what the writes after it cost.
    assert not any(pod["metadata"].get("managedFields") for pod in quick.pods(second))


UNEQUAL = [
    pytest.param(12, 3, {0: range(4), 1: range(4, 8), 2: range(8, 12)}, id="four to one"),
    pytest.param(3, 12, {index: (index // 4,) for index in range(12)}, id="one to four"),
]


@pytest.mark.parametrize(("needed", "size", "waits_for"), UNEQUAL)
def test_n_to_n_of_sizes_of_which_one_divides_the_other(
    quick: Stage, pods: PodObserver, needed: int, size: int, waits_for: dict[int, range | tuple[int, ...]]
) -> None:
    first = quick.submit("first", arrayProperties={"size": needed, "maxConcurrency": 2})
    second = quick.submit("second", arrayProperties={"size": size}, dependsOn=[{"name": "first", "type": "N_TO_N"}])
    assert quick.wait_final("second", seconds=90)["state"] == "SUCCEEDED"
    starts, ends = pods.starts(second), pods.ends(first)
    assert sorted(starts) == list(range(size))
    for position, parents in waits_for.items():
        assert starts[position] > max(ends[parent] for parent in parents)
    assert min(starts.values()) < max(ends.values()), "the first of them need not wait for all"


def test_n_to_n_of_sizes_that_do_not_divide_is_refused_and_says_why(quick: Stage) -> None:
    quick.submit("first", arrayProperties={"size": 10})
    job_id = quick.submit("second", arrayProperties={"size": 25}, dependsOn=[{"name": "first", "type": "N_TO_N"}])
    status = quick.wait_final("second")
    assert status["state"] == "FAILED"
    for part in ("N_TO_N", "first has 10 elements", "this array 25", "multiple"):
        assert part in status["statusReason"]
    assert status["arrayProperties"]["statusSummary"] == summary(FAILED=25)
    assert quick.pods(job_id) == []
    assert quick.wait_final("first")["state"] == "SUCCEEDED"


def test_sequential_alone_runs_the_elements_one_after_the_other(quick: Stage, pods: PodObserver) -> None:
    job_id = quick.submit("line", arrayProperties={"size": 6}, dependsOn=[{"type": "SEQUENTIAL"}])
    assert quick.wait_final("line", seconds=90)["state"] == "SUCCEEDED"
    starts, ends = pods.starts(job_id), pods.ends(job_id)
    assert all(starts[position] > ends[position - 1] for position in range(1, 6))
    assert pods.most[job_id] == 1


@pytest.mark.parametrize("by", ["name", "jobId"])
def test_sequential_with_a_job_begins_after_that_job(quick: Stage, pods: PodObserver, by: str) -> None:
    needed = quick.submit("needed", arrayProperties={"size": 5})
    needs = [{by: "needed" if by == "name" else needed, "type": "SEQUENTIAL"}]
    job_id = quick.submit("line", arrayProperties={"size": 4}, dependsOn=needs)
    assert quick.wait_final("line", seconds=90)["state"] == "SUCCEEDED"
    assert ended_before(pods, needed, job_id)
    starts, ends = pods.starts(job_id), pods.ends(job_id)
    assert all(starts[position] > ends[position - 1] for position in range(1, 4))


def test_a_failed_element_ends_the_line_behind_it(quick: Stage, pods: PodObserver) -> None:
    job_id = quick.submit("line", "odd", arrayProperties={"size": 5}, dependsOn=[{"type": "SEQUENTIAL"}])
    status = quick.wait_final("line", seconds=90)
    detail = status["arrayProperties"]
    assert (status["state"], detail["succeededIndexes"], detail["failedIndexes"]) == ("FAILED", "0", "1-4")
    told = [(failure["indexes"], failure["statusReason"]) for failure in detail["failures"]]
    assert told == [("1", "Essential container in task exited"), ("2-4", DEPENDENT_FAILED)]
    assert pods.ran(job_id) == {0: 1, 1: 1}


def test_several_dependencies_of_every_kind_at_once(quick: Stage, pods: PodObserver) -> None:
    wanted = [
        {"name": "single"},
        {"name": "whole"},
        {"name": "pairs", "type": "N_TO_N"},
        {"name": "flaky", "type": "N_TO_N", "condition": "Completed"},
        {"type": "SEQUENTIAL"},
    ]
    job_id = quick.submit("child", arrayProperties={"size": 6}, dependsOn=wanted)
    single = quick.submit("single")
    whole = quick.submit("whole", arrayProperties={"size": 3})
    pairs = quick.submit("pairs", arrayProperties={"size": 6})
    flaky = quick.submit("flaky", "odd", arrayProperties={"size": 6})
    status = quick.wait_final("child", seconds=120)
    assert status["state"] == "SUCCEEDED"
    assert quick.status("flaky")["arrayProperties"]["failedIndexes"] == "1,4"
    starts, ends = pods.starts(job_id), pods.ends(job_id)
    assert ended_before(pods, single, job_id)
    assert ended_before(pods, whole, job_id)
    for position in range(6):
        assert starts[position] > pods.ends(pairs)[position]
        assert starts[position] > pods.ends(flaky)[position]
        assert position == 0 or starts[position] > ends[position - 1]
    assert [entry["name"] for entry in status["dependsOn"]] == ["single", "whole", "pairs", "flaky"]


CONDITIONS = [
    pytest.param("hello", "Succeeded", "SUCCEEDED", None, id="succeeded, wanted"),
    pytest.param("bad", "Succeeded", "FAILED", DEPENDENT_FAILED, id="failed, success wanted"),
    pytest.param("odd", "Succeeded", "FAILED", DEPENDENT_FAILED, id="some failed, success wanted"),
    pytest.param("odd", "Completed", "SUCCEEDED", None, id="some failed, the end wanted"),
    pytest.param("odd", "Failed", "SUCCEEDED", None, id="some failed, failure wanted"),
    pytest.param("hello", "Failed", "FAILED", "Dependent Job succeeded", id="succeeded, failure wanted"),
]


def test_conditions_of_whole_arrays(quick: Stage) -> None:
    for number, case in enumerate(CONDITIONS):
        definition, condition = case.values[:2]
        quick.submit(f"needed-{number}", definition, arrayProperties={"size": 5})
        needs = [{"name": f"needed-{number}", "condition": condition}]
        quick.submit(f"child-{number}", arrayProperties={"size": 2}, dependsOn=needs)
    statuses = quick.wait_all_final(2 * len(CONDITIONS), seconds=150)
    for number, case in enumerate(CONDITIONS):
        _, _, want_state, want_reason = case.values
        status = statuses[f"child-{number}"]
        assert status["state"] == want_state, case.id
        if want_reason is not None:
            assert status["statusReason"] == want_reason, case.id
            assert status["arrayProperties"]["statusSummary"] == summary(FAILED=2)


def test_conditions_of_elements(quick: Stage, pods: PodObserver) -> None:
    quick.submit("needed", "odd", arrayProperties={"size": 6})
    wants = {
        "Succeeded": ("0,2,3,5", "1,4", DEPENDENT_FAILED),
        "Failed": ("1,4", "0,2,3,5", "Dependent Job succeeded"),
        "Completed": ("0-5", "", None),
    }
    ids = {
        condition: quick.submit(
            f"if-{condition.lower()}",
            arrayProperties={"size": 6},
            dependsOn=[{"name": "needed", "type": "N_TO_N", "condition": condition}],
        )
        for condition in wants
    }
    for condition, (succeeded, failed, reason) in wants.items():
        status = quick.wait_final(f"if-{condition.lower()}", seconds=120)
        detail = status["arrayProperties"]
        assert (detail["succeededIndexes"], detail["failedIndexes"]) == (succeeded, failed), condition
        told = [(failure["indexes"], failure["statusReason"]) for failure in detail.get("failures", ())]
        assert told == ([(failed, reason)] if reason else []), condition
        assert len(pods.ran(ids[condition])) == 6 - len([part for part in failed.split(",") if part])


def test_failure_goes_down_a_chain_element_by_element(quick: Stage, pods: PodObserver) -> None:
    quick.submit("one", "odd", arrayProperties={"size": 6})
    ids = [
        quick.submit(name, arrayProperties={"size": 6}, dependsOn=[{"name": needed, "type": "N_TO_N"}])
        for name, needed in [("two", "one"), ("three", "two")]
    ]
    after = quick.submit("after", arrayProperties={"size": 2}, dependsOn=[{"name": "three"}])
    for name in ("two", "three"):
        status = quick.wait_final(name, seconds=120)
        detail = status["arrayProperties"]
        assert (status["state"], status["statusReason"]) == ("FAILED", "Array Child Job failed")
        assert (detail["succeededIndexes"], detail["failedIndexes"]) == ("0,2,3,5", "1,4")
        assert detail["failures"] == [{"indexes": "1,4", "statusReason": DEPENDENT_FAILED}]
    assert quick.wait_final("after")["statusReason"] == DEPENDENT_FAILED
    for job_id in ids:
        assert pods.ran(job_id) == dict.fromkeys((0, 2, 3, 5), 1)
    assert pods.ran(after) == {}


@pytest.mark.timeout(400)
def test_a_chain_of_ten_streams_through_six_slots(normal: Stage, pods: PodObserver) -> None:
    normal.simulated(cpu="600m", simulate={"seconds": "0.2"})
    size = 30
    ids = [normal.submit("s0", arrayProperties={"size": size})]
    for number in range(1, 10):
        needs = [{"name": f"s{number - 1}", "type": "N_TO_N"}]
        ids.append(normal.submit(f"s{number}", arrayProperties={"size": size}, dependsOn=needs))
    statuses = normal.wait_all_final(10, seconds=380)
    assert {status["state"] for status in statuses.values()} == {"SUCCEEDED"}
    starts, ends = [pods.starts(job_id) for job_id in ids], [pods.ends(job_id) for job_id in ids]
    for stage in range(1, 10):
        assert all(starts[stage][position] > ends[stage - 1][position] for position in range(size))
        assert pods.ran(ids[stage]) == dict.fromkeys(range(size), 1)
    late = sum(begin > starts[9][5] for begin in starts[0].values())
    print(f"when element 5 of the tenth started, {late} of {size} elements of the first had not")
    assert late > 0


def test_a_parent_that_is_deleted_fails_what_waits_for_it(quick: Stage) -> None:
    quick.simulated("long", simulate={"seconds": "600"})
    quick.submit("parent", "long", arrayProperties={"size": 4})
    whole = quick.submit("whole", arrayProperties={"size": 4}, dependsOn=[{"name": "parent"}])
    pairs = quick.submit("pairs", arrayProperties={"size": 4}, dependsOn=[{"name": "parent", "type": "N_TO_N"}])
    quick.wait("parent", lambda status: count_of(status, "RUNNING") == 4)
    for name in ("whole", "pairs"):
        quick.wait(name, "PENDING")
    quick.api.delete("BatchJob", "parent", quick.namespace)
    for name, job_id in (("whole", whole), ("pairs", pairs)):
        status = quick.wait_final(name)
        assert (status["state"], status["statusReason"]) == ("FAILED", DEPENDENT_FAILED)
        assert "parent was deleted before it succeeded" in status["conditions"][0]["message"]
        assert status["arrayProperties"]["statusSummary"] == summary(FAILED=4)
        assert quick.pods(job_id) == []


def test_a_parent_deleted_half_way_leaves_what_has_run(quick: Stage, pods: PodObserver) -> None:
    parent = quick.submit("parent", arrayProperties={"size": 8, "maxConcurrency": 1})
    quick.simulated("long", cpu="500m", simulate={"seconds": "4"})
    job_id = quick.submit(
        "pairs", "long", arrayProperties={"size": 8}, dependsOn=[{"name": "parent", "type": "N_TO_N"}]
    )
    quick.wait("pairs", lambda status: count_of(status, "RUNNING") >= 1)
    quick.api.delete("BatchJob", "parent", quick.namespace)
    quick.wait_no_pods(parent)
    status = quick.wait_final("pairs", seconds=90)
    assert status["state"] == "FAILED"
    detail = status["arrayProperties"]
    assert detail["statusSummary"]["SUCCEEDED"] == len(pods.ran(job_id)) >= 1
    assert detail["statusSummary"]["SUCCEEDED"] + detail["statusSummary"]["FAILED"] == 8
    assert [failure["statusReason"] for failure in detail["failures"]] == [DEPENDENT_FAILED]


REFUSED = [
    pytest.param({"arrayProperties": {"size": 1}}, "an array has 2 to 100000 elements", id="size 1"),
    pytest.param({"arrayProperties": {"size": 100_001}}, "an array has 2 to 100000 elements", id="size 100001"),
    pytest.param(
        {"arrayProperties": {"size": 4}, "dependsOn": [{"name": "wrong", "type": "N_TO_N"}]},
        "a job cannot depend on itself",
        id="itself",
    ),
]


@pytest.mark.parametrize(("spec", "why"), REFUSED)
def test_the_api_server_refuses(quick: Stage, spec: dict[str, object], why: str) -> None:
    with pytest.raises(Refused, match=why):
        quick.submit("wrong", **spec)
