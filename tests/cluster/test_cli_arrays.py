"""The command line's array jobs against a real API server.

No operator runs on the cluster of the first of these tests: they write the states it would. The others have the
operator with simulated nodes, and the last one a real node.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

import manifests
from apiserver import ApiServer
from batchwright.cli import exits
from batchwright.local import binaries, images, realnode
from batchwright.local import cluster as local_cluster
from batchwright.local.progress import silent
from batchwright.names import GATE_ADMISSION, LABEL_JOB_ID, POD_INDEX
from commandline import CommandLine
from kubecluster import Cluster
from stage import Stage

SECONDS = 60
SIZE = 10
EXITED = "Essential container in task exited"
# The second attempt of the second element succeeds; what is written proves which element and attempt it was.
SCRIPT = (
    'echo "element $AWS_BATCH_JOB_ARRAY_INDEX of $AWS_BATCH_JOB_ARRAY_SIZE, attempt $AWS_BATCH_JOB_ATTEMPT"; '
    'test "$AWS_BATCH_JOB_ARRAY_INDEX$AWS_BATCH_JOB_ATTEMPT" != 11'
)


@pytest.fixture
def cli(cluster: Cluster, api: ApiServer, namespace: str) -> CommandLine:
    """The command line in a namespace of its own."""
    return CommandLine(cluster, api, namespace)


def detail(succeeded: str = "", failed: str = "", **counts: int) -> dict[str, Any]:
    """A status.arrayProperties."""
    groups = [{"indexes": failed, "exitCode": 3, "statusReason": EXITED}] if failed else []
    return {
        "size": SIZE,
        "statusSummary": counts,
        "succeededIndexes": succeeded,
        "failedIndexes": failed,
        "failures": groups,
    }


def submit(cli: CommandLine, name: str, **status: object) -> str:
    """Submits an array of ten and gives it a status; its jobId."""
    return cli.submit(name, "--array-size", str(SIZE), **status)


def test_the_flags_of_an_array_arrive(cli: CommandLine, tmp_path: Path) -> None:
    rows = tmp_path / "rows.yaml"
    rows.write_text("- {seed: 007, rate: 1.50}\n- {seed: 8, rate: 2}\n")
    flags = ["--array-items", str(rows), "--max-concurrency", "1", "--attempts", "2"]
    flags += ["--depends-on", "c:N_TO_N:Completed", "--depends-on", "prep:Failed", "--depends-on", "SEQUENTIAL"]
    cli.submit("sim", *flags)
    spec = cli.spec("sim")
    assert spec["arrayProperties"] == {
        "items": {"list": [{"seed": "007", "rate": "1.50"}, {"seed": "8", "rate": "2"}]},
        "maxConcurrency": 1,
    }
    assert spec["dependsOn"] == [
        {"name": "c", "type": "N_TO_N", "condition": "Completed"},
        {"name": "prep", "condition": "Failed"},
        {"type": "SEQUENTIAL"},
    ]


def test_an_array_is_described_with_its_counts_and_failures(cli: CommandLine) -> None:
    submit(cli, "sim", state="PENDING", arrayProperties=detail("0-3", "5", SUCCEEDED=4, FAILED=1, RUNNING=5))
    page, _ = cli.run("describe", "sim")
    assert "Why:             5 elements run." in page
    assert "Failed:          5" in page
    assert f"  1      3     5        {EXITED}" in page.splitlines()
    table, _ = cli.run("list")
    assert "5 of 10 done, 1 failed, 5 running" in table


def test_elements_are_listed_and_described_from_status_and_pods(cli: CommandLine) -> None:
    seen = detail("0", "5", SUCCEEDED=1, FAILED=1, RUNNABLE=8)
    uid = submit(cli, "sim", state="PENDING", jobName="sim-1", arrayProperties=seen)
    for index, gates in ((1, [{"name": GATE_ADMISSION}]), (2, [])):
        cli.api.create(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": f"sim-{index}",
                    "namespace": cli.namespace,
                    "labels": {LABEL_JOB_ID: uid, POD_INDEX: str(index)},
                    "annotations": {POD_INDEX: str(index)},
                },
                "spec": {
                    "containers": [{"name": "main", "image": "busybox"}],
                    "schedulingGates": gates,
                    "nodeSelector": {"test.local/nowhere": "true"},
                },
            }
        )
    rows, err = cli.run("list", "--array", "sim", "--limit", "6")
    states = [line.split()[1] for line in rows.splitlines()[1:]]
    assert states == ["SUCCEEDED", "RUNNABLE", "STARTING", "RUNNABLE", "RUNNABLE", "FAILED"]
    assert err == "4 more: --limit 10 shows them too\n"
    for flags, want in ((["-s", "FAILED"], ["sim:5"]), (["-s", "starting"], ["sim:2"])):
        names, _ = cli.run("list", "--array", "sim", "-o", "name", *flags)
        assert names.split() == want
    shown, _ = cli.run("list", "--array", "sim", "-s", "FAILED", "-o", "yaml")
    assert yaml.safe_load(shown)["elements"][0]["jobId"] == f"{uid}:5"
    page, _ = cli.run("describe", f"{uid}:5")
    assert f"Why:             {EXITED}, exit code 3" in page
    both, _ = cli.run("describe", "sim:5", "sim", "-o", "json")
    assert [item.get("exitCode") for item in json.loads(both)["items"]] == [3, None]


@pytest.mark.parametrize(
    ("arguments", "code", "want"),
    [
        pytest.param(["describe", "sim:10"], exits.NOT_FOUND, "no element 10: the array's indexes are 0", id="range"),
        pytest.param(["terminate", "one:3"], exits.NOT_FOUND, "job one is no array", id="no array"),
        pytest.param(["logs", "sim"], exits.ERROR, "name an element, such as sim:5, which failed first", id="logs"),
        pytest.param(["list", "--array", "one"], exits.ERROR, "--array one: job one is no array", id="list"),
        pytest.param(["retry", "sim"], exits.ERROR, "sim has not finished", id="retry"),
        pytest.param(["wait", "sim:3"], exits.USAGE, "takes whole jobs", id="wait"),
    ],
)
def test_what_is_refused_is_said(cli: CommandLine, arguments: list[str], code: int, want: str) -> None:
    submit(cli, "sim", state="PENDING", arrayProperties=detail(failed="5", FAILED=1, RUNNING=9))
    cli.submit("one")
    _, err = cli.run(*arguments, want=code)
    assert want in " ".join(err.replace("│", " ").split())


def test_requests_to_end_elements_that_come_at_once_are_all_kept(cli: CommandLine) -> None:
    submit(cli, "sim", state="PENDING", arrayProperties=detail("0", RUNNING=9))
    processes = [cli.start("terminate", f"sim:{index}", "--reason", f"r{index}") for index in range(1, 6)]
    for process in processes:
        _, err = process.communicate(timeout=2 * SECONDS)
        assert process.returncode == exits.OK, err
    asked = cli.spec("sim")["terminateElements"]
    assert sorted((each["indexes"], each["reason"]) for each in asked) == [(str(n), f"r{n}") for n in range(1, 6)]

    out, _ = cli.run("terminate", "sim:0", "sim:3", "sim:5-7")
    assert [line.partition("/")[2] for line in out.splitlines()] == [
        "sim:0 has already SUCCEEDED: nothing to terminate",
        "sim:3 was already asked to terminate: r3",
        "sim:5-7 are being terminated",
    ]
    cli.run("cancel", "sim:8,9", "--reason", "enough")
    assert cli.spec("sim")["cancelElements"] == [{"indexes": "8,9", "reason": "enough"}]


def test_what_failed_is_retried_as_a_new_job_and_again(cli: CommandLine) -> None:
    flags = ["--array-size", str(SIZE), "--depends-on", "prep:Completed", "-p", "who=me", "--attempts", "2"]
    over = {"state": "FAILED", "jobDefinition": "hello:4"}
    cli.submit("sim", *flags, **over, arrayProperties=detail("0-2,5", "3,4,6-9", SUCCEEDED=4, FAILED=6))
    cli.run("terminate", "sim")
    out, _ = cli.run("retry", "sim")
    assert out == "batchjob.batchwright.io/sim-retry-1 created: runs 3,4,6-9 (6 elements)\n"
    assert cli.spec("sim-retry-1") == {
        "jobQueue": cli.queue,
        "jobDefinition": "hello:4",
        "parameters": {"who": "me"},
        "retryStrategy": {"attempts": 2},
        "arrayProperties": {"size": SIZE, "indexes": "3,4,6-9"},
    }
    cli.set_status("sim-retry-1", **over, arrayProperties=detail("3,6-9", "4", SUCCEEDED=5, FAILED=1))
    out, _ = cli.run("retry", "sim-retry-1", "-o", "name")
    assert out == "batchjob.batchwright.io/sim-retry-2\n"
    assert cli.spec("sim-retry-2")["arrayProperties"]["indexes"] == "4"
    cli.run("retry", "sim", "--elements", "0,3", "--name", "both")
    assert cli.spec("both")["arrayProperties"]["indexes"] == "0,3"
    _, err = cli.run("retry", "sim-retry-1", "--elements", "5", want=exits.NOT_FOUND)
    assert "it runs 3,4,6-9 alone" in err

    cli.submit("one", state="FAILED", jobDefinition="hello:2")
    cli.run("retry", "one")
    assert cli.spec("one-retry-1") == {"jobQueue": cli.queue, "jobDefinition": "hello:2"}
    cli.submit("good", state="SUCCEEDED")
    assert cli.run("retry", "good") == ("", "nothing of good failed: nothing to retry\n")


def test_a_wait_follows_an_arrays_counts_to_the_end(cli: CommandLine) -> None:
    process = cli.start("submit", "sim", "-q", cli.queue, "-d", "hello", "--array-size", str(SIZE), "--wait")
    assert process.stdout is not None
    assert process.stdout.readline().split()[1:] == ["created"]
    assert process.stdout.readline().split()[1:] == ["sim", "SUBMITTED"]
    cli.set_status("sim", state="PENDING", arrayProperties=detail(RUNNING=10))
    assert process.stdout.readline().split(maxsplit=2)[2].startswith("PENDING 0/10: ")
    over = detail("0-8", "9", SUCCEEDED=9, FAILED=1, RUNNING=0)
    cli.set_status("sim", state="FAILED", statusReason="Array Child Job failed", arrayProperties=over)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == exits.ERROR, err
    assert out.splitlines()[-1].endswith("FAILED 10/10: 9 succeeded, 1 failed: Array Child Job failed")


@pytest.fixture
def story(stage: Stage, story_cluster: local_cluster.Cluster) -> CommandLine:
    """The command line on the stories' cluster, with a node, an environment and the queue that it submits to."""
    kubectl = binaries.ensure(["kubectl"], silent())["kubectl"]
    made = CommandLine(Cluster(story_cluster.kubeconfig, kubectl), stage.api, stage.namespace)
    stage.nodes(1, cpu=8)
    stage.environment()
    stage.queue()
    return made


