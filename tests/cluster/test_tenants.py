"""Tenants, each a ServiceAccount with the role of docs/security.md in a namespace of its own: none sees, uses up or
takes over what is another's, and none gets through a job what its namespace does not let it have.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

import manifests
from apiserver import ApiServer, Manifest, Refused
from documentation import ROOT, Page
from kubecluster import Cluster
from operatorprocess import OperatorProcess
from stage import Stage
from watches import until

DOCUMENTED = Page(ROOT / "docs/security.md").manifests()
RIGHTS = ("ClusterRole", "ClusterRoleBinding")
POLICY = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
FLOOD = 2000
ROLE = "arn:aws:iam::123456789012:role/team-a/reader"
OURS = "/apis/batchwright.io/v1alpha1"


@pytest.fixture(scope="module")
def own_operator(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """The operator of this module's tests."""
    process = OperatorProcess(cluster.kubeconfig, tmp_path_factory.mktemp("operator") / "operator.log")
    process.start()
    yield process
    process.stop()


class Tenant:
    """A namespace and who may use it. `stage` has an administrator's rights, `api` the tenant's."""

    def __init__(self, cluster: Cluster, stage: Stage, name: str, directory: Path) -> None:
        self.namespace = f"{stage.namespace}-{name}"
        self.admin = stage.api
        self._cluster = cluster
        labels = {"team": name, "batchwright.io/share": name}
        self.admin.create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace, "labels": labels}}
        )
        self._kubectl("create", "serviceaccount", "tenant")
        account = f"--serviceaccount={self.namespace}:tenant"
        self._kubectl("create", "rolebinding", "tenant", "--clusterrole=batchwright-tenant", account)
        token = self._kubectl("create", "token", "tenant", "--duration=1h")
        config = yaml.safe_load(self._kubectl("config", "view", "--raw", "--flatten", "-o", "yaml"))
        config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
        kubeconfig = directory / f"{name}.yaml"
        kubeconfig.write_text(yaml.safe_dump(config))
        self.api = ApiServer(kubeconfig)

    def _kubectl(self, *arguments: str) -> str:
        return self._cluster.kubectl("-n", self.namespace, *arguments).stdout

    def define(self, name: str, **spec: Any) -> None:
        """The tenant makes a JobDefinition."""
        self.api.create(manifests.job_definition(name, self.namespace, **spec))

    def submit(self, name: str, queue: str, definition: str = "hello", **spec: object) -> Manifest:
        """The tenant submits a BatchJob."""
        job = manifests.batch_job(name, self.namespace, jobQueue=queue, jobDefinition=definition, **spec)
        return self.api.create(job)

    def wait(self, name: str, state: str, text: str = "", seconds: int = 30) -> dict[str, Any]:
        """The status of a job once it is in the state, and says the text."""

        def holds(job: Manifest) -> bool:
            status = job.get("status") or {}
            return status.get("state") == state and text in status.get("statusReason", "")

        return dict(self.api.wait_for("BatchJob", name, self.namespace, holds, seconds)["status"])


@pytest.fixture
def tenants(
    cluster: Cluster, bare_stage: Stage, own_operator: OperatorProcess, tmp_path: Path
) -> Iterator[tuple[Tenant, Tenant]]:
    """Two tenants, `a` and `b`."""
    for manifest in DOCUMENTED:
        if manifest["kind"] in RIGHTS:
            cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(manifest))
    made = [Tenant(cluster, bare_stage, name, tmp_path) for name in ("a", "b")]
    yield made[0], made[1]
    for each in made:
        bare_stage.api.delete("Namespace", each.namespace)


def simulated(seconds: str = "0.2", **pod: Any) -> dict[str, Any]:
    """The podTemplate of a simulated pod of one CPU."""
    container = {"name": "main", "image": "simulated", "resources": {"requests": {"cpu": "1"}}}
    return {
        "metadata": {"annotations": {"simulate.batchwright.io/seconds": seconds}},
        "spec": {"containers": [container], **pod},
    }


def modest(template: dict[str, Any]) -> dict[str, Any]:
    """The same, as Pod Security's level `restricted` wants pods."""
    spec = template["spec"]
    drops = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    containers = [{**container, "securityContext": drops} for container in spec["containers"]]
    return {**template, "spec": {**spec, "securityContext": security, "containers": containers}}


