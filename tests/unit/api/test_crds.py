"""The generated CRDs: what an API must not have, what ours must say, and that the committed files are fresh."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
import yaml
from kube_custom_resource.custom_resource import Scope
from kube_custom_resource.schema import resolve_refs
from typer.testing import CliRunner

from batchwright.api import crds
from batchwright.api.v1alpha1.common import Model

ROOT = Path(__file__).parents[3]
MAX_BYTES = 200_000  # client-side apply keeps the whole object in one annotation of at most 262,144 bytes
BY_KIND = [pytest.param(kind, id=kind.short_name) for kind in crds.KINDS]


class Node(NamedTuple):
    path: str
    schema: dict[str, Any]


def walk(path: str, schema: dict[str, Any]) -> Iterator[Node]:
    """Every node of a structural schema, with its path."""
    yield Node(path, schema)
    for name, child in schema.get("properties", {}).items():
        yield from walk(f"{path}.{name}", child)
    if "items" in schema:
        yield from walk(f"{path}[]", schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        yield from walk(f"{path}{{}}", schema["additionalProperties"])


def schema_of(kind: crds.Kind) -> dict[str, Any]:
    crd = crds.build_crd(kind)
    schema: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def own_nodes(kind: crds.Kind) -> list[Node]:
    """The nodes of spec and status."""
    properties = schema_of(kind)["properties"]
    return [node for part in ("spec", "status") for node in walk(part, properties[part])]


@pytest.mark.parametrize("kind", BY_KIND)
def test_nothing_that_a_structural_schema_may_not_have(kind: crds.Kind) -> None:
    banned = {"const", "$ref", "$defs", "title", "anyOf", "oneOf", "allOf", "propertyNames", "pattern", "nullable"}
    faults = [(path, sorted(found)) for path, schema in own_nodes(kind) if (found := banned & schema.keys())]
    assert faults == []


@pytest.mark.parametrize("kind", BY_KIND)
def test_every_node_has_a_type(kind: crds.Kind) -> None:
    allowed = {"object", "array", "string", "integer", "number", "boolean"}
    assert [path for path, schema in own_nodes(kind) if schema.get("type") not in allowed] == []


def test_the_only_number_that_is_not_whole_is_the_one_of_aws() -> None:
    nodes = [node for kind in crds.KINDS for node in own_nodes(kind)]
    fractions = [path for path, schema in nodes if schema.get("type") == "number"]
    assert fractions == ["spec.fairsharePolicy.shareDistribution[].weightFactor"]


@pytest.mark.parametrize("kind", BY_KIND)
def test_everything_is_bounded(kind: crds.Kind) -> None:
    def is_unbounded(schema: dict[str, Any]) -> bool:
        if schema["type"] == "string":
            return "maxLength" not in schema and "enum" not in schema
        if schema["type"] == "array":
            return "maxItems" not in schema
        if "additionalProperties" in schema:
            return "maxProperties" not in schema or schema["additionalProperties"] is True
        return False

    assert [path for path, schema in own_nodes(kind) if is_unbounded(schema)] == []


def test_only_pod_templates_are_open() -> None:
    nodes = [node for kind in crds.KINDS for node in own_nodes(kind)]
    is_open = "x-kubernetes-preserve-unknown-fields"
    of_ranges = "spec.nodeProperties.nodeRangeProperties[].podTemplate"
    assert [path for path, schema in nodes if schema.get(is_open)] == ["spec.podTemplate", of_ranges]


@pytest.mark.parametrize("kind", BY_KIND)
def test_every_field_is_described_by_its_name_first(kind: crds.Kind) -> None:
    named = [(path, schema.get("description", "")) for path, schema in own_nodes(kind) if not path.endswith(("]", "}"))]
    faults = [(path, text) for path, text in named if re.split(r"[^A-Za-z0-9]", text)[0] != path.rsplit(".", 1)[-1]]
    assert faults == []
    assert schema_of(kind)["description"].startswith(f"A {kind.model.__name__} ")


@pytest.mark.parametrize("kind", BY_KIND)
def test_every_rule_has_a_message_and_a_field_that_exists(kind: crds.Kind) -> None:
    for path, schema in walk("", schema_of(kind)):
        for rule in schema.get("x-kubernetes-validations", []):
            assert len(rule["message"]) > 15, path
            at = schema
            for name in rule.get("fieldPath", "").split(".")[1:]:
                at = at["properties"][name]


def test_the_only_defaults_that_are_persisted() -> None:
    kept = {
        f"{kind.short_name} {path}": schema["default"]
        for kind in crds.KINDS
        for path, schema in own_nodes(kind)
        if "default" in schema
    }
    assert kept == {
        "ce spec.type": "UNMANAGED",
        "ce spec.state": "ENABLED",
        "jq spec.state": "ENABLED",
        "jq spec.priority": 0,
        "jd spec.type": "container",
        "cr spec.resourceType": "REPLENISHABLE",
    }


@pytest.mark.parametrize("kind", BY_KIND)
def test_a_default_that_is_not_persisted_is_named_in_the_description(kind: crds.Kind) -> None:
    spec = resolve_refs(kind.model.model_json_schema())["properties"]["spec"]
    faults = [
        (path, default)
        for path, schema in walk("spec", spec)
        if isinstance(default := schema.get("default"), str | int)
        and default not in (False, "")
        and path.removeprefix("spec.") not in kind.defaults
        and f"Default {default}." not in schema["description"]
    ]
    assert faults == []


@pytest.mark.parametrize("kind", BY_KIND)
def test_columns_and_selectable_fields_exist(kind: crds.Kind) -> None:
    filters = re.compile(r"\[\?\(.*?\)\]")
    columns = {filters.sub("[]", column.path) for column in kind.columns} - {".metadata.creationTimestamp"}
    known = {f".{path}" for path, _ in own_nodes(kind)}
    assert columns | set(kind.selectable) <= known
    assert sum(column.priority == 0 for column in kind.columns) <= 6
    assert kind.columns[-1].name == "Age"
    assert len(kind.selectable) <= 8  # the API server's limit


@pytest.mark.parametrize("kind", BY_KIND)
def test_size_and_header(kind: crds.Kind) -> None:
    text = crds.render(crds.build_crd(kind))
    assert len(text.encode()) < MAX_BYTES
    assert text.startswith("# Generated by `make crds`")
    assert yaml.safe_load(text) == crds.build_crd(kind)


def test_generation_is_stable() -> None:
    """In another process, with another hash seed, the text is the same."""
    program = (
        "from batchwright.api import crds; print(''.join(crds.render(crds.build_crd(k)) for k in crds.KINDS), end='')"
    )
    again = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    ).stdout
    assert again == "".join(crds.render(crds.build_crd(kind)) for kind in crds.KINDS)


def test_committed_files_are_fresh() -> None:
    assert list(crds.stale_files(ROOT / "crds")) == [], "run `make crds`"


def test_models_do_not_import_the_generator() -> None:
    program = "import sys, batchwright.api.v1alpha1; print('kube_custom_resource' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"


class TestCommand:
    """`python -m batchwright.api.crds`."""

    @staticmethod
    def run(*arguments: str) -> Any:
        app = typer.Typer()
        app.command()(crds.main)
        return CliRunner().invoke(app, list(arguments))

    def test_write_then_check(self, tmp_path: Path) -> None:
        directory = tmp_path / "new"
        assert self.run(str(directory)).exit_code == 0
        assert {path.name for path in directory.iterdir()} == {kind.file_name for kind in crds.KINDS}
        assert self.run(str(directory), "--check").exit_code == 0

    @pytest.mark.parametrize("fault", ["changed", "missing", "left over"])
    def test_check_names_the_stale_file(self, tmp_path: Path, fault: str) -> None:
        self.run(str(tmp_path))
        path = tmp_path / crds.KINDS[0].file_name
        if fault == "changed":
            path.write_text(path.read_text() + "\n")
        elif fault == "missing":
            path.unlink()
        else:
            path = tmp_path / "gone.batchwright.io.yaml"
            path.write_text(crds.HEADER)
        checked = self.run(str(tmp_path), "--check")
        assert checked.exit_code == 1
        assert [line.split()[0] for line in checked.stderr.splitlines()] == [str(path)]
        self.run(str(tmp_path))
        assert self.run(str(tmp_path), "--check").exit_code == 0

    def test_files_of_others_are_left_alone(self, tmp_path: Path) -> None:
        other = tmp_path / "kustomization.yaml"
        other.write_text("resources: []\n")
        self.run(str(tmp_path))
        assert other.read_text() == "resources: []\n"
        assert self.run(str(tmp_path), "--check").exit_code == 0


def test_a_union_is_refused_when_generating() -> None:
    class Spec(Model):
        """A spec that no structural schema can say."""

        either: int | str

    class Odd(Model):
        """A kind with it."""

        spec: Spec

    kind = crds.Kind(Odd, "odds", "od", Scope.CLUSTER, columns=(), selectable=())
    with pytest.raises(ValueError, match="a union cannot be a structural schema"):
        crds.build_schema(kind)
