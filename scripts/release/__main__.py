"""`python -m release dist`: makes the release of the checkout.

PYTHONPATH has scripts/ and, for helm and the image, tests/.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer

import charttools
from batchwright.errors import LocalError
from operatorimage import ensure_operator_image
from release import plugin
from release.commands import beside_python, run
from release.version import ROOT, ReleaseError, read_version

NAME: Final = "batchwright"
CHECKSUMS: Final = "SHA256SUMS"
# What the image has beside (Dockerfile): the list of components is of its packages.
EXTRAS: Final = ("--extra", "otel")


def make(output: Path, base_url: str, with_image: bool) -> None:
    """Fill `output`, which must not have anything else in it. ReleaseError and LocalError say what is lacking."""
    version = read_version()
    when = run("git", "log", "-1", "--format=%ct").strip()
    output.mkdir(parents=True)
    dated = {"SOURCE_DATE_EPOCH": when}
    uv = beside_python("uv")
    run(uv, "build", "--quiet", "--wheel", "--out-dir", output, environment=dated)
    (output / ".gitignore").unlink(missing_ok=True)
    run(charttools.ensure("helm"), "package", ROOT / "helm/batchwright", "--destination", output, environment=dated)
    with tempfile.TemporaryDirectory(prefix="batchwright-release-") as scratch:
        installed = install(uv, Path(scratch) / "environment", output)
        components = output / f"batchwright-{version}.cdx.json"
        list_components(installed, components, dated)
        archive = output / plugin.archive_name(version)
        plugin.pack(next(installed.glob("lib/python3*/site-packages")), ROOT / "LICENSE", archive, int(when))
    (output / "batchwright.yaml").write_text(plugin.manifest(version, archive, base_url))
    if with_image:
        add_image(output, version, run("git", "rev-parse", "HEAD").strip())
    write_checksums(output)


def add_image(output: Path, version: str, revision: str) -> None:
    """Put the archive of the operator's image there, with the version as its tag and both as its labels."""
    labelled = {"VERSION": version, "REVISION": revision}
    image = ensure_operator_image(f"batchwright.local/batchwright:{version}", labelled)
    shutil.copy2(image, output / f"batchwright-{version}-image.tar")


def install(uv: Path, environment: Path, wheels: Path) -> Path:
    """A virtual environment with the locked packages and the wheel of the release; where it is."""
    here = {"UV_PROJECT_ENVIRONMENT": str(environment), "VIRTUAL_ENV": str(environment)}
    run(
        *(uv, "sync", "--locked", "--no-dev", *EXTRAS, "--no-install-project", "--link-mode", "copy", "--quiet"),
        *("--python", sys.executable),
        environment=here,
    )
    # By name, for an installation by path would note this machine's paths.
    run(uv, "pip", "install", "--quiet", "--no-deps", "--no-index", "--find-links", wheels, NAME, environment=here)
    return environment


def list_components(environment: Path, target: Path, dated: dict[str, str]) -> None:
    """Write what the environment has, with versions and licences, as CycloneDX."""
    run(
        *(beside_python("cyclonedx-py"), "environment", "--pyproject", ROOT / "pyproject.toml"),
        # protobuf names its licence in words that are no SPDX expression: its text says which it is.
        "--gather-license-texts",
        *("--output-reproducible", "--of", "JSON", "-o", target, environment / "bin/python"),
        environment=dated,
    )


def write_checksums(directory: Path) -> None:
    """Write what `sha256sum --check` reads, of every file."""
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in sorted(directory.iterdir())]
    (directory / CHECKSUMS).write_text("\n".join(lines) + "\n")


def main(
    output: Annotated[Path, typer.Argument(help="Directory that is made anew, such as dist.")],
    base_url: Annotated[str, typer.Option("--base-url", help="Where the files will be had, for krew.")] = "",
    image: Annotated[
        bool | None, typer.Option(help="The image's archive. Default: if buildah and root are there.")
    ] = None,
) -> None:
    """Make the release of the checkout."""
    if image is None:
        image = shutil.which("buildah") is not None and os.geteuid() == 0
        if not image:
            typer.echo("no image: that takes buildah, and root", err=True)
    unfinished = output.with_name(f"{output.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        make(unfinished, base_url, image)
    except (ReleaseError, LocalError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(code=1) from error
    if output.exists():
        shutil.rmtree(output)
    unfinished.rename(output)
    for path in sorted(output.iterdir()):
        typer.echo(f"{path} ({path.stat().st_size:,} bytes)")


if __name__ == "__main__":
    typer.run(main)
