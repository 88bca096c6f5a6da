"""The documentation's site: built strictly, and it shows what GitHub shows of the same pages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from documentation import ROOT, Page, pages

DOCS = ROOT / "docs"
SHOWN = [pytest.param(page, id=page.name) for page in pages() if page.path.is_relative_to(DOCS)]
# The name in HTML of what markdown-it calls otherwise.
COUNTED = {"li": ("list_item_open",), "td": ("td_open",), "th": ("th_open",), "pre": ("fence", "code_block")}


class Shown(HTMLParser):
    """What a page of the site has: its elements by name, where its links lead, what it loads, what can be linked."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.ids: set[str] = set()
        self._in_article = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self._in_article |= tag == "article"
        self.ids.add(found.get("id") or "")
        if tag == "a":
            self.links.append(found.get("href") or "")
        if tag in ("script", "img", "iframe"):
            self.loaded.append(found.get("src") or "")
        if tag == "link" and found.get("rel") in ("stylesheet", "preconnect", "icon"):
            self.loaded.append(found.get("href") or "")
        if self._in_article:
            self.elements[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        self._in_article &= tag != "article"


def build(config: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """`mkdocs build --strict` of a checkout, as `make docs` runs it."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(config), "--site-dir", str(target)],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built once."""
    target = tmp_path_factory.mktemp("site")
    done = build(ROOT / "mkdocs.yml", target)
    assert done.returncode == 0, done.stderr
    return target


def page_of(site: Path, page: Page) -> Shown:
    """A page as the site has it."""
    path = page.path.relative_to(DOCS)
    return Shown((site / path.with_name(path.name.replace("README", "index")).with_suffix(".html")).read_text())


@pytest.mark.parametrize("page", SHOWN)
def test_it_shows_what_github_shows(site: Path, page: Page) -> None:
    shown = page_of(site, page)
    tokens = Counter(token.type for token in page.tokens())
    wanted = {name: sum(tokens[each] for each in types) for name, types in COUNTED.items()}
    assert {name: shown.elements[name] for name in wanted} == wanted
    assert page.anchors() <= shown.ids


@pytest.mark.parametrize("page", SHOWN)
def test_links_lead_somewhere_in_it(site: Path, page: Page) -> None:
    here = page.path.relative_to(DOCS).parent
    for link in page_of(site, page).links:
        target = unquote(link.partition("#")[0])
        if target and not re.match(r"[a-z]+:", target):
            assert (site / here / target).exists(), f"{page.name} leads to {link}, which the site has not"


@pytest.mark.parametrize("page", SHOWN)
def test_nothing_is_loaded_from_elsewhere(site: Path, page: Page) -> None:
    assert not [address for address in page_of(site, page).loaded if re.match(r"([a-z]+:)?//", address)]


@pytest.mark.parametrize(
    ("line", "want"),
    [
        pytest.param("[gone](gone.md)", "gone.md", id="a page that is not there"),
        pytest.param("[gone](concepts.md#gone)", "contain an anchor '#gone'", id="a heading that is not there"),
        pytest.param("[gone](../helm/gone.yaml)", "helm/gone.yaml", id="a file of the checkout that is not there"),
    ],
)
def test_a_link_to_nothing_is_refused(tmp_path: Path, line: str, want: str) -> None:
    shutil.copytree(DOCS, tmp_path / "docs")
    (tmp_path / "scripts").mkdir()
    shutil.copy2(ROOT / "scripts/docs_site.py", tmp_path / "scripts")
    shutil.copy2(ROOT / "mkdocs.yml", tmp_path)
    for name in ("helm", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for page in ROOT.glob("*.md"):
        shutil.copy2(page, tmp_path)
    assert build(tmp_path / "mkdocs.yml", tmp_path / "site").returncode == 0
    with (tmp_path / "docs/index.md").open("a") as index:
        index.write(f"\n{line}\n")
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode == 1
    assert want in done.stderr
