"""Which events of an element's pod need not be decoded."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from batchwright import names
from batchwright.cluster.podlines import is_on_its_way

ELEMENT = {"labels": {names.LABEL_ARRAY: "true", names.LABEL_JOB_ID: "u"}}
SCHEDULED = {"type": "PodScheduled", "status": "True"}


def line(
    *conditions: dict[str, Any], metadata: dict[str, Any] | None = None, spec: object = None, **status: Any
) -> bytes:
    """A MODIFIED event as the API server writes it: of a Pending pod, if nothing else is said."""
    pod = {
        "metadata": ELEMENT | (metadata or {}),
        "spec": spec or {},
        "status": {"phase": "Pending", "conditions": conditions, **status},
    }
    return orjson.dumps({"type": "MODIFIED", "object": pod})


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(line(), id="its gate is off"),
        pytest.param(line(SCHEDULED, spec={"nodeName": "n1"}), id="it has a node"),
        pytest.param(
            line(SCHEDULED, metadata={"managedFields": [{"fieldsV1": {"f:status": {"f:containerStatuses": {}}}}]}),
            id="a name in managedFields",
        ),
        pytest.param(
            line(spec={"containers": [{"command": ['"deletionTimestamp":']}]}),
            id="a word of the user's",
        ),
    ],
)
def test_it_says_nothing(event: bytes) -> None:
    assert is_on_its_way(event)


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(line(phase="Running"), id="it runs"),
        pytest.param(line(phase="Succeeded"), id="it has ended"),
        pytest.param(line(metadata={"labels": {names.LABEL_JOB_ID: "u"}}), id="of no array"),
        pytest.param(line(spec={"schedulingGates": [{"name": names.GATE_ADMISSION}]}), id="it has a gate"),
        pytest.param(line(SCHEDULED, containerStatuses=[]), id="the kubelet has it"),
        pytest.param(line(SCHEDULED, initContainerStatuses=[]), id="its init containers are begun"),
        pytest.param(
            line({"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}), id="no node takes it"
        ),
        pytest.param(line(metadata={"deletionTimestamp": "2026-03-01T12:00:00Z"}), id="it is being deleted"),
        pytest.param(line({"type": "DisruptionTarget", "status": "True"}), id="it is disrupted"),
        pytest.param(line({"type": names.POD_CONDITION_PREEMPTED, "status": "True"}), id="we have marked it"),
    ],
)
def test_it_says_something(event: bytes) -> None:
    assert not is_on_its_way(event)


def test_every_mark_of_ours_is_told() -> None:
    marks = [value for name, value in vars(names).items() if name.startswith("POD_CONDITION_")]
    assert len(marks) > 3
    assert not any(is_on_its_way(line({"type": mark, "status": "True"})) for mark in marks)
