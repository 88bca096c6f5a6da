"""What a MANAGED environment says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import builders as b
from batchwright.api.v1alpha1 import ComputeEnvironmentSpec
from batchwright.api.v1alpha1.computeenvironment import InstanceStatus
from batchwright.domain.declarations import Problem, Supply, environment_status

INSTANCE = InstanceStatus(id="i-1", instance_type="m5.large", state="STARTING")


def status_of(
    supply: Supply | None, held: Mapping[str, Any] | None = None, *, is_deleting: bool = False, **spec: object
) -> dict[str, Any]:
    found = {"type": "MANAGED", "computeResources": {"type": "EC2", "maxvCpus": 4}, **spec}
    members = [b.node()]
    parsed = ComputeEnvironmentSpec.model_validate(found)
    made = environment_status(parsed, 3, members, held or {}, b.NOW, supply, is_deleting=is_deleting)
    return made.to_wire()


def condition(status: dict[str, Any], kind: str) -> tuple[str, str]:
    (found,) = (each for each in status["conditions"] if each["type"] == kind)
    return found["status"], found["reason"]


@pytest.mark.parametrize(
    ("supply", "want_status", "want_reason", "want_ready", "want_scaling"),
    [
        pytest.param(
            None,
            "CREATING",
            "The provider has not been asked yet",
            ("True", "Creating"),
            ("False", "Steady"),
            id="nobody has looked",
        ),
        pytest.param(
            Supply(is_known=True),
            "VALID",
            "ComputeEnvironment Healthy",
            ("True", "Healthy"),
            ("False", "Steady"),
            id="healthy",
        ),
        pytest.param(
            Supply(is_known=True, starting=1, instances=(INSTANCE,)),
            "VALID",
            "ComputeEnvironment Healthy",
            ("True", "Healthy"),
            ("True", "Launching"),
            id="growing",
        ),
        pytest.param(
            Supply(problem=Problem("Unauthorized", "not allowed", is_invalid=True)),
            "INVALID",
            "CLIENT_ERROR - not allowed",
            ("False", "Unauthorized"),
            ("False", "Unauthorized"),
            id="somebody has to mend it",
        ),
        pytest.param(
            Supply(is_known=True, outdated=2, instances=(INSTANCE, INSTANCE)),
            "UPDATING",
            "2 instances of before the last change are still there",
            ("True", "Updating"),
            ("False", "Steady"),
            id="old instances are being replaced",
        ),
        pytest.param(
            Supply(is_known=True, outdated=1, problem=Problem("Unauthorized", "not allowed", is_invalid=True)),
            "INVALID",
            "CLIENT_ERROR - not allowed",
            ("False", "Unauthorized"),
            ("False", "Unauthorized"),
            id="an update that somebody has to mend",
        ),
        pytest.param(
            Supply(is_known=True, problem=Problem("NodesNotReady", "they never came"), starting=1),
            "VALID",
            "they never came",
            ("True", "NodesNotReady"),
            ("False", "NodesNotReady"),
            id="it may pass",
        ),
    ],
)
def test_status(
    supply: Supply | None, want_status: str, want_reason: str, want_ready: object, want_scaling: object
) -> None:
    found = status_of(supply)
    assert (found["status"], found["statusReason"]) == (want_status, want_reason)
    assert (condition(found, "Ready"), condition(found, "Scaling")) == (want_ready, want_scaling)
    assert found["observedGeneration"] == 3
    assert found["capacity"]["nodes"] == 1


def test_a_disabled_one_says_so() -> None:
    assert condition(status_of(Supply(is_known=True), state="DISABLED"), "Ready") == ("True", "Disabled")


@pytest.mark.parametrize(
    ("supply", "spec"),
    [
        pytest.param(Supply(is_known=True, outdated=1), {}, id="also during an update"),
        pytest.param(Supply(problem=Problem("Unauthorized", "no", is_invalid=True)), {}, id="also if invalid"),
        pytest.param(None, {"type": "UNMANAGED", "computeResources": {}}, id="without instances"),
    ],
)
def test_one_that_is_being_deleted_says_so(supply: Supply | None, spec: dict[str, Any]) -> None:
    """Seen where somebody's finalizer, or a deletion in the foreground, holds it up."""
    assert status_of(supply, is_deleting=True, **spec)["status"] == "DELETING"


def test_a_hundred_instances_are_listed_and_all_are_counted() -> None:
    many = tuple(INSTANCE.model_copy(update={"id": f"i-{number}"}) for number in range(150))
    found = status_of(Supply(is_known=True, instances=many, starting=150, desired=300))
    assert (len(found["instances"]), found["instanceCount"], found["desiredvCpus"]) == (100, 150, 300)


@pytest.mark.parametrize(
    ("held", "want"),
    [
        ("VALID", "VALID"),
        ("UPDATING", "UPDATING"),
        ("CREATING", "CREATING"),
        ("INVALID", "CREATING"),
        (None, "CREATING"),
    ],
)
def test_an_operator_that_knows_nothing_yet_takes_no_verdict_back(held: str | None, want: str) -> None:
    """A provider that does not answer as an operator starts makes no environment new."""
    for supply in (None, Supply(problem=Problem("ConnectionClosedError", "no answer"))):
        assert status_of(supply, {"status": held})["status"] == want


@pytest.mark.parametrize(
    ("problem", "is_stalled"),
    [
        pytest.param(None, False, id="none"),
        pytest.param(Problem("NoCapacity", "sold out"), False, id="passes by itself"),
        pytest.param(Problem("Unauthorized", "not allowed", is_invalid=True), True, id="somebody must mend it"),
    ],
)
def test_an_environment_that_somebody_must_mend_is_stalled(problem: Problem | None, is_stalled: bool) -> None:
    status = status_of(Supply(problem=problem))
    assert ("Stalled" in [each["type"] for each in status["conditions"]]) == is_stalled
    if is_stalled:
        assert condition(status, "Stalled") == ("True", "Unauthorized")
