"""resourceRequirements as requests and limits of a container.

VCPU is a request only: AWS Batch's are CPU shares on EC2, a floor and no ceiling. MEMORY is request and limit alike (a
container above it is killed), GPU too, as Kubernetes wants it of extended resources.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from batchwright import names
from batchwright.api.v1alpha1.common import ResourceRequirement
from batchwright.domain.quantities import CPU, MEMORY, parse_cpu_milli
from batchwright.errors import WorkloadError
from batchwright.workloads.shapes import Wire, child_object

# As the CEL rules of the CRD have them; objects that were stored before a rule was may differ.
_VCPU = re.compile(r"(?=.*[1-9])[0-9]{1,6}([.][0-9]{1,3})?", re.ASCII)
_MEMORY = re.compile(r"[1-9][0-9]{0,8}(Mi|Gi)?", re.ASCII)
_GPU = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)


def apply_requirements(container: Wire, requirements: Iterable[ResourceRequirement], path: str) -> None:
    """Set the container's resources to `requirements`, type by type; others stay. Raises WorkloadError.

    A CPU limit that is there already (podTemplate) becomes the request, which it must not be below.
    """
    for requirement in requirements:
        name, quantity = _quantity(requirement)
        resources = child_object(container, "resources", path)
        child_object(resources, "requests", f"{path}.resources")[name] = quantity
        is_limited = name != CPU or (
            resources.get("limits") is not None and CPU in child_object(resources, "limits", f"{path}.resources")
        )
        if is_limited:
            child_object(resources, "limits", f"{path}.resources")[name] = quantity


def _quantity(requirement: ResourceRequirement) -> tuple[str, str]:
    """The resource's name and quantity in Kubernetes."""
    value = requirement.value
    match requirement.type:
        case "VCPU":
            milli = parse_cpu_milli(_checked(_VCPU, value, "VCPU", "a decimal number above 0, such as 0.25, 1 or 16"))
            return CPU, f"{milli}m" if milli % 1000 else str(milli // 1000)
        case "MEMORY":
            _checked(_MEMORY, value, "MEMORY", "a whole number of MiB such as 2048 (or 2048Mi, 2Gi)")
            return MEMORY, value if value.endswith("i") else f"{value}Mi"
        case "GPU":
            return names.GPU_RESOURCE, _checked(_GPU, value, "GPU", "a whole number from 1")


def _checked(form: re.Pattern[str], value: str, kind: str, wanted: str) -> str:
    if form.fullmatch(value) is None:
        raise WorkloadError(f"resourceRequirements: the {kind} value {value!r} must be {wanted}")
    return value
