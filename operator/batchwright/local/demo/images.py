"""The demo's images: one base with boto3, and on it one image a stage, built on the spot.

Nothing is downloaded: boto3 is the one that Batchwright itself runs with, taken from its environment, without the
descriptions of every AWS service but S3. What has been built is cached by its content (`images.build_image`).
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path, PurePath
from typing import Final

from batchwright.errors import LocalError
from batchwright.local.images import build_image, ensure_python

STAGES: Final = ("split", "count", "merge")
WORDCOUNT: Final = Path(__file__).parent / "wordcount"
_BASE_TAG: Final = "batchwright.local/wordcount-base:v1"
# botocore/data has a directory a service, 27 MB in all; these alone are S3's.
_SERVICE_DATA: Final = re.compile(r"(botocore|boto3)/data/(?!s3/)[^/]+/")


def tag_of(stage: str) -> str:
    """The image of a stage, as the manifests name it."""
    return f"batchwright.local/wordcount-{stage}:v1"


def build_images(progress: Callable[[str], None]) -> list[Path]:
    """The archives of the three images. Raises LocalError (ImageError) with what failed."""
    python = ensure_python(progress)
    with tempfile.TemporaryDirectory(prefix="batchwright-demo-") as scratch:
        context = Path(scratch, "base")
        copy_boto3(context / "site")
        base = build_image(context, WORDCOUNT / "base.Dockerfile", _BASE_TAG, python, progress=progress)
        return [_build_stage(stage, base, Path(scratch, stage), progress) for stage in STAGES]


def _build_stage(stage: str, base: Path, context: Path, progress: Callable[[str], None]) -> Path:
    context.mkdir()
    # The program alone, so that a change of one stage builds one image anew.
    shutil.copyfile(WORDCOUNT / f"{stage}.py", context / f"{stage}.py")
    return build_image(context, WORDCOUNT / "Dockerfile", tag_of(stage), base, {"STAGE": stage}, progress)


def copy_boto3(site: Path) -> None:
    """Copy boto3 and all it needs from this environment into the directory `site`."""
    for distribution in _closure("boto3"):
        for file in distribution.files or ():
            if is_needed(file):
                target = site / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(Path(str(distribution.locate_file(file))), target)
                target.chmod(0o644)


def is_needed(file: PurePath) -> bool:
    """Whether a file of a distribution belongs into the image: code and S3's data, no scripts, metadata or bytecode."""
    outside = file.is_absolute() or ".." in file.parts
    leftovers = file.suffix == ".pyc" or file.parts[0].endswith(".dist-info")
    return not outside and not leftovers and _SERVICE_DATA.match(file.as_posix()) is None


def _closure(name: str) -> Iterator[metadata.Distribution]:
    """The distribution and those it requires, each once."""
    wanted, seen = [name], set[str]()
    while wanted:
        current = re.sub(r"[-_.]+", "-", wanted.pop()).lower()
        if current in seen:
            continue
        seen.add(current)
        try:
            distribution = metadata.distribution(current)
        except metadata.PackageNotFoundError as error:
            raise LocalError(f"{current}, which boto3 needs, is not installed: install batchwright again") from error
        if not distribution.files:
            raise LocalError(f"{current} does not list its files: install batchwright with uv or pip")
        yield distribution
        requirements = [text for text in distribution.requires or () if "extra ==" not in text]
        wanted += [match.group() for text in requirements if (match := re.match(r"[A-Za-z0-9._-]+", text))]
