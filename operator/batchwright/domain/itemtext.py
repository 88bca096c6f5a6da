"""The text of a ConfigMap, YAML or JSON, as rows of an array's items.

Every plain value is taken as it is written: `1.50` is "1.50", `true` is "true" and `010` is "010", whatever YAML would
make of them, because what an element gets is text. So the text is only parsed, never made into Python's values, and a
doubled name is seen, which a dict would hide. Nothing here can make objects or expand aliases without end.
"""

from __future__ import annotations

import json
from typing import Any, Final

import yaml

from batchwright.errors import WorkloadError

# What plain values are called where they have no name.
ITEM: Final = "item"
_TAG: Final = "tag:yaml.org,2002:"
_TEXTS: Final = frozenset(_TAG + kind for kind in ("str", "int", "float", "bool", "timestamp", "value"))
# The C parser is some ten times faster; its composer crashes on deep nesting, which is looked for first.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_DEPTH: Final = 8
_WANTED: Final = "a YAML or JSON list, of maps from parameter to value or of plain values"

Row = tuple[tuple[str, str], ...]


def rows_of_text(text: str, where: str) -> list[Row]:
    """The rows, each as (name, value) pairs in the order they are written.

    `where` names the key for messages. Raises WorkloadError.
    """
    return _json_rows(text, where) if text.lstrip().startswith("[") else _yaml_rows(text, where)


def _json_rows(text: str, where: str) -> list[Row]:
    try:
        listed = json.loads(text, object_pairs_hook=tuple, parse_int=str, parse_float=str, parse_constant=str)
    except ValueError:
        # A YAML flow list begins the same way.
        return _yaml_rows(text, where)
    except RecursionError:
        raise _too_deep(where) from None
    return [_json_row(row, f"{where}[{index}]") for index, row in enumerate(listed)]


def _json_row(row: object, where: str) -> Row:
    if not isinstance(row, tuple):
        return ((ITEM, _json_text(row, where)),)
    return tuple((name, _json_text(value, f"{where}.{name}")) for name, value in row)


def _json_text(value: object, where: str) -> str:
    match value:
        case str():
            return str(value)
        case bool():
            return "true" if value else "false"
        case None:
            raise WorkloadError(f'{where} is null: give a text, which may be empty ("")')
        case _:
            raise WorkloadError(f"{where} must be a text, a number or a boolean, not {_json_kind(value)}")


def _json_kind(value: object) -> str:
    return "a list" if isinstance(value, list) else "a map"


def _yaml_rows(text: str, where: str) -> list[Row]:
    try:
        _check_depth(text, where)
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        raise WorkloadError(f"{where} is not YAML: {_first_line(error)}") from error
    if not isinstance(root, yaml.SequenceNode):
        raise WorkloadError(f"{where} must be {_WANTED}, not {_yaml_kind(root)}")
    return [_yaml_row(node, f"{where}[{index}]") for index, node in enumerate(root.value)]


def _check_depth(text: str, where: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                raise _too_deep(where)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _too_deep(where: str) -> WorkloadError:
    return WorkloadError(f"{where} is nested too deeply: it must be {_WANTED}")


def _first_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark is not None else problem


def _yaml_row(node: yaml.Node, where: str) -> Row:
    if not isinstance(node, yaml.MappingNode):
        return ((ITEM, _yaml_text(node, where)),)
    pairs: list[tuple[str, str]] = []
    for key, value in node.value:
        if key.tag == f"{_TAG}merge":
            raise WorkloadError(f"{where} has a merge key (<<), which is not supported: write the parameters out")
        name = _yaml_text(key, f"{where}: the name of a parameter")
        pairs.append((name, _yaml_text(value, f"{where}.{name}")))
    return tuple(pairs)


def _yaml_text(node: yaml.Node, where: str) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise WorkloadError(f"{where} must be a text, a number or a boolean, not {_yaml_kind(node)}")
    if node.tag == f"{_TAG}null":
        raise WorkloadError(f'{where} is null: give a text, which may be empty ("")')
    if node.tag not in _TEXTS:
        raise WorkloadError(f"{where} has the tag {node.tag.removeprefix(_TAG)!r}: give plain text")
    return str(node.value)


def _yaml_kind(node: yaml.Node | None) -> str:
    match node:
        case None:
            return "nothing"
        case yaml.SequenceNode():
            return "a list"
        case yaml.MappingNode():
            return "a map"
        case _:
            return "a plain value"
