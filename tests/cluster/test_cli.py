"""The command line against a real API server.

No operator runs on the cluster of most of these tests: they write the states it would. The last ones have the operator
and a real node.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

import manifests
from apiserver import ApiServer
from batchwright.cli import exits
from batchwright.local import binaries, images, realnode
from batchwright.local import cluster as local_cluster
from batchwright.local.progress import silent
from batchwright.names import LABEL_JOB_ID
from commandline import CommandLine
from kubecluster import Cluster
from stage import Stage

SECONDS = 60
SCRIPT = "echo first; echo; sleep 2; echo last; exit 3"


@pytest.fixture
def cli(cluster: Cluster, api: ApiServer, namespace: str) -> CommandLine:
    """The command line in a namespace of its own."""
    return CommandLine(cluster, api, namespace)


@pytest.fixture
def remove(api: ApiServer) -> Iterator[Callable[[str, str], None]]:
    """Names cluster-wide objects to be deleted after the test."""
    marked: list[tuple[str, str]] = []
    yield lambda kind, name: marked.append((kind, name))
    for kind, name in marked:
        api.delete(kind, name)


def test_a_file_is_applied_and_its_jobs_created(cli: CommandLine, remove: Callable[[str, str], None]) -> None:
    environment = f"{cli.namespace}-nodes"
    remove("JobQueue", cli.queue)
    remove("ComputeEnvironment", environment)
    order = [{"order": 1, "computeEnvironment": environment}]
    documents = [
        manifests.compute_environment(environment),
        manifests.job_queue(cli.queue, computeEnvironmentOrder=order),
        manifests.job_definition("hello", cli.namespace),
        manifests.batch_job("", cli.namespace),
    ]
    documents[3]["metadata"] = {"generateName": "made-"}
    out, _ = cli.run("submit", "-f", "-", stdin=yaml.safe_dump_all(documents))
    assert [line.split()[1] for line in out.splitlines()] == ["created"] * 4
    documents[1]["spec"]["priority"] = 7
    again, _ = cli.run("submit", "-f", "-", "--dry-run", stdin=yaml.safe_dump_all(documents[:3]))
    assert [line.split(maxsplit=1)[1] for line in again.splitlines()] == [
        "unchanged (server dry run)",
        "configured (server dry run)",
        "unchanged (server dry run)",
    ]
    names, _ = cli.run("list", "-o", "name")
    assert names.startswith("batchjob.batchwright.io/made-")
    assert names.count("\n") == 1

    table, _ = cli.run("queues", cli.queue)
    assert f"Environments:    {environment}" in table
    rows, _ = cli.run("definitions")
    assert [line.split()[0] for line in rows.splitlines()] == ["NAME", "hello"]


def test_one_bad_document_does_not_keep_the_others_out(cli: CommandLine) -> None:
    bad, good = manifests.batch_job("bad", cli.namespace, jobQueu="x"), manifests.batch_job("good", cli.namespace)
    out, err = cli.run("submit", "-f", "-", stdin=yaml.safe_dump_all([bad, good]), want=exits.ERROR)
    assert out == "batchjob.batchwright.io/good created\n"
    assert 'unknown field "spec.jobQueu"' in err


def test_the_flags_arrive(cli: CommandLine) -> None:
    flags = ["-p", "who=me", "-e", "A=b", "--vcpus", "0.5", "--depends-on", "prep"]
    cli.submit("sim", *flags, "--", "sh", "-c", "exit -1")
    assert cli.spec("sim") == {
        "jobQueue": cli.queue,
        "jobDefinition": "hello",
        "parameters": {"who": "me"},
        "dependsOn": [{"name": "prep"}],
        "containerOverrides": {
            "command": ["sh", "-c", "exit -1"],
            "environment": [{"name": "A", "value": "b"}],
            "resourceRequirements": [{"type": "VCPU", "value": "0.5"}],
        },
    }


def test_what_the_api_server_refuses_is_said_field_by_field(cli: CommandLine) -> None:
    _, err = cli.run("submit", "sim", "-q", "Not_A_Name", "-d", "hello", want=exits.ERROR)
    assert err.splitlines()[0] == 'error: BatchJob.batchwright.io "sim" is invalid:'
    assert err.splitlines()[1].startswith("  spec.jobQueue: ")


def test_a_name_is_taken_once(cli: CommandLine) -> None:
    cli.submit("sim")
    _, err = cli.run("submit", "sim", "-q", cli.queue, "-d", "hello", want=exits.ERROR)
    assert "a job runs once" in err


def test_a_cycle_is_refused_by_name_and_by_id_until_a_job_has_finished(cli: CommandLine) -> None:
    first = cli.submit("a", "--depends-on", "c")
    cli.submit("b", "--depends-on", first)
    flags = ("submit", "c", "-q", cli.queue, "-d", "hello", "--depends-on", "b")
    _, err = cli.run(*flags, want=exits.ERROR)
    assert "c → b → a → c" in err
    cli.set_status("b", state="FAILED")
    cli.run(*flags)


def test_jobs_are_listed_by_queue_state_and_definition(cli: CommandLine) -> None:
    cli.submit("waits", state="RUNNABLE", statusReason="2 vCPU short")
    cli.submit("runs", state="RUNNING", jobDefinition="hello:2")
    cli.submit("fresh")
    table, _ = cli.run("list", "-q", cli.queue)
    assert table.startswith("NAME ")
    assert {line.split()[0] for line in table.splitlines()[1:]} == {"waits", "runs", "fresh"}
    for flags, want in (
        (["--status", "runnable"], {"waits"}),
        (["-s", "SUBMITTED", "-s", "RUNNING"], {"fresh", "runs"}),
        (["-d", "hello:2"], {"runs"}),
        (["-A", "-q", cli.queue, "-s", "SUBMITTED"], {"fresh"}),
    ):
        names, _ = cli.run("list", "-o", "name", *flags)
        assert {name.removeprefix("batchjob.batchwright.io/") for name in names.split()} == want, flags
    none, err = cli.run("list", "-q", "no-such-queue")
    assert (none, err) == ("", f"no jobs in namespace {cli.namespace} match\n")


def test_describe_tells_the_place_in_the_queue_and_the_dependencies(cli: CommandLine) -> None:
    cli.submit("first", state="RUNNABLE")
    cli.submit("done", state="SUCCEEDED")
    second = cli.submit("second", "--depends-on", "done", state="RUNNABLE")
    # Both may have been made within one second, where the uid decides.
    page, _ = cli.run("describe", "first", second)
    places = [line for line in page.splitlines() if "in queue" in line]
    assert sorted(line.split("It is the ")[1][:8] for line in places) == ["1st of 2", "2nd of 2"]
    assert "Depends on:      done (SUCCEEDED)" in page
    shown, _ = cli.run("describe", second, "-o", "yaml")
    assert yaml.safe_load(shown)["metadata"]["name"] == "second"


def test_a_wait_follows_the_states_to_the_end(cli: CommandLine) -> None:
    cli.submit("good")
    cli.submit("bad")
    process = cli.start("wait", "good", "bad", "--timeout", str(SECONDS))
    assert process.stdout is not None
    # The lines of first sight come before the watch, and what follows is seen all the same.
    assert {process.stdout.readline().split()[1] for _ in range(2)} == {"good", "bad"}
    cli.set_status("bad", state="FAILED", statusReason="exit code 3")
    cli.set_status("good", state="RUNNING")
    cli.set_status("good", state="SUCCEEDED")
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == exits.ERROR, err
    assert "bad SUBMITTED → FAILED: exit code 3" in out
    assert out.splitlines()[-1].endswith("→ SUCCEEDED")


def test_submit_wait_prints_the_job_for_a_program_and_its_way_for_a_person(cli: CommandLine) -> None:
    process = cli.start("submit", "sim", "-q", cli.queue, "-d", "hello", "--wait", "-o", "json")
    assert process.stderr is not None
    assert process.stderr.readline().split()[1:] == ["sim", "SUBMITTED"]
    cli.set_status("sim", state="SUCCEEDED")
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == exits.OK, err
    assert json.loads(out)["status"]["state"] == "SUCCEEDED"


def test_a_wait_has_a_time_limit_and_other_goals(cli: CommandLine) -> None:
    cli.submit("sim", state="RUNNING")
    cli.run("wait", "sim", "--for", "running")
    _, err = cli.run("wait", "sim", "--timeout", "0.5", want=exits.TIMEOUT)
    assert "sim is RUNNING" in err


def test_an_interrupted_wait_leaves_the_job(cli: CommandLine) -> None:
    cli.submit("sim", state="RUNNING")
    process = cli.start("wait", "sim")
    assert process.stdout is not None
    assert process.stdout.readline().split()[1:] == ["sim", "RUNNING"]
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == exits.INTERRUPTED, err
    assert "batchwright terminate sim" in err
    assert "Traceback" not in err
    assert "terminate" not in cli.spec("sim")


def test_cancel_and_terminate_ask_once_and_never_a_finished_job(cli: CommandLine) -> None:
    cli.submit("waits", state="RUNNABLE")
    cli.submit("runs", state="RUNNING")
    cli.submit("over", state="SUCCEEDED")
    out, err = cli.run("cancel", "waits", "runs", "missing", "over", "--reason", "enough", want=exits.NOT_FOUND)
    assert [line.split(" ", 1)[1] for line in out.splitlines()] == [
        "is being cancelled",
        "is RUNNING and goes on: cancel ends only jobs that have not started; `batchwright terminate runs` ends it",
        "has already SUCCEEDED: nothing to cancel",
    ]
    assert 'job "missing" not found' in err
    assert cli.spec("waits")["cancel"] == {"reason": "enough"}
    assert "cancel" not in cli.spec("over")
    cli.run("terminate", "runs")
    assert cli.spec("runs")["terminate"] == {"reason": "Terminated by user"}
    again, _ = cli.run("terminate", "runs", "--reason", "another")
    assert "was already asked to terminate: Terminated by user" in again


def test_delete_warns_of_work_that_is_lost_and_asks_before_everything(cli: CommandLine) -> None:
    cli.submit("runs", state="RUNNING")
    cli.submit("over", state="FAILED")
    cli.submit("other", state="FAILED")
    out, err = cli.run("delete", "runs", "batchjob.batchwright.io/over")
    assert out.count("deleted") == 2
    assert err == "warning: runs is RUNNING; deleting it ends it\n"
    _, err = cli.run("delete", "--all", want=exits.ERROR)
    assert "--yes" in err
    cli.run("delete", "--all", "--yes")
    assert cli.api.list("BatchJob", cli.namespace) == []


def test_logs_say_why_there_are_none(cli: CommandLine) -> None:
    cli.submit("waits", state="RUNNABLE")
    uid = cli.submit("runs", state="RUNNING")
    _, err = cli.run("logs", "waits", want=exits.ERROR)
    assert "follow it with -f" in err
    _, err = cli.run("logs", "runs", want=exits.ERROR)
    assert "has no log yet" in err
    labels = {LABEL_JOB_ID: uid}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "runs-0", "namespace": cli.namespace, "labels": labels},
        "spec": {
            "containers": [{"name": "main", "image": "busybox"}],
            "schedulingGates": [{"name": "test.local/held"}],
        },
    }
    cli.api.create(pod)
    _, err = cli.run("logs", "runs", want=exits.ERROR)
    assert "container main of pod runs-0 has not started" in err
    _, err = cli.run("logs", "runs", "-c", "sidecar", want=exits.ERROR)
    assert "--container sidecar: the pod has main" in err


def test_names_are_completed_from_the_cluster(cli: CommandLine) -> None:
    cli.submit("sim-a")
    cli.submit("sim-b")
    cli.submit("other")
    words = f"batchwright wait -n {cli.namespace} sim"
    env = {"_BATCHWRIGHT_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": "4"}
    process = subprocess.run(
        [Path(sys.executable).with_name("batchwright")],
        env={**os.environ, "KUBECONFIG": str(cli.cluster.kubeconfig), **env},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert process.stdout.split() == ["sim-a", "sim-b"], process.stderr


def test_kubectl_finds_the_plugin(cli: CommandLine) -> None:
    cli.submit("sim")
    done = subprocess.run(
        [cli.cluster.kubectl_binary, "batchwright", "list", "-n", cli.namespace, "-o", "name"],
        env={
            **os.environ,
            "KUBECONFIG": str(cli.cluster.kubeconfig),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.stdout == "batchjob.batchwright.io/sim\n", done.stderr


@pytest.fixture
def real(stage: Stage, story_cluster: local_cluster.Cluster) -> Iterator[CommandLine]:
    """The command line on the stories' cluster, with a queue that sends jobs to the real node."""
    kubectl = binaries.ensure(["kubectl"], silent())["kubectl"]
    realnode.import_image(story_cluster.name, story_cluster.directory, images.ensure_busybox())
    made = CommandLine(Cluster(story_cluster.kubeconfig, kubectl), stage.api, stage.namespace)
    environment = f"{stage.namespace}-real"
    order = [{"order": 1, "computeEnvironment": environment}]
    stage.api.create(manifests.compute_environment(environment, nodeSelector={realnode.NODE_LABEL: "real"}))
    stage.api.create(manifests.job_queue(made.queue, computeEnvironmentOrder=order))
    yield made
    stage.api.delete("JobQueue", made.queue)
    stage.api.delete("ComputeEnvironment", environment)


