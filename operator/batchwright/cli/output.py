"""How things are printed: grids for people, JSON, YAML and names for programs.

A grid on a terminal is coloured and fits its width; elsewhere it is plain columns that nothing truncates, so that
awk and grep see what a person sees.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchwright.cli.formats import STYLES
from batchwright.cli.options import Output
from batchwright.cluster.resources import Resource

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

JSON = dict[str, Any]


@dataclass(frozen=True)
class Grid:
    """A table: column titles and rows of text."""

    titles: Sequence[str]
    rows: Sequence[Sequence[str]]

    def plain(self, gap: int = 3) -> str:
        """Left-aligned columns, as kubectl prints them."""
        lines = [list(self.titles), *map(list, self.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.titles))]
        return "\n".join(
            (" " * gap).join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )

    def rich(self) -> Table:
        """The same for a terminal, states coloured."""
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
        for title in self.titles:
            table.add_column(title, no_wrap=title in ("NAME", "STATE", "AGE"), overflow="fold")
        for row in self.rows:
            table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
        return table


def console(*, stderr: bool = False) -> Console:
    """A console on stdout or stderr that takes text as it is: no markup, no emoji codes, no highlighting."""
    from rich.console import Console

    return Console(file=sys.stderr if stderr else sys.stdout, markup=False, emoji=False, highlight=False)


def print_grid(grid: Grid) -> None:
    """Prints a grid to stdout in the way that fits where it goes."""
    screen = console()
    if screen.is_terminal:
        screen.print(grid.rich())
    else:
        print(grid.plain())


def note(text: str) -> None:
    """A remark for a person, on stderr so that stdout stays what was asked for."""
    print(text, file=sys.stderr)


def complete(resource: Resource, item: JSON) -> JSON:
    """An object of a list with the apiVersion and kind that lists leave out, and without managedFields."""
    metadata = {key: value for key, value in item["metadata"].items() if key != "managedFields"}
    return {"apiVersion": resource.api_version, "kind": resource.kind} | item | {"metadata": metadata}


def qualified(resource: Resource, name: str) -> str:
    """`batchjob.batchwright.io/x`, as kubectl names an object."""
    kind = resource.kind.lower()
    return f"{kind}.{resource.group}/{name}" if resource.group else f"{kind}/{name}"


def render(items: Sequence[tuple[Resource, JSON]], output: Output, *, single: bool = False) -> str:
    """Objects as JSON, YAML or names. `single`: one object stands alone, not in a List."""
    if output is Output.name:
        return "\n".join(qualified(resource, item["metadata"]["name"]) for resource, item in items)
    return dump(gathered([complete(resource, item) for resource, item in items], single=single), output)


def gathered(objects: Sequence[JSON], *, single: bool = False) -> JSON:
    """Objects as one: in a List, or alone."""
    return objects[0] if single and len(objects) == 1 else {"apiVersion": "v1", "kind": "List", "items": list(objects)}


def dump(value: JSON, output: Output) -> str:
    """A value as JSON or YAML, without a line end."""
    if output is Output.json:
        return json.dumps(value, indent=2, ensure_ascii=False)
    import yaml

    dumped: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
    return dumped.rstrip("\n")


def print_value(value: JSON, output: Output) -> None:
    """Prints a value for a program."""
    print(dump(value, output))


def print_objects(items: Sequence[tuple[Resource, JSON]], output: Output, *, single: bool = False) -> None:
    """Prints objects for a program; nothing at all for no names."""
    text = render(items, output, single=single)
    if text:
        print(text)


def is_table(output: Output) -> bool:
    """Whether the output is for a person."""
    return output in (Output.table, Output.wide)