def gang(main: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """A definition of two nodes."""
    ranges = [{"targetNodes": "0", **main}, {"targetNodes": "1", **other}]
    return {
        "type": "multinode",
        "nodeProperties": {"numNodes": 2, "mainNode": 0, "nodeRangeProperties": ranges},
    }


def refused(api: ApiServer, method: str, path: str, body: object = None) -> int:
    """The status with which the API server refuses it; 200 if it does not."""
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    try:
        api.request(method, path, body, content_type=kind)
    except Refused as error:
        return error.status
    return 200


def test_a_tenant_sees_its_own_and_nothing_of_others(bare_stage: Stage, tenants: tuple[Tenant, Tenant]) -> None:
    one, other = tenants
    bare_stage.nodes(1)
    bare_stage.environment()
    queue = bare_stage.queue()
    for tenant in tenants:
        tenant.define("hello", podTemplate=simulated())
        tenant.submit("job", queue)
    for tenant in tenants:
        assert tenant.wait("job", "SUCCEEDED", seconds=60)
    assert [job["metadata"]["name"] for job in one.api.list("BatchJob", one.namespace)] == ["job"]
    [pod] = other.api.list("Pod", other.namespace)
    theirs = f"{OURS}/namespaces/{other.namespace}"
    core = f"/api/v1/namespaces/{other.namespace}"
    tried = {
        ("GET", f"{theirs}/batchjobs"): None,
        ("GET", f"{theirs}/batchjobs/job"): None,
        ("GET", f"{theirs}/jobdefinitions/hello"): None,
        ("GET", f"{core}/pods"): None,
        ("GET", f"{core}/pods/{pod['metadata']['name']}/log"): None,
        ("GET", f"{core}/events"): None,
        ("GET", f"{OURS}/batchjobs"): None,
        ("GET", "/api/v1/pods"): None,
        ("GET", f"/api/v1/namespaces/{one.namespace}/secrets"): None,
        ("POST", f"{theirs}/batchjobs"): manifests.batch_job("theirs", other.namespace),
        ("PATCH", f"{theirs}/batchjobs/job"): {"spec": {"terminate": {"reason": "mine now"}}},
        ("DELETE", f"{theirs}/batchjobs/job"): None,
        ("PATCH", f"{OURS}/namespaces/{one.namespace}/batchjobs/job/status"): {"status": {"state": "FAILED"}},
        ("POST", f"{OURS}/jobqueues"): manifests.job_queue("mine"),
        ("PATCH", f"{OURS}/jobqueues/{queue}"): {"spec": {"priority": 1000}},
        ("PATCH", f"/api/v1/namespaces/{one.namespace}"): {"metadata": {"labels": {"team": "b"}}},
    }
    assert {what: refused(one.api, *what, body) for what, body in tried.items()} == dict.fromkeys(tried, 403)
    # What it may see of all says how the queue is, and not whose jobs are in it.
    assert other.namespace not in str(one.api.find("JobQueue", queue))


def test_names_reach_no_other_namespace(bare_stage: Stage, tenants: tuple[Tenant, Tenant]) -> None:
    one, other = tenants
    bare_stage.nodes(1)
    bare_stage.environment()
    queue = bare_stage.queue()
    other.define("theirs", podTemplate=simulated())
    theirs = other.submit("first", queue, "theirs")
    other.wait("first", "SUCCEEDED", seconds=60)
    one.define("hello", podTemplate=simulated())
    one.submit("borrowed", queue, "theirs")
    one.submit("after-id", queue, dependsOn=[{"jobId": theirs["metadata"]["uid"]}])
    one.submit("after-name", queue, dependsOn=[{"name": "first"}])
    one.wait("borrowed", "SUBMITTED", "JobDefinition name theirs does not exist")
    one.wait("after-name", "PENDING", "Waiting for first (not there yet)")
    # As if there were none: whether there is one elsewhere cannot be found out.
    said = one.wait("after-id", "FAILED")["conditions"][0]["message"]
    assert (
        said == f"Dependent Job failed: there is no BatchJob with jobId {theirs['metadata']['uid']} in this namespace"
    )


def test_a_queue_is_for_the_namespaces_it_selects(bare_stage: Stage, tenants: tuple[Tenant, Tenant]) -> None:
    bare_stage.nodes(1)
    bare_stage.environment()
    queue = bare_stage.queue(namespaceSelector={"team": "b"})
    for tenant in tenants:
        tenant.define("hello", podTemplate=simulated())
        tenant.submit("job", queue)
    one, other = tenants
    other.wait("job", "SUCCEEDED", seconds=60)
    one.wait("job", "SUBMITTED", f"JobQueue {queue} takes jobs only from namespaces with the labels team=b")


def restrict(stage: Stage, tenant: Tenant) -> None:
    """The tenant's namespace takes pods without privileges only; there are nodes for them."""
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    stage.api.patch("Namespace", tenant.namespace, None, {"metadata": {"labels": level}})
    stage.nodes(2)
    stage.environment()


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        pytest.param(
            {"containerProperties": manifests.container(privileged=True)}, "privileged", id="containerProperties"
        ),
        pytest.param({"podTemplate": simulated(hostNetwork=True)}, "host namespaces", id="podTemplate"),
        pytest.param(
            gang({"container": manifests.container(privileged=True)}, {"container": manifests.container()}),
            "privileged",
            id="nodeProperties",
        ),
    ],
)
def test_a_definition_gives_no_privilege_that_the_namespace_does_not(
    bare_stage: Stage, tenants: tuple[Tenant, Tenant], spec: dict[str, Any], named: str
) -> None:
    one, _ = tenants
    restrict(bare_stage, one)
    one.define("strong", **spec)
    one.submit("job", bare_stage.queue(), "strong")
    status = one.wait("job", "STARTING", 'violates PodSecurity "restricted', 60)
    assert named in status["statusReason"]
    assert one.api.list("Pod", one.namespace) == []


