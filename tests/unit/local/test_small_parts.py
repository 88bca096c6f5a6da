"""Names, files, locks, ports, runtimes: the small parts that need no cluster."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path

import pytest

from batchwright import names
from batchwright.errors import LocalError, LocalTimeoutError
from batchwright.local import install, kind, locks, nodes, paths, ports, real, runtimes
from batchwright.local import state as states
from batchwright.local.stages import all_stages


@pytest.mark.parametrize("name", ["a", "dev", "a-1", "0", "a" * 30])
def test_good_names(name: str) -> None:
    assert paths.check_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a/b", "..", "a" * 31, "a\n"])
def test_bad_names(name: str) -> None:
    with pytest.raises(LocalError, match="--name"):
        paths.check_name(name)


def test_directories_follow_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere")
    assert paths.cluster_directory("a") == Path("/somewhere/batchwright/clusters/a")
    monkeypatch.setenv("XDG_STATE_HOME", "relative/is/ignored")
    assert paths.cluster_directory("a") == Path.home() / ".local/state/batchwright/clusters/a"


def a_state() -> states.ClusterState:
    return states.ClusterState(name="a", runtime="binary", created_at=1.0, started_at=2.0)


def test_state_is_kept(tmp_path: Path) -> None:
    assert states.load_state(tmp_path) is None
    states.save_state(tmp_path, a_state())
    assert states.load_state(tmp_path) == a_state()
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("text", ["", "{", '{"name": "a"}', json.dumps(a_state().model_dump() | {"new": 1})])
def test_a_state_that_is_not_ours_names_the_way_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(LocalError, match=f"local down --name {tmp_path.name}"):
        states.load_state(tmp_path)


def test_a_lock_excludes_and_is_released(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with (
        locks.exclusive(path, 1, "a"),
        pytest.raises(LocalTimeoutError, match="busy with a"),
        locks.exclusive(path, 0.3, "a"),
    ):
        pass
    assert not path.exists()
    with locks.exclusive(path, 1, "a"):
        assert path.exists()


def test_waiting_for_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    inside = 0
    most = 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(5):
            with locks.exclusive(path, 30, "a"):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == 1
    assert not path.exists()


def test_ports_are_free_and_different() -> None:
    chosen = ports.free_ports(20)
    assert len(set(chosen)) == 20
    assert all(20_000 <= port < 32_768 for port in chosen)


def test_a_taken_port_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(ports, "_FIRST", port)
        monkeypatch.setattr(ports, "_LAST", port + 1)
        with pytest.raises(LocalError, match="fewer than 1 free TCP ports"):
            ports.free_ports(1)


@pytest.mark.parametrize(
    ("cpu", "memory", "gpus", "want"),
    [
        pytest.param("many", "1Gi", 0, "--node-cpu 'many'", id="cpu"),
        pytest.param("1", "1GB", 0, "--node-memory '1GB'", id="memory"),
        pytest.param("1", "1Gi", -1, "--node-gpus -1", id="gpus"),
    ],
)
def test_bad_shapes(cpu: str, memory: str, gpus: int, want: str) -> None:
    with pytest.raises(LocalError, match=want):
        nodes.NodeShape(cpu, memory, gpus)


def test_nodes_differ_where_nodes_must() -> None:
    made = [nodes.build_node(number, nodes.NodeShape("64", "256Gi", 8)) for number in range(300)]
    for pick in (
        lambda node: node["metadata"]["name"],
        lambda node: node["metadata"]["labels"]["kubernetes.io/hostname"],
        lambda node: node["status"]["addresses"][0]["address"],
    ):
        assert len({pick(node) for node in made}) == 300
    assert made[0]["status"]["allocatable"][names.GPU_RESOURCE] == "8"
    assert names.GPU_RESOURCE not in nodes.build_node(0, nodes.NodeShape())["status"]["capacity"]


def test_every_simulation_annotation_is_obeyed_by_a_stage() -> None:
    text = json.dumps(all_stages())
    for name, value in vars(names).items():
        if name.startswith("SIMULATE_"):
            assert value in text, name
    assert len({stage["metadata"]["name"] for stage in all_stages()}) == len(all_stages())


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing but what a test puts there."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return tmp_path


def command(directory: Path, name: str, body: str) -> None:
    (directory / name).write_text(f"#!/bin/sh\n{body}\n")
    (directory / name).chmod(0o755)


def test_runtime_without_kind(commands: Path) -> None:
    assert runtimes.choose("auto", real_node=False) == (
        "binary",
        "there is no `kind` on PATH; its binaries are built first",
    )
    with pytest.raises(LocalError, match="--runtime kind: there is no `kind` on PATH; use --runtime binary"):
        runtimes.choose("kind", real_node=False)


def test_runtime_with_docker_that_does_not_answer(commands: Path) -> None:
    command(commands, "kind", "exit 0")
    assert kind.why_unavailable() == "there is no `docker` on PATH"
    command(commands, "docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    why = kind.why_unavailable()
    assert why is not None
    assert why == "Docker does not answer: Cannot connect to the Docker daemon"
    assert runtimes.choose("auto", real_node=False)[0] == "binary"


def test_runtime_with_kind_and_docker(commands: Path) -> None:
    command(commands, "kind", "exit 0")
    command(commands, "docker", "echo 29.0")
    assert runtimes.choose("auto", real_node=False) == ("kind", "kind and Docker work here")
    assert runtimes.choose("binary", real_node=False)[0] == "binary"
    assert runtimes.choose("auto", real_node=True)[0] == "binary"
    with pytest.raises(LocalError, match="--real-node works with --runtime binary only, not kind"):
        runtimes.choose("kind", real_node=True)


def test_kind_is_asked_as_its_manual_says(commands: Path) -> None:
    record = commands / "record"
    command(commands, "kind", f'echo "$*" >> {record}')
    kind.create("dev", Path("/k"))
    kind.delete("dev", Path("/k"))
    assert record.read_text().splitlines() == [
        "create cluster --name dev --kubeconfig /k --wait 180s",
        "delete cluster --name dev --kubeconfig /k",
    ]
    command(commands, "kind", "echo 'node image not found' >&2; exit 1")
    with pytest.raises(LocalError, match="node image not found"):
        kind.create("dev", Path("/k"))


def test_kubectl_is_asked_for_where_there_is_none(commands: Path) -> None:
    with pytest.raises(LocalError, match="no kubectl"):
        install.find_kubectl()


def test_crds_are_in_the_source_tree() -> None:
    assert {path.name for path in install.crds_directory().glob("*.yaml")} >= {"batchjobs.batchwright.io.yaml"}


def test_a_real_node_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LocalError, match="--real-node needs root"):
        real.check_privileges()
