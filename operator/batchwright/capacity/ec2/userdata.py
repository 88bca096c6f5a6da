"""What an instance is told at its start, so that it joins the cluster as the node it was bought to be.

nodeadm's NodeConfig (awslabs/amazon-eks-ami, nodeadm) in a MIME part, as EKS images read it, or a script that calls the
older ones' bootstrap.sh; or somebody's own text, with @LABELS@ and @TAINTS@ filled in for kubelet's --node-labels and
--register-with-taints.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping

import yaml

from batchwright.api.v1alpha1.nodejoin import NodeJoin
from batchwright.capacity.port import Blueprint, CapacityType
from batchwright.errors import Misconfigured
from batchwright.names import LABEL_CAPACITY

_BOUNDARY = "batchwright"
# Of the reserved ones; kubelet's own list.
_KUBELETS = {
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
}


def labels_flag(labels: dict[str, str], capacity: CapacityType) -> str:
    """As kubelet's --node-labels takes them."""
    found = kubelet_labels(labels | {LABEL_CAPACITY: capacity})
    return ",".join(f"{key}={value}" for key, value in sorted(found.items()))


def kubelet_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Those that a kubelet may give its own node, and starts with (NodeRestriction, KEP-279). The operator adds the
    others when it sees the node."""
    return {key: value for key, value in labels.items() if _is_for_kubelets(key)}


def _is_for_kubelets(key: str) -> bool:
    domain = f".{key.rpartition('/')[0]}"
    is_reserved = domain.endswith((".kubernetes.io", ".k8s.io"))
    return not is_reserved or key in _KUBELETS or domain.endswith((".kubelet.kubernetes.io", ".node.kubernetes.io"))


def taints_flag(blueprint: Blueprint) -> str:
    """As kubelet's --register-with-taints takes them."""
    return ",".join(f"{each.key}={each.value}:{each.effect}" for each in blueprint.taints)


def user_data(blueprint: Blueprint, userdata_type: str | None = None) -> str | None:
    """The user data; None where the launch template brings its own. `userdata_type` is that of the launch template, and
    goes before nodeJoin's. Raises Misconfigured when nodeJoin does not say what it needs."""
    join = blueprint.join
    if join is None or join.type == "LAUNCH_TEMPLATE":
        return None
    labels, taints = labels_flag(blueprint.labels, blueprint.capacity), taints_flag(blueprint)
    if join.type == "USER_DATA":
        return (join.user_data or "").replace("@LABELS@", labels).replace("@TAINTS@", taints)
    if told(blueprint, userdata_type) == "EKS_BOOTSTRAP_SH":
        return _bootstrap(join, labels, taints)
    if join.service_cidr is None:
        raise Misconfigured("userdataType EKS_NODEADM needs nodeJoin.serviceCidr", "MissingServiceCidr")
    return _node_config(join, labels, taints)


def told(blueprint: Blueprint, userdata_type: str | None = None) -> str | None:
    """In which way instances are told; None where nobody says so."""
    join = blueprint.join
    if join is None:
        return None
    return join.type if join.type in ("LAUNCH_TEMPLATE", "USER_DATA") else userdata_type or join.type


def _bootstrap(join: NodeJoin, labels: str, taints: str) -> str:
    arguments = [
        join.cluster_name or "",
        "--apiserver-endpoint",
        join.api_server_endpoint or "",
        "--b64-cluster-ca",
        join.certificate_authority or "",
        "--kubelet-extra-args",
        f"--node-labels={labels} --register-with-taints={taints}",
    ]
    script = f"#!/bin/bash\nset -e\n/etc/eks/bootstrap.sh {shlex.join(arguments)}\n"
    return _mime('text/x-shellscript; charset="us-ascii"', script)


def _node_config(join: NodeJoin, labels: str, taints: str) -> str:
    config = {
        "apiVersion": "node.eks.aws/v1alpha1",
        "kind": "NodeConfig",
        "spec": {
            "cluster": {
                "name": join.cluster_name,
                "apiServerEndpoint": join.api_server_endpoint,
                "certificateAuthority": join.certificate_authority,
                "cidr": join.service_cidr,
            },
            "kubelet": {"flags": [f"--node-labels={labels}", f"--register-with-taints={taints}"]},
        },
    }
    return _mime("application/node.eks.aws", yaml.safe_dump(config, sort_keys=False))


def _mime(content_type: str, body: str) -> str:
    return (
        f'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="{_BOUNDARY}"\n\n'
        f"--{_BOUNDARY}\nContent-Type: {content_type}\n\n{body}\n--{_BOUNDARY}--\n"
    )
