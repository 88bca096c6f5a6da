"""A multi-node job in Kubernetes: the Job of its main node, and when that runs, a pod for each of the others.

- The main node is an Indexed Job of one completion, as any single job: its end, attempts and retries are the job's.
- The other nodes are pods of our own, each on the machine the scheduler counted it on. They belong to the main node's
  pod, so that they go with it; and their names follow from its name, so that making one twice makes one.
- A headless Service gives every node the name `<work>-<rank>.<work>`, which is in the hostfile, a ConfigMap mounted as
  /etc/batchwright/hosts. Neither hangs on where the nodes are, so both are made once. Where the names lead is an
  EndpointSlice of our own: Kubernetes' controllers would write theirs at every step of every node
  (docs/adr/0022-names-by-a-slice-of-our-own.md).

Why so: docs/adr/0018-nodes-as-pods-of-the-main-node.md.
Hazard: main and other nodes differ in that only the others have AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS; clients
(Metaflow) know the main node by its absence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from batchwright import names
from batchwright.domain.observations import Pod
from batchwright.workloads.job import (
    ATTEMPT,
    JobIdentity,
    MainNode,
    Placement,
    identify,
    job_labels,
    job_variables,
    put_variables,
    tags_of,
    work_name,
)
from batchwright.workloads.job import place as send_to
from batchwright.workloads.nodes import NodeLayout
from batchwright.workloads.podtemplate import ROOT, all_containers, build_pod_template
from batchwright.workloads.shapes import Wire, child_list, child_object, child_objects

NUM_NODES: Final = "AWS_BATCH_JOB_NUM_NODES"
NODE_INDEX: Final = "AWS_BATCH_JOB_NODE_INDEX"
MAIN_INDEX: Final = "AWS_BATCH_JOB_MAIN_NODE_INDEX"
MAIN_ADDRESS: Final = "AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS"
HOSTS_DIRECTORY: Final = "/etc/batchwright"
HOSTS_FILE: Final = "hosts"
VOLUME: Final = "batchwright-hosts"
DIGIT_PREFIX: Final = "job-"
# Labels of EndpointSlices (Kubernetes, "EndpointSlices").
SLICE_SERVICE: Final = "kubernetes.io/service-name"
SLICE_MANAGER: Final = "endpointslice.kubernetes.io/managed-by"
HEADLESS: Final = "service.kubernetes.io/headless"
# No node's name has one (RFC 1123).
_BETWEEN: Final = ","


@dataclass(frozen=True)
class MainPod:
    """The main node's pod, when it runs; `work` is the name of the Kubernetes Job that made it."""

    work: str
    name: str
    uid: str
    address: str
    failures: int


def encode_placement(machines: tuple[str, ...]) -> str:
    """The machines of all nodes, by rank, as text."""
    return _BETWEEN.join(machines)


def decode_placement(text: str) -> tuple[str, ...]:
    """The inverse of `encode_placement`."""
    return tuple(text.split(_BETWEEN)) if text else ()


def node_id(uid: str, index: int) -> str:
    """The id of a node, as AWS Batch has it: `<jobId>#<n>`."""
    return f"{uid}#{index}"


def gang_name(identity: JobIdentity) -> str:
    """The name of the Kubernetes Job of a multi-node job, which is that of its Service too: before Kubernetes 1.36 the
    name of a Service must begin with a letter (RFC 1035)."""
    name = identity.name if identity.name[0].isalpha() else f"{DIGIT_PREFIX}{identity.name}"
    return work_name(name, identity.uid)


def node_address(work: str, rank: int) -> str:
    """The name of a node within its namespace."""
    return f"{work}-{rank}.{work}"


def main_node(identity: JobIdentity, layout: NodeLayout, machines: tuple[str, ...]) -> MainNode:
    """What the main node's Job has more than that of a single job."""
    work = gang_name(identity)
    return MainNode(
        work=work,
        job_id=node_id(identity.uid, layout.main),
        variables=tuple(_node_variables(layout, 0, "")),
        join=partial(_join, work=work, index=layout.main),
        placement=encode_placement(machines),
    )


def build_service(identity: JobIdentity, owner: Wire) -> Wire:
    """The headless Service of the nodes' names. It selects no pods, so that no controller writes for it. `owner` is the
    Kubernetes Job, whose name it has."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(identity, owner),
        "spec": {
            "clusterIP": "None",
            # Without a selector it would be RequireDualStack, and a pod has one address by which others know it.
            "ipFamilyPolicy": "SingleStack",
        },
    }


def build_endpoint_slice(identity: JobIdentity, owner: Wire, pods: Sequence[Pod]) -> Wire:
    """The EndpointSlice by which the names of these nodes lead to their addresses, ready or not: they have to find each
    other to become ready. Pods without an address are left out."""
    found = [pod for pod in pods if pod.address]
    metadata = _metadata(identity, owner)
    metadata["labels"] |= {SLICE_SERVICE: owner["name"], SLICE_MANAGER: names.FIELD_MANAGER, HEADLESS: ""}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": "IPv6" if any(":" in pod.address for pod in found) else "IPv4",
        "endpoints": [_endpoint(pod) for pod in found],
    }


def _endpoint(pod: Pod) -> Wire:
    return {
        "addresses": [pod.address],
        "hostname": pod.name.rpartition("-")[0],
        "conditions": {"ready": True},
        "nodeName": pod.node,
        "targetRef": {"kind": "Pod", "namespace": pod.namespace, "name": pod.name, "uid": pod.uid},
    }


def build_hosts(identity: JobIdentity, layout: NodeLayout, owner: Wire) -> Wire:
    """The ConfigMap with the hostfile: a name and its slots a line, the main node first (Open MPI's format)."""
    work = owner["name"]
    lines = (f"{node_address(work, rank)} slots={kind.slots}\n" for rank, kind in enumerate(layout.kinds))
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(identity, owner),
        "data": {HOSTS_FILE: "".join(lines)},
    }


