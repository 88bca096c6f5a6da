"""What the site does beyond mkdocs: nav may name directories, and pages link to files of the checkout.

On GitHub such a link leads into the repository. The site has a copy of the file at the same path under `checkout/`, and
the link leads there; a link to a file that is not there stays as it is, and `mkdocs build --strict` refuses it.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

_COPIES: Final = "checkout"
_LINK: Final = re.compile(r"(\]\()((?:\.\./)+[^)#\s]+)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Let an entry of nav that is a directory, such as `adr/`, stand for its pages."""
    config.nav = _expanded(config.nav, Path(config.docs_dir))
    return config


def _expanded(entry: Any, docs: Path) -> Any:
    if isinstance(entry, list):
        return [_expanded(each, docs) for each in entry]
    if isinstance(entry, dict):
        return {title: _expanded(each, docs) for title, each in entry.items()}
    if isinstance(entry, str) and entry.endswith("/"):
        # README.md, which is first of all, sorts behind numbers.
        found = sorted((docs / entry).glob("*.md"), key=lambda page: (page.stem != "README", page.name))
        return [page.relative_to(docs).as_posix() for page in found]
    return entry


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Send links that leave docs/ to a copy of what they lead to."""
    root = Path(config.config_file_path).parent
    here = posixpath.dirname(page.file.src_uri)

    def redirect(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("docs", here, link[2]))
        if target.startswith("docs/") or not (root / target).is_file():
            return link[0]
        # Markdown would become a page, whose own links lead elsewhere; as text it is what it is.
        copy = f"{_COPIES}/{target}" + (".txt" if target.endswith(".md") else "")
        if files.get_file_from_path(copy) is None:
            files.append(File.generated(config, copy, abs_src_path=str(root / target)))
        return link[1] + posixpath.relpath(copy, here or ".")

    return _LINK.sub(redirect, markdown)
