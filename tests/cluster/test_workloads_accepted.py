"""The API server takes what is rendered, and the attempt policy really sets the attempt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from apiserver import ApiServer, Refused
from batchwright import names
from batchwright.domain.podresources import pod_requests
from batchwright.domain.quantities import resources_from_wire
from batchwright.errors import WorkloadError
from batchwright.workloads.array import MAX_ANNOTATION_BYTES
from batchwright.workloads.attemptpolicy import (
    build_attempt_binding,
    build_attempt_policy,
    probe_pod,
    shows_attempt,
)
from batchwright.workloads.job import ATTEMPT, job_request
from batchwright.workloads.revision import build_revision
from batchwright.workloads.serviceaccount import build_service_account
from batchwright.workloads.volumes import build_efs_objects
from kubecluster import Cluster
from workload_cases import (
    CASES,
    EVERYTHING,
    ROLE,
    UID,
    Case,
    array_work,
    container,
    definition,
    job,
    list_table,
    render,
    template,
)

PODS = "/api/v1/namespaces/{}/pods"
POLICY_SECONDS = 30


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_rendered_job_is_accepted(api: ApiServer, namespace: str, case: Case) -> None:
    sent = render(case.definition, job(**case.job), name=case.job_name, namespace=namespace)

    taken = api.create(sent, dry_run=True)

    assert _contains(taken["spec"]["template"]["spec"], sent["spec"]["template"]["spec"])
    assert taken["spec"]["podFailurePolicy"] == sent["spec"]["podFailurePolicy"]
    assert taken["spec"]["backoffLimitPerIndex"] == sent["spec"]["backoffLimitPerIndex"]


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_rendered_array_is_accepted(api: ApiServer, namespace: str, case: Case) -> None:
    work = array_work(2_000, "0-1,7-1999", list_table(one=["1"] * 2_000), gated=True)
    sent = render(case.definition, job(**case.job), name=case.job_name, namespace=namespace, array=work)

    taken = api.create(sent, dry_run=True)

    assert _contains(taken["spec"]["template"], sent["spec"]["template"])
    assert taken["spec"]["podFailurePolicy"] == sent["spec"]["podFailurePolicy"]


@pytest.mark.parametrize("attempts", [1, 10])
@pytest.mark.parametrize("parallelism", [0, 100_000])
def test_the_largest_array_is_accepted(api: ApiServer, namespace: str, attempts: int, parallelism: int) -> None:
    """Beyond 100,000 completions Kubernetes wants maxFailedIndexes, and a parallelism of at most 10,000 (KEP-3850)."""
    given = container() | {"retryStrategy": {"attempts": attempts}}
    work = array_work(100_000, parallelism=parallelism)

    taken = api.create(render(given, name="a" * 128, namespace=namespace, array=work), dry_run=True)

    assert (taken["spec"]["completions"], taken["spec"]["parallelism"]) == (100_000, parallelism)


def test_annotations_to_the_last_byte_are_accepted(api: ApiServer, namespace: str) -> None:
    """Our limit is Kubernetes' own: a byte more is refused by us, and a byte less is not by it."""
    given = template()
    work = array_work(204, None, list_table(a=["x" * 1003] * 204))

    def rendered(notes: int) -> dict[str, Any]:
        given["podTemplate"]["metadata"] = {"annotations": {"note": "n" * notes}}
        return render(given, namespace=namespace, array=work)

    taken = rendered(0)["spec"]["template"]["metadata"]["annotations"]
    room = MAX_ANNOTATION_BYTES - sum(len(name) + len(text) for name, text in taken.items())
    api.create(rendered(room), dry_run=True)
    with pytest.raises(WorkloadError, match=f"Kubernetes takes {MAX_ANNOTATION_BYTES} together"):
        rendered(room + 1)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_request_is_that_of_the_pod_the_api_server_would_make(api: ApiServer, namespace: str, case: Case) -> None:
    """The server's own defaults (limits as requests) leave the request we computed as it was."""
    submitted = job(**case.job)
    sent = render(case.definition, submitted, name=case.job_name, namespace=namespace)

    taken = api.create(sent, dry_run=True)

    defaulted = pod_requests(taken["spec"]["template"]["spec"])
    assert defaulted == job_request(definition(case.definition), submitted).resources


@pytest.mark.parametrize(
    ("pod_template", "want_text"),
    [
        pytest.param({"spec": {"containers": [{"name": "a", "image": "b", "comand": []}]}}, "comand", id="typo"),
        pytest.param({"spec": {"containers": [{"name": "A_B", "image": "b"}]}}, "A_B", id="bad container name"),
    ],
)
def test_what_is_passed_on_unread_is_judged_by_the_api_server(
    api: ApiServer, namespace: str, pod_template: dict[str, Any], want_text: str
) -> None:
    with pytest.raises(Refused) as refusal:
        api.create(render({"podTemplate": pod_template}, namespace=namespace), dry_run=True)
    assert want_text in refusal.value.message


def test_companions_are_accepted(cluster: Cluster, namespace: str) -> None:
    companions = [
        build_service_account(namespace, ROLE),
        build_revision("a" * 128, UID, namespace, 10**9, {"containerProperties": {"image": "busybox"}}),
        *build_efs_objects(definition(EVERYTHING), namespace),
    ]
    listed = {"apiVersion": "v1", "kind": "List", "items": companions}

    said = cluster.kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=json.dumps(listed))

    assert len(said.stdout.splitlines()) == 4, said.stdout


