"""The policies that the operator installs, on pods of the Job controller: each element's index and parameters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import kubelet
from apiserver import ApiServer, Refused
from batchwright import names
from batchwright.api.v1alpha1.array import MAX_SIZE
from batchwright.cluster.admissionpolicies import ActingPolicies, install_admission_policies
from batchwright.cluster.client import ApiClient
from batchwright.domain.indexes import expand
from batchwright.domain.items import MAX_TABLE_BYTES, Column, ItemTable
from batchwright.workloads.array import ArrayWork
from batchwright.workloads.job import Placement
from kubecluster import Cluster
from workload_cases import RETRY_BY_TEXT, UID, array_work, container, job, list_table, render, template

# No node has that label: the pods are made, and stay as they were made.
NOWHERE = Placement("nodes", {"batchwright.io/no-such-node": "true"})
POD_SECONDS = 30
ODD = ("$(HOME)", "$$ ü 😀\n", "", "a,b:c;d|e", "$", '"quoted" \\back', "$(AWS_BATCH_JOB_ID)", " spaces ")


@pytest.fixture(scope="module", autouse=True)
def policies(cluster: Cluster) -> Iterator[None]:
    """The operator's own installation. Policies that were there before stay."""
    kinds = "mutatingadmissionpolicybinding,mutatingadmissionpolicy"
    before = cluster.kubectl("get", kinds, "-o", "name").stdout.split()

    async def install() -> ActingPolicies:
        async with await ApiClient.connect(kubeconfig=str(cluster.kubeconfig)) as client:
            return await install_admission_policies(client)

    assert asyncio.run(install()) == ActingPolicies(attempt=True, elements=True)
    yield
    after = cluster.kubectl("get", kinds, "-o", "name").stdout.split()
    ours = [each for each in after if each not in before and each.endswith(f".{names.GROUP}")]
    if ours:
        cluster.kubectl("delete", *ours)


def run(api: ApiServer, namespace: str, given: dict[str, Any], work: ArrayWork, **submitted: Any) -> dict[str, Any]:
    """Creates the array's Job; its pods are made and wait for a node."""
    rendered = render(given, job(**submitted), namespace=namespace, placement=NOWHERE, array=work)
    # There is no such BatchJob, so that the Job would be collected at once.
    del rendered["metadata"]["ownerReferences"]
    return api.create(rendered)


def pods_of(api: ApiServer, namespace: str, count: int) -> dict[int, dict[str, Any]]:
    """The pods by position, once there are so many."""
    pods = _until(lambda: api.list("Pod", namespace), lambda listed: len(listed) >= count)
    assert len(pods) == count
    return {int(pod["metadata"]["annotations"][names.POD_INDEX]): pod for pod in pods}


def _until(
    ask: Callable[[], list[dict[str, Any]]], enough: Callable[[list[dict[str, Any]]], bool]
) -> list[dict[str, Any]]:
    deadline = time.monotonic() + POD_SECONDS
    while True:
        seen = ask()
        if enough(seen):
            return seen
        assert time.monotonic() < deadline, f"not within {POD_SECONDS} s; {len(seen)} were seen"
        time.sleep(0.1)


