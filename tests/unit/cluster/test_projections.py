"""From the API server's JSON to slim records."""

from __future__ import annotations

from typing import Any

import pytest

import builders as b
import manifests
from batchwright import names
from batchwright.api.v1alpha1 import JobDefinitionSpec
from batchwright.cluster import projections
from batchwright.domain.metering import Price
from batchwright.domain.observations import FinishedJob, Job, Mark, Pod, Taint
from batchwright.workloads.revision import build_revision

JSON = dict[str, Any]
META = {"uid": "u", "namespace": "default", "name": "p", "creationTimestamp": "2026-03-01T12:00:00Z"}
LATER = "2026-03-01T12:01:00Z"


def pod(status: JSON | None = None, *, spec: JSON | None = None, **metadata: Any) -> Pod:
    containers = {"containers": [{"name": "main"}]}
    return projections.pod({"metadata": META | metadata, "spec": containers | (spec or {}), "status": status or {}})


def with_state(**state: Any) -> JSON:
    return {"containerStatuses": [{"name": "main", "state": state}]}


def owner(kind: str, uid: str, **over: Any) -> JSON:
    group = {"Job": "batch/v1", "BatchJob": "batchwright.io/v1alpha1"}.get(kind, "v1")
    return {"apiVersion": group, "kind": kind, "name": "o", "uid": uid, "controller": True, **over}


def test_a_bare_pod() -> None:
    found = pod()
    assert found == Pod("u", "default", "p", "", b.NOW, request={"pods": 1})


def test_the_job_controllers_annotations_and_our_label() -> None:
    found = pod(labels={names.LABEL_JOB_ID: "job"}, annotations={names.POD_INDEX: "4", names.POD_FAILURE_COUNT: "2"})
    assert (found.job_id, found.index, found.failures) == ("job", 4, 2)


def test_the_owner_is_the_controlling_job() -> None:
    owners = [owner("Job", "other", controller=False), owner("Job", "mine")]
    assert pod(ownerReferences=owners).owner == "mine"
    assert pod(ownerReferences=owners[:1]).owner == ""


def test_a_job_belongs_to_the_batch_job_that_controls_it_whatever_its_label_says() -> None:
    owners = [owner("BatchJob", "bj")]
    assert job(ownerReferences=owners, labels={names.LABEL_JOB_ID: "other"}).job_id == "bj"
    assert job(labels={names.LABEL_JOB_ID: "other"}).job_id == ""


@pytest.mark.parametrize(
    "owners",
    [
        pytest.param([owner("ReplicaSet", "x", apiVersion="apps/v1")], id="another kind"),
        pytest.param([owner("Job", "x", apiVersion="batch.volcano.sh/v1alpha1")], id="a Job of another group"),
        pytest.param([owner("BatchJob", "x", apiVersion="batch/v1")], id="a BatchJob of another group"),
        pytest.param([{"kind": "Job", "uid": "x", "controller": True}], id="a Job without a group"),
        pytest.param([owner("Job", "x", controller=False)], id="an owner that is no controller"),
        pytest.param([], id="nobody"),
    ],
)
def test_a_controller_of_another_kind_or_group_is_none_of_ours(owners: list[JSON]) -> None:
    assert pod(ownerReferences=owners).owner == ""
    assert job(ownerReferences=owners).job_id == ""


def test_running() -> None:
    found = pod({"phase": "Running", "startTime": "2026-03-01T12:00:30Z"} | with_state(running={"startedAt": LATER}))
    assert (found.phase, found.running, found.started_at, found.accepted_at) == (
        "Running",
        True,
        b.at(60),
        b.at(30),
    )


STATES = {"running": {"startedAt": LATER}}, {"terminated": {"exitCode": 0, "startedAt": LATER}}
READINESS = [
    pytest.param([(STATES[0], True)], False, id="ready, or without a probe"),
    pytest.param([(STATES[0], False)], True, id="its probe has not passed"),
    pytest.param([(STATES[0], True), (STATES[0], False)], True, id="that of another container has not"),
    pytest.param([(STATES[0], True), (STATES[1], False)], False, id="another container has ended"),
    pytest.param([({"waiting": {}}, False)], False, id="nothing runs"),
]


