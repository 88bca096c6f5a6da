"""A multi-node job in Kubernetes: the Job of its main node, the pods of the others, names and hostfile."""

from __future__ import annotations

from typing import Any

import pytest

import builders as b
from batchwright import names
from batchwright.api.v1alpha1 import JobDefinitionSpec
from batchwright.workloads import gang
from batchwright.workloads.job import JobIdentity, build_job
from batchwright.workloads.nodes import NodeLayout, node_layout
from stage import variables_of
from workload_cases import PLACEMENT, UID, requirements

IDENTITY = JobIdentity(UID, "lab", "train")
WORK = "train-4f9e2c1a"
OWNER = {"apiVersion": "batch/v1", "kind": "Job", "name": WORK, "uid": "w"}
MAIN_POD = gang.MainPod(WORK, f"{WORK}-0-abcde", "pod-uid", "10.1.2.3", 1)
MACHINES = ("m0", "m1", "m2", "m3")


def layout(*, main: int = 0, template: dict[str, Any] | None = None, **over: Any) -> NodeLayout:
    """Four nodes that run the same."""
    container = {"image": "busybox", "resourceRequirements": requirements("2")}
    each = {"podTemplate": template} if template is not None else {"container": container}
    properties = {"numNodes": 4, "mainNode": main, "nodeRangeProperties": [{"targetNodes": "0:", **each}], **over}
    definition = JobDefinitionSpec.model_validate({"type": "multinode", "nodeProperties": properties})
    found = node_layout(definition, b.spec())
    assert found is not None
    return found


def job_of(of: NodeLayout) -> dict[str, Any]:
    """The Job of the main node."""
    kind = of.kinds[0]
    main = gang.main_node(IDENTITY, of, MACHINES)
    return build_job(IDENTITY, "normal", "train:1", kind.definition, kind.job, PLACEMENT, main_node=main)


def node_of(of: NodeLayout, rank: int) -> dict[str, Any]:
    return gang.build_node(IDENTITY, "normal", "train:1", of, rank, PLACEMENT, MACHINES[rank], MAIN_POD)


def test_the_main_nodes_job() -> None:
    body = job_of(layout())
    assert body["metadata"]["name"] == WORK
    assert gang.decode_placement(body["metadata"]["annotations"][names.ANNOTATION_PLACEMENT]) == MACHINES
    assert body["metadata"]["annotations"][names.ANNOTATION_GATED] == "true"
    spec = body["spec"]["template"]["spec"]
    assert spec["subdomain"] == WORK
    assert spec["schedulingGates"] == [{"name": names.GATE_ADMISSION}]
    assert body["spec"]["completions"] == 1
    variables = variables_of(body["spec"]["template"])
    assert gang.MAIN_ADDRESS not in variables
    assert variables["AWS_BATCH_JOB_ID"] == f"{UID}#0"
    actions = {
        condition["type"]: rule["action"]
        for rule in body["spec"]["podFailurePolicy"]["rules"]
        for condition in rule.get("onPodConditions", ())
    }
    assert actions[names.POD_CONDITION_NODE_FAILED] == "Count"
    assert actions[names.POD_CONDITION_DISRUPTED] == "Ignore"


@pytest.mark.parametrize(
    ("name", "want"),
    [
        pytest.param("train", WORK, id="a letter"),
        pytest.param("3d-cfd", "job-3d-cfd-4f9e2c1a", id="a digit"),
        pytest.param("3" * 128, "job-" + "3" * 39 + "-4f9e2c1a", id="the longest"),
        pytest.param("1.2", "job-1-2-4f9e2c1a", id="dots"),
    ],
)
def test_names_are_those_of_a_service(name: str, want: str) -> None:
    """Before Kubernetes 1.36 they begin with a letter. All that has a name of the job's has this one."""
    identity, of = JobIdentity(UID, "lab", name), layout()
    kind, main = of.kinds[0], gang.main_node(identity, of, MACHINES)
    job = build_job(identity, "normal", "train:1", kind.definition, kind.job, PLACEMENT, main_node=main)
    assert (job["metadata"]["name"], job["spec"]["template"]["spec"]["subdomain"]) == (want, want)
    owner = {**OWNER, "name": want}
    assert gang.build_service(identity, owner)["metadata"]["name"] == want
    assert gang.build_hosts(identity, of, owner)["data"]["hosts"].startswith(
        f"{want}-0.{want} slots=2\n{want}-1.{want} "
    )
    seen = gang.MainPod(want, f"{want}-0-abcde", "pod-uid", "10.1.2.3", 0)
    spec = gang.build_node(identity, "normal", "train:1", of, 1, PLACEMENT, "m1", seen)["spec"]
    assert (spec["hostname"], spec["subdomain"]) == (f"{want}-1", want)
    assert len(f"{want}-999") <= 63