def containers_of(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """Init containers and containers."""
    listed: list[dict[str, Any]] = pod["spec"].get("initContainers", []) + pod["spec"]["containers"]
    return listed


def matrix(*lengths: int) -> ItemTable:
    """A matrix of that many values; the last varies fastest."""
    columns: list[Column] = []
    stride = 1
    for place, length in reversed(list(enumerate(lengths))):
        columns.insert(0, Column(f"axis{place}", stride, tuple(f"{place}-{n} $(x)" for n in range(length))))
        stride *= length
    return ItemTable(tuple(columns), stride)


@pytest.mark.parametrize(
    "work",
    [
        pytest.param(array_work(5, parallelism=5), id="plain"),
        pytest.param(array_work(8, None, list_table(odd=ODD, PATH=list("abcdefgh")), parallelism=8), id="list"),
        pytest.param(array_work(24, None, matrix(2, 4, 3), parallelism=24), id="matrix"),
        pytest.param(array_work(50_000, "3,7-9,40000,49998-49999", parallelism=7), id="indexes"),
        pytest.param(array_work(100_000, "0,99998-99999", matrix(100, 10, 100), parallelism=3), id="both"),
        pytest.param(array_work(24, "5-20", matrix(24), parallelism=16, gated=True), id="gated"),
    ],
)
def test_every_pod_gets_its_own(api: ApiServer, namespace: str, work: ArrayWork) -> None:
    given = container(
        command=["run", "Ref::odd Ref::PATH", "$(AWS_BATCH_JOB_ARRAY_INDEX)"],
        environment=[{"name": "AFTER", "value": "$(x)"}],
    )
    sent = run(api, namespace, given, work)

    pods = pods_of(api, namespace, work.completions)

    indexes = list(expand(work.indexes))
    assert sorted(pods) == list(range(len(indexes)))
    for position, pod in pods.items():
        notes = pod["metadata"]["annotations"]
        assert not {names.ANNOTATION_ITEMS, names.ANNOTATION_INDEXES} & notes.keys()
        gates = [gate["name"] for gate in pod["spec"].get("schedulingGates", [])]
        assert gates == ([names.GATE_ADMISSION] if work.gated else [])
        (main,) = pod["spec"]["containers"]
        assert [each["name"] for each in main["env"]] == [
            *(each["name"] for each in sent["spec"]["template"]["spec"]["containers"][0]["env"]),
            "JOB_COMPLETION_INDEX",
        ]
        row = work.table.row(indexes[position]) if work.table else {}
        seen = kubelet.environment(main, pod["metadata"])
        assert seen == {
            "AWS_BATCH_JOB_ARRAY_INDEX": str(indexes[position]),
            "AWS_BATCH_JOB_ARRAY_SIZE": str(work.size),
            "AWS_BATCH_JOB_ID": f"{UID}:{indexes[position]}",
            "AWS_BATCH_JQ_NAME": "normal",
            "AWS_BATCH_CE_NAME": "nodes",
            "AWS_EXECUTION_ENV": "AWS_ECS_EC2",
            "AWS_BATCH_JOB_ATTEMPT": "1",
            **row,
            "AFTER": "$(x)",
            "JOB_COMPLETION_INDEX": str(position),
        }
        odd, path = row.get("odd", "Ref::odd"), row.get("PATH", "Ref::PATH")
        assert kubelet.command_line(main, pod["metadata"]) == ["run", f"{odd} {path}", "$(AWS_BATCH_JOB_ARRAY_INDEX)"]


def test_a_retry_has_the_same_row_and_the_next_attempt(api: ApiServer, namespace: str) -> None:
    """Both policies act on one pod; variables of the user may refer to a parameter."""
    main = {
        "name": "work",
        "image": "busybox",
        "command": ["Ref::p", "$(LATER)"],
        "env": [
            {"name": "p", "value": "the user's"},
            {"name": "LATER", "value": "<$(p)>"},
            {"name": "A", "value": "1"},
            {"name": "A", "value": "2"},
        ],
        "ports": [{"containerPort": 80, "name": "a"}, {"containerPort": 80, "name": "b"}],
    }
    given = template(
        main,
        {"name": "log", "image": "busybox"},
        initContainers=[{"name": "fetch", "image": "busybox", "args": ["Ref::p"]}],
        schedulingGates=[{"name": "example.com/wait"}],
    )
    work = array_work(9, "4,8", list_table(p=[f"$(value) {n}" for n in range(9)]))
    run(api, namespace, given, work, retryStrategy={"attempts": 3})
    first = pods_of(api, namespace, 2)[1]
    path = f"/api/v1/namespaces/{namespace}/pods/{first['metadata']['name']}/status"
    api.request("PATCH", path, {"status": {"phase": "Failed"}}, content_type="application/merge-patch+json")

    pods = _until(
        lambda: [pod for pod in api.list("Pod", namespace) if pod["metadata"]["annotations"][names.POD_INDEX] == "1"],
        lambda listed: len(listed) == 2,
    )

    (second,) = [pod for pod in pods if pod["metadata"]["name"] != first["metadata"]["name"]]
    for pod, want_attempt in ((first, "1"), (second, "2")):
        assert [gate["name"] for gate in pod["spec"]["schedulingGates"]] == ["example.com/wait"]
        assert [each["name"] for each in containers_of(pod)] == ["fetch", "work", "log"]
        for each in containers_of(pod):
            seen = kubelet.environment(each, pod["metadata"])
            assert seen["AWS_BATCH_JOB_ID"] == f"{UID}:8"
            assert seen["AWS_BATCH_JOB_ATTEMPT"] == want_attempt
            assert seen["p"] == "$(value) 8"
        assert kubelet.command_line(containers_of(pod)[1], pod["metadata"]) == ["$(value) 8", "<$(value) 8>"]
        assert len(containers_of(pod)[1]["ports"]) == 2


def made(
    api: ApiServer, namespace: str, rendered: dict[str, Any], position: int, **labels: str | None
) -> dict[str, Any]:
    """The pod that the Job controller would make at the position, as a dry run; labels may be changed or taken off."""
    given = rendered["spec"]["template"]
    metadata = {
        "generateName": "made-by-hand-",
        "labels": {name: text for name, text in {**given["metadata"]["labels"], **labels}.items() if text is not None},
        "annotations": {**given["metadata"].get("annotations", {}), names.POD_INDEX: str(position)},
    }
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": given["spec"]}
    path = f"/api/v1/namespaces/{namespace}/pods"
    answer: dict[str, Any] = api.request("POST", path, body, {"dryRun": "All", "fieldValidation": "Strict"})
    return answer


MOST_RUNS = ",".join(map(str, [*range(0, 10, 2), *range(10, 100, 2), *range(100, 1000, 2), *range(1000, 6760, 2)]))


@pytest.mark.parametrize(
    "work",
    [
        pytest.param(array_work(200, None, list_table(p=["x" * 1023] * 200)), id="long values"),
        pytest.param(array_work(10_000, None, list_table(p=[f"{n:019}" for n in range(10_000)])), id="many values"),
        pytest.param(array_work(MAX_SIZE, None, list_table(p=["x"] * MAX_SIZE)), id="most values"),
        pytest.param(
            array_work(4_000, None, list_table(**{f"p{n}": [""] * 4_000 for n in range(50)})), id="most columns"
        ),
        pytest.param(array_work(MAX_SIZE, MOST_RUNS), id="most runs"),
        pytest.param(
            array_work(10_000, MOST_RUNS, list_table(p=[f"{n:018}" for n in range(10_000)])), id="table and runs"
        ),
    ],
)
def test_the_most_that_is_let_through_is_within_cels_cost(api: ApiServer, namespace: str, work: ArrayWork) -> None:
    position = work.completions - 1
    index = list(expand(work.indexes))[position]
    rendered = render(container() | {"retryStrategy": RETRY_BY_TEXT}, namespace=namespace, array=work)

    pod = made(api, namespace, rendered, position)

    seen = kubelet.environment(pod["spec"]["containers"][0], pod["metadata"])
    assert seen["AWS_BATCH_JOB_ARRAY_INDEX"] == str(index)
    assert work.table is None or work.table.row(index).items() <= seen.items()


def test_the_cases_above_are_the_most() -> None:
    assert 16_000 < len(MOST_RUNS) <= 16_384, "what arrayProperties.indexes may have"
    assert 2 * MAX_SIZE <= MAX_TABLE_BYTES


def test_a_pod_the_policy_did_not_see_waits(api: ApiServer, namespace: str) -> None:
    rendered = render(container(), namespace=namespace, array=array_work(2, None, list_table(p="ab")))
    pod = made(api, namespace, rendered, 1, **{names.LABEL_ELEMENTS: None})
    assert pod["spec"]["schedulingGates"] == [{"name": names.GATE_ELEMENTS}]


def test_a_broken_table_makes_no_pod(api: ApiServer, namespace: str) -> None:
    rendered = render(container(), namespace=namespace, array=array_work(2, None, list_table(p="ab")))
    rendered["spec"]["template"]["metadata"]["annotations"][names.ANNOTATION_ITEMS] = "p"
    with pytest.raises(Refused, match=names.ELEMENT_POLICY):
        made(api, namespace, rendered, 1)


def test_other_arrays_are_left_alone(api: ApiServer, namespace: str) -> None:
    rendered = render(container(), namespace=namespace, array=array_work(2))
    pod = made(api, namespace, rendered, 1, **{names.LABEL_ELEMENTS: "false"})
    assert pod["spec"]["containers"][0]["env"][1:] == rendered["spec"]["template"]["spec"]["containers"][0]["env"][1:]
