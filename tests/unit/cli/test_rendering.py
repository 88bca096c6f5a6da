"""What people and programs read, from objects and a clock reading alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
import yaml

from batchwright.cli import catalogue_text, formats
from batchwright.cli.description import describe
from batchwright.cli.facts import Dependency, Facts, Position, find_position
from batchwright.cli.listing import Filter, job_grid
from batchwright.cli.options import Output
from batchwright.cli.output import Grid, render
from batchwright.cli.words import explain, pod_troubles
from batchwright.cluster.resources import BATCH_JOBS
from unit.cli.objects import job, pod

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
QUEUE = {
    "metadata": {"name": "normal", "creationTimestamp": "2026-01-01T11:00:00Z"},
    "spec": {
        "priority": 5,
        "state": "ENABLED",
        "computeEnvironmentOrder": [
            {"order": 2, "computeEnvironment": "spot"},
            {"order": 1, "computeEnvironment": "nodes"},
        ],
    },
    "status": {"status": "VALID"},
}
DEFINITION = {
    "metadata": {"name": "hello", "namespace": "lab", "creationTimestamp": "2026-01-01T11:00:00Z"},
    "spec": {
        "containerProperties": {
            "image": "busybox",
            "command": ["echo", "a b"],
            "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "128"}],
        }
    },
    "status": {"revision": 2, "status": "ACTIVE"},
}


@pytest.mark.parametrize(
    ("seconds", "want"),
    [
        pytest.param(-5, "0s", id="a clock behind the server's"),
        pytest.param(119.9, "119s", id="seconds"),
        pytest.param(120, "2m", id="whole minutes"),
        pytest.param(150, "2m30s", id="minutes and seconds"),
        pytest.param(3600, "60m", id="minutes"),
        pytest.param(12000, "3h20m", id="hours and minutes"),
        pytest.param(40 * 3600, "40h", id="hours"),
        pytest.param(72 * 3600, "3d", id="days"),
    ],
)
def test_durations_read_as_kubectl_prints_them(seconds: float, want: str) -> None:
    assert formats.duration(seconds) == want


def test_ordinals() -> None:
    want = ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th", "121st"]
    assert [formats.ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 112, 121)] == want


def test_reasons_are_shortened_to_one_line() -> None:
    assert formats.shorten("a\n b", 10) == "a b"
    assert formats.shorten("abcdefghij", 5) == "abcd…"


def test_a_grid_is_plain_columns_without_trailing_blanks() -> None:
    assert Grid(("A", "LONG"), [("xx", ""), ("y", "z")]).plain() == "A    LONG\nxx\ny    z"


def test_jobs_are_listed_newest_first_with_their_facts() -> None:
    old = job("old", number=1, made="2026-01-01T10:00:00Z", state="RUNNING", attempts=[{}], computeEnvironment="nodes")
    new = job("new", number=2, made="2026-01-01T11:59:00Z")
    table = job_grid([old, new], NOON)
    assert table.titles == ["NAME", "QUEUE", "STATE", "REASON", "DEFINITION", "ENVIRONMENT", "ATTEMPTS", "AGE"]
    assert table.rows == [
        ["new", "normal", "SUBMITTED", "", "hello", "", "0", "60s"],
        ["old", "normal", "RUNNING", "", "hello", "nodes", "2", "2h"],
    ]
    wide = job_grid([new], NOON, wide=True, namespaces=True)
    assert (wide.titles[0], wide.titles[-2]) == ("NAMESPACE", "JOB-ID")
    assert (wide.rows[0][0], wide.rows[0][-2]) == ("lab", new["metadata"]["uid"])


@pytest.mark.parametrize(
    ("wanted", "want"),
    [
        pytest.param(Filter(), True, id="all"),
        pytest.param(Filter(queue="other"), False, id="queue"),
        pytest.param(Filter(states=["SUBMITTED", "RUNNING"]), True, id="one of the states"),
        pytest.param(Filter(states=["RUNNABLE"]), False, id="another state"),
        pytest.param(Filter(definition="hello"), True, id="definition of any revision"),
        pytest.param(Filter(definition="hello:2"), True, id="pinned revision"),
        pytest.param(Filter(definition="hello:1"), False, id="another revision"),
    ],
)
def test_filters(wanted: Filter, want: bool) -> None:
    assert wanted.matches(job(state="RUNNING", jobDefinition="hello:2")) is want


@pytest.mark.parametrize(
    ("wanted", "want"),
    [
        pytest.param(Filter(), None, id="none"),
        pytest.param(Filter(queue="q", states=["FAILED"]), "spec.jobQueue=q,status.state=FAILED", id="both"),
        pytest.param(Filter(states=["FAILED", "RUNNING"]), None, id="selectors know no or"),
        pytest.param(Filter(states=["SUBMITTED"]), None, id="a job without status is SUBMITTED too"),
    ],
)
def test_what_the_api_server_filters(wanted: Filter, want: str | None) -> None:
    assert wanted.fields == want


def test_json_of_one_object_stands_alone_and_is_whole() -> None:
    shown = json.loads(render([(BATCH_JOBS, job())], Output.json, single=True))
    assert (shown["apiVersion"], shown["kind"], shown["metadata"]["name"]) == (
        "batchwright.io/v1alpha1",
        "BatchJob",
        "sim",
    )


def test_yaml_of_a_list_is_a_list_even_of_one() -> None:
    shown = yaml.safe_load(render([(BATCH_JOBS, job())], Output.yaml))
    assert (shown["kind"], [item["kind"] for item in shown["items"]]) == ("List", ["BatchJob"])


def test_names_are_what_kubectl_takes() -> None:
    assert render([(BATCH_JOBS, job("a")), (BATCH_JOBS, job("b"))], Output.name) == (
        "batchjob.batchwright.io/a\nbatchjob.batchwright.io/b"
    )


def test_the_place_in_a_queue_is_by_creation_then_uid() -> None:
    first, second = job("first", number=9, made="2026-01-01T10:00:00Z"), job("second", number=1)
    second["metadata"]["creationTimestamp"] = "2026-01-01T11:00:00Z"
    twin = job("twin", number=2, made="2026-01-01T11:00:00Z")
    assert find_position(twin, [twin, second, first]) == Position(3, 3)
    assert find_position(second, [twin, second, first]) == Position(2, 3)
    assert find_position(job(number=77), [first]) is None


@pytest.mark.parametrize(
    ("facts", "want"),
    [
        pytest.param(Facts(job(), queue=None, definition={}), "There is no queue normal", id="no queue"),
        pytest.param(Facts(job(), QUEUE, definition=None), "There is no job definition hello", id="no definition"),
        pytest.param(Facts(job(), {"spec": {"state": "DISABLED"}}, {}), "Queue normal is DISABLED", id="disabled"),
        pytest.param(Facts(job(), queue=QUEUE, definition={}), "is Batchwright's operator running?", id="no operator"),
        pytest.param(
            Facts(job(state="PENDING"), dependencies=[Dependency("a", "RUNNING"), Dependency("b", None)]),
            "It waits for a (RUNNING), b (no such job yet).",
            id="dependencies",
        ),
        pytest.param(
            Facts(job(state="RUNNABLE"), position=Position(3, 7)),
            "It is the 3rd of 7 in queue normal: 2 ahead of it.",
            id="place",
        ),
        pytest.param(
            Facts(job(state="STARTING"), pods=[pod("p", phase="Pending", state="waiting")]),
            "Its pod is being started.",
            id="starting",
        ),
        pytest.param(
            Facts(job(state="RUNNING", startedAt="2026-01-01T11:00:00Z")), "It has been running for 60m.", id="running"
        ),
        pytest.param(Facts(job(state="FAILED", isTerminated=True)), "It was terminated.", id="terminated"),
        pytest.param(Facts(job(state="RUNNABLE", statusReason="2 vCPU short")), "2 vCPU short", id="statusReason"),
    ],
)
def test_why_a_job_is_where_it_is(facts: Facts, want: str) -> None:
    assert want in " ".join(explain(facts, NOON))


def test_a_pods_trouble_is_told_and_its_normal_start_is_not() -> None:
    normal, stuck = pod("ok", phase="Pending", state="waiting"), pod("bad", phase="Pending", state="waiting")
    stuck["status"]["containerStatuses"][0]["state"]["waiting"] = {"reason": "ErrImagePull", "message": "no such image"}
    released = pod("free", phase="Pending", state="waiting")
    gone = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "Scheduling is blocked"}
    released["status"]["conditions"] = [gone]
    assert pod_troubles([normal, released, stuck]) == ["Pod bad: ErrImagePull: no such image"]


def test_describe_shows_attempts_dependencies_and_events() -> None:
    done = job(
        state="FAILED",
        statusReason="Essential container in task exited",
        jobDefinition="hello:2",
        stoppedAt="2026-01-01T11:00:00Z",
        attempts=[
            {
                "container": {"exitCode": 3, "podName": "sim-0", "nodeName": "n1", "reason": "Error"},
                "startedAt": "2026-01-01T10:00:00Z",
                "stoppedAt": "2026-01-01T10:01:00Z",
            },
            {"container": {}, "statusReason": "Host EC2 (instance n1) terminated."},
        ],
    )
    event = {
        "metadata": {},
        "type": "Warning",
        "reason": "JobFailed",
        "message": "exit\ncode 3",
        "lastTimestamp": "2026-01-01T11:00:00Z",
        "count": 2,
    }
    page = describe(Facts(done, QUEUE, DEFINITION, [Dependency("prep", "SUCCEEDED")], events=[event]), NOON)
    for line in (
        "State:           FAILED",
        "Why:             Essential container in task exited",
        "Definition:      hello:2",
        "Depends on:      prep (SUCCEEDED)",
        "Took:            11h",
        "  1        2026-01-01T10:00:00Z  60s   3     n1    sim-0  Error",
        "  2        -                     -     -     -     -      Host EC2 (instance n1) terminated.",
        "  60m (x2)  Warning  JobFailed  exit code 3",
    ):
        assert line in page.splitlines(), page


def test_queues_count_their_own_jobs_and_order_environments() -> None:
    states = ("RUNNING", "SUBMITTED", "STARTING", "FAILED")
    jobs = [job(number=number, state=state) for number, state in enumerate(states)]
    stranger = job(number=5, state="RUNNING")
    stranger["spec"]["jobQueue"] = "other"
    grid = catalogue_text.queue_grid([QUEUE], [*jobs, stranger], NOON)
    assert grid.rows == [["normal", "ENABLED", "VALID", "5", "nodes,spot", "1", "2", "0", "1", "60m"]]
    page = catalogue_text.queue_page(QUEUE, [job("next", state="RUNNABLE")], NOON)
    assert "Jobs:            1 RUNNABLE" in page
    assert "  1      lab        next" in page


def test_definitions_show_their_container_and_revisions() -> None:
    grid = catalogue_text.definition_grid([DEFINITION], NOON)
    assert grid.rows == [["hello", "2", "ACTIVE", "busybox", "1", "128Mi", "60m"]]
    old = {"metadata": {"creationTimestamp": "2026-01-01T11:00:00Z"}, "revision": 1, "data": DEFINITION["spec"]}
    new = {"metadata": {"creationTimestamp": "2026-01-01T11:30:00Z"}, "revision": 2, "data": DEFINITION["spec"]}
    lines = catalogue_text.definition_page(DEFINITION, [old, new], NOON).splitlines()
    assert lines[-2:] == [
        "  2         busybox  1      128Mi   echo 'a b'  30m",
        "  1         busybox  1      128Mi   echo 'a b'  60m",
    ]


def test_the_main_container_of_a_pod_template_is_the_annotated_one() -> None:
    template = {
        "metadata": {"annotations": {"kubectl.kubernetes.io/default-container": "work"}},
        "spec": {
            "containers": [
                {"name": "sidecar", "image": "proxy"},
                {"name": "work", "image": "sim", "command": ["run"], "resources": {"requests": {"cpu": "500m"}}},
            ]
        },
    }
    assert catalogue_text.container_facts({"podTemplate": template}) == ("sim", "500m", "", "", "run")


def test_environments_show_capacity_and_who_uses_them() -> None:
    environment = {
        "metadata": {"name": "nodes", "creationTimestamp": "2026-01-01T11:00:00Z"},
        "spec": {"type": "UNMANAGED"},
        "status": {"status": "VALID", "capacity": {"nodes": 2, "vcpus": "64", "memoryMiB": 12800, "gpus": 0}},
    }
    jobs = [job(number=1, state="RUNNING", computeEnvironment="nodes"), job(number=2, state="RUNNABLE")]
    rows = catalogue_text.environment_grid([environment], [QUEUE], jobs, NOON).rows
    assert rows == [("nodes", "UNMANAGED", "ENABLED", "VALID", "2", "64", "12.5Gi", "0", "1", "normal", "60m")]
