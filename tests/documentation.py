"""The documentation as tests read it: its pages, their blocks, links and commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parent.parent
Manifest = dict[str, Any]
_PROGRAM = re.compile(r"(?:^|(?<! -n)[\s(;|])(?:kubectl )?batchwright +([^|;)\n#]*)")


@dataclass(frozen=True)
class Page:
    """One page of the documentation."""

    path: Path

    @property
    def name(self) -> str:
        """The path within the checkout, as the id of a test."""
        return self.path.relative_to(ROOT).as_posix()

    def manifests(self) -> list[Manifest]:
        """The objects of its YAML blocks, in their order."""
        blocks = [token.content for token in self.tokens() if token.type == "fence" and token.info == "yaml"]
        return [document for block in blocks for document in yaml.safe_load_all(block)]

    def foreign(self) -> list[Manifest]:
        """The objects of other systems that it shows, in blocks marked `yml`: no cluster of ours takes them."""
        blocks = [token.content for token in self.tokens() if token.type == "fence" and token.info == "yml"]
        return [document for block in blocks for document in yaml.safe_load_all(block)]

    def code(self) -> Iterator[str]:
        """Every line of its code: blocks that are no YAML, and what stands in the text."""
        for token in self.tokens():
            if token.type == "code_block" or (token.type == "fence" and token.info not in ("yaml", "yml")):
                yield from token.content.splitlines()
            elif token.type == "code_inline":
                yield token.content

    def commands(self) -> list[list[str]]:
        """The words after `batchwright` of every command line that it shows; a release of helm has that name too."""
        lines = [line for line in self.code() if not line.lstrip().startswith("helm ")]
        return [shlex.split(words) for line in lines for words in _PROGRAM.findall(line)]

    def make_targets(self) -> set[str]:
        """The targets of every `make` that it shows."""
        return {target for line in self.code() for target in re.findall(r"^make ([a-z-]+)", line)}

    def links(self) -> list[str]:
        """Where its links lead."""
        return [str(token.attrs["href"]) for token in self.tokens() if token.type == "link_open"]

    def anchors(self) -> set[str]:
        """The fragments its headings can be linked by, as GitHub makes them."""
        tokens = list(self.tokens())
        titles = [tokens[number + 1].content for number, token in enumerate(tokens) if token.type == "heading_open"]
        return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}

    def tokens(self) -> Iterator[Token]:
        """What GitHub reads in it, blocks and what is in them."""
        for token in MarkdownIt("commonmark").enable("table").parse(self.path.read_text()):
            yield token
            yield from token.children or ()


def pages() -> list[Page]:
    """The pages of the checkout's root, and everything in docs/."""
    found = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
    return [Page(path) for path in found]