def test_what_failed_is_seen_and_runs_again_under_the_same_index(stage: Stage, story: CommandLine) -> None:
    stage.simulated(simulate={"exit-code": "3", "fail-indexes": "4,7"})
    flags = ["-q", story.queue, "-d", "hello", "--array-size", "8", "--wait", "--wait-timeout", str(2 * SECONDS)]
    out, _ = story.run("submit", "sim", *flags, want=exits.ERROR)
    assert out.splitlines()[-1].endswith("FAILED 8/8: 6 succeeded, 2 failed: Array Child Job failed")
    names, _ = story.run("list", "--array", "sim", "--status", "FAILED", "-o", "name")
    assert names.split() == ["sim:4", "sim:7"]
    rows, _ = story.run("list", "--array", "sim", "--status", "FAILED")
    assert [line.split()[:4] for line in rows.splitlines()[1:]] == [
        ["4", "FAILED", "1", "3"],
        ["7", "FAILED", "1", "3"],
    ]
    page, _ = story.run("describe", "sim", "sim:7")
    assert f"  2      3     4,7      {EXITED}" in page.splitlines()
    assert "Name:            sim:7" in page
    # Simulated, they fail again: by the index they had, not by their position in the retry.
    out, _ = story.run("retry", "sim", "--wait", "--wait-timeout", str(2 * SECONDS), want=exits.ERROR)
    assert out.splitlines()[-1].endswith("FAILED 2/2: 0 succeeded, 2 failed: Array Child Job failed")
    assert stage.status("sim-retry-1")["arrayProperties"]["failedIndexes"] == "4,7"
    out, _ = story.run("retry", "sim", "--elements", "3,5", "--wait", "--wait-timeout", str(2 * SECONDS))
    assert out.splitlines()[-1].split(" ", 2)[2].startswith("SUCCEEDED 2/2: 2 succeeded")
    assert stage.status("sim-retry-2")["arrayProperties"]["succeededIndexes"] == "3,5"
    shown, _ = story.run("describe", "sim-retry-1:7", "-o", "json")
    assert [attempt["attempt"] for attempt in json.loads(shown)["attempts"]] == [1]


