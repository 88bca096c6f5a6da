"""Values of the chart that switch everything on, or everything off, and what a cluster needs to take them."""

from __future__ import annotations

from typing import Final

import charttools
from helmchart import Manifest
from kubecluster import Cluster

_ROLE: Final = "arn:aws:iam::123456789012:role/batchwright"
ALL_ON: Final[Manifest] = {
    "replicas": 3,
    "image": {"digest": "sha256:" + "0" * 64, "repository": "registry.example.com:5000/a/b", "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "registry"}],
    "leaderElection": {"namespace": "elsewhere", "seconds": 20},
    "settings": {"writesInFlight": 100, "passIntervalSeconds": 0.5, "interruptionQueue": "https://sqs/1/q"},
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "logFormat": "text",
    "verbose": True,
    "serviceAccount": {"name": "engine", "annotations": {"a": "b"}},
    "aws": {"region": "eu-west-1", "roleArn": _ROLE},
    "priorityClassName": "system-cluster-critical",
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"team": "platform"}}}
            ]
        }
    },
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"team": "platform"}},
        }
    ],
    "podAnnotations": {"a": "b"},
    "podLabels": {"team": "platform"},
    "podDisruptionBudget": {"maxUnavailable": "50%"},
    "networkPolicy": {
        "enabled": True,
        "ingressFrom": [{"namespaceSelector": {"matchLabels": {"team": "monitoring"}}}],
        "extraEgress": [{"ports": [{"port": 3128}]}],
    },
    "monitoring": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "runbookBaseUrl": "https://docs.example.com/operations.html"},
        "dashboard": {"enabled": True, "namespace": "monitoring"},
    },
}
ALL_OFF: Final[Manifest] = {
    "replicas": 0,
    "crds": {"enabled": False},
    "admissionPolicies": {"enabled": False},
    "rbac": {"create": False, "userRoles": False},
    "serviceAccount": {"create": False, "name": "default"},
    "podDisruptionBudget": {"enabled": False},
    "resources": {},
}
_NAMESPACES: Final = ("batchwright", "elsewhere", "monitoring")
_MONITORED: Final = ("prometheusrules", "servicemonitors")


def make_surroundings(cluster: Cluster) -> None:
    """The namespaces that the values name, and the kinds of the Prometheus Operator."""
    for name in _NAMESPACES:
        if cluster.kubectl("get", "namespace", name, check=False).returncode != 0:
            cluster.kubectl("create", "namespace", name)
    crds = charttools.prometheus_crds()
    for plural in _MONITORED:
        file = crds / f"monitoring.coreos.com_{plural}.yaml"
        cluster.kubectl("apply", "--server-side", "-f", str(file))
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(file))


def remove_surroundings(cluster: Cluster) -> None:
    """The namespaces and kinds are gone again."""
    crds = charttools.prometheus_crds()
    for plural in _MONITORED:
        cluster.kubectl("delete", "-f", str(crds / f"monitoring.coreos.com_{plural}.yaml"), "--timeout=50s")
    cluster.kubectl("delete", "namespace", *_NAMESPACES, "--timeout=50s")
