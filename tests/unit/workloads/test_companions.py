"""What goes along with a Job: accounts, revisions, EFS volumes, the attempt policy."""

from __future__ import annotations

import re

import pytest

from batchwright import names
from batchwright.workloads.attemptpolicy import build_attempt_binding, build_attempt_policy, probe_pod, shows_attempt
from batchwright.workloads.podtemplate import build_pod_template
from batchwright.workloads.revision import build_revision
from batchwright.workloads.serviceaccount import build_service_account, service_account_name
from batchwright.workloads.volumes import build_efs_objects
from workload_cases import EVERYTHING, ROLE, container, definition, job, template

OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")


@pytest.mark.parametrize("role", [ROLE, "arn:aws:iam::123456789012:role/" + "X" * 300, "arn:aws:iam::1:role/__"])
def test_service_account(role: str) -> None:
    account = build_service_account("science", role)
    assert OBJECT_NAME.fullmatch(account["metadata"]["name"])
    assert account["metadata"]["namespace"] == "science"
    assert account["metadata"]["annotations"] == {"eks.amazonaws.com/role-arn": role}


def test_roles_of_one_name_have_accounts_of_their_own() -> None:
    other = ROLE.replace("teams", "others")
    assert service_account_name(ROLE) != service_account_name(other)
    assert service_account_name(ROLE).startswith("batchwright-reader-")


def test_revision() -> None:
    name = "d" * 128
    revision = build_revision(name, "uid-1", "science", 7, {"parameters": {"a": "b"}})
    assert revision["metadata"]["name"] == f"{name}-7"
    assert revision["metadata"]["labels"][names.LABEL_DEFINITION] == names.label_value(name)
    assert (revision["data"], revision["revision"]) == ({"spec": {"parameters": {"a": "b"}}}, 7)
    (owner,) = revision["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("JobDefinition", name, "uid-1")


@pytest.mark.parametrize("length", [0, 1, 63, 64, 128])
def test_label_value(length: int) -> None:
    value = names.label_value("n" * length)
    assert len(value) == min(length, 63)
    assert (value == "n" * length) == (length <= 63)


def test_efs_volume_has_the_claim_the_pod_asks_for() -> None:
    spec = definition(EVERYTHING)
    volume, claim = build_efs_objects(spec, "science")
    pod = build_pod_template(spec, job())["spec"]
    (asked,) = [each for each in pod["volumes"] if each["name"] == "shared"]
    assert asked["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert claim["spec"]["volumeName"] == volume["metadata"]["name"]
    reference = volume["spec"]["claimRef"]
    assert (reference["namespace"], reference["name"]) == ("science", claim["metadata"]["name"])
    assert volume["spec"]["csi"] == {"driver": "efs.csi.aws.com", "volumeHandle": "fs-0123456789abcdef0:/in"}
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"


def test_efs_volumes_of_two_namespaces_do_not_meet() -> None:
    here, there = (build_efs_objects(definition(EVERYTHING), namespace) for namespace in ("a", "b"))
    assert here[0]["metadata"]["name"] != there[0]["metadata"]["name"]


def test_efs_root_needs_no_path_and_one_directory_one_claim() -> None:
    efs = {"fileSystemId": "fs-0a"}
    volumes = [{"name": "a", "efsVolumeConfiguration": efs}, {"name": "b", "efsVolumeConfiguration": efs}]
    volume, _claim = build_efs_objects(definition(container(volumes=volumes)), "science")
    assert volume["spec"]["csi"]["volumeHandle"] == "fs-0a"


@pytest.mark.parametrize("given", [container(), template()])
def test_no_efs_no_objects(given: dict[str, object]) -> None:
    assert build_efs_objects(definition(given), "science") == []


def test_policy_is_narrow_and_bound() -> None:
    policy, binding = build_attempt_policy()["spec"], build_attempt_binding()["spec"]
    assert binding == {"policyName": build_attempt_policy()["metadata"]["name"]}
    assert (policy["failurePolicy"], policy["reinvocationPolicy"]) == ("Fail", "Never")
    assert policy["matchConstraints"]["objectSelector"] == {"matchLabels": {"batchwright.io/retries": "true"}}
    assert [rule["operations"] for rule in policy["matchConstraints"]["resourceRules"]] == [["CREATE"]]


def test_probe_tells_a_policy_that_acts_from_one_that_does_not() -> None:
    pod = probe_pod()
    assert not shows_attempt(pod)
    pod["spec"]["containers"][0]["env"] = [{"name": "AWS_BATCH_JOB_ATTEMPT", "value": "1"}]
    assert not shows_attempt(pod)
    pod["spec"]["containers"][0]["env"] = [{"name": "AWS_BATCH_JOB_ATTEMPT", "value": "2"}]
    assert shows_attempt(pod)
