"""The pure parts of the real node: addresses, configuration, readiness, control groups."""

from __future__ import annotations

import base64
import ipaddress
from pathlib import Path
from typing import Any

import pytest
import yaml

from batchwright.errors import LocalError
from batchwright.local.realnode import cgroups, programs
from batchwright.local.realnode.configuration import (
    Node,
    check_binaries,
    check_kubeconfig,
    corefile,
    kubelet_configuration,
    packet_filter,
    read_cluster_ca,
    write_configuration,
)
from batchwright.local.realnode.network import Network, choose_link, interface_name
from batchwright.local.realnode.readiness import is_ready_since

NETWORK = Network("10.190.0.1", "10.190.0.2", 30, "bw0123456789")
WHOLE_RANGE = ipaddress.IPv4Network("10.190.0.0/15")


def networks(*texts: str) -> list[ipaddress.IPv4Network]:
    return [ipaddress.IPv4Network(text) for text in texts]


def test_interface_names_fit_the_kernel_and_differ() -> None:
    names = {interface_name(name) for name in ("a", "a" * 29 + "b", "a" * 29 + "c")}

    assert len(names) == 3
    assert all(len(name) <= 15 for name in names)


def test_a_link_is_the_same_each_time_and_in_our_range() -> None:
    assert choose_link("dev", []) == choose_link("dev", []) != choose_link("other", [])
    assert choose_link("dev", []).subnet_of(WHOLE_RANGE)


@pytest.mark.parametrize(
    "taken",
    [
        pytest.param(lambda first: [first], id="another-cluster"),
        pytest.param(lambda first: [ipaddress.IPv4Network(f"{first.network_address + 1}/32")], id="one-address-of-it"),
        pytest.param(lambda first: [first.supernet(new_prefix=20)], id="a-wide-route"),
    ],
)
def test_a_taken_link_is_passed_over(taken: Any) -> None:
    occupied = taken(choose_link("dev", []))

    chosen = choose_link("dev", occupied)
    assert chosen.subnet_of(WHOLE_RANGE)
    assert not any(chosen.overlaps(network) for network in occupied)


@pytest.mark.parametrize(
    ("taken", "want_host"),
    [
        pytest.param([], "10.191.3.1", id="free"),
        pytest.param(networks("10.191.3.0/30"), None, id="taken-meanwhile"),
    ],
)
def test_the_address_before_a_restart_is_preferred(taken: list[ipaddress.IPv4Network], want_host: str | None) -> None:
    host = str(choose_link("dev", taken, preferred_host="10.191.3.1").network_address + 1)

    assert (host == "10.191.3.1") is (want_host is not None)


def test_no_free_link_is_said_with_the_range() -> None:
    with pytest.raises(LocalError, match=r"10\.190\.0\.0/15"):
        choose_link("dev", networks("10.0.0.0/8"))


def kubeconfig(path: Path, server: str = "https://10.190.0.1:6443", **cluster: str) -> Path:
    document = {
        "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "real", "user": "admin"}}],
        "clusters": [
            {"name": "decoy", "cluster": {"server": "https://192.0.2.1"}},
            {"name": "real", "cluster": {"server": server, **cluster}},
        ],
    }
    path.write_text(yaml.safe_dump(document))
    return path


def test_the_ca_is_read_inline_and_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(b"PEM")
    inline = base64.b64encode(b"PEM").decode()

    assert read_cluster_ca(kubeconfig(tmp_path / "a", **{"certificate-authority-data": inline})) == b"PEM"
    assert read_cluster_ca(kubeconfig(tmp_path / "b", **{"certificate-authority": "ca.crt"})) == b"PEM"
    with pytest.raises(LocalError, match="no certificate-authority"):
        read_cluster_ca(kubeconfig(tmp_path / "c"))


@pytest.mark.parametrize("server", ["https://127.0.0.1:6443", "https://10.190.0.2:6443", ""])
def test_a_server_the_node_cannot_reach_is_refused(tmp_path: Path, server: str) -> None:
    check_kubeconfig(kubeconfig(tmp_path / "good"), NETWORK)
    with pytest.raises(LocalError, match=r"bind the API server there"):
        check_kubeconfig(kubeconfig(tmp_path / "bad", server), NETWORK)


def test_a_kubeconfig_without_a_context_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("apiVersion: v1\n")
    with pytest.raises(LocalError, match="current-context"):
        check_kubeconfig(tmp_path / "config", NETWORK)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    (tmp_path / "ca.crt").write_text("PEM")
    found = {name: tmp_path / name for name in ("kubelet", "kube-proxy", "coredns")}
    for path in found.values():
        path.touch()
    return Node(
        name="dev-real",
        label="batchwright.io/node=real",
        state=tmp_path,
        network=NETWORK,
        kubeconfig=kubeconfig(tmp_path / "kubeconfig", **{"certificate-authority": "ca.crt"}),
        binaries=found,
        cgroup_root="/batchwright-dev",
        snapshotter="overlayfs",
    )