@pytest.fixture
def attempt_policy(cluster: Cluster, api: ApiServer, namespace: str) -> Iterator[str]:
    """The policy in force; gives the namespace to make pods in. A policy that was there before stays."""
    kind = "mutatingadmissionpolicy"
    before = cluster.kubectl("get", kind, names.ATTEMPT_POLICY, "--ignore-not-found", "-o", "name").stdout
    objects = {"apiVersion": "v1", "kind": "List", "items": [build_attempt_policy(), build_attempt_binding()]}
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(objects))
    _wait_until_it_acts(api, namespace)
    yield namespace
    if not before:
        cluster.kubectl("delete", f"{kind}binding,{kind}", names.ATTEMPT_POLICY)


def _wait_until_it_acts(api: ApiServer, namespace: str) -> None:
    """What the operator does before the first retried job: the probe is created as a dry run until it shows."""
    patiently = Retrying(
        stop=stop_after_delay(POLICY_SECONDS), wait=wait_fixed(0.2), retry=retry_if_result(lambda acts: not acts)
    )
    patiently(lambda: shows_attempt(_dry_run(api, namespace, probe_pod())))


@pytest.mark.parametrize(("failures", "want_attempt"), [("0", "1"), ("1", "2"), ("9", "10")])
def test_policy_gives_every_container_its_attempt(
    api: ApiServer, attempt_policy: str, failures: str, want_attempt: str
) -> None:
    case = next(case for case in CASES if case.name == "whole template, retried")
    pod = _pod_of(render(case.definition, job(**case.job), namespace=attempt_policy), failures)
    before = pod["spec"]

    made = _dry_run(api, attempt_policy, pod)["spec"]

    for field in ("initContainers", "containers"):
        assert [each["name"] for each in made[field]] == [each["name"] for each in before[field]]
        for sent, got in zip(before[field], made[field], strict=True):
            assert _contains(got, sent | {"env": [*sent["env"], {"name": ATTEMPT, "value": want_attempt}]})


def test_policy_bears_what_the_api_server_bears(api: ApiServer, attempt_policy: str) -> None:
    """Lists with doubled keys, which server-side apply would not make, and no init containers."""
    doubled = {
        "name": "work",
        "image": "busybox",
        "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}],
        "ports": [{"containerPort": 80, "name": "a"}, {"containerPort": 80, "name": "b"}],
    }
    rendered = render(template(doubled), job(retryStrategy={"attempts": 2}), namespace=attempt_policy)

    made = _dry_run(api, attempt_policy, _pod_of(rendered, "1"))["spec"]

    variables = [(each["name"], each.get("value")) for each in made["containers"][0]["env"]]
    assert variables[-3:] == [("A", "1"), ("A", "2"), (ATTEMPT, "2")]
    assert len(made["containers"][0]["ports"]) == 2
    assert not made.get("initContainers")


@pytest.mark.parametrize(
    ("labels", "annotations"),
    [
        pytest.param({}, {names.POD_FAILURE_COUNT: "1"}, id="not ours"),
        pytest.param({names.LABEL_RETRIES: "false"}, {names.POD_FAILURE_COUNT: "1"}, id="no retries"),
        pytest.param({names.LABEL_RETRIES: "true"}, {}, id="not of an indexed Job"),
    ],
)
def test_policy_leaves_other_pods_alone(
    api: ApiServer, attempt_policy: str, labels: dict[str, str], annotations: dict[str, str]
) -> None:
    pod = probe_pod()
    pod["metadata"] |= {"labels": labels, "annotations": annotations}

    made = _dry_run(api, attempt_policy, pod)

    assert "env" not in made["spec"]["containers"][0]


def test_one_attempt_needs_no_policy(api: ApiServer, attempt_policy: str) -> None:
    rendered = render(CASES[0].definition, namespace=attempt_policy)

    made = _dry_run(api, attempt_policy, _pod_of(rendered, "0"))

    values = [each["value"] for each in made["spec"]["containers"][0]["env"] if each["name"] == ATTEMPT]
    assert values == ["1"]


def _pod_of(rendered: dict[str, Any], failures: str) -> dict[str, Any]:
    """The pod that the Job controller would make of the Job after so many failures."""
    made = rendered["spec"]["template"]
    annotations = {**made["metadata"].get("annotations", {}), names.POD_FAILURE_COUNT: failures}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**made["metadata"], "generateName": "made-by-hand-", "annotations": annotations},
        "spec": {**made["spec"], "serviceAccountName": "default"},
    }


def _dry_run(api: ApiServer, namespace: str, pod: dict[str, Any]) -> dict[str, Any]:
    query = {"dryRun": "All", "fieldValidation": "Strict"}
    answer: dict[str, Any] = api.request("POST", PODS.format(namespace), pod, query)
    return answer


def _contains(got: Any, sent: Any) -> bool:
    """Whether everything that was sent is there; the API server adds defaults and writes quantities its own way."""
    if isinstance(sent, dict):
        if "cpu" in sent or "memory" in sent:
            return resources_from_wire(sent).items() <= resources_from_wire(got).items()
        return isinstance(got, dict) and all(_contains(got.get(key), value) for key, value in sent.items() if value)
    if isinstance(sent, list):
        return isinstance(got, list) and len(got) == len(sent) and all(map(_contains, got, sent))
    return bool(got == sent)
