"""What a user of kubectl meets: short names, categories, columns, explain, field selectors, strict validation."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import yaml

from apiserver import ApiServer
from kubecluster import Cluster
from manifests import (
    Manifest,
    batch_job,
    compute_environment,
    consumable_resource,
    job_definition,
    job_queue,
    scheduling_policy,
)

COUNTS = ["SIZE", "RUNNABLE", "RUNNING", "SUCCEEDED", "FAILED"]
WIDE = ["NAME", "QUEUE", "STATE", *COUNTS, "DEFINITION", "ENVIRONMENT", "REASON", "AGE"]
READY = {"type": "Ready", "status": "True", "reason": "Used", "lastTransitionTime": "2026-01-02T03:04:05Z"}
REASON = "waiting for 4 vCPU in queue normal; 3 jobs ahead"


@pytest.fixture
def objects(api: ApiServer, namespace: str) -> Iterator[dict[str, Manifest]]:
    """One object of every kind with a status, all named as their namespace."""
    status: dict[str, Manifest] = {
        "BatchJob": {
            "state": "RUNNABLE",
            "statusReason": REASON,
            "jobDefinition": f"{namespace}:1",
            "computeEnvironment": "nodes",
        },
        "JobDefinition": {"revision": 1, "status": "ACTIVE"},
        "JobQueue": {"status": "VALID"},
        "ComputeEnvironment": {"status": "VALID", "capacity": {"nodes": 4, "vcpus": "63.5"}},
        "SchedulingPolicy": {"conditions": [READY]},
        "ConsumableResource": {"inUseQuantity": 3, "availableQuantity": 7},
    }
    manifests = [
        compute_environment(namespace),
        job_queue(namespace, priority=7, schedulingPolicy="fair"),
        scheduling_policy(namespace, shareDecaySeconds=3600, computeReservation=25),
        consumable_resource(namespace),
        job_definition(namespace, namespace),
        batch_job(namespace, namespace, shareIdentifier="UserA1"),
    ]
    made = {}
    try:
        for manifest in manifests:
            created = api.create(manifest)
            made[manifest["kind"]] = api.write_status(created | {"status": status[manifest["kind"]]})
        yield made
    finally:
        for kind in ("JobQueue", "ComputeEnvironment", "SchedulingPolicy", "ConsumableResource"):
            api.delete(kind, namespace)


@pytest.mark.parametrize(
    ("short_name", "kind", "want_columns", "want_cells"),
    [
        pytest.param(
            "bj",
            "BatchJob",
            ["NAME", "QUEUE", "STATE", "SIZE", "SUCCEEDED", "REASON", "AGE"],
            ["normal", "RUNNABLE"],
            id="bj",
        ),
        pytest.param("jd", "JobDefinition", ["NAME", "REVISION", "STATUS", "AGE"], ["1", "ACTIVE"], id="jd"),
        pytest.param(
            "jq", "JobQueue", ["NAME", "PRIORITY", "STATE", "STATUS", "AGE"], ["7", "ENABLED", "VALID"], id="jq"
        ),
        pytest.param(
            "ce",
            "ComputeEnvironment",
            ["NAME", "TYPE", "STATE", "STATUS", "NODES", "VCPUS", "AGE"],
            ["UNMANAGED", "ENABLED", "VALID", "4", "63.5"],
            id="ce",
        ),
        pytest.param(
            "sp",
            "SchedulingPolicy",
            ["NAME", "DECAY", "RESERVATION", "READY", "AGE"],
            ["3600", "25", "True"],
            id="sp",
        ),
        pytest.param(
            "cr",
            "ConsumableResource",
            ["NAME", "TYPE", "TOTAL", "IN-USE", "AVAILABLE", "AGE"],
            ["REPLENISHABLE", "10", "3", "7"],
            id="cr",
        ),
    ],
)
def test_get_by_short_name(
    cluster: Cluster,
    namespace: str,
    objects: dict[str, Manifest],
    short_name: str,
    kind: str,
    want_columns: list[str],
    want_cells: list[str],
) -> None:
    header, row = cluster.kubectl("get", short_name, namespace, "-n", namespace).stdout.splitlines()
    assert header.split() == want_columns
    assert row.split()[: len(want_cells) + 1] == [objects[kind]["metadata"]["name"], *want_cells]


def test_wide_columns_of_a_job(cluster: Cluster, namespace: str, objects: dict[str, Manifest]) -> None:
    header, row = cluster.kubectl("get", "bj", "-n", namespace, "-o", "wide").stdout.splitlines()
    assert header.split() == WIDE
    assert row[header.index("SIZE") : header.index("DEFINITION")].strip() == "", "a single job has no counts"
    assert row.split()[3:5] == [objects["BatchJob"]["status"]["jobDefinition"], "nodes"]
    assert row[header.index("REASON") : header.index("AGE")].strip() == REASON


def test_wide_columns_of_an_array(cluster: Cluster, api: ApiServer, namespace: str) -> None:
    job = api.create(batch_job("sweep", namespace, arrayProperties={"size": 100}))
    summary = {"SUBMITTED": 0, "PENDING": 1, "RUNNABLE": 60, "STARTING": 2, "RUNNING": 30, "SUCCEEDED": 7, "FAILED": 0}
    api.write_status(job | {"status": {"state": "PENDING", "arrayProperties": {"size": 100, "statusSummary": summary}}})
    header, row = cluster.kubectl("get", "bj", "sweep", "-n", namespace, "-o", "wide").stdout.splitlines()
    assert header.split() == WIDE
    assert row.split()[:8] == ["sweep", "normal", "PENDING", "100", "60", "30", "7", "0"]


@pytest.mark.parametrize("category", ["batchwright", "batch"])
def test_category_lists_every_kind(
    cluster: Cluster, namespace: str, objects: dict[str, Manifest], category: str
) -> None:
    listed = cluster.kubectl("get", category, "-n", namespace, "-o", "name").stdout.split()
    assert {f"{kind.lower()}.batchwright.io/{namespace}" for kind in objects} <= set(listed)
    assert len(objects) == 6


@pytest.mark.parametrize(
    ("path", "want_text"),
    [
        pytest.param("batchjob", "A BatchJob is one submission of a JobDefinition", id="kind"),
        pytest.param("batchjob.spec", "spec: what is submitted.", id="spec"),
        pytest.param("batchjob.spec.dependsOn", "jobs that must end before this one", id="list"),
        pytest.param("batchjob.spec.dependsOn.name", "name of a BatchJob of the same namespace", id="item"),
        pytest.param("batchjob.spec.dependsOn.type", "ENUM: N_TO_N SEQUENTIAL", id="dependency-type"),
        pytest.param("batchjob.spec.dependsOn.condition", "Succeeded (the default)", id="dependency-condition"),
        pytest.param("bj.spec.arrayProperties.size", "how many elements, 2 to 100000", id="array-size"),
        pytest.param("bj.spec.arrayProperties.items.matrix", "the last parameter varies fastest", id="array-matrix"),
        pytest.param("bj.spec.terminateElements.indexes", 'such as "17" or "3,7-9"', id="element-requests"),
        pytest.param("bj.status.arrayProperties.statusSummary", "RUNNABLE <integer>", id="array-summary"),
        pytest.param("bj.spec.retryStrategy.attempts", "1 to 10", id="short-name"),
        pytest.param("jd.spec.containerProperties.secrets.valueFrom", 'valueFrom is "secret/key"', id="deep"),
        pytest.param("jq.spec.state", "ENUM: ENABLED DISABLED", id="enum"),
        pytest.param("jq.spec.quotaShares.capacityLimits.capacityUnit", "such as nvidia.com/gpu", id="quota-unit"),
        pytest.param("jq.spec.jobStateTimeLimitActions.action", "ENUM: CANCEL TERMINATE", id="time-limit"),
        pytest.param("sp.spec.fairsharePolicy.shareDistribution.weightFactor", "<number>", id="weight"),
        pytest.param("cr.spec.resourceType", "ENUM: REPLENISHABLE NON_REPLENISHABLE", id="consumable"),
        pytest.param("ce.spec.computeResources.maxvCpus", "maxvCpus that jobs may use", id="environment-limit"),
        pytest.param("ce.status.capacity", "capacity of the environment's nodes", id="status"),
        pytest.param("bj.metadata.name", "Name must be unique within a namespace", id="metadata"),
    ],
)
def test_explain(cluster: Cluster, path: str, want_text: str) -> None:
    shown = " ".join(cluster.kubectl("explain", path).stdout.split())
    assert want_text in shown


def test_explain_lists_all_of_an_array(cluster: Cluster) -> None:
    shown = cluster.kubectl("explain", "bj.spec.arrayProperties", "--recursive").stdout
    fields = [line.split()[0] for line in shown.partition("FIELDS:")[2].splitlines() if line.strip()]
    assert fields == (
        ["indexes", "items", "configMap", "key", "name", "list", "matrix", "name", "values", "maxConcurrency", "size"]
    )


def test_explain_has_a_description_for_every_field(cluster: Cluster) -> None:
    for kind in ("bj", "jd", "jq", "ce", "sp", "cr"):
        shown = cluster.kubectl("explain", kind, "--recursive=false").stdout
        assert "<no description>" not in shown
        assert "<no description>" not in cluster.kubectl("explain", f"{kind}.spec").stdout


@pytest.mark.parametrize(
    ("kind", "selector", "want_found"),
    [
        pytest.param("BatchJob", "status.state=RUNNABLE", True, id="state"),
        pytest.param("BatchJob", "status.state=FAILED", False, id="state-other"),
        pytest.param("BatchJob", "status.state!=SUCCEEDED,status.state!=FAILED", True, id="unfinished"),
        pytest.param("BatchJob", "spec.jobQueue=normal", True, id="queue"),
        pytest.param("BatchJob", "spec.jobQueue=urgent", False, id="queue-other"),
        pytest.param("BatchJob", "spec.jobDefinition=hello", True, id="definition"),
        pytest.param("BatchJob", "spec.shareIdentifier=UserA1", True, id="share"),
        pytest.param("BatchJob", "spec.quotaShareName=team-a", False, id="quota-share-other"),
        pytest.param("JobQueue", "spec.schedulingPolicy=fair", True, id="jq-policy"),
        pytest.param("JobQueue", "spec.schedulingPolicy=other", False, id="jq-policy-other"),
        pytest.param("ConsumableResource", "spec.resourceType=REPLENISHABLE", True, id="cr-type"),
        pytest.param("JobDefinition", "status.status=ACTIVE", True, id="jd-status"),
        pytest.param("JobQueue", "spec.state=ENABLED,status.status=VALID", True, id="jq-state"),
        pytest.param("ComputeEnvironment", "status.status=INVALID", False, id="ce-status"),
    ],
)
def test_field_selector(
    cluster: Cluster, namespace: str, objects: dict[str, Manifest], kind: str, selector: str, want_found: bool
) -> None:
    listed = cluster.kubectl("get", kind, "-n", namespace, f"--field-selector={selector}", "-o", "name").stdout
    assert (objects[kind]["metadata"]["name"] in listed) is want_found


def test_typo_in_a_file_is_refused_with_its_path(cluster: Cluster, api: ApiServer, namespace: str) -> None:
    text = yaml.safe_dump(batch_job("typo", namespace, dependOn=[{"name": "a"}]))
    done = cluster.kubectl("apply", "-f", "-", stdin=text, check=False)
    assert done.returncode == 1
    assert 'unknown field "spec.dependOn"' in done.stderr
    assert api.find("BatchJob", "typo", namespace) is None


def test_client_side_apply_twice_changes_nothing(cluster: Cluster, namespace: str) -> None:
    """The last-applied annotation and the few defaults make no difference for the next `kubectl apply`."""
    text = yaml.safe_dump_all([job_definition("hello", namespace), batch_job("job", namespace)])
    cluster.kubectl("apply", "-f", "-", stdin=text)
    assert cluster.kubectl("diff", "-f", "-", stdin=text).stdout == ""
    again = cluster.kubectl("apply", "-f", "-", stdin=text).stdout.splitlines()
    assert all(line.endswith("unchanged") for line in again), again


def test_generate_name_works(cluster: Cluster, namespace: str) -> None:
    manifest = batch_job("unused", namespace)
    manifest["metadata"] = {"generateName": "sweep-", "namespace": namespace}
    made = json.loads(cluster.kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(manifest)).stdout)
    assert made["metadata"]["name"].startswith("sweep-")


@pytest.mark.parametrize("kind", ["bj", "jd", "jq", "ce", "sp", "cr"])
def test_crd_has_no_complaint_of_the_api_server(cluster: Cluster, kind: str) -> None:
    """NonStructuralSchema, KubernetesAPIApprovalPolicyConformant, names not accepted: all would be conditions."""
    resources = cluster.kubectl("api-resources", "--api-group=batchwright.io", "--no-headers").stdout
    plural = next(line.split()[0] for line in resources.splitlines() if line.split()[1] == kind)
    crd = json.loads(cluster.kubectl("get", "crd", f"{plural}.batchwright.io", "-o", "json").stdout)
    conditions = {condition["type"]: condition["status"] for condition in crd["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}