@pytest.mark.parametrize(("containers", "want"), READINESS)
def test_whether_a_node_of_a_multi_node_job_is_ready(containers: list[tuple[JSON, bool]], want: bool) -> None:
    """Not by the pod's condition, which is false as soon as one of its containers has ended."""
    listed = [{"name": f"c{n}", "state": state, "ready": ready} for n, (state, ready) in enumerate(containers)]
    status = {"phase": "Running", "containerStatuses": listed}
    assert pod(status, labels={names.LABEL_NODE_INDEX: "0"}).unready == want
    assert not pod(status).unready, "nobody asks it of others"


def test_ended() -> None:
    ended = {"exitCode": 137, "reason": "OOMKilled", "startedAt": LATER, "finishedAt": "2026-03-01T12:02:00Z"}
    found = pod({"phase": "Failed"} | with_state(terminated=ended))
    assert found.is_finished
    assert (found.exit_code, found.container_reason, found.stopped_at) == (137, "OOMKilled", b.at(120))


@pytest.mark.parametrize(
    ("status", "want"),
    [
        pytest.param(
            with_state(waiting={"reason": "ErrImagePull", "message": "no"}), ("ErrImagePull", "no"), id="main"
        ),
        pytest.param(
            with_state(waiting={"reason": "PodInitializing"})
            | {
                "initContainerStatuses": [
                    {"name": "i", "state": {"waiting": {"reason": "ErrImagePull", "message": "no"}}}
                ]
            },
            ("ErrImagePull", "no"),
            id="init container, as the kubelet says it",
        ),
        pytest.param(
            {"initContainerStatuses": [{"name": "i", "state": {"waiting": {"reason": "CreateContainerError"}}}]},
            ("CreateContainerError", ""),
            id="init container, main without a status",
        ),
        pytest.param(
            with_state(waiting={"reason": "PodInitializing"})
            | {"initContainerStatuses": [{"name": "i", "state": {"running": {"startedAt": LATER}}}]},
            ("PodInitializing", ""),
            id="init container runs",
        ),
        pytest.param(
            with_state(waiting={"reason": "ErrImagePull", "message": "main"})
            | {"initContainerStatuses": [{"name": "i", "state": {"waiting": {"reason": "x"}}}]},
            ("ErrImagePull", "main"),
            id="main has a reason of its own",
        ),
    ],
)
def test_waiting(status: JSON, want: tuple[str, str]) -> None:
    found = pod(status)
    assert (found.waiting_reason, found.waiting_message) == want


def test_the_main_container_is_the_annotated_one() -> None:
    spec = {"containers": [{"name": "side"}, {"name": "main"}]}
    statuses = {
        "containerStatuses": [
            {"name": "side", "state": {"terminated": {"exitCode": 9}}},
            {"name": "main", "state": {"terminated": {"exitCode": 3}}},
        ]
    }
    assert pod(statuses, spec=spec).exit_code == 9
    assert pod(statuses, spec=spec, annotations={names.DEFAULT_CONTAINER: "main"}).exit_code == 3


@pytest.mark.parametrize(
    ("conditions", "field", "want"),
    [
        pytest.param(
            [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3"}],
            "unschedulable",
            "0/3",
            id="unschedulable",
        ),
        pytest.param(
            [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "x"}],
            "unschedulable",
            "",
            id="gated is not unschedulable",
        ),
        pytest.param(
            [{"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC", "message": "node gone"}],
            "disruption",
            "DeletionByPodGC: node gone",
            id="disruption",
        ),
        pytest.param([{"type": "DisruptionTarget", "status": "True"}], "disruption", "disrupted", id="without words"),
        pytest.param([{"type": "DisruptionTarget", "status": "False", "reason": "x"}], "disruption", "", id="false"),
        pytest.param(
            [{"type": names.POD_CONDITION_TIMEOUT, "status": "True", "message": "m"}],
            "mark",
            Mark(names.POD_CONDITION_TIMEOUT, "m"),
            id="our mark",
        ),
        pytest.param([{"type": names.POD_CONDITION_TIMEOUT, "status": "False"}], "mark", None, id="a mark taken back"),
    ],
)
def test_conditions(conditions: list[JSON], field: str, want: object) -> None:
    assert getattr(pod({"conditions": conditions}), field) == want


