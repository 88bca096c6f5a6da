"""The image that an imageType stands for: the newest that EKS publishes of it, as AWS Batch on EKS chooses it.

EKS names them by public SSM parameters (EKS User Guide, "Retrieve recommended Amazon Linux AMI IDs" and "Retrieve
recommended Bottlerocket AMI IDs"), by minor version of Kubernetes and architecture. A kubelet must not be newer than
its API server, whose version is therefore the default, and the most that may be asked for.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Final

from batchwright.api.v1alpha1.computeresources import Ec2Configuration
from batchwright.capacity.ec2.client import Aws
from batchwright.capacity.port import Blueprint, InstanceType
from batchwright.capacity.types import family
from batchwright.errors import Denied, Misconfigured, ProviderThrottled, ProviderUnavailable

# Images come out every week or two; what is launched within the hour may have the one before.
KEPT_SECONDS = 3600.0
# The code of a refusal that is about one instance type: others of the environment may well have an image.
NO_SUCH_IMAGE = "ImageArchitecture"
FIELD = "computeResources.ec2Configuration.imageType"
# What an EKS image is told at its start; Bottlerocket is told in a language of its own.
_READS: Final = {"EKS_AL2023": "EKS_NODEADM", "EKS_AL2": "EKS_BOOTSTRAP_SH", "EKS_BOTTLEROCKET": None}
_ACCELERATORS = ("NVIDIA", "NEURON")
# Families with AWS's own accelerators (Inferentia, Trainium), of which Catalogue counts no GPUs.
_NEURON = re.compile(r"^(inf|trn)[0-9]")
_AMAZON = "/aws/service/eks/optimized-ami/{version}/{kind}/recommended/image_id"
_BOTTLEROCKET = "/aws/service/bottlerocket/aws-k8s-{version}{flavor}/{architecture}/latest/image_id"


class Images:
    """Images in one region. `version` asks the API server for its version, such as v1.33.4-eks-1234567."""

    def __init__(
        self, ssm: Aws, version: Callable[[], Awaitable[str]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ssm, self._version, self._clock = ssm, version, clock
        self._known: dict[tuple[str, str | None, str, str], tuple[float, str]] = {}
        # One environment asks for each of its types, and environments ask at the same time.
        self._asking = asyncio.Lock()

    async def newest(self, entry: Ec2Configuration, of: InstanceType) -> str:
        """The image for this instance type. Raises CapacityError."""
        key = (entry.image_type, entry.image_kubernetes_version, of.architecture, accelerator(of))
        async with self._asking:
            asked_at, image = self._known.get(key, (0.0, ""))
            if image and self._clock() - asked_at < KEPT_SECONDS:
                return image
            try:
                found = await self._ask(entry, of)
            except (ProviderThrottled, ProviderUnavailable):
                if not image:
                    raise
                # The one before is as good as it was; the next launch asks again.
                return image
            self._known[key] = (self._clock(), found)
            return found

    async def _ask(self, entry: Ec2Configuration, of: InstanceType) -> str:
        own = minor(await self._version())
        asked = entry.image_kubernetes_version or own
        if _order(asked) > _order(own):
            raise Misconfigured(
                f"computeResources.ec2Configuration.imageKubernetesVersion {asked} is newer than the cluster's {own}, "
                "and a kubelet must not be: give that or an older one, or leave it out",
                "ImageKubernetesVersion",
            )
        name = parameter(entry.image_type, asked, of)
        try:
            answer = await self._ssm.call("get_parameter", Name=name)
        except Denied as error:
            raise Denied(
                f"{FIELD} {entry.image_type} needs ssm:GetParameter of {name}: allow the operator that, or give "
                f"imageIdOverride. {error}",
                error.code,
            ) from error
        except Misconfigured as error:
            raise Misconfigured(
                f"EKS publishes no image for {FIELD} {entry.image_type}, Kubernetes {asked} and {of.architecture} "
                f"(no SSM parameter {name}): give another imageType or imageKubernetesVersion, or imageIdOverride. "
                f"{error}".strip(),
                error.code,
            ) from error
        return str(answer["Parameter"]["Value"])


def entry_for(blueprint: Blueprint, of: InstanceType) -> Ec2Configuration | None:
    """The entry of ec2Configuration for this type: images for accelerators are for types with some."""
    listed = blueprint.resources.ec2_configuration
    mine = [each for each in listed if accelerator(of) and accelerator(of) in each.image_type.upper()]
    plain = [each for each in listed if not any(word in each.image_type.upper() for word in _ACCELERATORS)]
    return next(iter((*mine, *plain, *listed)), None)


def default_for(blueprint: Blueprint) -> Ec2Configuration | None:
    """What AWS Batch takes where nobody says anything; None where nodes do not join as EKS's own do."""
    is_eks = blueprint.join is not None and blueprint.join.type == "EKS_NODEADM"
    return Ec2Configuration(image_type="EKS_AL2023") if is_eks else None


