"""The chart gives the operator the rights it uses and no others: what it was seen to ask of the API server, compared.

What was asked is taken from the API server's own audit log, of an operator that has the chart's rights and no others,
while stories of every kind are told. A right that no story needs, and a request that no right of the chart allows, are
both failures: the first is to be taken away, or gets a story.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from apiserver import ApiServer
from audittail import Request, requests_of
from batchwright.local import cluster as local_cluster
from batchwright.settings import Settings
from helmchart import CHART, RELEASE, Helm, Manifest, with_image
from kubecluster import Cluster
from operatorprocess import OperatorProcess
from rightstories import STORIES, Ground

pytestmark = pytest.mark.timeout(540)

NAMESPACE = RELEASE
# Asked for by admission where OwnerReferencesPermissionEnforcement is on (OpenShift), which here it is not.
BY_ADMISSION = {
    ("batchwright.io", "batchjobs/finalizers", "update"),
    ("batchwright.io", "jobdefinitions/finalizers", "update"),
}
# Asked for where an object was deleted and made anew while its status was on the way: no story can be sure of that.
BY_RACE = {
    ("batchwright.io", kind, "get")
    for kind in ("jobdefinitions", "jobqueues", "computeenvironments", "schedulingpolicies", "consumableresources")
}


@dataclass(frozen=True)
class Right:
    """One verb on one resource: in one namespace or, with none, everywhere; of one name or, with none, of all."""

    group: str
    resource: str
    verb: str
    namespace: str = ""
    name: str = ""

    def allows(self, asked: Request) -> bool:
        """Whether it covers the request."""
        same = (self.group, self.resource, self.verb) == (asked.group, asked.resource, asked.verb)
        return same and self.namespace in ("", asked.namespace) and self.name in ("", asked.name)


def rights_of(manifests: list[Manifest]) -> set[Right]:
    """What the roles of the operator give."""
    return {
        Right(group, resource, verb, role["metadata"].get("namespace", ""), name)
        for role in manifests
        if role["kind"] in ("Role", "ClusterRole")
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }


def granted(helm: Helm) -> set[Right]:
    """The rights of the operator as the chart has them by default."""
    text = helm.run(
        *("template", RELEASE, str(CHART), f"--namespace={NAMESPACE}", "--values=-"),
        "--show-only=templates/rbac/operator.yaml",
        stdin=with_image(),
    )
    return rights_of([each for each in yaml.safe_load_all(text) if each])


@pytest.fixture(scope="module")
def asked(
    chart_cluster: local_cluster.Cluster,
    chart_api: ApiServer,
    chart_kubectl: Cluster,
    objects: Manifest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[set[Request]]:
    """What the operator has asked of the API server in all the stories."""
    log = chart_cluster.audit_log
    assert log is not None
    # Uninstalling leaves the Lease; the first operator of a cluster has to make it.
    terms = Settings()
    chart_kubectl.kubectl("-n", terms.lease_namespace, "delete", "lease", terms.lease_name, "--ignore-not-found")
    before = log.stat().st_size
    directory = tmp_path_factory.mktemp("rights")
    kubeconfig = limited_kubeconfig(chart_kubectl, directory)
    operator = OperatorProcess(
        kubeconfig,
        directory / "operator.log",
        leader_election="true",
        admission_policies="expect",
        capacity_idle_seconds="1",
    )
    place = f"t-{uuid.uuid4().hex[:6]}"
    chart_api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place}})
    ground = Ground(chart_api, operator, kubeconfig, place)
    try:
        operator.start()
        ground.declare()
        for story in STORIES:
            story(ground)
        operator.stop()
        yield requests_of(log, f"system:serviceaccount:{NAMESPACE}:{RELEASE}", before)
    finally:
        operator.kill()
        chart_kubectl.kubectl("delete", "namespace", place, "--wait=false")


def limited_kubeconfig(kubectl: Cluster, directory: Path) -> Path:
    """A kubeconfig with the token of the chart's ServiceAccount."""
    token = kubectl.kubectl("-n", NAMESPACE, "create", "token", RELEASE, "--duration=1h").stdout
    config = yaml.safe_load(kubectl.kubectl("config", "view", "--raw", "--flatten", "-o", "yaml").stdout)
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    return kubeconfig


def test_nothing_was_refused(asked: set[Request]) -> None:
    """By RBAC, that is: a quota refuses with the same code."""
    assert [each for each in asked if each.judgement != "allow"] == []


def test_everything_that_is_asked_is_granted_by_the_chart(helm: Helm, asked: set[Request]) -> None:
    """And not by a role that every account has, which some clusters take away."""
    rights = granted(helm)
    assert asked
    assert [each for each in asked if not any(right.allows(each) for right in rights)] == []


def test_everything_that_is_granted_is_asked(helm: Helm, asked: set[Request]) -> None:
    unused = {right for right in granted(helm) if not any(right.allows(each) for each in asked)}
    assert {(right.group, right.resource, right.verb) for right in unused} - BY_RACE == BY_ADMISSION


@pytest.mark.parametrize(
    ("asked_for", "right", "allowed"),
    [
        pytest.param(("pods", "list", "", ""), Right("", "pods", "list"), True, id="everywhere"),
        pytest.param(("pods", "list", "", ""), Right("", "pods", "list", "default"), False, id="wider than a Role"),
        pytest.param(("pods", "get", "x", "a"), Right("", "pods", "get", "", "b"), False, id="another name"),
        pytest.param(("pods/status", "get", "x", ""), Right("", "pods", "get"), False, id="a subresource"),
    ],
)
def test_a_right_is_compared_as_rbac_does(asked_for: tuple[str, ...], right: Right, allowed: bool) -> None:
    resource, verb, namespace, name = asked_for
    assert right.allows(Request(verb, "", resource, namespace, name, "allow")) == allowed
