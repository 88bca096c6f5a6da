"""The other nodes of a multi-node job as one PodGroup (scheduling.k8s.io/v1beta1): kube-scheduler binds them together.

The main node is not of it: it runs before the others are made, and whoever waits for a group waits for all of it.

Why so: docs/adr/0020-the-other-nodes-as-a-pod-group.md.
Hazard: kube-scheduler binds nothing of a group whose pods differ in scheduler, priority or preemption policy, and the
API server refuses a pod of a group that has evictionResponders. Where nodes are such, there is no group.
"""

from __future__ import annotations

from typing import Final

from batchwright import names
from batchwright.workloads.gang import MainPod
from batchwright.workloads.job import JobIdentity
from batchwright.workloads.nodes import NodeLayout
from batchwright.workloads.podtemplate import build_pod_template
from batchwright.workloads.shapes import Wire

# What the scheduler compares (validatePodGroup, v1.37), each with what its absence means.
_SHARED: Final = {
    "schedulerName": "default-scheduler",
    "priorityClassName": "",
    "priority": None,
    "preemptionPolicy": None,
}
_EXCLUDES: Final = ("schedulingGroup", "evictionResponders")


def build_pod_group(identity: JobIdentity, layout: NodeLayout, main: MainPod) -> Wire | None:
    """The group of all nodes but the main one, which goes with the main node's pod; None where they cannot be of one,
    or where there is but one of them, which is all of them. Raises WorkloadError."""
    others = layout.size - 1
    if others < 2:
        return None
    # Nodes of one range share the object, and there may be a thousand.
    kinds = {id(kind): kind for kind in layout.kinds[1:]}.values()
    specs = [build_pod_template(kind.definition, kind.job)["spec"] for kind in kinds]
    if any(spec.get(field) for spec in specs for field in _EXCLUDES):
        return None
    shared = [{field: spec.get(field) or absent for field, absent in _SHARED.items()} for spec in specs]
    if any(each != shared[0] for each in shared):
        return None
    spec: Wire = {"schedulingPolicy": {"gang": {"minCount": others}}}
    if shared[0]["priorityClassName"]:
        spec["priorityClassName"] = shared[0]["priorityClassName"]
    metadata = {
        "name": main.name,
        "namespace": identity.namespace,
        "labels": {
            names.LABEL_JOB_ID: names.label_value(identity.uid),
            names.LABEL_JOB_NAME: names.label_value(identity.name),
            names.LABEL_MAIN_POD: main.uid,
            names.MANAGED_BY: names.FIELD_MANAGER,
        },
        "ownerReferences": [
            {"apiVersion": "v1", "kind": "Pod", "name": main.name, "uid": main.uid, "controller": True}
        ],
    }
    return {"apiVersion": "scheduling.k8s.io/v1beta1", "kind": "PodGroup", "metadata": metadata, "spec": spec}
