"""What the documentation names is there: files, headings, make targets, commands with their options, settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from batchwright.cli.main import app
from batchwright.names import GROUP
from batchwright.settings import Settings
from documentation import ROOT, Page, pages

PAGES = [pytest.param(page, id=page.name) for page in pages()]
ADR_SECTIONS = {"context", "decision", "consequences"}
# Environment variables of the command line and the tests, which are no settings of the operator.
OTHER_VARIABLES = {"BATCHWRIGHT_QUEUE", "BATCHWRIGHT_TEST_KUBECONFIG"}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: Page) -> None:
    for link in page.links():
        if re.match(r"[a-z]+:", link):
            continue
        file, _, fragment = link.partition("#")
        target = (page.path.parent / file).resolve() if file else page.path
        assert target.exists(), f"{page.name} links to {link}, and there is no {target}"
        if fragment:
            assert fragment in Page(target).anchors(), f"{page.name} links to {link}, and there is no such heading"


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_applied_or_is_of_another_system(page: Page) -> None:
    blocks = {token.info for token in page.tokens() if token.type == "fence"}
    assert blocks <= {"yaml", "yml", "json", "bash"}, f"{page.name}: yaml is applied, yml is another system's"
    assert not [each for each in page.foreign() if GROUP in each["apiVersion"]], f"{page.name} hides an object of ours"


@pytest.mark.parametrize("page", PAGES)
def test_no_object_hides_where_nothing_applies_it(page: Page) -> None:
    blocks = [token for token in page.tokens() if token.type in ("code_block", "fence")]
    others = [token.content for token in blocks if token.info not in ("yaml", "yml")]
    hidden = [line for text in others for line in text.splitlines() if line.lstrip().startswith("apiVersion:")]
    assert hidden == [], f"{page.name} has an object in a block that is not marked yaml"


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page: Page) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert page.make_targets() <= targets


@pytest.mark.parametrize("page", PAGES)
def test_commands_exist_with_their_options(page: Page) -> None:
    for words in page.commands():
        problem = _problem(words)
        assert problem is None, f"{page.name}: batchwright {' '.join(words)}: {problem}"


def _problem(words: list[str]) -> str | None:
    """What is wrong with a command line; None when its verb and its options are there."""
    command = typer.main.get_command(app)
    options = _options(command)
    for word in words:
        if word == "--":
            break
        if word.startswith("-"):
            if word.partition("=")[0] not in options:
                return f"no option {word} in {command.name or 'batchwright'}"
        elif isinstance(command, typer.core.TyperGroup) and re.fullmatch("[a-z-]+", word):
            if word not in command.commands:
                return f"no command {word} in {command.name or 'batchwright'}"
            command = command.commands[word]
            options = _options(command)
    return None


def _options(command: object) -> set[str]:
    parameters = getattr(command, "params", [])
    named = {option for parameter in parameters for option in (*parameter.opts, *parameter.secondary_opts)}
    return named | {"--help", "-h"}


@pytest.mark.parametrize(
    ("words", "want"),
    [
        pytest.param(["local", "up", "--nodes", "10"], None, id="right"),
        pytest.param(["submit", "x", "--", "python", "--fast"], None, id="what follows -- is the job's"),
        pytest.param(["local", "upp"], "no command upp in local", id="no such command"),
        pytest.param(["list", "--nowhere"], "no option --nowhere in list", id="no such option"),
    ],
)
def test_a_wrong_command_is_noticed(words: list[str], want: str | None) -> None:
    assert _problem(words) == want


def test_settings_are_documented_and_exist() -> None:
    named = {name for page in pages() for name in re.findall(r"BATCHWRIGHT_[A-Z_]+", page.path.read_text())}
    settings = {f"BATCHWRIGHT_{name.upper()}" for name in Settings.model_fields}
    assert named - OTHER_VARIABLES == settings


@pytest.mark.parametrize("page", [page for page in PAGES if re.search(r"adr/\d", page.id or "")])
def test_decisions_have_their_sections(page: Page) -> None:
    assert page.anchors() >= ADR_SECTIONS


def test_every_decision_is_listed() -> None:
    directory = ROOT / "docs/adr"
    index = Page(directory / "README.md")
    assert {link for link in index.links() if link[0].isdigit()} == {
        page.path.name for page in pages() if page.path.parent == directory and page.path != index.path
    }


def test_the_image_copies_what_there_is() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    sources = _copied((ROOT / "Dockerfile").read_text())
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), f"Dockerfile copies {source}, which is not there"
        assert {f"!{source}", f"!{Path(source).parts[0]}"} & {*ignored}, f".dockerignore keeps {source} from the build"


def _copied(dockerfile: str) -> list[str]:
    """The sources of COPY instructions that copy from the build's context."""
    found = []
    for line in re.findall(r"^COPY +(.*)$", dockerfile, re.MULTILINE):
        words = line.split()
        if not any(word.startswith("--from") for word in words):
            found += [word for word in words[:-1] if not word.startswith("--")]
    return found
