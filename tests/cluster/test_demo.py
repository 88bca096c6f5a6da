"""The demo: real containers count real files, twice, and what goes wrong ends it with exit code 1; then a pipeline of
arrays on simulated machines, checked from outside once more.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from apiserver import ApiServer
from batchwright.cli.main import app
from batchwright.local import cluster, paths
from batchwright.local.cluster import describe
from batchwright.local.demo import manifests, storage
from batchwright.local.state import load_state
from batchwright.names import POD_INDEX

pytestmark = [
    pytest.mark.real_node,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="a real node needs root"),
]

NAME = f"demo-{os.getpid()}"
RUN = re.compile(r"run-[a-z0-9]{5}")
# What each act says at its end.
CHECKED = (
    r"^checked: equal to a count of the \d+ files made outside the cluster$",
    r"^checked: each of the \d+ elements succeeded exactly once, and started after what it waits for",
    r"^checked: each of the \d+ elements succeeded exactly once, what was lost was lost with the interrupted instance",
)


@pytest.fixture(scope="module", autouse=True)
def no_cluster_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The demo's cluster lives among no others, and goes at the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        try:
            yield
        finally:
            cluster.down(NAME)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts in sub-directories, with awkward names, and a file that is no text."""
    directory = tmp_path_factory.mktemp("texts")
    (directory / "déjà vu").mkdir()
    (directory / "déjà vu/100%.txt").write_text("Ähre ähre ÄHRE naïve\n" * 500)
    (directory / "plain").write_text("whale " * 2000 + "whales")
    (directory / "binary").write_bytes(bytes(range(256)) * 400)
    (directory / "empty").touch()
    return directory


def demo(*arguments: str | Path) -> Result:
    return play("--act", "1", "--workers", "3", *arguments)


def play(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["demo", "--name", NAME, *map(str, arguments)])


def run_of(result: Result) -> str:
    found = RUN.search(result.stderr)
    assert found is not None, result.stderr
    return found.group()


def api() -> ApiServer:
    directory = paths.cluster_directory(NAME)
    state = load_state(directory)
    assert state is not None
    return ApiServer(describe(directory, state).kubeconfig)


def test_from_nothing_to_a_checked_result_and_again(texts: Path) -> None:
    first = demo("--input", texts)
    assert first.exit_code == 0, first.output
    assert re.search(r"1 +whale +2,000", first.stdout)
    assert re.search(r"2 +ähre +1,500", first.stdout)
    assert "checked: equal to a count of the 4 files made outside the cluster" in first.stdout

    second = demo("--input", "")
    assert second.exit_code == 0, second.output
    assert re.search(r"1 +the +", second.stdout), "no --input: the licences of the machine"
    assert "checked: equal" in second.stdout
    assert "start the control plane" in first.stderr
    assert "start the control plane" not in second.stderr
    assert run_of(first) != run_of(second)


