"""Secrets that a tenant gives to jobs, well and badly, are in no log of the operator's, no event and no status."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import manifests
from kubecluster import Cluster
from operatorprocess import OperatorProcess
from stage import Stage

KINDS = (
    "BatchJob",
    "JobDefinition",
    "JobQueue",
    "ComputeEnvironment",
    "SchedulingPolicy",
    "ConsumableResource",
)


@pytest.fixture
def talkative(cluster: Cluster, tmp_path: Path) -> Iterator[OperatorProcess]:
    """An operator that logs all it can."""
    process = OperatorProcess(cluster.kubeconfig, tmp_path / "operator.log", "--verbose")
    process.start()
    yield process
    process.stop()


def test_a_secret_is_told_to_nobody(bare_stage: Stage, talkative: OperatorProcess) -> None:
    stage, planted = bare_stage, f"planted-{uuid.uuid4().hex}"
    stage.nodes(2)
    stage.environment()
    policy, licences = f"{stage.namespace}-fair", f"{stage.namespace}-licences"
    stage.declare(manifests.scheduling_policy(policy))
    stage.declare(manifests.consumable_resource(licences, totalQuantity=10))
    stage.queue()
    stage.queue("fair", schedulingPolicy=policy)
    fair: dict[str, Any] = {"queue": "fair", "shareIdentifier": "some"}
    encoded = base64.b64encode(planted.encode()).decode()
    place = {"namespace": stage.namespace}
    made: dict[str, dict[str, Any]] = {
        "Secret": {"metadata": {"name": "vault", **place}, "data": {"password": encoded}},
        "ConfigMap": {
            "metadata": {"name": "rows", **place},
            "data": {
                "good": json.dumps([{"key": planted}, {"key": planted + "2"}]),
                "broken": f"- key: [{planted}\n- {planted}: @{planted}",
                "wrong": json.dumps([{"key": {planted: planted}}, {"key": planted}]),
            },
        },
    }
    for kind, body in made.items():
        stage.api.create({"apiVersion": "v1", "kind": kind, **body})

    variable = {"name": "PASSWORD", "value": planted}
    stage.define(
        "good",
        containerProperties=manifests.container(
            command=["login", "Ref::password", "Ref::key"],
            environment=[variable],
            secrets=[{"name": "VAULT", "valueFrom": "vault/password"}],
        ),
        parameters={"password": planted, "key": "none"},
        consumableResourceProperties={"consumableResourceList": [{"consumableResource": licences, "quantity": 1}]},
    )
    secretive = manifests.container(
        command=["login", "Ref::password"],
        environment=[variable],
        secrets=[{"name": "VAULT", "valueFrom": "vault/password"}],
    )
    nodes = {
        "numNodes": 2,
        "mainNode": 0,
        "nodeRangeProperties": [{"targetNodes": "0:", "container": secretive}],
    }
    stage.define("nodes", type="multinode", nodeProperties=nodes, parameters={"password": planted})
    container = {"name": "main", "image": "simulated"}
    for name, env in {
        "env-nested": [{"name": "PASSWORD", "value": {"is": planted}}],
        "env-field": [{**variable, "password": planted}],
        "env-both": [{**variable, "valueFrom": {"secretKeyRef": {"name": "vault", "key": "password"}}}],
        "env-text": planted,
        "env-name": [{"name": "=", "value": planted}],
    }.items():
        stage.define(name, podTemplate={"spec": {"containers": [{**container, "env": env}]}})
        stage.submit(name, name)

    overridden = {"environment": [variable]}
    stage.submit("good", "good", **fair, containerOverrides=overridden, parameters={"password": planted})
    rows = {"list": [{"key": planted}, {"key": planted}]}
    stage.submit("listed", "good", arrayProperties={"items": rows})
    for key in ("good", "broken", "wrong"):
        items = {"configMap": {"name": "rows", "key": key}}
        stage.submit(f"rows-{key}", "good", arrayProperties={"items": items})
    overrides = [{"targetNodes": "1:", "containerOverrides": overridden}]
    stage.submit("nodes", "nodes", **fair, nodeOverrides={"nodePropertyOverrides": overrides})
    for name in ("good", "listed", "rows-good", "nodes"):
        assert stage.wait_final(name)["state"] == "SUCCEEDED", stage.status(name)
    for name in ("rows-broken", "rows-wrong"):
        assert stage.wait_final(name)["state"] == "FAILED"
    for name in ("env-nested", "env-field", "env-both", "env-text", "env-name"):
        stage.wait(name, lambda status: "is INVALID" in status.get("statusReason", ""))
    talkative.stop()

    # It was there to be told: the pods have it.
    assert planted in json.dumps(stage.api.list("Pod", stage.namespace))
    statuses = {kind: [each.get("status") for each in stage.api.list(kind, None)] for kind in KINDS}
    assert planted not in json.dumps(statuses)
    assert planted not in json.dumps(stage.api.list("Event", stage.namespace))
    assert planted not in talkative.log
    assert encoded not in talkative.log