def test_another_node() -> None:
    pod = node_of(layout(), 2)
    assert pod["metadata"]["name"] == f"{WORK}-2-abcde"
    [owner] = pod["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("Pod", "pod-uid", True)
    spec = pod["spec"]
    assert (spec["hostname"], spec["subdomain"], spec["restartPolicy"]) == (f"{WORK}-2", WORK, "Never")
    assert "schedulingGates" not in spec
    assert spec["nodeSelector"] == {"disk": "ssd"}
    required = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    pinned = [{"key": "metadata.name", "operator": "In", "values": ["m2"]}]
    assert required["nodeSelectorTerms"] == [{"matchFields": pinned}]
    variables = variables_of(pod)
    assert variables[gang.MAIN_ADDRESS] == "10.1.2.3"
    assert variables["AWS_BATCH_JOB_ATTEMPT"] == "2"
    assert (variables[gang.NODE_INDEX], variables[gang.NUM_NODES]) == ("2", "4")


def test_making_a_node_twice_makes_one() -> None:
    assert node_of(layout(), 1) == node_of(layout(), 1)


def test_names_go_by_rank_and_variables_by_number() -> None:
    of = layout(main=2)
    assert variables_of(job_of(of)["spec"]["template"])[gang.NODE_INDEX] == "2"
    found = [node_of(of, rank) for rank in (1, 2, 3)]
    assert [pod["spec"]["hostname"] for pod in found] == [f"{WORK}-1", f"{WORK}-2", f"{WORK}-3"]
    assert [variables_of(pod)[gang.NODE_INDEX] for pod in found] == ["0", "1", "3"]
    assert [pod["metadata"]["labels"][names.LABEL_NODE_INDEX] for pod in found] == ["0", "1", "3"]


def test_hosts_and_service() -> None:
    hosts = gang.build_hosts(IDENTITY, layout(), OWNER)
    assert hosts["data"]["hosts"].splitlines() == [f"{WORK}-{rank}.{WORK} slots=2" for rank in range(4)]
    service = gang.build_service(IDENTITY, OWNER)
    assert service["metadata"]["name"] == hosts["metadata"]["name"] == WORK
    assert service["spec"]["clusterIP"] == "None"
    # No controller is to write for it.
    assert "selector" not in service["spec"]
    assert service["metadata"]["ownerReferences"] == hosts["metadata"]["ownerReferences"] == [OWNER]


def test_the_hostfile_is_in_every_container_but_where_something_else_is_mounted() -> None:
    own = {"name": "mine", "mountPath": gang.HOSTS_DIRECTORY}
    template = {
        "spec": {
            "containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "x", "volumeMounts": [own]}],
            "initContainers": [{"name": "i", "image": "x"}],
            "volumes": [{"name": "mine", "emptyDir": {}}],
        }
    }
    spec = node_of(layout(template=template), 1)["spec"]
    mounted = {
        each["name"]: [mount["name"] for mount in each["volumeMounts"]]
        for each in (*spec["containers"], *spec["initContainers"])
    }
    assert mounted == {"a": [gang.VOLUME], "b": ["mine"], "i": [gang.VOLUME]}


def test_a_rendezvous() -> None:
    of = layout(rendezvous={"port": 1234})
    main = variables_of(job_of(of)["spec"]["template"])
    assert (main["MASTER_ADDR"], main["RANK"], main["WORLD_SIZE"]) == ("status.podIP", "0", "4")
    other = variables_of(node_of(of, 3))
    assert (other["MASTER_ADDR"], other["MASTER_PORT"], other["RANK"]) == ("10.1.2.3", "1234", "3")
    assert "RANK" not in variables_of(node_of(layout(), 3))


@pytest.mark.parametrize(
    ("terms", "want"),
    [
        pytest.param([], [["m1"]], id="none of its own"),
        pytest.param(
            [{"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}, {"matchFields": []}],
            [["m1"], ["m1"]],
            id="each of several",
        ),
    ],
)
def test_a_pin_adds_to_what_the_pod_asks_for(terms: list[Any], want: list[list[str]]) -> None:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    spec: dict[str, Any] = {"affinity": {"nodeAffinity": required, "podAntiAffinity": {"x": []}}}
    gang.pin(spec, "m1")
    found = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert [term["matchFields"][-1]["values"] for term in found] == want
    assert [term.get("matchExpressions") for term in found] == [term.get("matchExpressions") for term in terms] or [
        None
    ]
    assert spec["affinity"]["podAntiAffinity"] == {"x": []}


def test_what_the_user_says_of_names_of_ours_goes() -> None:
    container = {
        "name": "a",
        "image": "x",
        "env": [{"name": gang.NODE_INDEX, "value": "9"}, {"name": "X", "value": f"$({gang.NODE_INDEX})"}],
    }
    template = {"metadata": {"labels": {names.LABEL_MAIN_POD: "x"}}, "spec": {"containers": [container]}}
    body = job_of(layout(template=template))["spec"]["template"]
    assert variables_of(body)[gang.NODE_INDEX] == "0"
    assert names.LABEL_MAIN_POD not in body["metadata"]["labels"]


def test_names_lead_to_the_nodes_that_have_addresses() -> None:
    pods = (
        b.pod(uid="u0", name=f"{WORK}-0-abcde", address="10.1.2.3", node="m0"),
        b.pod(uid="u2", name=f"{WORK}-2-abcde", address="10.1.2.5", node="m2"),
        b.pod(uid="u1", name=f"{WORK}-1-abcde"),
    )
    found = gang.build_endpoint_slice(IDENTITY, OWNER, pods)
    assert found["metadata"]["name"] == found["metadata"]["labels"]["kubernetes.io/service-name"] == WORK
    assert "endpointslice.kubernetes.io/managed-by" in found["metadata"]["labels"], "else a controller takes it away"
    assert found["metadata"]["ownerReferences"] == [OWNER]
    assert found["addressType"] == "IPv4"
    named = [(each["hostname"], each["addresses"], each["nodeName"]) for each in found["endpoints"]]
    assert named == [(f"{WORK}-0", ["10.1.2.3"], "m0"), (f"{WORK}-2", ["10.1.2.5"], "m2")]
    assert all(each["conditions"] == {"ready": True} for each in found["endpoints"]), "before they are ready, too"
    six = gang.build_endpoint_slice(
        IDENTITY, OWNER, [b.pod(uid="u0", name=f"{WORK}-0-abcde", address="fd00::3", node="m0")]
    )
    assert six["addressType"] == "IPv6"
