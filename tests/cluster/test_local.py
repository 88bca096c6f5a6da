"""The embedded cluster's whole life, with real processes: made, repaired, interrupted, deleted."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner

from batchwright import names
from batchwright.cli.local import EXIT_UNHEALTHY, app
from batchwright.errors import LocalError, NoClusterError
from batchwright.local import binaries, controlplane, paths, processes
from batchwright.local.api import Api
from batchwright.local.cluster import Cluster, Options, down, up
from batchwright.local.nodes import NodeShape
from batchwright.local.progress import silent
from batchwright.local.status import status, statuses
from batchwright.local.waiting import wait_until

pytestmark = pytest.mark.timeout(600)
NAMESPACE = "/api/v1/namespaces/default"


@pytest.fixture(scope="module", autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state directory and a home of the tests' own; the cache of binaries stays the user's."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(paths.cache_root().parent))
        patch.setenv("XDG_STATE_HOME", str(home / "state"))
        binaries.ensure(binaries.CONTROL_PLANE, silent())
        patch.setenv("HOME", str(home))
        yield home
    assert not (home / ".kube" / "config").exists(), "the user's kubeconfig was touched"


@pytest.fixture
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    """A cluster name for one test; what is left of the cluster afterwards is taken down."""
    chosen = f"t-{abs(hash(request.node.nodeid)) % 10**8}"
    yield chosen
    down(chosen)


def options(name: str, **more: Any) -> Options:
    return Options(name=name, runtime="binary", **{"nodes": 2, **more})


def nothing_is_left(name: str) -> None:
    directory = paths.cluster_directory(name)
    assert processes.find(directory) == []
    assert not directory.exists()
    mentioned = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(directory) in _read(path)]
    assert mentioned == []


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def listening_addresses(pids: set[int]) -> set[str]:
    """The hexadecimal local addresses these processes listen on, from /proc/net/tcp and tcp6."""
    inodes = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            target = os.readlink(descriptor)
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.add(fields[1].split(":")[0])
    return found


def test_the_life_of_a_cluster(name: str) -> None:
    cluster = up(options(name, nodes=3, aws=True, shape=NodeShape("8", "16Gi", 2)))
    found = status(name)
    assert found.healthy
    assert found.simulated_nodes == 3
    assert {component.name for component in found.components} == {*controlplane.COMPONENTS, "aws"}
    assert found.version.startswith("v1.")

    pids = {process.pid for process in processes.find(cluster.directory)}
    assert len(pids) == 6
    assert listening_addresses(pids) == {"0100007F"}, "a port is bound beyond 127.0.0.1"

    _check_node(cluster)
    _check_aws(cluster)

    began = time.monotonic()
    again = up(options(name, nodes=5))
    assert time.monotonic() - began < 5
    assert again == cluster
    assert status(name).simulated_nodes == 5
    assert {process.pid for process in processes.find(cluster.directory)} == pids

    assert down(name)
    nothing_is_left(name)
    assert not down(name), "the second time there is nothing to delete"
    with pytest.raises(NoClusterError, match=f"local up --name {name}"):
        status(name)


def _check_node(cluster: Cluster) -> None:
    with Api(cluster.kubeconfig) as api:
        ready: dict[str, Any] = {}

        def is_ready() -> bool:
            ready.update(api.request("GET", "/api/v1/nodes/kwok-0"))
            return any(c["type"] == "Ready" and c["status"] == "True" for c in ready["status"].get("conditions", []))

        wait_until(is_ready, 20, lambda: f"kwok-0 is not ready: {ready}")
    assert ready["status"]["allocatable"] == {
        "cpu": "8",
        "memory": "16Gi",
        "nvidia.com/gpu": "2",
        "pods": "250",
        "ephemeral-storage": "1Ti",
    }
    labels = ready["metadata"]["labels"]
    assert labels["type"] == "kwok"
    assert labels["kubernetes.io/hostname"] == "kwok-0"
    assert labels["topology.kubernetes.io/zone"]
    assert labels["node.kubernetes.io/instance-type"]


def _check_aws(cluster: Cluster) -> None:
    assert cluster.aws_endpoint is not None
    ec2 = boto3.client(
        "ec2",
        endpoint_url=cluster.aws_endpoint,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    assert ec2.describe_vpcs()["Vpcs"]


def test_what_died_is_started_again_and_data_stays(name: str) -> None:
    cluster = up(options(name, aws=True))
    with Api(cluster.kubeconfig) as api:
        note = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "note"}, "data": {"a": "b"}}
        api.request("POST", f"{NAMESPACE}/configmaps", note)
    for process in processes.find(cluster.directory):
        os.kill(process.pid, signal.SIGKILL)
    # What a reboot does to pid files: the number lives on, as somebody else's process.
    for pid_file in (controlplane.kwokctl_directory(cluster.directory) / "pids").glob("*.pid"):
        pid_file.write_text(str(os.getpid()))
    assert not status(name).healthy

    assert up(options(name)) == cluster
    assert status(name).healthy
    with Api(cluster.kubeconfig) as api:
        assert api.request("GET", f"{NAMESPACE}/configmaps/note")["data"] == {"a": "b"}


@pytest.mark.parametrize("component", ["kwok-controller", "kube-scheduler", "kube-apiserver", "etcd", "aws"])
def test_one_dead_component_is_seen_and_repaired(component: str, shared: Cluster) -> None:
    [victim] = processes.find(shared.directory, component)
    os.kill(victim.pid, signal.SIGKILL)
    wait_until(lambda: not processes.find(shared.directory, component), 10, lambda: f"{component} survives SIGKILL")
    assert not status(shared.name).healthy
    assert component in {c.name for c in status(shared.name).components if not c.running}
    up(options(shared.name))
    assert status(shared.name).healthy


@pytest.fixture(scope="module")
def shared() -> Iterator[Cluster]:
    yield up(options("t-shared", aws=True))
    down("t-shared")


@pytest.mark.parametrize("seconds", [0.8, 1.6, 2.4, 3.2, 4.5])
def test_up_killed_at_any_moment_can_be_repeated(name: str, seconds: float) -> None:
    argv = [sys.executable, "-m", "batchwright.cli.local", "up", "--name", name, "--runtime", "binary", "--nodes", "2"]
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait(10)
    up(options(name))
    assert status(name).healthy
    assert len(processes.find(paths.cluster_directory(name))) == 5, "two of one component run"
    down(name)
    nothing_is_left(name)


def test_down_of_a_half_made_cluster(name: str) -> None:
    argv = [sys.executable, "-m", "batchwright.cli.local", "up", "--name", name, "--runtime", "binary"]
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    directory = paths.cluster_directory(name)
    wait_until(lambda: bool(processes.find(directory, "kube-apiserver")), 60, lambda: "no API server appeared")
    child.kill()
    child.wait(10)
    assert status(name).phase == "creating"
    assert down(name)
    nothing_is_left(name)


def test_down_of_a_cluster_whose_state_cannot_be_read(name: str) -> None:
    cluster = up(options(name))
    (cluster.directory / "state.json").write_text('{"name": 1')
    with pytest.raises(LocalError, match=f"local down --name {name}"):
        up(options(name))
    assert down(name)
    nothing_is_left(name)


def test_clusters_live_side_by_side(name: str, shared: Cluster) -> None:
    other = up(options(name, audit=True))
    assert {shared.name, name} <= {item.name for item in statuses() if item.healthy}
    assert other.audit_log is not None
    with Api(other.kubeconfig) as api:
        api.request("GET", f"{NAMESPACE}/configmaps")
        log = other.audit_log
        wait_until(lambda: "/configmaps" in log.read_text(), 10, lambda: f"{log} lacks the request")
    event = json.loads(log.read_text().splitlines()[0])
    assert (event["kind"], event["level"]) == ("Event", "Metadata")
    down(name)
    assert status(shared.name).healthy


@pytest.mark.parametrize(
    ("more", "want"),
    [
        pytest.param({"real_node": True}, "made without a real node.*local down", id="real node later"),
        pytest.param({"audit": True}, "made without an audit log.*local down", id="audit later"),
        pytest.param({"nodes": -1}, "--nodes -1", id="negative nodes"),
    ],
)
def test_what_cannot_be_added_later(shared: Cluster, more: dict[str, Any], want: str) -> None:
    if more.get("real_node") and os.geteuid() != 0:
        want = "needs root"
    with pytest.raises(LocalError, match=want):
        up(options(shared.name, **more))


def test_an_existing_cluster_is_used_and_left_alone(
    name: str, shared: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(shared.kubeconfig))
    adopted = up(Options(name=name, runtime="existing"))
    found = status(name)
    assert found.healthy
    assert found.server == status(shared.name).server
    assert adopted.kubeconfig.stat().st_mode & 0o077 == 0, "it holds a key"
    with pytest.raises(LocalError, match="--nodes: simulated nodes are not put into a cluster of yours"):
        up(Options(name=name, runtime="existing", nodes=3))
    assert down(name)
    nothing_is_left(name)
    assert status(shared.name).healthy


def _is_bound(address: tuple[str, int]) -> bool:
    try:
        socket.create_server(address).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return True
    return False


def test_a_taken_port_is_explained(name: str) -> None:
    cluster = up(options(name))
    [scheduler] = processes.find(cluster.directory, "kube-scheduler")
    state = json.loads((cluster.directory / "state.json").read_text())
    os.kill(scheduler.pid, signal.SIGKILL)
    wait_until(lambda: not processes.find(cluster.directory, "kube-scheduler"), 10, lambda: "it survives SIGKILL")
    # Its first thread is gone before the last one, and with that the socket.
    address = ("127.0.0.1", state["ports"]["scheduler"])
    wait_until(lambda: not _is_bound(address), 10, lambda: f"{address} stays in use")
    with (
        socket.create_server(address),
        pytest.raises(LocalError, match=r"kube-scheduler ended(.|\n)*address already in use"),
    ):
        up(options(name))
    up(options(name))
    assert status(name).healthy


class TestCommandLine:
    """The same through the commands: output, exit codes."""

    run = CliRunner()

    def test_status_env_and_list(self, shared: Cluster) -> None:
        up(options(shared.name))
        shown = self.run.invoke(app, ["status", "--name", shared.name])
        assert shown.exit_code == 0, shown.output
        assert str(shared.kubeconfig) in shown.stdout
        told = json.loads(self.run.invoke(app, ["status", "--name", shared.name, "-o", "json"]).stdout)
        assert told["healthy"] is True
        variables = json.loads(self.run.invoke(app, ["env", "--name", shared.name, "-o", "json"]).stdout)
        assert variables["KUBECONFIG"] == str(shared.kubeconfig)
        assert variables["AWS_ENDPOINT_URL"] == shared.aws_endpoint
        exports = self.run.invoke(app, ["env", "--name", shared.name]).stdout
        echoed = subprocess.run(
            ["sh", "-c", f'{exports}\necho "$KUBECONFIG $AWS_REGION"'], capture_output=True, text=True, check=True
        )
        assert echoed.stdout.strip() == f"{shared.kubeconfig} us-east-1"
        assert shared.name in self.run.invoke(app, ["list"]).stdout

    def test_status_of_a_cluster_with_something_dead(self, shared: Cluster) -> None:
        processes.end(shared.directory, ["kwok-controller"])
        shown = self.run.invoke(app, ["status", "--name", shared.name])
        assert shown.exit_code == EXIT_UNHEALTHY
        assert "dead" in shown.stdout
        repaired = self.run.invoke(app, ["up", "--name", shared.name])
        assert repaired.exit_code == 0, repaired.output
        assert "again" in repaired.stderr
        assert repaired.stdout == ""

    @pytest.mark.parametrize(
        ("arguments", "want_code", "want"),
        [
            pytest.param(["status", "--name", "none"], 3, "there is no cluster none", id="status"),
            pytest.param(["env", "--name", "none"], 3, "there is no cluster none", id="env"),
            pytest.param(["down", "--name", "none"], 0, "there is no cluster none", id="down"),
            pytest.param(["up", "--name", "No/Good"], 1, "--name 'No/Good'", id="a bad name"),
            pytest.param(["up", "--name", "none", "--node-cpu", "many"], 1, "--node-cpu 'many'", id="a bad quantity"),
            pytest.param(["up", "--nodes", "-1"], 2, "--nodes", id="usage"),
        ],
    )
    def test_what_cannot_be(self, arguments: list[str], want_code: int, want: str) -> None:
        done = self.run.invoke(app, arguments)
        assert done.exit_code == want_code, done.output
        assert want in done.stderr


def test_the_operator_is_run_and_started_anew(name: str) -> None:
    cluster = up(options(name, operator=True, aws=True))
    found = status(name)
    assert found.healthy
    assert found.operator_pid is not None
    environment = dict(
        item.split("=", 1)
        for item in Path(f"/proc/{found.operator_pid}/environ").read_text().split("\0")
        if "=" in item
    )
    assert environment["KUBECONFIG"] == str(cluster.kubeconfig)
    assert environment["AWS_ENDPOINT_URL"] == cluster.aws_endpoint
    with Api(cluster.kubeconfig) as api:
        groups = {group["name"] for group in api.request("GET", "/apis")["groups"]}
    assert names.GROUP in groups
    assert listening_addresses({found.operator_pid}) == {"0100007F"}

    os.kill(found.operator_pid, signal.SIGKILL)
    directory = cluster.directory
    wait_until(lambda: not processes.find(directory, "operator"), 10, lambda: "the operator survives SIGKILL")
    assert not status(name).healthy
    up(options(name))
    repaired = status(name)
    assert repaired.healthy
    assert repaired.operator_pid not in (None, found.operator_pid)
    down(name)
    nothing_is_left(name)


@pytest.mark.real_node
@pytest.mark.skipif(os.geteuid() != 0, reason="a real node needs root")
def test_a_cluster_with_a_real_node(name: str) -> None:
    cluster = up(options(name, real_node=True, aws=True, nodes=1))
    found = status(name)
    assert found.healthy, found
    assert (found.simulated_nodes, found.real_nodes) == (1, 1)
    assert {"containerd", "kubelet", "kube-proxy", "coredns"} <= {component.name for component in found.components}
    host = found.server.removeprefix("https://").rsplit(":", 1)[0]
    assert not host.startswith("127.")
    assert cluster.aws_endpoint is not None
    assert cluster.aws_endpoint.startswith(f"http://{host}:")
    [api_server] = processes.find(cluster.directory, "kube-apiserver")
    want = socket.inet_aton(host)[::-1].hex().upper()
    assert listening_addresses({api_server.pid}) == {want}
    assert up(options(name, real_node=True)) == cluster

    for process in processes.find(cluster.directory):
        os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not processes.find(cluster.directory), 10, lambda: "something survives SIGKILL")
    assert up(options(name)) == cluster, "a real node is remembered"
    assert status(name).healthy

    down(name)
    nothing_is_left(name)
    assert str(cluster.directory) not in Path("/proc/self/mountinfo").read_text()
    with pytest.raises(OSError, match="annot assign requested address"):
        socket.create_server((host, 0))