def test_gates_and_deletion() -> None:
    found = pod(spec={"schedulingGates": [{"name": names.GATE_ADMISSION}]}, deletionTimestamp=LATER)
    assert found.gated
    assert found.deleting


def job(status: JSON | None = None, **metadata: Any) -> Any:
    return projections.work({"metadata": META | metadata, "spec": {"template": {}}, "status": status or {}})


@pytest.mark.parametrize(
    ("status", "want_complete", "want_failure"),
    [
        pytest.param({}, False, None, id="open"),
        pytest.param({"conditions": [{"type": "Complete", "status": "True"}]}, True, None, id="complete"),
        pytest.param({"conditions": [{"type": "Complete", "status": "False"}]}, False, None, id="not complete"),
        pytest.param({"conditions": [{"type": "SuccessCriteriaMet", "status": "True"}]}, False, None, id="not yet"),
        pytest.param({"conditions": [{"type": "FailureTarget", "status": "True"}]}, False, None, id="failing"),
        pytest.param(
            {"conditions": [{"type": "Failed", "status": "True", "reason": "r", "message": "m"}]},
            False,
            "m",
            id="failed",
        ),
        pytest.param(
            {"conditions": [{"type": "Failed", "status": "True", "reason": "r"}]}, False, "r", id="failed, no message"
        ),
        pytest.param({"conditions": [{"type": "Failed", "status": "True"}]}, False, "", id="failed without a word"),
    ],
)
def test_work(status: JSON, want_complete: bool, want_failure: str | None) -> None:
    found = job(status)
    assert (found.complete, found.failure) == (want_complete, want_failure)
    assert found.is_finished == (want_complete or want_failure is not None)


