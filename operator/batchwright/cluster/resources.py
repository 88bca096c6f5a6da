"""The resources we read and write, and their paths on the API server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from batchwright import names


@dataclass(frozen=True)
class Resource:
    """A resource of the API server: enough to make its URL path."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`group/version` as in a manifest."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The path of the collection (all namespaces without one), of an object, or of its subresource."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace is not None:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name is not None:
            parts.append(name)
        if subresource is not None:
            parts.append(subresource)
        return "/".join(parts)


def _ours(plural: str, kind: str, *, namespaced: bool) -> Resource:
    return Resource(names.GROUP, names.VERSION, plural, kind, namespaced)


BATCH_JOBS: Final = _ours("batchjobs", "BatchJob", namespaced=True)
JOB_DEFINITIONS: Final = _ours("jobdefinitions", "JobDefinition", namespaced=True)
JOB_QUEUES: Final = _ours("jobqueues", "JobQueue", namespaced=False)
COMPUTE_ENVIRONMENTS: Final = _ours("computeenvironments", "ComputeEnvironment", namespaced=False)
SCHEDULING_POLICIES: Final = _ours("schedulingpolicies", "SchedulingPolicy", namespaced=False)
CONSUMABLE_RESOURCES: Final = _ours("consumableresources", "ConsumableResource", namespaced=False)

JOBS: Final = Resource("batch", "v1", "jobs", "Job")
PODS: Final = Resource("", "v1", "pods", "Pod")
NODES: Final = Resource("", "v1", "nodes", "Node", namespaced=False)
NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
EVENTS: Final = Resource("", "v1", "events", "Event")
CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
SERVICES: Final = Resource("", "v1", "services", "Service")
ENDPOINT_SLICES: Final = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
SERVICE_ACCOUNTS: Final = Resource("", "v1", "serviceaccounts", "ServiceAccount")
VOLUMES: Final = Resource("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False)
VOLUME_CLAIMS: Final = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
CONTROLLER_REVISIONS: Final = Resource("apps", "v1", "controllerrevisions", "ControllerRevision")
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
# v1alpha3 has them too, and is not asked for.
POD_GROUPS: Final = Resource("scheduling.k8s.io", "v1beta1", "podgroups", "PodGroup")
CUSTOM_RESOURCES: Final = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
ADMISSION_POLICIES: Final = Resource(
    "admissionregistration.k8s.io", "v1", "mutatingadmissionpolicies", "MutatingAdmissionPolicy", namespaced=False
)
ADMISSION_BINDINGS: Final = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingadmissionpolicybindings",
    "MutatingAdmissionPolicyBinding",
    namespaced=False,
)
