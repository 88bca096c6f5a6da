"""The SSM parameters by which EKS names its images, which moto does not know: moto's own images, by architecture."""

from __future__ import annotations

import re
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends

TARGET = "AmazonSSM.GetParameter"
# Of Kubernetes from 1.30 on, as EKS has it for as long as it supports a version.
_AMAZON = re.compile(
    r"/aws/service/eks/optimized-ami/1\.[3-9]\d/"
    r"amazon-linux-2(-arm64|-gpu|023/(?:x86_64|arm64)/standard|023/(?:x86_64|arm64)/nvidia|023/x86_64/neuron|)"
    r"/recommended/image_id"
)
_BOTTLEROCKET = re.compile(r"/aws/service/bottlerocket/aws-k8s-1\.[3-9]\d(-nvidia)?/(x86_64|arm64)/latest/image_id")
_REGION = re.compile(r"Credential=[^/]+/\d+/([^/]+)/")
JSON = dict[str, Any]


def get_parameter(asked: JSON, authorization: str) -> JSON | None:
    """The answer to one call, signed so; None for a parameter that is none of EKS's."""
    name = str(asked.get("Name", ""))
    if not (_AMAZON.fullmatch(name) or _BOTTLEROCKET.fullmatch(name)):
        return None
    found = _REGION.search(authorization)
    images = ec2_backends[DEFAULT_ACCOUNT_ID][found[1] if found else "us-east-1"].describe_images()
    architecture = "arm64" if "arm64" in name else "x86_64"
    image = next(each.id for each in images if each.architecture == architecture)
    return {"Parameter": {"Name": name, "Type": "String", "Value": image, "Version": 1}}