def test_binaries_are_asked_for_by_name(node: Node, tmp_path: Path) -> None:
    check_binaries(node.binaries)
    with pytest.raises(LocalError, match="coredns"):
        check_binaries({"kubelet": tmp_path / "kubelet", "kube-proxy": tmp_path / "kube-proxy"})
    with pytest.raises(LocalError, match="kubelet"):
        check_binaries({**node.binaries, "kubelet": tmp_path / "nowhere"})


def test_the_node_is_served_at_its_own_address(node: Node) -> None:
    kubelet = kubelet_configuration(node)

    assert kubelet["address"] == NETWORK.node_address
    assert kubelet["clusterDNS"] == [NETWORK.node_address]
    assert corefile(node).count(f"bind {NETWORK.node_address}") == 2
    assert NETWORK.host_address in packet_filter(NETWORK)


def test_writing_again_touches_nothing(node: Node) -> None:
    if programs.find_cni_plugins() is None:
        pytest.skip("needs the packages of a real node")
    first = write_configuration(node)
    files = {path: path.stat().st_mtime_ns for path in (node.state / "etc").rglob("*") if path.is_file()}

    assert write_configuration(node) == first
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert set(first["programs"]) == {"containerd", "kubelet", "kube-proxy", "coredns"}


def node_object(status: str, heartbeat: str) -> dict[str, Any]:
    ready = {"type": "Ready", "status": status, "lastHeartbeatTime": heartbeat}
    return {"status": {"conditions": [{"type": "MemoryPressure", "status": "False"}, ready]}}


@pytest.mark.parametrize(
    ("found", "want_ready"),
    [
        pytest.param(node_object("True", "2026-01-01T00:00:10Z"), True, id="ready-since"),
        pytest.param(node_object("True", "2026-01-01T00:00:05Z"), True, id="within-the-second-of-the-start"),
        pytest.param(node_object("True", "2026-01-01T00:00:04Z"), False, id="ready-before-the-kubelet-started"),
        pytest.param(node_object("False", "2026-01-01T00:00:10Z"), False, id="not-ready"),
        pytest.param({"status": {}}, False, id="no-conditions-yet"),
    ],
)
def test_an_old_heartbeat_does_not_make_a_node_ready(found: dict[str, Any], want_ready: bool) -> None:
    started_at = 1767225605.7  # 2026-01-01T00:00:05.7Z

    assert is_ready_since(found, started_at) is want_ready


@pytest.fixture
def hierarchy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "cgroup"
    root.mkdir()
    monkeypatch.setattr(cgroups, "hierarchies", lambda: [root])
    return root


def test_a_version_2_root_hands_down_what_the_kubelet_needs(hierarchy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (hierarchy / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (hierarchy / "cgroup.subtree_control").write_text("cpu memory\n")
    written: list[str] = []
    write = Path.write_text

    def record(path: Path, text: str) -> int:
        written.append(text)
        return write(path, text)

    monkeypatch.setattr(Path, "write_text", record)
    cgroups.create("dev")

    assert written == ["+cpuset", "+pids"]
    assert cgroups.existing("dev") == [hierarchy / "batchwright-dev"]


def test_a_version_1_cpuset_inherits_its_processors(hierarchy: Path) -> None:
    group = hierarchy / "batchwright-dev"
    group.mkdir()
    for directory, processors in ((hierarchy, "0-1\n"), (group, "\n")):
        (directory / "cpuset.cpus").write_text(processors)
        (directory / "cpuset.mems").write_text("0\n")
        (directory / "cpuset.memory_pressure").write_text("0\n")

    cgroups.create("dev")

    assert (group / "cpuset.cpus").read_text() == "0-1\n"


def test_groups_are_removed_with_all_below_them(hierarchy: Path) -> None:
    (hierarchy / "batchwright-dev" / "kubepods" / "pod1" / "container").mkdir(parents=True)
    (hierarchy / "batchwright-other").mkdir()

    cgroups.remove("dev")
    cgroups.remove("dev")

    assert [entry.name for entry in hierarchy.iterdir()] == ["batchwright-other"]


def test_a_host_without_the_packages_is_told_the_line_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs.os, "geteuid", lambda: 0)
    monkeypatch.setattr(programs.shutil, "which", lambda program, path: None if program in ("runc", "nft") else program)
    monkeypatch.setattr(programs, "find_cni_plugins", lambda: None)

    with pytest.raises(LocalError) as raised:
        programs.check_host()
    assert str(raised.value).endswith("apt-get install containernetworking-plugins nftables runc")
    assert {"containernetworking-plugins", "nftables", "runc"} <= set(programs.REQUIRED_PACKAGES)


def test_a_user_without_root_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs.os, "geteuid", lambda: 1000)
    with pytest.raises(LocalError, match="root"):
        programs.check_host()
