"""A release of the checkout, but for the image's archive: what is in it, and that it works."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from batchwright.local import binaries
from batchwright.local.progress import silent
from documentation import ROOT
from helmchart import Helm, with_image
from release.__main__ import EXTRAS, make
from release.commands import beside_python, run
from release.plugin import NAME, archive_name
from release.version import read_version

VERSION = read_version()
WHEEL = f"batchwright-{VERSION}-py3-none-any.whl"
CHART = f"batchwright-{VERSION}.tgz"
COMPONENTS = f"batchwright-{VERSION}.cdx.json"
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make release RELEASE=--no-image` makes."""
    target = tmp_path_factory.mktemp("release") / "dist"
    make(target, "https://example.com/releases", with_image=False)
    return target


@pytest.fixture(scope="module")
def plugin(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of programs with the plugin in it, linked as krew does."""
    unpacked, programs = tmp_path_factory.mktemp("store"), tmp_path_factory.mktemp("bin")
    with tarfile.open(dist / archive_name(VERSION)) as archive:
        archive.extractall(unpacked, filter="data")
    (programs / NAME).symlink_to(unpacked / NAME)
    return programs


def test_it_has_all_its_files_with_their_checksums(dist: Path) -> None:
    wanted = {WHEEL, CHART, COMPONENTS, archive_name(VERSION), "batchwright.yaml"}
    assert {path.name for path in dist.iterdir()} == {*wanted, "SHA256SUMS"}
    check = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    assert subprocess.run(check, cwd=dist, check=False, capture_output=True, timeout=60).stdout == b""
    assert {line.split()[1] for line in (dist / "SHA256SUMS").read_text().splitlines()} == wanted


def test_the_wheel_has_the_package_with_its_kinds(dist: Path) -> None:
    with zipfile.ZipFile(dist / WHEEL) as wheel:
        names = set(wheel.namelist())
    assert {name.split("/")[0] for name in names} == {"batchwright", f"batchwright-{VERSION}.dist-info"}
    for crd in (ROOT / "crds").glob("*.yaml"):
        assert f"batchwright/_crds/{crd.name}" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_chart_is_one_that_helm_takes(dist: Path, helm: Helm) -> None:
    text = helm.run("template", "test", str(dist / CHART), "--values=-", stdin=with_image())
    assert {each["kind"] for each in yaml.safe_load_all(text) if each} >= {"Deployment", "CustomResourceDefinition"}


def test_the_components_are_the_locked_packages(dist: Path) -> None:
    found = json.loads((dist / COMPONENTS).read_text())
    assert found["metadata"]["component"]["name"] == "batchwright"
    assert found["metadata"]["component"]["version"] == VERSION
    export = ("export", "--locked", "--quiet", "--no-dev", *EXTRAS, "--no-emit-project", "--no-hashes", "--no-annotate")
    locked = run(beside_python("uv"), *export, "--no-header").splitlines()
    wanted = {_normal(line.partition(";")[0].strip()) for line in locked if ";" not in line or _is_for_us(line)}
    assert {_normal(f"{each['name']}=={each['version']}") for each in found["components"]} == wanted
    assert {each["name"] for each in found["components"] if not each.get("licenses")} == set()


def test_the_manifest_is_of_the_archive(dist: Path) -> None:
    manifest = yaml.safe_load((dist / "batchwright.yaml").read_text())
    (platform,) = manifest["spec"]["platforms"]
    archive = dist / archive_name(VERSION)
    assert (manifest["kind"], manifest["spec"]["version"]) == ("Plugin", f"v{VERSION}")
    assert platform["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert platform["uri"] == f"https://example.com/releases/{archive.name}"
    with tarfile.open(archive) as unpacked:
        assert {platform["bin"], "LICENSE"} <= set(unpacked.getnames())


def test_the_plugin_runs_by_itself_under_kubectl(plugin: Path) -> None:
    kubectl = binaries.ensure(["kubectl"], silent())["kubectl"]
    # An interpreter without our packages: what it finds is the archive's.
    bare = {"PATH": f"{plugin}:{Path(sys.base_prefix) / 'bin'}:/usr/bin:/bin", "HOME": os.environ["HOME"]}
    for arguments, want in ((("version",), VERSION), (("--help",), "kubectl batchwright")):
        done = subprocess.run(
            [kubectl, "batchwright", *arguments], env=bare, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        assert want in done.stdout


def test_nothing_tells_where_it_was_made(dist: Path, plugin: Path) -> None:
    store = (plugin / NAME).resolve().parent
    ours = [dist / COMPONENTS, dist / "batchwright.yaml", *store.glob("lib/batchwright*/**/*"), *store.glob("*")]
    for path in ours:
        if path.is_file():
            assert str(ROOT).encode() not in path.read_bytes(), path


def _is_for_us(line: str) -> bool:
    """Whether a package with a condition is for this Python and system."""
    from packaging.markers import Marker

    return Marker(line.partition(";")[2].strip()).evaluate()


def _normal(requirement: str) -> str:
    """A pinned requirement with its name as PEP 503 writes it."""
    name, _, version = requirement.partition("==")
    return f"{re.sub(r'[-_.]+', '-', name).lower()}=={version}"
