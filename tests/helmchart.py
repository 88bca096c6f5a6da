"""The Helm chart as a user has it: helm, with no configuration but the test's own, on the chart of the checkout."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

import charttools

Manifest = dict[str, Any]
CHART = charttools.ROOT / "helm/batchwright"
# The same for all tests that install it: kinds that one release has left can only be another's of that name.
RELEASE = "batchwright"
SECONDS = 150
# Every set of values needs one: there is no published image.
IMAGE = {"repository": "batchwright.local/batchwright", "tag": "v1"}


class HelmFailed(Exception):
    """helm exited with an error; the text is what it said."""


@dataclass(frozen=True)
class Helm:
    """helm with a home of its own; with a kubeconfig, on that cluster."""

    home: Path
    kubeconfig: Path | None = None

    def run(self, *arguments: str, stdin: str = "") -> str:
        """What helm prints; HelmFailed with what it complains of."""
        environment = {
            **os.environ,
            "HOME": str(self.home),
            "HELM_CACHE_HOME": str(self.home / "cache"),
            "HELM_CONFIG_HOME": str(self.home / "config"),
            "HELM_DATA_HOME": str(self.home / "data"),
            "KUBECONFIG": str(self.kubeconfig or "/dev/null"),
        }
        done = subprocess.run(
            [charttools.ensure("helm"), *arguments],
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise HelmFailed(f"{done.stdout}{done.stderr}")
        return done.stdout

    def template(self, values: Manifest | None = None, *arguments: str) -> list[Manifest]:
        """The objects of a release `test` in namespace `batchwright`."""
        text = self.run(
            "template",
            "test",
            str(CHART),
            "--namespace=batchwright",
            "--values=-",
            *arguments,
            stdin=with_image(values),
        )
        return [document for document in yaml.safe_load_all(text) if document]

    def released(self, namespace: str, release: str) -> Manifest:
        """What helm knows of a release."""
        found: Manifest = json.loads(self.run("status", release, f"--namespace={namespace}", "--output=json"))
        return found


def with_image(values: Manifest | None = None) -> str:
    """Values as a file's text, with the image of the tests."""
    return yaml.safe_dump({"image": IMAGE, **(values or {})})


def find(manifests: list[Manifest], kind: str, name: str = "") -> Manifest:
    """The only one of its kind, or of its kind and name."""
    found = [each for each in manifests if each["kind"] == kind and name in ("", each["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} {kind} {name}: {[each['metadata']['name'] for each in found]}"
    return found[0]


@contextmanager
def new_helm(kubeconfig: Path | None = None) -> Iterator[Helm]:
    """helm for as long as a test needs it."""
    with TemporaryDirectory(prefix="helm-") as home:
        yield Helm(Path(home), kubeconfig)
