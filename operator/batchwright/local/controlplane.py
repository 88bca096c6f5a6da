"""The control plane of a binary cluster: kwokctl makes it, starts it, and we see to it that it answers.

kwokctl writes certificates and component arguments under <directory>/kwokctl/clusters/<name>; a restart runs the same
arguments again. With a real node the API server is moved from loopback to the host's end of that node's network:
kwokctl has one bind address for everything and talks to 127.0.0.1, so the cluster is made on loopback first and
its saved arguments and kubeconfig are rewritten then.

Hazard: kwokctl trusts its pid files, even after a reboot; those that name no process of ours are removed first.
"""

from __future__ import annotations

import ssl
import subprocess
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

import yaml

from batchwright.errors import ApiError, LocalError
from batchwright.local import processes
from batchwright.local.api import Api
from batchwright.local.stages import all_stages
from batchwright.local.state import ClusterState, Ports
from batchwright.local.waiting import wait_until

LOOPBACK: Final = "127.0.0.1"
# Of the Service `kubernetes`, the first of kube-apiserver's default range: what a pod finds in its environment.
SERVICE_ADDRESS: Final = "10.0.0.1"
COMPONENTS: Final = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok-controller")
# The order of ending them: clients before the API server, the API server before etcd.
_ENDING: Final = (("kwok-controller", "kube-scheduler", "kube-controller-manager"), ("kube-apiserver",), ("etcd",))
_READY_SECONDS: Final = 120.0
_KWOKCTL_SECONDS: Final = 180.0


def kwokctl_directory(directory: Path) -> Path:
    """Where kwokctl keeps this cluster's certificates, arguments, data and logs."""
    return directory / "kwokctl" / "clusters" / directory.name


def kubeconfig_of(directory: Path) -> Path:
    """The admin kubeconfig of a binary cluster."""
    return kwokctl_directory(directory) / "kubeconfig.yaml"


def audit_log(directory: Path) -> Path:
    """The API server's audit log, JSON lines at Metadata level, of a cluster made with one."""
    return kwokctl_directory(directory) / "logs" / "audit.log"


def create(directory: Path, state: ClusterState) -> None:
    """Make and start the control plane, and wait until it answers ready."""
    if state.ports is None:
        raise LocalError("a binary cluster needs its ports chosen before it is created")
    documents = [_kwokctl_configuration(directory, state, state.ports), kwok_configuration(), *all_stages()]
    if state.audit:
        (directory / "audit-policy.yaml").write_text(yaml.safe_dump(_AUDIT_POLICY))
    config = directory / "kwokctl.yaml"
    config.write_text(yaml.safe_dump_all(documents))
    _kwokctl(directory, state.binaries, "create", "cluster", "--config", str(config), "--kubeconfig=")
    if state.host_address != LOOPBACK:
        stop(directory)
        _move_api_server(directory, state.host_address)
    start(directory, state)


def start(directory: Path, state: ClusterState) -> None:
    """Start what is not running of a cluster made earlier, and wait until it answers ready."""
    for _ in range(2):
        # Twice: kwok and the scheduler give up when the API server takes long to come; then it is there.
        if missing_components(directory):
            _start_missing(directory, state)
        wait_until(lambda: _is_settled(directory, state), _READY_SECONDS, lambda: _explain(directory))
        missing = missing_components(directory)
        if not missing:
            return
    raise LocalError(f"the API server is ready, but {', '.join(missing)} ended: {_explain(directory)}")


def stop(directory: Path) -> None:
    """End the control plane's processes, in order; nothing to do where none runs."""
    for components in _ENDING:
        processes.end(directory, components)


def missing_components(directory: Path) -> list[str]:
    """The components of the control plane that do not run."""
    running = {process.component for process in processes.find(directory)}
    return [component for component in COMPONENTS if component not in running]


