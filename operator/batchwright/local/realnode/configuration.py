"""The configuration files and command lines of a node's four programs.

Pure but for `write_configuration`, which writes the files.  What each setting is for is said beside it where the
default would do harm in a namespace, on a noisy machine, or without a registry.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from batchwright.errors import LocalError
from batchwright.local.commands import SEARCH_PATH, require
from batchwright.local.images import PAUSE_IMAGE
from batchwright.local.realnode.init import HIDDEN_DIRECTORIES
from batchwright.local.realnode.network import POD_GATEWAY, POD_SUBNET, Network
from batchwright.local.realnode.programs import find_cni_plugins

BINARIES: Final = ("kubelet", "kube-proxy", "coredns")
CONTAINERD_SOCKET: Final = "/run/containerd/containerd.sock"
CLUSTER_DOMAIN: Final = "cluster.local"
PROXY_HEALTH_PORT: Final = 10256
DNS_READY_PORT: Final = 8181


@dataclass(frozen=True)
class Node:
    """What the files are made from. `state` is the node's directory."""

    name: str
    label: str
    state: Path
    network: Network
    kubeconfig: Path
    binaries: Mapping[str, Path]
    cgroup_root: str
    snapshotter: str


def write_configuration(node: Node) -> dict[str, Any]:
    """Write every file under `node.state`/etc and return what PID 1 shall run (processes.json).

    A file that is right already is not touched: kube-proxy exits when its configuration is written to.
    """
    etc = node.state / "etc"
    (etc / "cni").mkdir(parents=True, exist_ok=True)
    _write(etc / "ca.crt", read_cluster_ca(node.kubeconfig).decode())
    _write(etc / "cni" / "10-batchwright.conflist", json.dumps(cni_conflist(), indent=2))
    configurations = {
        "containerd": ("containerd.toml", containerd_toml(node)),
        "kubelet": ("kubelet.yaml", yaml.safe_dump(kubelet_configuration(node))),
        "kube-proxy": ("kube-proxy.yaml", yaml.safe_dump(kube_proxy_configuration(node))),
        "coredns": ("Corefile", corefile(node)),
    }
    programs = {}
    for name, (file, text) in configurations.items():
        _write(etc / file, text)
        programs[name] = {
            "argv": command_line(node, name),
            # Ours alone: a proxy of the host's is no use in here.
            "environment": {"PATH": SEARCH_PATH, "HOME": "/root", "TMPDIR": "/tmp"},
            # Not read by PID 1, only compared: another configuration restarts the program.
            "configuration": hashlib.sha256(text.encode()).hexdigest(),
        }
    return {"programs": programs}


def command_line(node: Node, program: str) -> list[str]:
    """How one of the node's four programs is started."""
    etc = node.state / "etc"
    if program == "containerd":
        return [require("containerd", "containerd"), "--config", str(etc / "containerd.toml")]
    binary = str(node.binaries[program])
    if program == "coredns":
        return [binary, "-conf", str(etc / "Corefile")]
    if program == "kube-proxy":
        return [binary, f"--config={etc / 'kube-proxy.yaml'}", "--v=1"]
    return [
        binary,
        f"--config={etc / 'kubelet.yaml'}",
        f"--kubeconfig={node.kubeconfig}",
        f"--hostname-override={node.name}",
        f"--node-ip={node.network.node_address}",
        f"--node-labels={node.label}",
        "--v=1",
    ]


def containerd_toml(node: Node) -> str:
    """containerd 1.6 and newer (2.x reads version 2 files)."""
    plugins = find_cni_plugins()
    return f"""\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
# opt would make /opt/containerd on the host; the snapshotters are not used and warn.
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # A profile would be loaded into the host's kernel and stay there.
  disable_apparmor = true
  # Without CAP_SYS_RESOURCE the kernel refuses to lower a score, and every sandbox fails.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{node.snapshotter}"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{node.state / "etc" / "cni"}"
"""


