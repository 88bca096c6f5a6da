"""The roles for people, as the API server and its aggregation have them."""

from __future__ import annotations

import uuid

import pytest

from helmchart import Manifest
from kubecluster import Cluster
from watches import until

OURS = ("batchjobs", "jobdefinitions", "jobqueues", "computeenvironments", "schedulingpolicies", "consumableresources")


@pytest.fixture(scope="module")
def place(objects: Manifest, chart_kubectl: Cluster) -> str:
    """A namespace in which somebody has each role, as `ROLE@test`, by a RoleBinding."""
    name = f"t-{uuid.uuid4().hex[:6]}"
    chart_kubectl.kubectl("create", "namespace", name)
    for role in ("view", "edit", "admin", "batchwright-batch-user", "batchwright-batch-admin"):
        chart_kubectl.kubectl("-n", name, "create", "rolebinding", role, f"--clusterrole={role}", f"--user={role}@test")
    until(lambda: can(chart_kubectl, "view@test", "list", "batchjobs", name), "the roles are not aggregated", 30)
    return name


def can(kubectl: Cluster, who: str, verb: str, what: str, namespace: str) -> bool:
    """Whether the API server would let them."""
    plural, _, subresource = what.partition("/")
    said = kubectl.kubectl(
        *("auth", "can-i", verb, f"{plural}.batchwright.io", f"--subresource={subresource}"),
        *("-n", namespace, f"--as={who}"),
        check=False,
    )
    return said.stdout.strip() == "yes"


@pytest.mark.parametrize(
    ("who", "verb", "what", "wanted"),
    [
        pytest.param("view", "list", "batchjobs", True, id="view reads jobs"),
        pytest.param("view", "create", "batchjobs", False, id="view submits none"),
        pytest.param("edit", "create", "batchjobs", True, id="edit submits jobs"),
        pytest.param("edit", "patch", "jobdefinitions", True, id="edit changes definitions"),
        pytest.param("edit", "create", "jobqueues", False, id="edit makes no queues"),
        pytest.param("edit", "patch", "batchjobs/status", False, id="edit writes no status"),
        pytest.param("admin", "delete", "batchjobs", True, id="admin deletes jobs"),
        pytest.param("admin", "create", "computeenvironments", False, id="admin makes no environments"),
        pytest.param("batchwright-batch-user", "create", "batchjobs", True, id="batch-user submits jobs"),
        pytest.param("batchwright-batch-user", "get", "jobqueues", True, id="batch-user reads queues"),
        pytest.param("batchwright-batch-user", "patch", "jobqueues", False, id="batch-user changes no queues"),
        pytest.param("batchwright-batch-admin", "patch", "jobqueues", True, id="batch-admin changes queues"),
        pytest.param("batchwright-batch-admin", "patch", "jobqueues/status", False, id="batch-admin writes no status"),
    ],
)
def test_who_may_do_what(chart_kubectl: Cluster, place: str, who: str, verb: str, what: str, wanted: bool) -> None:
    assert can(chart_kubectl, f"{who}@test", verb, what, place) == wanted


def test_a_batch_user_reads_logs(chart_kubectl: Cluster, place: str) -> None:
    said = chart_kubectl.kubectl(
        "auth", "can-i", "get", "pods", "--subresource=log", "-n", place, "--as=batchwright-batch-user@test"
    )
    assert said.stdout.strip() == "yes"


@pytest.mark.parametrize("plural", OURS)
def test_every_kind_has_a_viewer_and_an_editor(chart_kubectl: Cluster, place: str, plural: str) -> None:
    for suffix in ("viewer", "editor"):
        chart_kubectl.kubectl("get", "clusterrole", f"batchwright-{plural}-{suffix}")
