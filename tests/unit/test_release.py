"""The parts of `make release` that need nothing but the checkout; tests/chart/test_release.py makes one."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import tarfile
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from documentation import ROOT, Page
from release import __main__ as making
from release import plugin
from release.version import ReleaseError, read_version

FILES = ("pyproject.toml", "CHANGELOG.md", "helm/batchwright/Chart.yaml")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that say the version, to be changed."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text())
    return tmp_path


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """What an installation looks like, in small."""
    for name in ("one/__init__.py", "one/__pycache__/__init__.cpython-311.pyc", "two.so"):
        path = tmp_path / "packages" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "packages"


def test_all_files_say_one_version(checkout: Path) -> None:
    assert read_version(checkout) == read_version(ROOT)


@pytest.mark.parametrize(
    ("name", "old", "new", "want"),
    [
        pytest.param(FILES[0], '\nversion = "', '\nversion = "9', "Chart.yaml has version", id="the project is ahead"),
        pytest.param(
            FILES[2], "\nappVersion: ", "\nappVersion: 9", "Chart.yaml has appVersion 9", id="the chart's app"
        ),
        pytest.param(FILES[2], "\nversion: ", "\nversion: 9", "Chart.yaml has version 9", id="the chart"),
        pytest.param(FILES[1], "\n## [0", "\n## [8", "CHANGELOG.md has no heading", id="nothing in the changelog"),
    ],
)
def test_versions_that_differ_are_named(checkout: Path, name: str, old: str, new: str, want: str) -> None:
    text = (checkout / name).read_text()
    assert old in text
    (checkout / name).write_text(text.replace(old, new))
    with pytest.raises(ReleaseError, match=want):
        read_version(checkout)


def test_the_components_are_listed_with_the_extras_that_the_image_has() -> None:
    assert f"uv sync --locked --no-dev {' '.join(making.EXTRAS)} " in (ROOT / "Dockerfile").read_text()


def test_the_image_says_what_it_is() -> None:
    """The keys of https://specs.opencontainers.org/image-spec/annotations that are known without a build."""
    text = (ROOT / "Dockerfile").read_text()
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', text))
    assert labels.keys() == {"title", "description", "licenses", "version", "revision"}
    assert labels["licenses"] == "Apache-2.0"


def test_the_same_packages_give_the_same_archive(packages: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        plugin.pack(packages, ROOT / "LICENSE", tmp_path / name, 1_700_000_000)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with tarfile.open(tmp_path / "a") as archive:
        entries = {each.name: (each.mode, each.mtime) for each in archive.getmembers()}
    assert entries == {
        plugin.NAME: (0o755, 1_700_000_000),
        "LICENSE": (0o644, 1_700_000_000),
        "lib/one/__init__.py": (0o644, 1_700_000_000),
        "lib/two.so": (0o644, 1_700_000_000),
    }


@pytest.mark.parametrize(
    ("base_url", "want"),
    [
        pytest.param("", "archive.tar.gz", id="not published"),
        pytest.param("https://example.com/v1/", "https://example.com/v1/archive.tar.gz", id="published"),
    ],
)
def test_the_manifest_says_where_the_archive_is(tmp_path: Path, base_url: str, want: str) -> None:
    archive = tmp_path / "archive.tar.gz"
    archive.write_bytes(b"content")
    platform = yaml.safe_load(plugin.manifest("1.2.3", archive, base_url))["spec"]["platforms"][0]
    assert platform["uri"] == want


def test_the_documentation_names_the_archive_as_it_is_called_and_the_python_that_it_needs() -> None:
    page = Page(ROOT / "docs/cli.md")
    [line] = [line for line in page.code() if line.startswith("kubectl krew install")]
    # A word of its own: a shell looks for files by all of a word.
    named = re.search(r" --archive dist/(\S+)$", line)
    assert named is not None
    assert fnmatch.fnmatch(plugin.archive_name(read_version()), named[1])
    # For any version.
    assert named[1].startswith(f"{plugin.NAME}-")
    assert named[1].endswith(".tar.gz")
    assert not re.search(r"\d", named[1])


def test_checksums_are_what_sha256sum_reads(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("1")
    (tmp_path / "two").write_text("2")
    making.write_checksums(tmp_path)
    check = ("sha256sum", "--check", "--strict", making.CHECKSUMS)
    assert subprocess.run(check, cwd=tmp_path, check=False, capture_output=True, timeout=30).returncode == 0
    (tmp_path / "two").write_text("3")
    assert subprocess.run(check, cwd=tmp_path, check=False, capture_output=True, timeout=30).returncode != 0


def test_the_image_of_a_release_has_its_version_and_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def build(tag: str, labelled: dict[str, str]) -> Path:
        asked.append((tag, labelled))
        (tmp_path / "built").write_bytes(b"archive")
        return tmp_path / "built"

    monkeypatch.setattr(making, "ensure_operator_image", build)
    (tmp_path / "dist").mkdir()
    making.add_image(tmp_path / "dist", "1.2.3", "c0ffee")
    assert asked == [("batchwright.local/batchwright:1.2.3", {"VERSION": "1.2.3", "REVISION": "c0ffee"})]
    assert (tmp_path / "dist/batchwright-1.2.3-image.tar").read_bytes() == b"archive"


def test_a_release_that_fails_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(output: Path, base_url: str, with_image: bool) -> None:
        output.mkdir()
        raise ReleaseError("the chart is of another version")

    monkeypatch.setattr(making, "make", fail)
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/before").touch()
    app = typer.Typer()
    app.command()(making.main)
    done = CliRunner().invoke(app, [str(tmp_path / "dist"), "--no-image"])
    assert (done.exit_code, "the chart is of another version" in done.output) == (1, True)
    assert [path.name for path in (tmp_path / "dist").iterdir()] == ["before"]