def cni_conflist() -> dict[str, Any]:
    """One bridge for all pods; leases live in /run, which dies with the pods."""
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "hairpinMode": True,  # a pod reaches itself through its Service
        "ipam": {
            "type": "host-local",
            "dataDir": "/run/cni-leases",
            "ranges": [[{"subnet": POD_SUBNET, "gateway": POD_GATEWAY}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "batchwright", "plugins": [bridge, portmap]}


def kubelet_configuration(node: Node) -> dict[str, Any]:
    """KubeletConfiguration (kubelet.config.k8s.io/v1beta1)."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": node.network.node_address,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(node.state / "etc" / "ca.crt")},
        },
        # Whoever has a client certificate of the cluster: the API server.
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": node.cgroup_root,
        "failCgroupV1": False,
        "enforceNodeAllocatable": [],
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "clusterDNS": [node.network.node_address],
        "clusterDomain": CLUSTER_DOMAIN,
        "resolvConf": str(node.state / "resolv.conf"),
        "maxPods": 110,
        # A machine that is short of disk for other reasons must not evict pods, nor lose images nobody can pull again.
        "evictionHard": {
            "memory.available": "0%",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
        },
        "imageGCHighThresholdPercent": 100,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "makeIPTablesUtilChains": False,
        "serializeImagePulls": False,
        "syncFrequency": "10s",
        "nodeStatusUpdateFrequency": "5s",
        "registryPullQPS": 0,
        "eventRecordQPS": 0,
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
    }


def kube_proxy_configuration(node: Node) -> dict[str, Any]:
    """KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1)."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "hostnameOverride": node.name,
        "clientConnection": {"kubeconfig": str(node.kubeconfig)},
        "clusterCIDR": POD_SUBNET,
        "healthzBindAddress": f"{node.network.node_address}:{PROXY_HEALTH_PORT}",
        "metricsBindAddress": "127.0.0.1:10249",
        "oomScoreAdj": 0,
        # Connection tracking limits belong to the host.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
            "udpTimeout": "0s",
            "udpStreamTimeout": "0s",
        },
    }


def corefile(node: Node) -> str:
    """CoreDNS: the cluster's names, and a prompt NXDOMAIN for all others. No cache: pods come and go by the second."""
    address = node.network.node_address
    return f"""\
{CLUSTER_DOMAIN}:53 in-addr.arpa:53 ip6.arpa:53 {{
    bind {address}
    errors
    ready {address}:{DNS_READY_PORT}
    kubernetes {CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {node.kubeconfig}
        pods insecure
        ttl 1
    }}
}}
.:53 {{
    bind {address}
    errors
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


def packet_filter(network: Network) -> str:
    """nft rules of the namespace: pods appear as the node, and nothing goes beyond the host's end of the link.

    The answer to anything else is an immediate refusal: a pull or a connection that cannot succeed fails at once.
    """
    return f"""\
table ip batchwright {{
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    ip saddr {POD_SUBNET} oifname "eth0" masquerade
  }}
  chain output {{
    type filter hook output priority filter;
    oifname "eth0" ip daddr != {network.host_address} reject with icmp type net-unreachable
  }}
  chain forward {{
    type filter hook forward priority filter;
    oifname "eth0" ip daddr != {network.host_address} reject with icmp type net-unreachable
  }}
}}
"""


def read_cluster_ca(kubeconfig: Path) -> bytes:
    """The cluster's CA certificate (PEM) from a kubeconfig; LocalError when it has none or points to the loopback."""
    cluster = _current_cluster(kubeconfig)
    if "certificate-authority-data" in cluster:
        return base64.b64decode(str(cluster["certificate-authority-data"]))
    if "certificate-authority" in cluster:
        return (kubeconfig.parent / str(cluster["certificate-authority"])).read_bytes()
    raise LocalError(f"{kubeconfig}: the cluster has no certificate-authority; a real node needs TLS to the API server")


def check_kubeconfig(kubeconfig: Path, network: Network) -> None:
    """LocalError when the node could not reach the API server that the kubeconfig names."""
    server = str(_current_cluster(kubeconfig).get("server", ""))
    if urlsplit(server).hostname != network.host_address:
        raise LocalError(
            f"{kubeconfig}: the server {server or '(none)'} cannot be reached from the node, whose only way out is "
            f"{network.host_address}: bind the API server there and name it in the kubeconfig"
        )


def check_binaries(binaries: Mapping[str, Path]) -> None:
    """LocalError when a binary is not given, or lies where the node's private file system hides it."""
    for name in BINARIES:
        if name not in binaries or not binaries[name].is_file():
            raise LocalError(f"a real node needs the binary {name}: {binaries.get(name, 'not given')} is not a file")
        for hidden in HIDDEN_DIRECTORIES:
            if binaries[name].resolve().is_relative_to(hidden):
                raise LocalError(f"{name}: {binaries[name]} lies in {hidden}, which a node cannot see; move the cache")


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def _current_cluster(kubeconfig: Path) -> dict[str, Any]:
    document = yaml.safe_load(kubeconfig.read_text())
    try:
        contexts = {entry["name"]: entry["context"] for entry in document["contexts"]}
        clusters = {entry["name"]: entry["cluster"] for entry in document["clusters"]}
        found: dict[str, Any] = clusters[contexts[document["current-context"]]["cluster"]]
    except (KeyError, TypeError) as error:
        raise LocalError(f"{kubeconfig}: no usable current-context: {error}") from error
    return found
