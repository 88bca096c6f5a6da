"""From a finished pod to AWS Batch's words."""

from __future__ import annotations

import pytest

import builders as b
from batchwright import names
from batchwright.domain.attempts import attempt, merge, outcome
from batchwright.domain.observations import Pod
from batchwright.domain.retry import Outcome

EXITED = "Essential container in task exited"
NOT_STARTED = "Task failed to start"
HOST = "Host EC2 (instance i-0abc) terminated."
INSTANCES = {"n1": "i-0abc"}
PREEMPTED = "PreemptionByScheduler: preempting to accommodate a higher priority pod"


@pytest.mark.parametrize(
    ("pod", "want"),
    [
        pytest.param(b.ended_pod(exit_code=0), Outcome(0, "", EXITED), id="success"),
        pytest.param(b.ended_pod(exit_code=3), Outcome(3, "", EXITED), id="failure with an exit code"),
        pytest.param(
            b.ended_pod(exit_code=137, container_reason="OOMKilled"),
            Outcome(137, "OutOfMemoryError: Container killed due to memory usage", EXITED),
            id="out of memory",
        ),
        pytest.param(
            b.ended_pod(exit_code=137, container_reason="ContainerStatusUnknown", container_message="not located"),
            Outcome(None, "not located", HOST),
            id="a container the kubelet has lost went with its host",
        ),
        pytest.param(
            b.ended_pod(
                exit_code=None,
                started_at=None,
                mark=b.mark(names.POD_CONDITION_START_FAILED, "CannotPullContainerError: no such image"),
            ),
            Outcome(None, "CannotPullContainerError: no such image", NOT_STARTED),
            id="image that cannot be pulled",
        ),
        pytest.param(
            b.ended_pod(exit_code=128, container_reason="StartError", container_message='exec: "nope": not found'),
            Outcome(128, 'CannotStartContainerError: exec: "nope": not found', NOT_STARTED),
            id="bad command",
        ),
        pytest.param(b.ended_pod(exit_code=143, disruption=PREEMPTED), Outcome(None, PREEMPTED, HOST), id="preemption"),
        pytest.param(
            b.ended_pod(exit_code=None, container_reason="", disruption="DeletionByPodGC"),
            Outcome(None, "DeletionByPodGC", HOST),
            id="lost node",
        ),
        pytest.param(
            b.ended_pod(exit_code=137, pod_reason="Evicted", pod_message="low on memory"),
            Outcome(None, "Evicted: low on memory", HOST),
            id="evicted by the kubelet",
        ),
        pytest.param(
            b.ended_pod(exit_code=None, node="", disruption="x"),
            Outcome(None, "x", "Host EC2 (instance ) terminated."),
            id="lost before it had a node",
        ),
        pytest.param(
            b.ended_pod(exit_code=143, mark=b.mark(names.POD_CONDITION_TIMEOUT)),
            Outcome(143, "", "Job attempt duration exceeded timeout"),
            id="timeout",
        ),
        pytest.param(
            b.ended_pod(exit_code=137, disruption="x", mark=b.mark(names.POD_CONDITION_TIMEOUT)),
            Outcome(137, "", "Job attempt duration exceeded timeout"),
            id="our mark says more than a disruption",
        ),
        pytest.param(
            b.ended_pod(exit_code=0, mark=b.mark(names.POD_CONDITION_TIMEOUT)),
            Outcome(0, "", "Job attempt duration exceeded timeout"),
            id="a process that answers our SIGTERM with exit code 0 has timed out",
        ),
        pytest.param(
            b.ended_pod(exit_code=None, container_reason="", pod_reason="OutOfcpu", pod_message="not enough cpu"),
            Outcome(None, "OutOfcpu: not enough cpu", NOT_STARTED),
            id="the kubelet turned the pod down",
        ),
        pytest.param(
            b.ended_pod(exit_code=None, phase="Succeeded"), Outcome(0, "", EXITED), id="success without an exit code"
        ),
    ],
)
def test_outcome(pod: Pod, want: Outcome) -> None:
    assert outcome(pod, INSTANCES) == want


def test_host_of_an_unknown_node_is_its_name() -> None:
    found = outcome(b.ended_pod(exit_code=1, node="gone", disruption="x"), INSTANCES)
    assert found.status_reason == "Host EC2 (instance gone) terminated."


def test_attempt_on_the_wire() -> None:
    found = attempt(b.ended_pod(1, exit_code=2), INSTANCES)
    assert found.to_wire() == {
        "container": {"exitCode": 2, "podName": "hello-1", "nodeName": "n1"},
        "startedAt": "2026-03-01T12:00:10.000Z",
        "stoppedAt": "2026-03-01T12:00:15.000Z",
        "statusReason": EXITED,
    }


def test_a_lost_host_leaves_no_exit_code_on_the_wire() -> None:
    wire = attempt(b.ended_pod(exit_code=137, disruption="x"), INSTANCES).to_wire()
    assert "exitCode" not in wire["container"]


@pytest.mark.parametrize("field", ["container_message", "pod_message", "disruption", "mark"])
def test_texts_are_bounded(field: str) -> None:
    long = "y" * 4000
    pod = {
        "container_message": b.ended_pod(exit_code=128, container_reason="StartError", container_message=long),
        "pod_message": b.ended_pod(exit_code=None, container_reason="", pod_message=long),
        "disruption": b.ended_pod(exit_code=1, disruption=long),
        "mark": b.ended_pod(exit_code=None, mark=b.mark(names.POD_CONDITION_START_FAILED, long)),
    }[field]
    reason = attempt(pod, INSTANCES).container.reason
    assert reason is not None
    assert len(reason) == 1024


def test_merge_records_each_pod_once() -> None:
    first, second = b.attempt(0), b.attempt(1)
    assert merge((), (first, second)) == (first, second)
    assert merge((first,), (first, second)) == (first, second)
    assert merge((first, second), (second, first)) == (first, second)


def test_merge_keeps_what_was_recorded() -> None:
    before = b.attempt(0, exit_code=1)
    assert merge((before,), (b.attempt(0, exit_code=137),)) == (before,)


def test_merge_completes_what_was_noted_before_its_end() -> None:
    noted = b.attempt(0, exit_code=None, stopped_at=None)
    ended = b.attempt(0, exit_code=143)
    assert merge((noted,), ()) == (noted,)
    assert merge((noted,), (ended,)) == (ended,)