def accelerator(of: InstanceType) -> str:
    """The word in an imageType that is for this type; empty if any image will do."""
    if of.gpus:
        return "NVIDIA"
    return "NEURON" if _NEURON.match(family(of.name)) else ""


def check_join(entry: Ec2Configuration, told: str | None) -> None:
    """Raises Misconfigured where the image would not understand what it is told, and never be a node."""
    base = _base(entry.image_type)
    if told in _READS.values() and told is not None and _READS[base] != told:
        reads = _READS[base] or "nodeJoin.type USER_DATA or LAUNCH_TEMPLATE"
        raise Misconfigured(f"{FIELD} {entry.image_type} cannot be told {told}: it takes {reads}", "ImageUserData")


def parameter(image_type: str, version: str, of: InstanceType) -> str:
    """The name of the SSM parameter. Raises Misconfigured for an imageType that is none of EKS's, and with the code
    NO_SUCH_IMAGE where there is none for such an instance."""
    base = _base(image_type)
    variant = accelerator(of) or next((word for word in _ACCELERATORS if word in image_type.upper()), "")
    is_arm = of.architecture == "arm64"
    architecture = "arm64" if is_arm else "x86_64"
    # Bottlerocket's plain image has AWS Neuron's driver, as Amazon Linux 2's for GPUs has.
    if is_arm and (variant == "NEURON" or (variant and base == "EKS_AL2")):
        raise Misconfigured(f"EKS has no image for {FIELD} {image_type} and {of.name}, which is arm64", NO_SUCH_IMAGE)
    if base == "EKS_BOTTLEROCKET":
        flavor = "-nvidia" if variant == "NVIDIA" else ""
        return _BOTTLEROCKET.format(version=version, flavor=flavor, architecture=architecture)
    if base == "EKS_AL2":
        return _AMAZON.format(version=version, kind="amazon-linux-2" + ("-gpu" if variant else "-arm64" * is_arm))
    return _AMAZON.format(version=version, kind=f"amazon-linux-2023/{architecture}/{variant.lower() or 'standard'}")


def _base(image_type: str) -> str:
    """The system of an imageType, such as EKS_AL2023 of EKS_AL2023_NVIDIA."""
    base, _, variant = image_type.upper().rpartition("_")
    found = base if variant in _ACCELERATORS else image_type.upper()
    if found not in _READS or (found == "EKS_BOTTLEROCKET" and variant == "NEURON"):
        known = ", ".join(sorted(_READS))
        raise Misconfigured(
            f"{FIELD} {image_type} is none of EKS's: take one of {known}, these also with _NVIDIA and but for the last "
            "with _NEURON, or give imageIdOverride",
            "ImageType",
        )
    return found


def minor(version: str) -> str:
    """1.33 of a version as API servers tell theirs, v1.33.4-eks-1234567. Raises ProviderUnavailable."""
    found = re.match(r"v?(\d+\.\d+)", version)
    if found is None:
        raise ProviderUnavailable(f"The API server does not say its version, but {version!r}", "KubernetesVersion")
    return found[1]


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
