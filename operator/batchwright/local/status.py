"""What runs of an embedded cluster, and what does not. Reading only: nothing is started, ended or repaired here."""

from __future__ import annotations

import time
from http.client import HTTPException
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from batchwright.errors import ApiError, LocalError, NoClusterError
from batchwright.local import aws, controlplane, install, kind, nodes, operator_process, paths, processes, real
from batchwright.local.api import Api
from batchwright.local.cluster import describe
from batchwright.local.state import ClusterState, load_state


class Component(BaseModel):
    """One part of the cluster; `pid` is None where it is dead, or no process of ours."""

    model_config = ConfigDict(frozen=True)

    name: str
    running: bool
    pid: int | None = None


class ClusterStatus(BaseModel):
    """The state of a cluster at one instant; `uptime_seconds` counts from the last start of its control plane."""

    model_config = ConfigDict(frozen=True)

    name: str
    phase: str
    runtime: str
    version: str
    server: str
    kubeconfig: Path
    directory: Path
    simulated_nodes: int
    real_nodes: int
    components: list[Component]
    aws_endpoint: str | None
    operator_pid: int | None
    audit_log: Path | None
    uptime_seconds: float
    healthy: bool


def status(name: str = paths.DEFAULT_NAME) -> ClusterStatus:
    """The status of the cluster `name`; NoClusterError when there is none."""
    directory = paths.cluster_directory(name)
    state = load_state(directory)
    if state is None:
        raise NoClusterError(f"there is no cluster {name}: make it with `batchwright local up --name {name}`")
    cluster = describe(directory, state)
    answering = _answers(directory, state, cluster.kubeconfig)
    components = _components(directory, state)
    if state.runtime != "binary":
        components.insert(0, Component(name="kube-apiserver", running=answering))
    simulated = real_nodes = 0
    if answering and state.runtime != "existing":
        try:
            simulated, real_nodes = nodes.count_nodes(cluster.kubeconfig)
        except (OSError, HTTPException, ApiError):
            answering = False  # "ready" is remembered for a while after etcd is gone
    if state.real_node:
        components += [Component(name=name, running=runs) for name, runs in real.programs(directory).items()]
    pids = {component.name: component.pid for component in components}
    return ClusterStatus(
        name=name,
        phase=state.phase,
        runtime=state.runtime,
        version=state.version,
        server=_server(cluster.kubeconfig, state),
        kubeconfig=cluster.kubeconfig,
        directory=directory,
        simulated_nodes=simulated,
        real_nodes=real_nodes,
        components=components,
        aws_endpoint=cluster.aws_endpoint,
        operator_pid=pids.get(operator_process.COMPONENT),
        audit_log=cluster.audit_log,
        uptime_seconds=round(time.time() - state.started_at, 1),
        healthy=state.phase == "ready" and answering and all(component.running for component in components),
    )


def statuses() -> list[ClusterStatus]:
    """The status of every cluster of this user, by name."""
    root = paths.clusters_root()
    found = sorted(entry.name for entry in root.iterdir()) if root.is_dir() else []
    return [status(name) for name in found if (root / name / "state.json").exists()]


def _components(directory: Path, state: ClusterState) -> list[Component]:
    expected = list(controlplane.COMPONENTS) if state.runtime == "binary" else []
    expected += [aws.COMPONENT] if state.aws_port is not None else []
    expected += [operator_process.COMPONENT] if state.operator_port is not None else []
    pids = {process.component: process.pid for process in processes.find(directory)}
    if state.runtime == "kind" and (directory / "kwok.yaml").exists():
        expected.append(kind.KWOK)
    return [Component(name=name, running=name in pids, pid=pids.get(name)) for name in expected]


def _answers(directory: Path, state: ClusterState, kubeconfig: Path) -> bool:
    if state.runtime == "binary":
        return controlplane.is_ready(directory)
    if state.runtime == "existing":
        try:
            install.run_kubectl(install.find_kubectl(), kubeconfig, "get", "--raw", "/readyz", "--request-timeout=5s")
        except LocalError:
            return False
        return True
    try:
        with Api(kubeconfig, timeout=5.0) as api:
            return bool(api.request("GET", "/readyz") == "ok")
    except (OSError, HTTPException, ApiError):
        return False


def _server(kubeconfig: Path, state: ClusterState) -> str:
    if state.runtime == "binary" and state.ports is not None:
        return f"https://{state.host_address}:{state.ports.api_server}"
    if not kubeconfig.exists():
        return ""
    for line in kubeconfig.read_text().splitlines():
        if line.strip().startswith("server:"):
            return line.split(":", 1)[1].strip()
    return ""
