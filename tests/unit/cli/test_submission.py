"""The flags of `submit` become the BatchJob that was meant, and bad ones are refused by name."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from batchwright.api.v1alpha1 import BatchJob
from batchwright.cli.submission import Submission, build_job, check_memory, check_vcpus, parse_pairs

UID = "0f8fad5b-d9cb-469f-a165-70867728950e"


def test_the_least_submission_says_nothing_it_was_not_told() -> None:
    assert build_job(Submission(queue="normal", definition="hello:3")) == {
        "apiVersion": "batchwright.io/v1alpha1",
        "kind": "BatchJob",
        "metadata": {"generateName": "hello-"},
        "spec": {"jobQueue": "normal", "jobDefinition": "hello:3"},
    }


def test_every_flag_arrives_where_it_belongs() -> None:
    full = Submission(
        queue="normal",
        definition="hello",
        name="sim",
        parameters={"who": "me"},
        environment={"A": "b=c"},
        command=["sh", "-c", "echo"],
        vcpus="0.5",
        memory="2Gi",
        gpus=1,
        depends_on=["prep", "batchjob.batchwright.io/load", UID],
        attempts=3,
        timeout=60,
        tags={"team": "x"},
    )
    body = build_job(full)
    assert body["metadata"] == {"name": "sim"}
    assert body["spec"] == {
        "jobQueue": "normal",
        "jobDefinition": "hello",
        "parameters": {"who": "me"},
        "dependsOn": [{"name": "prep"}, {"name": "load"}, {"jobId": UID}],
        "containerOverrides": {
            "command": ["sh", "-c", "echo"],
            "environment": [{"name": "A", "value": "b=c"}],
            "resourceRequirements": [
                {"type": "VCPU", "value": "0.5"},
                {"type": "MEMORY", "value": "2Gi"},
                {"type": "GPU", "value": "1"},
            ],
        },
        "retryStrategy": {"attempts": 3},
        "timeout": {"attemptDurationSeconds": 60},
        "tags": {"team": "x"},
    }
    # Every key is a field of the kind: the model drops what it does not know.
    assert spoken(BatchJob.model_validate(body).spec.to_wire()) == body["spec"]


def spoken(wire: dict[str, Any]) -> dict[str, Any]:
    """The fields of a spec that say something."""
    return {key: value for key, value in wire.items() if value not in ([], {})}


def test_pairs_keep_further_equals_signs_and_empty_values() -> None:
    assert parse_pairs("--env", ["A=b=c", "EMPTY="]) == {"A": "b=c", "EMPTY": ""}


@pytest.mark.parametrize(
    ("values", "want"),
    [
        pytest.param(["A"], "'A' is not KEY=VALUE", id="no equals sign"),
        pytest.param(["=b"], "'=b' is not KEY=VALUE", id="no key"),
        pytest.param(["A=1", "A=2"], "'A' is given twice", id="twice"),
    ],
)
def test_bad_pairs_are_refused(values: list[str], want: str) -> None:
    with pytest.raises(typer.BadParameter, match=want) as refusal:
        parse_pairs("--env", values)
    assert refusal.value.param_hint == "--env"


@pytest.mark.parametrize("value", ["0.25", "1", "16", "1.125"])
def test_vcpus_as_aws_writes_them(value: str) -> None:
    assert check_vcpus(value) == value


@pytest.mark.parametrize("value", ["500m", "0.0001", "-1", "1,5", ""])
def test_other_vcpus_are_refused(value: str) -> None:
    with pytest.raises(typer.BadParameter, match="number of vCPUs"):
        check_vcpus(value)


@pytest.mark.parametrize("value", ["2048", "2048Mi", "2Gi"])
def test_memory_in_mib(value: str) -> None:
    assert check_memory(value) == value


@pytest.mark.parametrize("value", ["2G", "0", "1.5Gi", "1024Ki", ""])
def test_other_memory_is_refused(value: str) -> None:
    with pytest.raises(typer.BadParameter, match="MiB"):
        check_memory(value)