def test_one_element_is_terminated_and_the_others_go_on(stage: Stage, story: CommandLine) -> None:
    stage.simulated(simulate={"seconds": "300"})
    story.run("submit", "sim", "-q", story.queue, "-d", "hello", "--array-size", "3")
    story.run("wait", "sim", "--for", "RUNNING", "--timeout", str(SECONDS))
    stage.wait("sim", lambda status: status["arrayProperties"]["statusSummary"].get("RUNNING") == 3, SECONDS)
    out, _ = story.run("cancel", "sim:2")
    assert "sim:2 is RUNNING and goes on" in out
    story.run("terminate", "sim:1", "--reason", "enough")
    stage.wait("sim", lambda status: status["arrayProperties"].get("failedIndexes") == "1", SECONDS)
    rows, _ = story.run("list", "--array", "sim")
    assert [line.split()[1] for line in rows.splitlines()[1:]] == ["RUNNING", "FAILED", "RUNNING"]
    page, _ = story.run("describe", "sim:1")
    assert "Why:             enough" in page
    story.run("terminate", "sim")
    stage.wait("sim", "FAILED", SECONDS)


@pytest.fixture
def real(stage: Stage, story_cluster: local_cluster.Cluster) -> CommandLine:
    """The command line on the stories' cluster, with a queue that sends jobs to the real node."""
    kubectl = binaries.ensure(["kubectl"], silent())["kubectl"]
    realnode.import_image(story_cluster.name, story_cluster.directory, images.ensure_busybox())
    made = CommandLine(Cluster(story_cluster.kubeconfig, kubectl), stage.api, stage.namespace)
    environment = f"{stage.namespace}-real"
    stage.declare(manifests.compute_environment(environment, nodeSelector={realnode.NODE_LABEL: "real"}))
    stage.declare(
        manifests.job_queue(made.queue, computeEnvironmentOrder=[{"order": 1, "computeEnvironment": environment}])
    )
    return made


