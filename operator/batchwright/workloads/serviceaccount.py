"""The ServiceAccount of a jobRoleArn: IAM roles for service accounts (EKS), one per role and namespace."""

from __future__ import annotations

import re
from hashlib import sha256

from batchwright import names
from batchwright.workloads.shapes import Wire

_FOREIGN = re.compile(r"[^a-z0-9]+")


def service_account_name(role_arn: str) -> str:
    """The same name for the same role, in every namespace: the role's last words, and a hash of the whole ARN."""
    words = _FOREIGN.sub("-", role_arn.rpartition("/")[2].lower()).strip("-")[:40].rstrip("-")
    digest = sha256(role_arn.encode()).hexdigest()[:10]
    return f"batchwright-{words}-{digest}" if words else f"batchwright-{digest}"


def build_service_account(namespace: str, role_arn: str) -> Wire:
    """The ServiceAccount, to be created when it is not there; jobs of one role share it, so no job owns it."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {
            "name": service_account_name(role_arn),
            "namespace": namespace,
            "labels": {names.MANAGED_BY: names.FIELD_MANAGER},
            "annotations": {names.ROLE_ARN: role_arn},
        },
    }