def is_ready(directory: Path) -> bool:
    """Whether the API server answers ready now."""
    kubeconfig = kubeconfig_of(directory)
    if not kubeconfig.exists():
        return False
    try:
        with Api(kubeconfig, timeout=2.0) as api:
            return bool(api.request("GET", "/readyz") == "ok")
    except (OSError, HTTPException, ApiError):
        return False


def server_version(directory: Path) -> str:
    """The API server's version, such as v1.37.2."""
    with Api(kubeconfig_of(directory)) as api:
        return str(api.request("GET", "/version")["gitVersion"])


def _is_settled(directory: Path, state: ClusterState) -> bool:
    """Whether pods can be made and all components answer, or one of them has ended so that waiting is vain."""
    if not is_ready(directory):
        return False
    if missing_components(directory):
        return True
    try:
        with Api(kubeconfig_of(directory), timeout=2.0) as api:
            # Made by the controller manager; without it, pods are refused.
            api.request("GET", "/api/v1/namespaces/default/serviceaccounts/default")
    except (OSError, HTTPException, ApiError):
        return False
    return state.ports is not None and all(_is_healthy(url) for url in _health_urls(state.ports))


def _health_urls(ports: Ports) -> tuple[str, ...]:
    return (
        f"https://{LOOPBACK}:{ports.controller_manager}/healthz",
        f"https://{LOOPBACK}:{ports.scheduler}/healthz",
        f"http://{LOOPBACK}:{ports.kwok}/healthz",
    )


def _is_healthy(url: str) -> bool:
    # These components sign their own certificates, and only an "ok" is read from them.
    unverified = ssl._create_unverified_context()  # nosec B323
    try:
        context = unverified if url.startswith("https") else None
        with urllib.request.urlopen(url, timeout=2, context=context) as answer:  # nosec B310
            return bool(answer.status == 200)
    except (OSError, HTTPException):
        return False


def _explain(directory: Path) -> str:
    dead = missing_components(directory)
    lines = ["the control plane is not ready"]
    for component in dead or ("kube-apiserver",):
        log = kwokctl_directory(directory) / "logs" / f"{component}.log"
        tail = log.read_text(errors="replace").splitlines()[-5:] if log.exists() else []
        lines.append(f"{component} {'is not running' if dead else 'runs'}; the end of {log}:")
        lines += [f"  {line}" for line in tail]
    return "\n".join(lines)


def _kwokctl(directory: Path, binaries: Mapping[str, Path], *arguments: str) -> None:
    environment = {
        "HOME": str(directory),
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "KWOK_WORKDIR": str(directory / "kwokctl"),
    }
    done = subprocess.run(
        [str(binaries["kwokctl"]), "--name", directory.name, *arguments],
        env=processes.marked(directory, "control-plane", environment),
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_KWOKCTL_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-15:])
        raise LocalError(f"`kwokctl {' '.join(arguments[:2])}` failed:\n{tail}")


