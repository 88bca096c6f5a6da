"""`plan`, `queue top` and `describe` of what waits, against what the operator then does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import manifests
from batchwright.cli import exits
from batchwright.cli.main import app
from batchwright.domain.texts import moment
from batchwright.local import cluster as local_cluster
from commandline import CommandLine
from kubecluster import Cluster
from operatorprocess import OperatorProcess
from stage import Stage, count_of


@pytest.fixture
def cli(story_cluster: local_cluster.Cluster, stage: Stage) -> CommandLine:
    return CommandLine(Cluster(story_cluster.kubeconfig, Path("kubectl")), stage.api, stage.namespace)


def planned(cli: CommandLine) -> dict[str, Any]:
    out, _ = cli.run("plan", "-o", "json")
    return dict(json.loads(out))


def test_a_plan_is_what_the_operator_does_next(stage: Stage, cli: CommandLine, operator: OperatorProcess) -> None:
    stage.nodes(1, cpu=4)
    stage.environment()
    name = stage.queue(schedulingPolicy=_policy(stage))
    stage.simulated(simulate={"seconds": "600"})
    stage.submit("first", shareIdentifier="x")
    stage.wait("first", "RUNNING")
    operator.kill()
    try:
        for number in range(3):
            stage.submit(f"x{number}", shareIdentifier="x")
        stage.submit("sim", shareIdentifier="y", arrayProperties={"size": 5})
        record = planned(cli)
        starts = {start["job"]: start["count"] for start in record["starts"]}
        assert sum(starts.values()) == 3, record
        assert starts["sim"] == 2, record
        (first,) = record["waiting"]
        assert (first["queue"], first["kind"]) == (name, "NO_ROOM")
        assert "short by 1 vCPU" in first["reason"]
        assert planned(cli)["starts"] == record["starts"]
        assert stage.status("sim") == {}, "a plan wrote something"
        assert len(stage.api.list("Job", stage.namespace)) == 1
        table, _ = cli.run("plan")
        assert table.startswith("Starts:\n")
    finally:
        operator.start()
    stage.wait("sim", lambda status: count_of(status, "RUNNING") == starts["sim"])
    for job in starts.keys() - {"sim"}:
        stage.wait(job, "RUNNING")
    waiting = [f"x{number}" for number in range(3) if f"x{number}" not in starts]
    for job in waiting:
        stage.wait(job, "RUNNABLE")
    told = _top(cli, stage)
    assert {each["job"] for each in told["waiting"]} == {*waiting, "sim"}
    assert [each["position"] for each in told["waiting"]] == [1, 2, 3]
    # Those of one second are in the order of their uids.
    last = max(waiting, key=lambda job: _place(told, job))
    page, _ = cli.run("describe", last)
    assert f"Position:        {_place(told, last)} of 3" in page
    assert "Ahead:           1 in its share, x" in page
    page, _ = cli.run("describe", "sim")
    assert f"Position:        {_place(told, 'sim')} of 3" in page
    assert planned(cli)["starts"] == []


def test_a_forecast_is_kept(stage: Stage, cli: CommandLine) -> None:
    stage.nodes(1, cpu=4)
    stage.environment()
    stage.queue()
    stage.simulated(cpu="3", simulate={"seconds": "8"}, timeout={"attemptDurationSeconds": 60})
    stage.submit("first")
    stage.wait("first", "RUNNING")
    stage.submit("second")
    stage.wait("second", "RUNNABLE")
    (second,) = _top(cli, stage)["waiting"]
    assert (second["job"], second["kind"], second["asks"].split(",")[0]) == ("second", "NO_ROOM", "3 vCPU")
    assert second["forecast"] is not None
    started = stage.wait("second", lambda status: "startedAt" in status)["startedAt"]
    assert started <= second["forecast"]
    # By now the definition has a history, of 8 s.
    stage.wait("first", "SUCCEEDED")
    stage.submit("third")
    stage.submit("fourth")
    for name in ("third", "fourth"):
        stage.wait(name, "RUNNABLE")
    line = _top(cli, stage)["waiting"]
    assert [each["forecastKind"] for each in line] == ["EXPECTED", "EXPECTED"]
    told = [moment(each["forecast"]) - moment(started) for each in line]
    assert 7 <= told[0].total_seconds() <= 12, line
    assert 14 <= told[1].total_seconds() <= 24, line


def test_a_queue_that_is_not_there(cli: CommandLine) -> None:
    done = _queue_top(cli, "nowhere")
    assert done.exit_code == exits.NOT_FOUND
    assert 'job queue "nowhere" not found' in done.stderr


def _policy(stage: Stage) -> str:
    name = f"{stage.namespace}-fair"
    stage.declare(manifests.scheduling_policy(name, shareDecaySeconds=600))
    return name


def _top(cli: CommandLine, stage: Stage) -> dict[str, Any]:
    done = _queue_top(cli, f"{stage.namespace}-queue", "-o", "json")
    assert done.exit_code == exits.OK, done.output
    return dict(json.loads(done.stdout))


def _queue_top(cli: CommandLine, *arguments: str) -> Result:
    env = {"KUBECONFIG": str(cli.cluster.kubeconfig), "NO_COLOR": "1", "COLUMNS": "300"}
    return CliRunner().invoke(app, ["queue", "top", *arguments], env=env)


def _place(told: dict[str, Any], job: str) -> int:
    return next(int(each["position"]) for each in told["waiting"] if each["job"] == job)