def test_a_failing_worker_ends_the_demo_with_its_log(texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    render_jobs = manifests.render_jobs

    def astray(run: str, workers: int) -> list[dict[str, Any]]:
        jobs = render_jobs(run, workers)
        jobs[2]["spec"]["parameters"]["part"] = "99"
        return jobs

    monkeypatch.setattr(manifests, "render_jobs", astray)
    result = demo("--input", texts)

    assert result.exit_code == 1, result.output
    run = run_of(result)
    assert f"{run}-count-1 FAILED: Essential container in task exited (exit code 1, attempt 2)" in result.stderr
    assert "NoSuchKey" in result.stderr
    assert f"{run}-merge FAILED: Dependent Job failed" in result.stderr
    assert f"batchwright local down --name {NAME}" in result.stderr
    assert "checked" not in result.stdout


def test_a_report_that_is_not_true_ends_the_demo(texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch_report = storage.fetch_report
    monkeypatch.setattr(storage, "fetch_report", lambda s3, run: replace(fetch_report(s3, run), words=1))

    result = demo("--input", texts)

    assert result.exit_code == 1, result.output
    assert "checked: NOT equal" in result.stdout
    assert "words: 1 reported, " in result.stderr


def test_data_goes_through_s3_alone_and_keys_through_the_secret(texts: Path) -> None:
    run = run_of(demo("--input", texts))
    listed = api().list("Pod", "default")
    pods = [pod for pod in listed if pod["metadata"]["name"].startswith(run)]

    assert len(pods) == 5
    for pod in pods:
        (container,) = pod["spec"]["containers"]
        assert container["image"].startswith("batchwright.local/wordcount-")
        assert pod["spec"].get("volumes", []) == []
        references = {each["name"]: each.get("valueFrom", {}).get("secretKeyRef") for each in container["env"]}
        assert references["AWS_SECRET_ACCESS_KEY"] == {"name": manifests.SECRET, "key": "AWS_SECRET_ACCESS_KEY"}
        assert pod["spec"]["nodeName"] == f"{NAME}-real"


@pytest.fixture(scope="module")
def left_run() -> Result:
    """A run of the pipeline that was left alone soon after its start."""
    return play("--act", "2", "--elements", "1000", "--timeout", "8")


@pytest.fixture(scope="module")
def pipeline_run(left_run: Result) -> Result:
    """The run after it."""
    return play("--act", "2", "--elements", "200")


def job(name: str) -> dict[str, Any]:
    found = api().find("BatchJob", name, "default")
    assert found is not None, f"there is no BatchJob {name}"
    return found


def counts_of(name: str) -> dict[str, int]:
    summary = job(name)["status"]["arrayProperties"]["statusSummary"]
    return {state: number for state, number in summary.items() if number}


def pods_of(name: str) -> list[dict[str, Any]]:
    return api().list("Pod", "default", labelSelector=f"batchwright.io/job-name={name}")


def test_the_pipeline_is_checked_and_its_retries_are_seen(pipeline_run: Result) -> None:
    run = run_of(pipeline_run)
    compute, gather = f"{run}-c-cpu", f"{run}-d-memory"

    assert pipeline_run.exit_code == 0, pipeline_run.output
    assert f"checked: each of the {1 + 10 + 200 + 200} elements succeeded exactly once" in pipeline_run.stdout
    assert "retries: 10 attempts failed; 10 elements succeeded on a later attempt" in pipeline_run.stdout
    assert pipeline_run.stderr.count("failed with exit code 1 on attempt 1") == 10
    assert f"{compute}:6 succeeded on attempt 2" in pipeline_run.stderr
    assert "of the operator: 200 gates lifted" in pipeline_run.stdout

    assert counts_of(compute) == counts_of(gather) == {"SUCCEEDED": 200}
    pods = pods_of(gather)
    assert sorted(int(pod["metadata"]["annotations"][POD_INDEX]) for pod in pods) == list(range(200))
    assert {pod["spec"]["nodeName"].rpartition("-")[0] for pod in pods} == {"memory"}


def test_the_last_stage_of_the_pipeline_streams(pipeline_run: Result) -> None:
    run = run_of(pipeline_run)
    spans = {
        name: (int(first), int(last))
        for name, first, last in re.findall(r"^(\S+) .* (\d+) s +(\d+) s ", pipeline_run.stdout, re.MULTILINE)
    }

    assert spans[f"{run}-d-memory"][0] < spans[f"{run}-c-cpu"][1]
    assert f"streaming: the first element of {run}-d-memory ran" in pipeline_run.stdout
    assert re.search(rf"{run}-d-memory PENDING .*, [1-9][0-9]* running", pipeline_run.stdout), "seen while it ran"


def test_a_run_that_was_left_alone_makes_way_for_the_next_one(left_run: Result, pipeline_run: Result) -> None:
    assert left_run.exit_code == 124, left_run.output
    assert "(the jobs go on)" in left_run.stderr
    assert "an earlier run still goes on and is terminated" in pipeline_run.stderr
    assert job(f"{run_of(left_run)}-d-memory")["status"]["statusReason"] == "Another run of the demo was started"


def test_all_three_acts_and_down_leaves_nothing(texts: Path) -> None:
    result = play("--workers", "3", "--elements", "10", "--input", texts, "--down")

    assert result.exit_code == 0, result.output
    checked = [line for line in result.stdout.splitlines() if line.startswith("checked: ")]
    assert len(checked) == len(CHECKED), checked
    assert all(re.search(words, line) for words, line in zip(CHECKED, checked, strict=True)), checked
    assert not paths.cluster_directory(NAME).exists()
    assert "Look around" not in result.stderr