@pytest.mark.real_node
@pytest.mark.skipif(os.geteuid() != 0, reason="a real node needs root")
def test_the_log_of_an_element_tells_its_index_and_attempt(real: CommandLine) -> None:
    image = manifests.container(image=images.BUSYBOX_IMAGE, command=["sh", "-c", SCRIPT])
    real.api.create(manifests.job_definition("hello", real.namespace, containerProperties=image))
    common = ["-q", real.queue, "-d", "hello", "--vcpus", "0.1"]
    real.run("submit", "sim", *common, "--array-size", "2", "--attempts", "2", "--depends-on", "prep")
    following = real.start("logs", "-f", "sim:1")
    assert following.stderr is not None
    assert following.stderr.readline() == "waiting for element sim:1\n"
    # Only now can it start, so that the first attempt is not missed.
    real.run("submit", "prep", *common, "--", "true")
    out, err = following.communicate(timeout=3 * SECONDS)
    assert following.returncode == exits.OK, f"{err}\n{real.run('describe', 'sim')[0]}"
    assert out.splitlines() == ["element 1 of 2, attempt 1", "element 1 of 2, attempt 2"]
    assert err.splitlines()[-1] == "--- attempt 2 ---"
    real.run("wait", "sim", "--timeout", str(2 * SECONDS))
    assert real.run("logs", "sim:0")[0] == "element 0 of 2, attempt 1\n"
    assert real.run("logs", "sim:1", "--attempt", "1")[0] == "element 1 of 2, attempt 1\n"
    shown, _ = real.run("describe", "sim:1", "-o", "json")
    assert [attempt["container"]["exitCode"] for attempt in json.loads(shown)["attempts"]] == [1, 0]
