"""`values.yaml` as text: each default under a comment that says what it means."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel

_WIDTH = 120
_INDENT = "  "


def render_values(values: BaseModel, header: str) -> str:
    """The file. A value that is None is shown as a comment: the key is absent."""
    return header + "\n".join(_section(values, 0)) + "\n"


def _section(section: BaseModel, depth: int) -> Iterator[str]:
    for name, field in type(section).model_fields.items():
        value, key, indent = getattr(section, name), field.alias, _INDENT * depth
        if key == "global":
            continue
        if depth == 0:
            yield ""
        yield from textwrap.wrap(
            field.description or "", _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# "
        )
        if isinstance(value, BaseModel):
            lines = list(_section(value, depth + 1))
            empty = all(line.lstrip().startswith("#") for line in lines)
            yield f"{indent}{key}:{' {}' if empty else ''}"
            yield from lines
        elif value is None:
            yield f"{indent}# {_dump({key: (field.examples or [None])[0]})}"
        else:
            yield from (f"{indent}{line}" for line in _dump({key: value}).splitlines())


def _dump(value: dict[str | None, Any]) -> str:
    return yaml.safe_dump(value, width=_WIDTH, sort_keys=False, allow_unicode=True).rstrip()