def test_nodes_that_the_operator_makes_are_judged_as_the_tenants_own(
    bare_stage: Stage, tenants: tuple[Tenant, Tenant]
) -> None:
    one, _ = tenants
    restrict(bare_stage, one)
    main, other = modest(simulated("600")), modest(simulated(hostNetwork=True))
    one.define("strong", **gang({"podTemplate": main}, {"podTemplate": other}))
    one.submit("job", bare_stage.queue(), "strong")
    status = one.wait("job", "RUNNING", 'violates PodSecurity "restricted', 60)
    assert "host namespaces" in status["statusReason"]
    assert len(one.api.list("Pod", one.namespace)) == 1


def test_a_role_is_the_queues_to_give(bare_stage: Stage, tenants: tuple[Tenant, Tenant]) -> None:
    one, _ = tenants
    bare_stage.nodes(1)
    bare_stage.environment()
    queue = bare_stage.queue()
    one.define("hello", containerProperties=manifests.container(jobRoleArn=ROLE))
    one.submit("job", queue)
    one.wait("job", "SUBMITTED", f"jobRoleArn {ROLE} is not among the allowedJobRoles of JobQueue {queue}")
    accounts = {each["metadata"]["name"] for each in bare_stage.api.list("ServiceAccount", one.namespace)}
    assert accounts <= {"default", "tenant"}
    roles = ["arn:aws:iam::123456789012:role/team-a/*"]
    bare_stage.api.patch("JobQueue", queue, None, {"spec": {"allowedJobRoles": roles}})
    one.wait("job", "SUCCEEDED", seconds=60)
    made = [each["metadata"] for each in bare_stage.api.list("ServiceAccount", one.namespace)]
    assert [each["annotations"]["eks.amazonaws.com/role-arn"] for each in made if "annotations" in each] == [ROLE]


@pytest.mark.timeout(400)
def test_a_flood_of_one_does_not_starve_another(
    cluster: Cluster, bare_stage: Stage, tenants: tuple[Tenant, Tenant]
) -> None:
    one, other = tenants
    for manifest in DOCUMENTED:
        if manifest["kind"] in POLICY:
            cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(manifest))
    bare_stage.nodes(1, cpu=4)
    bare_stage.environment()
    policy = f"{bare_stage.namespace}-fair"
    bare_stage.declare(manifests.scheduling_policy(policy, shareDecaySeconds=600))
    queue = bare_stage.queue(schedulingPolicy=policy)
    for tenant in tenants:
        tenant.define("hello", podTemplate=simulated("1"))

    def in_the_others_share() -> bool:
        return refused(one.api, "POST", f"{OURS}/namespaces/{one.namespace}/batchjobs", stolen) == 422

    share = {"jobQueue": queue, "jobDefinition": "hello", "shareIdentifier": "b"}
    stolen = manifests.batch_job("stolen", one.namespace, **share)
    stolen["metadata"]["generateName"] = stolen["metadata"].pop("name")
    until(in_the_others_share, "the policy does not hold tenants to their share")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: one.submit(f"flood-{number}", queue, shareIdentifier="a"), range(FLOOD)))
    submitted = time.monotonic()
    other.submit("small", queue, shareIdentifier="b")
    other.wait("small", "SUCCEEDED", seconds=60)
    waited = time.monotonic() - submitted
    states = [job.get("status", {}).get("state") for job in one.api.list("BatchJob", one.namespace)]
    left = sum(state not in ("SUCCEEDED", "FAILED") for state in states)
    print(f"{waited:.1f} s for the job of the other; {left} of the flood of {FLOOD} were left")
    assert left > FLOOD / 2