def _kwokctl_configuration(directory: Path, state: ClusterState, ports: Ports) -> dict[str, Any]:
    binaries = state.binaries
    options: dict[str, Any] = {
        "runtime": "binary",
        "bindAddress": LOOPBACK,
        "disableQPSLimits": True,
        "kubeApiserverPort": ports.api_server,
        "etcdPort": ports.etcd,
        "etcdPeerPort": ports.etcd_peer,
        "kubeControllerManagerPort": ports.controller_manager,
        "kubeSchedulerPort": ports.scheduler,
        "kwokControllerPort": ports.kwok,
        "etcdBinary": str(binaries["etcd"]),
        "kubeApiserverBinary": str(binaries["kube-apiserver"]),
        "kubeControllerManagerBinary": str(binaries["kube-controller-manager"]),
        "kubeSchedulerBinary": str(binaries["kube-scheduler"]),
        "kubectlBinary": str(binaries["kubectl"]),
        "kwokControllerBinary": str(binaries["kwok"]),
        "kubeApiserverCertSANs": [state.host_address, SERVICE_ADDRESS],
    }
    if state.feature_gates:
        options["kubeFeatureGates"] = ",".join(f"{gate}=true" for gate in state.feature_gates)
    if state.served_apis:
        options["kubeRuntimeConfig"] = ",".join(f"{version}=true" for version in state.served_apis)
    if state.audit:
        options["kubeAuditPolicy"] = str(directory / "audit-policy.yaml")
    pki = kwokctl_directory(directory) / "pki"
    return {
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokctlConfiguration",
        "options": options,
        "componentsPatches": [
            # Nothing here outlives the machine, so the disk need not be waited for.
            _patch("etcd", {"unsafe-no-fsync": "true"}),
            _patch(
                "kube-apiserver",
                {
                    "advertise-address": state.host_address,
                    # Endpoints may not be loopback addresses (the API server refuses to start), and without a real
                    # node nobody uses the `kubernetes` Service.
                    "endpoint-reconciler-type": "none" if state.host_address == LOOPBACK else "lease",
                    "kubelet-preferred-address-types": "InternalIP",
                    # Without these, `kubectl logs` and `exec` on a real node are refused by its kubelet.
                    "kubelet-client-certificate": str(pki / "admin.crt"),
                    "kubelet-client-key": str(pki / "admin.key"),
                },
            ),
            # There is one of each: an election could only be lost, on a busy machine, and end the process.
            _patch(
                "kube-controller-manager",
                {
                    "concurrent-job-syncs": "50",
                    "leader-elect": "false",
                    "controllers": ",".join(["*", *(f"-{name}" for name in state.without_controllers)]),
                },
            ),
            _patch("kube-scheduler", {"leader-elect": "false"}),
            # kwok must leave real nodes alone, or it "completes" the pods that run there.
            _patch("kwok-controller", {"manage-all-nodes": "false"}, override=True),
            _patch("kwok-controller", {"manage-nodes-with-label-selector": "type=kwok", "v": "WARN"}),
        ],
    }


def kwok_configuration() -> dict[str, Any]:
    return {
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokConfiguration",
        "options": {
            "cidr": "10.64.0.0/10",
            "podPlayStageParallelism": 64,
            "nodePlayStageParallelism": 16,
            # Whoever sets `options` must also set these two, or kwok exits.
            "nodeLeaseParallelism": 8,
            "nodeLeaseDurationSeconds": 200,
        },
    }


def _patch(component: str, arguments: Mapping[str, str], override: bool = False) -> dict[str, Any]:
    extra = [{"key": key, "value": value, "override": override} for key, value in arguments.items()]
    return {"name": component, "extraArgs": extra}


def _move_api_server(directory: Path, address: str) -> None:
    """Rewrite the saved arguments and the kubeconfig so that the API server is at `address`."""
    saved = kwokctl_directory(directory) / "kwok.yaml"
    documents = list(yaml.safe_load_all(saved.read_text()))
    moved = 0
    for document in documents:
        for component in (document or {}).get("components", []):
            if component["name"] == "kube-apiserver":
                arguments = [argument for argument in component["args"] if not argument.startswith("--bind-address=")]
                component["args"] = [*arguments, f"--bind-address={address}"]
                moved += 1
    if moved != 1:
        raise LocalError(f"{saved} names {moved} API servers: kwokctl's format has changed")
    saved.write_text(yaml.safe_dump_all(documents))
    kubeconfig = kubeconfig_of(directory)
    kubeconfig.write_text(kubeconfig.read_text().replace(f"https://{LOOPBACK}:", f"https://{address}:"))


def _start_missing(directory: Path, state: ClusterState) -> None:
    _forget_stale_pids(directory)
    _kwokctl(directory, state.binaries, "start", "cluster")


def _forget_stale_pids(directory: Path) -> None:
    alive = {str(process.pid) for process in processes.find(directory)}
    for pid_file in (kwokctl_directory(directory) / "pids").glob("*.pid"):
        if pid_file.read_text().strip() not in alive:
            pid_file.unlink()


_AUDIT_POLICY: Final = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}
