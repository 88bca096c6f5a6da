"""A JobDefinition nested deeper than any decoder goes: the operator lives, says so on it, and serves all others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import manifests
from apiserver import ApiServer
from chaos.hostility import DEEP, as_json
from kubecluster import Cluster
from operatorprocess import OperatorProcess
from stage import Stage
from watches import until

# Read by every decoder; no more by CPython's; no more by orjson; near the most that the API server takes.
DEPTHS = (100, 980, 1100, 9000)


@pytest.fixture
def mine(cluster: Cluster, bare_stage: Stage, tmp_path: Path) -> Iterator[OperatorProcess]:
    """An operator of the test's own, with a queue."""
    bare_stage.nodes(1)
    bare_stage.environment()
    bare_stage.queue()
    process = OperatorProcess(cluster.kubeconfig, tmp_path / "operator.log")
    process.start()
    yield process
    process.kill()


def deep(name: str, namespace: str, depth: int) -> manifests.Manifest:
    """A definition whose podTemplate holds an object within an object and so on."""
    spec = {"containers": [{"name": "a", "image": "b"}], "x": f"{DEEP}{depth}"}
    return manifests.job_definition(name, namespace, podTemplate={"spec": spec})


@pytest.mark.timeout(240)
def test_the_operator_survives_it_and_says_so(
    cluster: Cluster, api: ApiServer, bare_stage: Stage, mine: OperatorProcess
) -> None:
    stage, pid = bare_stage, mine.pid

    def status(name: str, field: str) -> str:
        # kubectl reads what Python's decoder does not.
        output = f"jsonpath={{.status.{field}}}"
        return cluster.kubectl("get", "jobdefinition", name, "-n", stage.namespace, "-o", output).stdout

    path = f"/apis/batchwright.io/v1alpha1/namespaces/{stage.namespace}/jobdefinitions"
    for depth in DEPTHS:
        assert api.post_once(path, as_json(deep(f"deep-{depth}", stage.namespace, depth))) == 201
    for depth in DEPTHS:
        until(lambda: status(f"deep-{depth}", "status") == "INVALID", f"depth {depth}: nothing said", 30)  # noqa: B023
        reason = status(f"deep-{depth}", "statusReason")
        assert reason.startswith("podTemplate: nested more than 64 levels deep"), reason
        assert stage.wait_event(f"deep-{depth}", "InvalidTemplate", kind="JobDefinition") == reason
    stage.simulated("hello", simulate={"seconds": "0.1"})
    stage.submit("before")
    assert stage.wait_final("before")["state"] == "SUCCEEDED"
    assert (mine.has_ended, mine.pid) == (False, pid)
    # What it met in a watch, the next one meets in its first list.
    mine.kill()
    mine.start()
    stage.submit("after")
    assert stage.wait_final("after")["state"] == "SUCCEEDED"
    # What is too deep may be mended, as anything else.
    mended = manifests.job_definition("deep-9000", stage.namespace)
    cluster.kubectl("replace", "-f", "-", stdin=json.dumps(mended))
    until(lambda: status("deep-9000", "status") == "ACTIVE", "the mended one is not taken", 30)
    # A list in which nothing is deeper than the decoder reads.
    for depth in DEPTHS[2:]:
        api.delete("JobDefinition", f"deep-{depth}", stage.namespace)
    mine.kill()
    mine.start()
    mended = manifests.job_definition("deep-100", stage.namespace)
    cluster.kubectl("replace", "-f", "-", stdin=json.dumps(mended))
    until(lambda: status("deep-100", "status") == "ACTIVE", "the mended one is not taken", 30)
    assert "Traceback" not in mine.log
