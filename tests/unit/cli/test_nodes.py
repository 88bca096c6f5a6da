"""Nodes of multi-node jobs as people see them: addresses, states, the table and the page."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from batchwright import names
from batchwright.cli.describe import _pages
from batchwright.cli.formats import parse_time
from batchwright.cli.jobs import find_elements
from batchwright.cli.logs import _once
from batchwright.cli.logview import Subject, Wanted
from batchwright.cli.nodes import NodeOfJob, check_node, list_nodes, node_grid, node_page, node_record
from batchwright.cli.options import Output
from batchwright.cli.references import Reference, elements_allowed, parse_reference, parts_allowed, whole_jobs_only
from batchwright.errors import BatchwrightError, NotFound
from unit.cli.fakeapi import FakeApi, Log, serve
from unit.cli.objects import JSON, job

START = "2026-03-01T12:00:00Z"


def train(state: str = "RUNNING", **status: Any) -> JSON:
    return job("train", state=state, nodeProperties={"numNodes": 3, "mainNode": 0}, **status)


def pod(index: int, phase: str = "Running", *, failures: int = 0, code: int | None = None) -> JSON:
    """A pod of a node."""
    ended = {"exitCode": code, "startedAt": START, "finishedAt": "2026-03-01T12:00:05Z", "reason": "Error"}
    state = {"terminated": ended} if code is not None else {"running": {"startedAt": START}}
    return {
        "metadata": {
            "name": f"train-{index}-{failures}",
            "namespace": "default",
            "uid": f"u{index}{failures}",
            "creationTimestamp": START,
            "labels": {names.LABEL_NODE_INDEX: str(index)},
            "annotations": {names.POD_FAILURE_COUNT: str(failures)},
        },
        "spec": {"containers": [{"name": "main"}], "nodeName": f"m{index}"},
        "status": {
            "phase": phase,
            "containerStatuses": [{"name": "main", "state": state}] if phase != "Pending" else [],
        },
    }


def test_references() -> None:
    assert parse_reference("train#2") == Reference("train", node=2)
    assert parse_reference("bj/train#0") == Reference("train", node=0)
    assert parts_allowed(["train#2", "sim:3"]) == ["train#2", "sim:3"]


@pytest.mark.parametrize("text", ["#2", "train#", "train#x", "train#-1", "train#1-2", "train#99999"])
def test_malformed_nodes_are_refused_with_what_is_right(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="JOB#NUMBER, such as train#2"):
        parse_reference(text)


def test_verbs_that_end_things_take_no_nodes() -> None:
    with pytest.raises(typer.BadParameter, match="starts and ends with the others: name the job"):
        elements_allowed(["train#2"])
    with pytest.raises(typer.BadParameter, match="takes whole jobs: say train"):
        whole_jobs_only(["train#2"])


def test_nodes_that_a_job_has_not() -> None:
    check_node(train(), 2)
    with pytest.raises(NotFound, match="job train has no node 3: its nodes are 0 to 2"):
        check_node(train(), 3)
    with pytest.raises(NotFound, match="is no multi-node job"):
        check_node(job("sim", state="RUNNING"), 0)


STATES = [
    pytest.param(NodeOfJob(train("STARTING"), 0, [pod(0)]), "STARTING", id="the main node's is the job's"),
    pytest.param(NodeOfJob(train(), 1, [pod(1)]), "RUNNING", id="running"),
    pytest.param(NodeOfJob(train(), 1, [pod(1, "Pending")]), "STARTING", id="starting"),
    pytest.param(NodeOfJob(train(), 1, [pod(1, "Failed", code=3)]), "FAILED", id="failed"),
    pytest.param(NodeOfJob(train(), 1, [pod(1, "Succeeded", code=0)]), "SUCCEEDED", id="succeeded"),
    pytest.param(NodeOfJob(train(), 1), "RUNNABLE", id="not made yet"),
    pytest.param(NodeOfJob(train(), 1, [pod(1, "Failed", code=3), pod(1, failures=1)]), "RUNNING", id="the newest"),
]


@pytest.mark.parametrize(("node", "want"), STATES)
def test_states(node: NodeOfJob, want: str) -> None:
    assert node.state == want


def test_the_table_and_the_page() -> None:
    at = parse_time("2026-03-01T12:00:09Z")
    assert at is not None
    nodes = [NodeOfJob(train(), 0, [pod(0)]), NodeOfJob(train(), 1, [pod(1, "Failed", code=3)])]
    lines = node_grid(nodes, at, wide=True).plain().splitlines()
    assert lines[1].split()[:3] == ["0", "(main)", "RUNNING"]
    assert lines[2].split()[:3] == ["1", "FAILED", "3"]
    assert "train-1-0" in lines[2]
    uid = nodes[0].job["metadata"]["uid"]
    assert [line.split()[-2] for line in lines] == ["JOB-ID", f"{uid}#0", f"{uid}#1"]
    page = node_page(nodes[1])
    assert "train#1" in page
    assert "node 1 of train, 0 to 2; the main node is 0" in page


def test_the_record_speaks_as_aws_does() -> None:
    record = node_record(NodeOfJob(train(), 0, [pod(0)]))
    assert record["jobId"].endswith("#0")
    assert record["nodeProperties"] == {"isMainNode": True, "nodeIndex": 0, "numNodes": 3}
    assert [each["attempt"] for each in record["attempts"]] == [1]


def test_the_log_of_a_job_is_the_main_nodes() -> None:
    assert f"!{names.LABEL_MAIN_POD}" in Subject(train()).labels
    subject = Subject(train(), node=2)
    assert subject.labels.endswith(f"{names.LABEL_NODE_INDEX}=2")
    assert (subject.name, subject.what) == ("train#2", "node train#2")
    assert subject.attempts_made([pod(2), pod(2, failures=1)]) == 2


async def test_listing(capsys: pytest.CaptureFixture[str]) -> None:
    fake = FakeApi()
    fake.objects["batchjobs/train"].append(train())
    fake.lists["pods"].append([pod(0), pod(2, "Pending")])
    async with serve(fake) as session:
        await list_nodes(session, "train", [], Output.name)
        assert capsys.readouterr().out.split() == ["train#0", "train#1", "train#2"]
        fake.lists["pods"].append([pod(0), pod(2, "Pending")])
        await list_nodes(session, "train", ["STARTING"], Output.table)
        assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["NODE", "2"]


async def test_a_node_by_the_id_that_its_containers_know(capsys: pytest.CaptureFixture[str]) -> None:
    """AWS_BATCH_JOB_ID is `<jobId>#<n>`: what a log says is what `describe` and `logs` take."""
    uid = train()["metadata"]["uid"]
    assert parse_reference(f"{uid}#2") == Reference(uid, node=2)
    fake = FakeApi()
    fake.lists["batchjobs"] += [[train()], [train()]]
    fake.lists["pods"] += [[pod(2)], [pod(2)]]
    fake.logs["train-2-0"].append(Log(["1 node 2 of 3"]))
    async with serve(fake) as session:
        await _pages(session, [f"{uid}#2"])
        page = capsys.readouterr().out
        assert f"Job ID: {uid}#2" in " ".join(page.split())
        found, reference = await find_elements(session, f"{uid}#2")
        await _once(session, Subject(found, reference.index, reference.node), Wanted(None, None, None, False))
        assert capsys.readouterr().out == "node 2 of 3\n"


async def test_listing_nodes_of_what_has_none() -> None:
    fake = FakeApi()
    fake.objects["batchjobs/sim"].append(job("sim", state="RUNNING"))
    async with serve(fake) as session:
        with pytest.raises(BatchwrightError, match="job sim is no multi-node job"):
            await list_nodes(session, "sim", [], Output.table)
