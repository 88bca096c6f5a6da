"""Image archives: reproducible, complete or absent, and named so that nobody asks a registry."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from batchwright.errors import LocalError
from batchwright.local import images
from batchwright.local.images import build, busybox
from batchwright.local.images.archive import Entry, Settings, build_layer, read_tags, write_archive
from batchwright.local.images.cache import images_directory, store

needs_busybox = pytest.mark.skipif(shutil.which("busybox") is None, reason="needs the package busybox-static")

ENTRIES = [
    Entry("bin"),
    Entry("bin/tool", content=b"\x7fELF..."),
    Entry("bin/alias", link="tool"),
    Entry("tmp", mode=0o1777),
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return images_directory()


def write(archive: Path, tag: str = "batchwright.local/tool:latest") -> Path:
    write_archive(archive, tag, io.BytesIO(build_layer(ENTRIES)), Settings(command=("/bin/tool",)))
    return archive


def test_the_same_entries_are_the_same_bytes(tmp_path: Path) -> None:
    assert write(tmp_path / "one.tar").read_bytes() == write(tmp_path / "two.tar").read_bytes()


def test_an_archive_holds_what_it_is_given(tmp_path: Path) -> None:
    with tarfile.open(write(tmp_path / "image.tar")) as image:
        (manifest,) = json.loads(read(image, "manifest.json"))
        config = json.loads(read(image, manifest["Config"]))
        with tarfile.open(fileobj=io.BytesIO(read(image, manifest["Layers"][0]))) as layer:
            members = {member.name: member for member in layer.getmembers()}
            content = read(layer, "bin/tool")

    assert manifest["RepoTags"] == ["batchwright.local/tool:latest"]
    assert config["config"]["Cmd"] == ["/bin/tool"]
    assert config["rootfs"]["diff_ids"] == [f"sha256:{manifest['Layers'][0].removesuffix('.tar')}"]
    assert content == b"\x7fELF..."
    assert members["bin/alias"].linkname == "tool"
    assert members["tmp"].mode == 0o1777
    assert {member.mtime for member in members.values()} == {0}


def read(archive: tarfile.TarFile, name: str) -> bytes:
    content = archive.extractfile(name)
    assert content is not None
    return content.read()


def test_tags_are_read_back(tmp_path: Path) -> None:
    assert read_tags(write(tmp_path / "image.tar", "example.com/a/b:3")) == ("example.com/a/b:3",)


def empty_tar(path: Path) -> None:
    tarfile.open(path, "w").close()


def untagged(path: Path) -> None:
    with tarfile.open(path, "w") as image:
        content = json.dumps([{"Config": "x.json", "RepoTags": None, "Layers": []}]).encode()
        header = tarfile.TarInfo("manifest.json")
        header.size = len(content)
        image.addfile(header, io.BytesIO(content))


@pytest.mark.parametrize(
    ("make", "want_message"),
    [
        pytest.param(lambda path: path.write_bytes(b"not a tar"), "no image archive", id="not-a-tar"),
        pytest.param(empty_tar, "docker save", id="no-manifest"),
        pytest.param(untagged, "names no image", id="no-tag"),
    ],
)
def test_what_is_no_archive_is_refused_with_a_way_out(
    tmp_path: Path, make: Callable[[Path], None], want_message: str
) -> None:
    path = tmp_path / "image.tar"
    make(path)

    with pytest.raises(LocalError, match=want_message):
        read_tags(path)


def test_a_stored_archive_is_made_once(cache: Path) -> None:
    calls = []

    def make(archive: Path, scratch: Path) -> None:
        assert list(scratch.iterdir()) == []
        calls.append(archive)
        archive.write_text("content")

    assert store("a.tar", make) == store("a.tar", make) == cache / "a.tar"
    assert len(calls) == 1
    assert [entry.name for entry in cache.iterdir()] == ["a.tar"]


def test_a_failed_making_leaves_nothing(cache: Path) -> None:
    def make(archive: Path, scratch: Path) -> None:
        archive.write_text("half")
        (scratch / "rest").write_text("")
        raise LocalError("out of luck")

    with pytest.raises(LocalError, match="out of luck"):
        store("a.tar", make)
    assert list(cache.iterdir()) == []


def elf(*segment_kinds: int) -> bytes:
    """The headers of a 64-bit ELF file with program headers of these types (elf(5))."""
    header = bytearray(64)
    header[:6] = b"\x7fELF\x02\x01"
    header[32:40] = (64).to_bytes(8, "little")
    header[54:56] = (56).to_bytes(2, "little")
    header[56:58] = len(segment_kinds).to_bytes(2, "little")
    return bytes(header) + b"".join(kind.to_bytes(4, "little") + bytes(52) for kind in segment_kinds)


@pytest.mark.parametrize(
    ("binary", "want_static"),
    [
        pytest.param(elf(1, 1, 0x6474E551), True, id="loadable-segments-only"),
        pytest.param(elf(6, 3, 1, 1, 2), False, id="asks-for-an-interpreter"),
        pytest.param(b"#!/bin/sh\n", False, id="script"),
        pytest.param(b"", False, id="empty"),
    ],
)
def test_a_static_binary_is_told_from_a_dynamic_one(binary: bytes, want_static: bool) -> None:
    assert busybox.is_static(binary) is want_static


def test_a_dynamic_busybox_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dynamic = tmp_path / "busybox"
    dynamic.write_bytes(elf(3, 1))
    monkeypatch.setattr(busybox, "require", lambda _program, _package: str(dynamic))

    with pytest.raises(LocalError, match="apt-get install busybox-static"):
        images.ensure_pause()


@needs_busybox
def test_the_busybox_image_has_its_applets() -> None:
    archive = images.ensure_busybox()

    with tarfile.open(archive) as image:
        (manifest,) = json.loads(read(image, "manifest.json"))
        with tarfile.open(fileobj=io.BytesIO(read(image, manifest["Layers"][0]))) as layer:
            links = {member.name: member.linkname for member in layer.getmembers() if member.issym()}
            names = layer.getnames()
    assert read_tags(archive) == (images.BUSYBOX_IMAGE,)
    assert links["bin/sh"] == links["usr/bin/seq"] == "/bin/busybox"
    assert {"bin/busybox", "tmp", "etc/passwd", "root"} <= set(names)
    assert len(names) == len(set(names))


@needs_busybox
def test_cached_images_are_not_made_again() -> None:
    first = [images.ensure_busybox(), images.ensure_pause()]
    written = [path.stat().st_mtime_ns for path in first]

    assert [images.ensure_busybox(), images.ensure_pause()] == first
    assert [path.stat().st_mtime_ns for path in first] == written


@pytest.fixture
def context(tmp_path: Path) -> Path:
    directory = tmp_path / "context"
    directory.mkdir()
    (directory / "Dockerfile").write_text("ARG BASE_IMAGE\nFROM $BASE_IMAGE\nCOPY app /app\n")
    (directory / "app").write_text("print(1)")
    return directory


def edit_a_file(context: Path) -> None:
    (context / "app").write_text("print(2)")


def add_a_file(context: Path) -> None:
    (context / "new").write_text("")


def make_executable(context: Path) -> None:
    (context / "app").chmod(0o755)


def edit_the_dockerfile(context: Path) -> None:
    (context / "Dockerfile").write_text("ARG BASE_IMAGE\nFROM $BASE_IMAGE\nCOPY app /application\n")


def change_nothing(context: Path) -> None:
    (context / "app").write_text("print(1)")


@pytest.mark.parametrize(
    ("change", "want_builds"),
    [
        pytest.param(change_nothing, 1, id="nothing"),
        pytest.param(edit_a_file, 2, id="content"),
        pytest.param(add_a_file, 2, id="a-new-file"),
        pytest.param(make_executable, 2, id="a-mode"),
        pytest.param(edit_the_dockerfile, 2, id="the-dockerfile"),
    ],
)
def test_a_build_is_repeated_when_its_input_changes(
    context: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], want_builds: int
) -> None:
    built: list[Path] = []

    def pretend(archive: Path, *_arguments: object) -> None:
        built.append(write(archive))

    monkeypatch.setattr(build, "_build", pretend)
    tag, base = "batchwright.local/app:1", write(context.parent / "base.tar")

    images.build_image(context, context / "Dockerfile", tag, base)
    change(context)
    images.build_image(context, context / "Dockerfile", tag, base)
    assert len(built) == want_builds

    images.build_image(context, context / "Dockerfile", tag, base, {"VERSION": "2"})
    assert len(built) == want_builds + 1, "a build argument is input too"


@pytest.mark.parametrize("tag", ["app", "app:1", "example.com/app"])
def test_a_tag_that_a_registry_would_be_asked_for_is_refused(context: Path, tag: str) -> None:
    with pytest.raises(LocalError, match="not fully qualified"):
        images.build_image(context, context / "Dockerfile", tag, context)