def test_node() -> None:
    found = projections.node(
        {
            "metadata": {"name": "n", "labels": {"a": "1"}},
            "spec": {
                "providerID": "aws:///eu-central-1a/i-0123",
                "taints": [
                    {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"},
                    {"key": "k", "effect": "NoExecute"},
                ],
                "unschedulable": True,
            },
            "status": {
                "allocatable": {"cpu": "3920m", "memory": "1Gi"},
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        }
    )
    assert found.instance == "i-0123"
    assert found.taints == (Taint("k", "", "NoExecute"),)
    assert found.allocatable == {"cpu": 3920, "memory": b.GIB}
    assert found.ready
    assert not found.schedulable


@pytest.mark.parametrize(
    ("status", "key", "effect", "want"),
    [
        pytest.param("True", "node.kubernetes.io/memory-pressure", "NoSchedule", (True, True), id="memory pressure"),
        pytest.param("True", "node.kubernetes.io/disk-pressure", "NoSchedule", (True, True), id="disk pressure"),
        pytest.param("True", "node.kubernetes.io/pid-pressure", "NoSchedule", (True, True), id="pid pressure"),
        pytest.param("True", "node.kubernetes.io/network-unavailable", "NoSchedule", (True, True), id="no network"),
        pytest.param("True", "node.kubernetes.io/unschedulable", "NoSchedule", (True, False), id="cordoned"),
        pytest.param("True", "node.kubernetes.io/not-ready", "PreferNoSchedule", (True, False), id="a preference"),
        pytest.param("True", "node.kubernetes.io/not-ready", "NoExecute", (False, False), id="not ready"),
        pytest.param("True", "node.kubernetes.io/unreachable", "NoSchedule", (False, False), id="unreachable"),
        pytest.param("True", "node.kubernetes.io/out-of-service", "NoExecute", (False, False), id="out of service"),
        pytest.param("True", "node.cloudprovider.kubernetes.io/uninitialized", "NoSchedule", (False, False), id="new"),
        pytest.param("Unknown", "node.kubernetes.io/disk-pressure", "NoSchedule", (False, True), id="silent"),
    ],
)
def test_a_node_under_pressure_runs_what_it_has(status: str, key: str, effect: str, want: tuple[bool, bool]) -> None:
    """It takes nothing new meanwhile; that is all that the taints of its conditions say."""
    shown = {"conditions": [{"type": "Ready", "status": status}]}
    body = {"metadata": {"name": "n"}, "spec": {"taints": [{"key": key, "effect": effect}]}, "status": shown}
    found = projections.node(body)
    assert (found.ready, found.pressed, found.taints) == (*want, ())
    assert found.usable == (want == (True, False))


def test_a_node_that_is_no_instance_goes_by_its_name() -> None:
    found = projections.node({"metadata": {"name": "n"}, "spec": {"providerID": "kind://docker/kind/n"}})
    assert found.instance == "n"
    assert not found.ready


def test_batch_job() -> None:
    body = {"metadata": META | {"generation": 3}, "spec": {"jobQueue": "normal", "jobDefinition": "hello"}}
    found = projections.batch_job(body)
    assert isinstance(found, Job)
    assert (found.generation, found.status.state, found.created_at) == (3, None, b.NOW)


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED"])
def test_hardly_anything_is_kept_of_a_finished_job(state: str) -> None:
    body = {
        "metadata": META,
        "spec": {"jobQueue": "normal", "jobDefinition": "hello"},
        "status": {"state": state, "stoppedAt": LATER},
    }
    assert projections.batch_job(body) == FinishedJob("u", "default", "p", state, "normal", b.at(60))


def revision(*owners: JSON) -> JSON:
    body = build_revision("hello", "d", "default", 3, manifests.job_definition()["spec"])
    return body | {"metadata": body["metadata"] | {"uid": "r", "ownerReferences": list(owners)}}


def test_revision() -> None:
    found = projections.revision(revision(owner("JobDefinition", "d", name="hello")))
    assert (found.uid, found.namespace, found.definition, found.number, found.owner) == (
        "r",
        "default",
        "hello",
        3,
        "d",
    )
    assert found.spec == JobDefinitionSpec.model_validate(manifests.job_definition()["spec"])


def test_what_is_recorded_is_read_back() -> None:
    body = build_revision("hello", "d", "default", 3, manifests.job_definition()["spec"])
    found = projections.revision(body | {"metadata": body["metadata"] | {"uid": "r"}})
    assert (found.definition, found.number, found.owner) == ("hello", 3, "d")


@pytest.mark.parametrize(
    "owners", [pytest.param((), id="nobody"), pytest.param((owner("ReplicaSet", "x"),), id="somebody else")]
)
def test_a_revision_without_its_definition_is_none(owners: tuple[JSON, ...]) -> None:
    with pytest.raises(ValueError, match="no JobDefinition owns this revision"):
        projections.revision(revision(*owners))


@pytest.mark.parametrize(
    ("annotations", "want"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({names.ANNOTATION_PRICE: "0.192"}, Price(0.192), id="said"),
        pytest.param(
            {names.ANNOTATION_PRICE: "2", names.ANNOTATION_PRICE_SOURCE: "ESTIMATED"}, Price(2.0, True), id="estimated"
        ),
        pytest.param({names.ANNOTATION_PRICE: "$2"}, None, id="no number"),
        pytest.param({names.ANNOTATION_PRICE: "-2"}, None, id="below zero"),
        pytest.param({names.ANNOTATION_PRICE: "1e3"}, None, id="an exponent"),
    ],
)
def test_the_price_of_a_node(annotations: dict[str, str], want: Price | None) -> None:
    assert projections.node({"metadata": {"name": "n", "annotations": annotations}}).price == want


@pytest.mark.parametrize("field", ["shareIdentifier", "quotaShareName"])
def test_a_finished_job_keeps_its_share(field: str) -> None:
    item = {"metadata": META, "spec": {"jobQueue": "q", field: "red"}, "status": {"state": "FAILED"}}
    found = projections.batch_job(item)
    assert isinstance(found, FinishedJob)
    assert found.share == "red"
