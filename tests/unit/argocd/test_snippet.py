"""The snippet for Argo CD's ConfigMap: as the Lua files say, complete, and about fields that there are."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner, Result

from argolua import CUSTOMIZATIONS, actions_of, discovery_cases, kinds
from batchwright.api.crds import KINDS
from batchwright.chart.argocd import QUIET, SNIPPET, main, snippet
from batchwright.errors import BatchwrightError
from batchwright.names import GROUP
from documentation import ROOT

ARGOCD = ROOT / "helm/argocd"
DATA: dict[str, str] = yaml.safe_load((ARGOCD / SNIPPET).read_text())["data"]
PREFIX = "resource.customizations"


def _run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, [*arguments])


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of helm/argocd that a test may change."""
    return Path(shutil.copytree(ARGOCD, tmp_path / "argocd"))


def test_the_snippet_is_what_the_files_say() -> None:
    assert _run(str(ARGOCD), "--check").exit_code == 0
    assert all(isinstance(value, str) for value in DATA.values())


@pytest.mark.parametrize("file", ["health.lua", "actions/discovery.lua", "actions/retry/action.lua"])
def test_a_changed_script_makes_it_stale(copy: Path, file: str) -> None:
    path = copy / "resource_customizations" / GROUP / "BatchJob" / file
    path.write_text(path.read_text() + "-- changed\n")
    stale = _run(str(copy), "--check")
    assert stale.exit_code == 1
    assert "run `make argocd`" in stale.output
    assert _run(str(copy)).exit_code == 0
    assert "-- changed" in (copy / SNIPPET).read_text()
    assert _run(str(copy), "--check").exit_code == 0


def test_a_directory_without_scripts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BatchwrightError, match="give the directory helm/argocd"):
        snippet(tmp_path)


def test_every_kind_has_its_health_word_for_word() -> None:
    """Wildcards do not act in these keys (Argo CD: only in resource.customizations), so each kind has one."""
    for kind in kinds():
        assert DATA[f"{PREFIX}.health.{kind.replace('/', '_')}"] == (CUSTOMIZATIONS / kind / "health.lua").read_text()


def test_every_action_that_is_offered_is_defined() -> None:
    for case in discovery_cases().values():
        told = yaml.safe_load(DATA[f"{PREFIX}.actions.{GROUP}_{case.resource['kind']}"])
        kind = CUSTOMIZATIONS / GROUP / case.resource["kind"]
        assert told["discovery.lua"] == (kind / "actions/discovery.lua").read_text()
        scripts = {each["name"]: each["action.lua"] for each in told["definitions"]}
        assert scripts == {name: (kind / f"actions/{name}/action.lua").read_text() for name in scripts}
        assert scripts.keys() == actions_of(case.resource).keys()


@pytest.mark.parametrize("kind", sorted(QUIET))
def test_what_is_quiet_is_a_field_and_says_nothing_of_health(kind: str) -> None:
    told = yaml.safe_load(DATA[f"{PREFIX}.ignoreResourceUpdates.{GROUP}_{kind}"])
    assert told == {"jsonPointers": list(QUIET[kind])}
    model = next(each.model for each in KINDS if each.model.__name__ == kind)
    wire: dict[str, Any] = model.model_json_schema(by_alias=True)
    fields = set(wire["$defs"][f"{kind}Status"]["properties"])
    for pointer in QUIET[kind]:
        _, status, *rest = pointer.split("/")
        assert status == "status"
        assert set(rest) <= fields
        assert not set(rest) & {"state", "status", "conditions", "observedGeneration"}


def test_it_fits_into_a_config_map_beside_others() -> None:
    assert len((ARGOCD / SNIPPET).read_bytes()) < 64 * 1024
