"""The reference of the kinds has every field of the CRDs, with what the API server checks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner, Result

from batchwright.api.crds import KINDS, Kind, build_crd
from batchwright.api.reference import main, page_name
from batchwright.names import API_VERSION
from documentation import ROOT, Page

EVERY = [pytest.param(kind, id=kind.model.__name__) for kind in KINDS]


def run(*arguments: object) -> Result:
    """The command, as the Makefile has it."""
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, [*map(str, arguments), "--examples", str(ROOT / "examples/kinds")])


def fields(node: dict[str, Any], path: str) -> Iterator[tuple[str, str, dict[str, Any], bool]]:
    """Every field: the title of the table it belongs in, its name, its schema, whether it is required."""
    for name, child in node.get("properties", {}).items():
        yield path, name, child, name in node.get("required", ())
        yield from fields(child, f"{path}.{name}")
        yield from fields(child.get("items", {}), f"{path}.{name}[]")
        if isinstance(child.get("additionalProperties"), dict):
            yield from fields(child["additionalProperties"], f"{path}.{name}")


def tables(page: Page) -> dict[str, dict[str, str]]:
    """The rows of the page by the heading they are under, then by field."""
    found: dict[str, dict[str, str]] = {}
    heading = ""
    for line in page.path.read_text().splitlines():
        if title := re.match(r"#+ (.*)", line):
            heading = title[1]
            found[heading] = {}
        elif row := re.match(r"\| \[?`(\w+)`", line):
            found[heading][row[1]] = line
    return found


def plain(text: str) -> str:
    """Text without what Markdown is told not to interpret."""
    return re.sub(r"\\(.)", r"\1", text)


@pytest.mark.parametrize("kind", EVERY)
def test_every_field_is_there_with_its_values(kind: Kind) -> None:
    shown = tables(Page(ROOT / "docs/reference" / page_name(kind)))
    schema = build_crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    every = [field for part in ("spec", "status") for field in fields(schema[part], part)]
    assert len(every) > 5
    for title, name, node, required in every:
        row = plain(shown[title][name])
        assert (", required |" in row) == required, row
        description = " ".join(node["description"].removeprefix(f"{name}: ").split())
        assert description.rstrip(".")[1:] in row.replace("\\|", "|")
        for value in node.get("enum", ()):
            assert f"`{value}`" in row
        for rule in node.get("x-kubernetes-validations", ()):
            if "properties" not in node:
                assert rule["message"].rstrip(".")[1:] in row.replace("\\|", "|")


@pytest.mark.parametrize("kind", EVERY)
def test_an_example_of_the_kind_comes_first(kind: Kind) -> None:
    example = Page(ROOT / "docs/reference" / page_name(kind)).manifests()
    assert [(each["apiVersion"], each["kind"]) for each in example] == [(API_VERSION, kind.model.__name__)]
    assert example == [yaml.safe_load((ROOT / "examples/kinds" / page_name(kind, "yaml")).read_text())]
    kind.model.model_validate(example[0])


def test_committed_pages_are_those_of_the_models() -> None:
    done = run(ROOT / "docs/reference", "--check")
    assert done.exit_code == 0, done.output


def test_stale_and_surplus_pages_are_named_and_mended(tmp_path: Path) -> None:
    assert run(tmp_path).exit_code == 0
    assert run(tmp_path, "--check").exit_code == 0
    (tmp_path / "batchjob.md").write_text("older")
    (tmp_path / "gone.md").write_text("of a kind that is no more")
    done = run(tmp_path, "--check")
    assert done.exit_code == 1
    assert {Path(line.split()[0]).name for line in done.output.splitlines()} == {"batchjob.md", "gone.md"}
    assert (tmp_path / "batchjob.md").read_text() == "older"
    assert run(tmp_path).exit_code == 0
    assert run(tmp_path, "--check").exit_code == 0
