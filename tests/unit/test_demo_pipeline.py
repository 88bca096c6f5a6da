"""The demo's pipeline without a cluster: its manifests, what its observer makes of pods, and the verdict."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from batchwright import names
from batchwright.api.v1alpha1.batchjob import BatchJobSpec
from batchwright.api.v1alpha1.computeenvironment import ComputeEnvironmentSpec
from batchwright.api.v1alpha1.jobdefinition import JobDefinitionSpec
from batchwright.api.v1alpha1.jobqueue import JobQueueSpec
from batchwright.cli import exits
from batchwright.cli.demo_stages_report import Run, print_run
from batchwright.errors import LocalError
from batchwright.local.demo import apiwrites, machines, pipeline
from batchwright.local.demo.witness import Witness

JSON = dict[str, Any]
SPECS = {
    "ComputeEnvironment": ComputeEnvironmentSpec,
    "JobQueue": JobQueueSpec,
    "JobDefinition": JobDefinitionSpec,
    "BatchJob": BatchJobSpec,
}
ELEMENTS = 20
SETUP, FETCH, COMPUTE, GATHER = STAGES = pipeline.stages("run-x", ELEMENTS)


def test_the_manifests_are_valid_and_belong_together() -> None:
    declared = pipeline.render_declarations(ELEMENTS)
    jobs = [pipeline.render_job(stage) for stage in STAGES]
    named = {(body["kind"], body["metadata"]["name"]) for body in declared}
    selectors = [body["spec"]["nodeSelector"] for body in declared if body["kind"] == "ComputeEnvironment"]
    nodes = [node["metadata"]["labels"] for node in machines.build_machines()]

    for body in [*declared, *jobs]:
        SPECS[body["kind"]].model_validate(body["spec"])
    for job in jobs:
        assert ("JobQueue", job["spec"]["jobQueue"]) in named
        assert ("JobDefinition", job["spec"]["jobDefinition"]) in named
    for selector in selectors:
        assert any(selector.items() <= labels.items() for labels in nodes)
    assert [job["spec"].get("dependsOn") for job in jobs] == [
        None,
        [{"name": "run-x-a-setup"}],
        [{"name": "run-x-b-network"}],
        [{"name": "run-x-c-cpu", "type": "N_TO_N"}],
    ]
    assert [job["spec"].get("arrayProperties") for job in jobs] == [None, {"size": 10}, {"size": 20}, {"size": 20}]


def test_machines_have_names_and_addresses_of_their_own() -> None:
    nodes = machines.build_machines()
    seen = [address["address"] for node in nodes for address in node["status"]["addresses"]]

    assert len(set(seen)) == len(seen) == 2 * len(nodes)
    assert len({node["metadata"]["name"] for node in nodes}) == len(nodes)


@pytest.mark.parametrize(
    ("elements", "want"),
    [
        pytest.param(2, [0, 1], id="the-fewest"),
        pytest.param(200, list(range(6, 200, 20)), id="some-hundreds"),
        pytest.param(10_000, list(range(333, 10_000, 1_000)), id="as-on-the-slides"),
        pytest.param(10_009, list(range(333, 10_000, 1_000)), id="odd"),
    ],
)
def test_some_elements_fail_all_over_the_stage(elements: int, want: list[int]) -> None:
    (compute,) = [body for body in pipeline.render_declarations(elements) if body["metadata"]["name"] == "pipeline-cpu"]
    annotations = compute["spec"]["podTemplate"]["metadata"]["annotations"]

    assert pipeline.failing_indexes(elements) == want
    assert annotations[names.SIMULATE_FAIL_INDEXES] == ",".join(map(str, want))


def pod(
    stage: pipeline.Stage, index: int, start: int, stop: int, *, attempt: int = 1, fails: bool = False, tag: str = ""
) -> JSON:
    """A pod that ended; times in seconds of one minute."""
    terminated = {
        "exitCode": int(fails),
        "startedAt": f"2026-01-01T00:00:{start:02}Z",
        "finishedAt": f"2026-01-01T00:00:{stop:02}Z",
    }
    return {
        "metadata": {
            "uid": f"{stage.job}-{index}-{attempt}{tag}",
            "labels": {names.LABEL_JOB_NAME: stage.job},
            "annotations": {names.POD_INDEX: str(index), names.POD_FAILURE_COUNT: str(attempt - 1)},
        },
        "status": {
            "phase": "Failed" if fails else "Succeeded",
            "containerStatuses": [{"state": {"terminated": terminated}}],
        },
    }


def good_run() -> list[JSON]:
    """All pods of a run in which element 3 of the CPU stage failed once; the last stage streams."""
    return [
        pod(SETUP, 0, 0, 2),
        *(pod(FETCH, index, 2, 5) for index in range(10)),
        *(pod(COMPUTE, index, 5 + index, 7 + index) for index in range(ELEMENTS) if index != 3),
        pod(COMPUTE, 3, 8, 10, fails=True),
        pod(COMPUTE, 3, 20, 22, attempt=2),
        *(pod(GATHER, index, 7 + index, 9 + index) for index in range(ELEMENTS) if index != 3),
        pod(GATHER, 3, 22, 24),
    ]


def job_of(stage: pipeline.Stage, **status: object) -> JSON:
    told = {} if stage.size is None else {"completedIndexes": f"0-{stage.size - 1}"}
    annotations = {names.ANNOTATION_GATED: "true"} if stage.elementwise else {}
    return {"metadata": {"annotations": annotations}, "status": {"succeeded": stage.elements, **told, **status}}


def good_jobs() -> dict[str, JSON]:
    return {stage.job: job_of(stage) for stage in STAGES}


def witness_of(pods: list[JSON]) -> Witness:
    witness = Witness(STAGES)
    witness.take(pods)
    return witness


def test_what_an_observer_makes_of_a_good_run() -> None:
    witness = witness_of(good_run())
    overlap = witness.overlap()

    assert witness.is_complete
    assert witness.differences(good_jobs()) == []
    assert [witness.failures(stage) for stage in STAGES] == [0, 0, 1, 0]
    assert witness.recovered(COMPUTE) == 1
    assert witness.ran(COMPUTE) == ELEMENTS + 1
    # The first of the last stage ran at 7 s, when elements 0 to 2 had started.
    assert overlap is not None
    assert (overlap.after_seconds, overlap.waiting, overlap.of) == (2.0, ELEMENTS - 3, ELEMENTS)


def test_a_pod_counts_once_and_others_do_not() -> None:
    running = pod(COMPUTE, 1, 5, 7)
    running["status"]["phase"] = "Running"
    foreign = pod(COMPUTE, 1, 5, 7, tag="-foreign")
    foreign["metadata"]["labels"] = {names.LABEL_JOB_NAME: "another"}
    witness = Witness(STAGES)

    assert [ended.index for ended in witness.take([pod(COMPUTE, 4, 5, 7), running, foreign])] == [4]
    assert witness.take([pod(COMPUTE, 4, 5, 7)]) == []
    assert not witness.is_complete


def without(stage: pipeline.Stage, *indexes: int) -> list[JSON]:
    lost = {f"{stage.job}-{index}-1" for index in indexes}
    return [each for each in good_run() if each["metadata"]["uid"] not in lost]


@pytest.mark.parametrize(
    ("pods", "jobs", "want"),
    [
        pytest.param(
            without(GATHER, 5, 6), {}, "run-x-d-memory: elements 5,6 succeeded 0 times", id="elements-not-seen"
        ),
        pytest.param(
            [*good_run(), pod(GATHER, 7, 30, 32, tag="-again")],
            {},
            "run-x-d-memory: element 7 succeeded 2 times",
            id="an-element-twice",
        ),
        pytest.param(
            [*good_run(), pod(GATHER, 20, 30, 32)],
            {},
            "run-x-d-memory: element 20 succeeded 1 times",
            id="an-element-too-many",
        ),
        pytest.param(
            [*without(GATHER, 9), pod(GATHER, 9, 15, 17)],
            {},
            "run-x-d-memory: element 9 started before its element of run-x-c-cpu had ended",
            id="an-element-before-its-own",
        ),
        pytest.param(
            [*without(GATHER, 3), pod(GATHER, 3, 10, 12)],
            {},
            "run-x-d-memory: element 3 started before its element of run-x-c-cpu had ended",
            id="an-element-after-a-failed-attempt",
        ),
        pytest.param(
            [*without(COMPUTE, 0), pod(COMPUTE, 0, 4, 7)],
            {},
            "run-x-c-cpu: element 0 started before all of run-x-b-network had ended",
            id="an-array-before-another",
        ),
        pytest.param(
            good_run(),
            {COMPUTE.job: job_of(COMPUTE, succeeded=19, completedIndexes="0-18")},
            "run-x-c-cpu: its Kubernetes Job counts 19 of 20 elements as succeeded",
            id="a-job-that-counts-fewer",
        ),
        pytest.param(
            good_run(),
            {COMPUTE.job: job_of(COMPUTE, completedIndexes="0-18")},
            "run-x-c-cpu: its Kubernetes Job has completedIndexes '0-18', not '0-19'",
            id="a-job-that-lists-fewer",
        ),
        pytest.param(good_run(), {SETUP.job: None}, "run-x-a-setup: its Kubernetes Job is not there", id="no-job"),
    ],
)
def test_what_is_wrong_is_found(pods: list[JSON], jobs: dict[str, JSON], want: str) -> None:
    assert want in witness_of(pods).differences(good_jobs() | jobs)


COST = apiwrites.Cost(total=510, statuses=12, jobs=9)


def test_the_report_of_a_good_run(capsys: pytest.CaptureFixture[str]) -> None:
    print_run(Run(witness_of(good_run()), 25.5, COST, good_jobs()))
    said = capsys.readouterr().out

    assert "51 elements in 25.5 s: 2.0 elements a second" in said
    assert "ran 2 s after the first of run-x-c-cpu, while 17 of the 20 elements of run-x-c-cpu had not started" in said
    assert "1 attempts failed; 1 elements succeeded on a later attempt" in said
    assert "510, 10.0 an element; of the operator: 20 gates lifted, 12 statuses of jobs, 9 of Kubernetes Jobs" in said
    assert "checked: each of the 51 elements succeeded exactly once" in said


def test_the_report_of_a_bad_run_ends_in_failure(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(exits.Failed):
        print_run(Run(witness_of(without(GATHER, 5)), 25.5, COST, good_jobs()))
    said = capsys.readouterr()

    assert "checked: NOT every element" in said.out
    assert "  run-x-d-memory: element 5 succeeded 0 times" in said.err


METRICS = """# HELP apiserver_request_total Counter of requests
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",resource="batchjobs",subresource="status",verb="PATCH",version="v1alpha1"} 12
apiserver_request_total{code="404",resource="batchjobs",subresource="status",verb="PATCH",version="v1alpha1"} 3
apiserver_request_total{code="201",resource="jobs",subresource="",verb="POST",version="v1"} 4
apiserver_request_total{code="200",resource="jobs",subresource="",verb="PATCH",version="v1"} 5
apiserver_request_total{code="200",resource="jobs",subresource="status",verb="PUT",version="v1"} 7
apiserver_request_total{code="200",resource="leases",subresource="",verb="PUT",version="v1"} 100
apiserver_request_total{code="200",resource="pods",subresource="",verb="LIST",version="v1"} 1e+06
apiserver_request_total{code="201",resource="pods",subresource="binding",verb="POST",version="v1"} 20
other_metric{code="200"} 1
"""


def test_writes_are_read_from_the_metrics_of_the_api_server() -> None:
    after = apiwrites.parse_writes(METRICS)

    assert after.total() == 12 + 4 + 5 + 7 + 20, "no reads, no refusals, no heartbeats"
    assert apiwrites.cost(Counter(), after) == apiwrites.Cost(total=48, statuses=12, jobs=9)
    assert apiwrites.cost(after, after) == apiwrites.Cost(total=0, statuses=0, jobs=0)


def test_metrics_without_the_count_are_refused() -> None:
    with pytest.raises(LocalError, match="has no apiserver_request_total"):
        apiwrites.parse_writes("other_metric 1\n")
