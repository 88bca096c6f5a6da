"""Every template by itself: helm-unittest on helm/batchwright/tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

import charttools
from helmchart import CHART, Helm

TESTED_BY_API_SERVER = {"NOTES.txt", "_names.tpl"}


def test_the_suites_of_the_chart_pass(tmp_path: Path) -> None:
    done = subprocess.run(
        [charttools.ensure("helm-unittest"), "--strict", str(CHART)],
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_template_has_a_suite() -> None:
    suites = "".join(path.read_text() for path in (CHART / "tests").glob("*_test.yaml"))
    written = {
        path.relative_to(CHART).as_posix()
        for path in (CHART / "templates").rglob("*")
        if path.is_file() and path.name not in TESTED_BY_API_SERVER and path.parent.name != "crds"
    }
    assert [name for name in sorted(written) if name not in suites] == []


def test_the_notes_say_what_comes_next(helm: Helm) -> None:
    said = helm.run(
        *("install", "test", str(CHART), "--namespace=here", "--dry-run=client"),
        *("--set=image.repository=x", "--set=crds.keep=false", "--set=admissionPolicies.enabled=false"),
    )
    notes = said[said.index("NOTES:") :]
    for wanted in ("kubectl -n here get pods", "kind: JobQueue", "arrays with items", "delete every BatchJob"):
        assert wanted in notes