def build_node(
    identity: JobIdentity,
    queue: str,
    definition_name: str,
    layout: NodeLayout,
    rank: int,
    placement: Placement,
    machine: str,
    main: MainPod,
    group: str = "",
) -> Wire:
    """The pod of a node that is not the main one, on this machine, in this PodGroup if any. Raises WorkloadError."""
    kind = layout.kinds[rank]
    work, index = main.work, layout.index_of(rank)
    template = build_pod_template(kind.definition, kind.job)
    identify(template, job_labels(identity, queue, placement), tags_of(kind.definition, kind.job))
    own = job_variables(node_id(identity.uid, index), queue, placement)
    own += [{"name": ATTEMPT, "value": str(main.failures + 1)}, *_node_variables(layout, rank, main.address)]
    put_variables(template, own, {ATTEMPT})
    send_to(template, placement)
    _join(template, work, index)
    pin(template["spec"], machine)
    template["spec"]["hostname"] = f"{work}-{rank}"
    if group:
        template["spec"]["schedulingGroup"] = {"podGroupName": group}
    metadata = template["metadata"]
    metadata["name"] = node_name(main.name, rank)
    metadata["namespace"] = identity.namespace
    metadata["labels"][names.LABEL_MAIN_POD] = main.uid
    metadata["annotations"] = {
        **(metadata.get("annotations") or {}),
        names.ANNOTATION_DEFINITION: definition_name,
        names.POD_FAILURE_COUNT: str(main.failures),
    }
    metadata["ownerReferences"] = [
        {"apiVersion": "v1", "kind": "Pod", "name": main.name, "uid": main.uid, "controller": True}
    ]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def node_name(main_pod: str, rank: int) -> str:
    """The name of a node's pod: that of the main node's, `<work>-0-<suffix>`, with another rank."""
    work, _, suffix = main_pod.rpartition("-")
    return f"{work.removesuffix('-0')}-{rank}-{suffix}"


def pin(spec: Wire, machine: str) -> None:
    """Lets the pod on one machine only, as the DaemonSet controller does: kube-scheduler looks at no other."""
    affinity = child_object(spec, "affinity", f"{ROOT}.spec")
    of_nodes = child_object(affinity, "nodeAffinity", f"{ROOT}.spec.affinity")
    of_nodes["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": _pinned(of_nodes, machine)}


def pinned_affinity(template: Wire, machine: str) -> Wire:
    """The affinity of a pod of the template once it is pinned."""
    spec = deepcopy({"affinity": template["spec"].get("affinity")})
    pin(spec, machine)
    found: Wire = spec["affinity"]
    return found


def _pinned(of_nodes: Mapping[str, Any], machine: str) -> list[Wire]:
    required = of_nodes.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    field = {"key": "metadata.name", "operator": "In", "values": [machine]}
    terms = required.get("nodeSelectorTerms") or [{}]
    return [{**term, "matchFields": [*(term.get("matchFields") or ()), field]} for term in terms]


def _node_variables(layout: NodeLayout, rank: int, main_address: str) -> list[Wire]:
    values = {NUM_NODES: layout.size, NODE_INDEX: layout.index_of(rank), MAIN_INDEX: layout.main}
    own: list[Wire] = [{"name": name, "value": str(value)} for name, value in values.items()]
    if main_address:
        own.append({"name": MAIN_ADDRESS, "value": main_address})
    rendezvous = layout.properties.rendezvous
    if rendezvous is not None:
        here = {"valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
        own.append({"name": "MASTER_ADDR", **({"value": main_address} if main_address else here)})
        given = {"MASTER_PORT": rendezvous.port, "WORLD_SIZE": layout.size, "RANK": rank}
        own += [{"name": name, "value": str(value)} for name, value in given.items()]
    return own


def _join(template: Wire, work: str, index: int) -> None:
    """Makes the pod a node of the job: its number, its name by the Service, the hostfile."""
    metadata = child_object(template, "metadata", ROOT)
    labels = child_object(metadata, "labels", f"{ROOT}.metadata")
    labels[names.LABEL_NODE_INDEX] = str(index)
    labels.pop(names.LABEL_MAIN_POD, None)
    spec = template["spec"]
    spec["subdomain"] = work
    volumes = child_list(spec, "volumes", f"{ROOT}.spec")
    volumes.append({"name": VOLUME, "configMap": {"name": work}})
    for container, path in all_containers(template):
        mounted = {mount.get("mountPath") for mount in child_objects(container, "volumeMounts", path)}
        if HOSTS_DIRECTORY not in mounted:
            mounts = child_list(container, "volumeMounts", path)
            mounts.append({"name": VOLUME, "mountPath": HOSTS_DIRECTORY, "readOnly": True})


def _metadata(identity: JobIdentity, owner: Wire) -> Wire:
    return {
        "name": owner["name"],
        "namespace": identity.namespace,
        "labels": {
            names.LABEL_JOB_ID: names.label_value(identity.uid),
            names.LABEL_JOB_NAME: names.label_value(identity.name),
            names.MANAGED_BY: names.FIELD_MANAGER,
        },
        "ownerReferences": [owner],
    }