@pytest.mark.real_node
@pytest.mark.skipif(os.geteuid() != 0, reason="a real node needs root")
def test_a_log_is_followed_from_before_the_start_over_a_retry_to_the_end(real: CommandLine) -> None:
    image = manifests.container(image=images.BUSYBOX_IMAGE, command=["sh", "-c", SCRIPT])
    waiting = real.start("submit", "sim", "-q", real.queue, "-d", "hello", "--attempts", "2", "--wait")
    assert waiting.stdout is not None
    assert waiting.stdout.readline() == "batchjob.batchwright.io/sim created\n"
    following = real.start("logs", "-f", "sim")
    assert following.stderr is not None
    assert following.stderr.readline().startswith("waiting: job sim is ")
    # Only now it has a definition: who follows from the second attempt on sees only that.
    real.api.create(manifests.job_definition("hello", real.namespace, containerProperties=image))
    out, err = following.communicate(timeout=2 * SECONDS)
    assert following.returncode == exits.OK, f"{err}\n{real.run('describe', 'sim')[0]}"
    assert out == "first\n\nlast\n" * 2, f"{err}\n{real.run('describe', 'sim')[0]}"
    assert err.splitlines()[-1] == "--- attempt 2 ---"
    shown, err = waiting.communicate(timeout=SECONDS)
    assert waiting.returncode == exits.ERROR, err
    assert "→ FAILED (attempt 2): Essential container in task exited" in shown
    first, _ = real.run("logs", "sim", "--attempt", "1", "--tail", "1")
    assert first == "last\n"
    page, _ = real.run("describe", "sim")
    assert [line.split()[0] for line in page.splitlines() if line.startswith("  ")][1:3] == ["1", "2"]
