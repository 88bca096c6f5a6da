"""The version of a release, which several files say."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

import yaml

ROOT: Final = Path(__file__).parents[2]


class ReleaseError(Exception):
    """The release cannot be made; the text says what to mend."""


def read_version(root: Path = ROOT) -> str:
    """The version. ReleaseError where pyproject.toml, the chart and the changelog do not agree."""
    version = str(tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"])
    chart = yaml.safe_load((root / "helm/batchwright/Chart.yaml").read_text())
    for key in ("version", "appVersion"):
        if str(chart[key]) != version:
            raise ReleaseError(f"helm/batchwright/Chart.yaml has {key} {chart[key]}, and pyproject.toml {version}")
    if not re.search(rf"^## \[{re.escape(version)}\]", (root / "CHANGELOG.md").read_text(), re.MULTILINE):
        raise ReleaseError(f"CHANGELOG.md has no heading `## [{version}]`: move what is under Unreleased below one")
    return version
