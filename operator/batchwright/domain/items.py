"""Parameters of each element of an array (`arrayProperties.items`), and how many elements there are.

A table is kept by columns: the value of element i is `values[(i // stride) % len(values)]`, so that a matrix takes the
sum of its values and not their product, and a list has stride 1. Values are text, and reach the container as written.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Final

from batchwright.api.v1alpha1.array import MAX_SIZE, ArrayItems, ArrayProperties, ItemAxis
from batchwright.domain.indexes import parse_indexes
from batchwright.domain.itemtext import Row, rows_of_text
from batchwright.errors import WorkloadError

MIN_SIZE: Final = 2
# Annotations of a pod template may take 256 KiB together; the rest is the user's, and the map of the indexes that run.
MAX_TABLE_BYTES: Final = 200 * 1024
# As the schema has it for what is written in the job itself; one variable of a process may take 128 KiB.
MAX_VALUE_CHARACTERS: Final = 1024
RESERVED: Final = "AWS_BATCH"

_ITEMS = "arrayProperties.items"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
# No variable holds a NUL, the table is kept as text separated by U+001D to U+001F, and half of a pair is no text.
_FORBIDDEN = re.compile("[\x00\x1d-\x1f\ud800-\udfff]")


@dataclass(frozen=True)
class Column:
    """One parameter: its values, each for `stride` elements in turn."""

    name: str
    stride: int
    values: tuple[str, ...]

    def value(self, index: int) -> str:
        """The value that element `index` has."""
        return self.values[index // self.stride % len(self.values)]


@dataclass(frozen=True)
class ItemTable:
    """The parameters of all elements."""

    columns: tuple[Column, ...]
    size: int

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names, in the order they were given."""
        return tuple(column.name for column in self.columns)

    def row(self, index: int) -> dict[str, str]:
        """The parameters of element `index`. Raises IndexError beyond the size."""
        if not 0 <= index < self.size:
            raise IndexError(f"there is no element {index} of {self.size}")
        return {column.name: column.value(index) for column in self.columns}


def item_table(items: ArrayItems, text_of_config_map: str | None) -> ItemTable:
    """The table of `items`; `text_of_config_map` is the key's text where items name a ConfigMap.

    Raises WorkloadError, naming the field.
    """
    if items.matrix is not None:
        table = _matrix(items.matrix)
    elif items.rows is not None:
        table = _list([tuple(row.items()) for row in items.rows], f"{_ITEMS}.list")
    elif items.config_map is not None:
        source = items.config_map
        where = f"{_ITEMS}.configMap {source.name}, key {source.key}"
        if text_of_config_map is None:
            raise WorkloadError(f"{where}: the ConfigMap has no such key")
        table = _list(rows_of_text(text_of_config_map, where), where)
    else:
        raise WorkloadError(f"{_ITEMS}: give one of list, matrix and configMap")
    _check_bytes(table)
    return table


def array_size(properties: ArrayProperties, table: ItemTable | None) -> int:
    """How many elements the whole array has; `table` is that of its items.

    Raises WorkloadError when size and items disagree, or when `indexes` are not of the array.
    """
    size = properties.size
    if table is not None:
        if size is not None and size != table.size:
            raise WorkloadError(
                f"arrayProperties.size is {size} and {_ITEMS} make {table.size} elements: make them agree, "
                "or leave size out"
            )
        size = table.size
    if size is None:
        raise WorkloadError("arrayProperties: give size, or items (one element an item)")
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise WorkloadError(f"arrayProperties.size must be from {MIN_SIZE} to {MAX_SIZE}, not {size}")
    if properties.indexes is not None:
        _check_indexes(properties.indexes, size)
    return size


def _check_indexes(text: str, size: int) -> None:
    try:
        runs = parse_indexes(text)
    except ValueError as error:
        raise WorkloadError(f"arrayProperties.indexes: {error}") from error
    if not runs:
        raise WorkloadError("arrayProperties.indexes names no index: leave it out to run all elements")
    if runs[-1][1] >= size:
        raise WorkloadError(
            f"arrayProperties.indexes has {runs[-1][1]}, and the last index of an array of {size} is {size - 1}"
        )


def _matrix(axes: Sequence[ItemAxis]) -> ItemTable:
    where = f"{_ITEMS}.matrix"
    if not axes:
        raise WorkloadError(f"{where} must name at least one parameter")
    _check_names([axis.name for axis in axes], where)
    for axis in axes:
        if not axis.values:
            raise WorkloadError(f"{where}: {axis.name} must have at least one value")
        for number, value in enumerate(axis.values):
            _check_value(value, f"{where}: value {number} of {axis.name}")
    lengths = [len(axis.values) for axis in axes]
    size = prod(lengths)
    if not MIN_SIZE <= size <= MAX_SIZE:
        product = " x ".join(map(str, lengths))
        raise WorkloadError(f"{where} makes {product} = {size} elements; an array has {MIN_SIZE} to {MAX_SIZE}")
    # The last varies fastest.
    return ItemTable(
        tuple(Column(axis.name, prod(lengths[place + 1 :]), tuple(axis.values)) for place, axis in enumerate(axes)),
        size,
    )


def _list(rows: Sequence[Row], where: str) -> ItemTable:
    if not MIN_SIZE <= len(rows) <= MAX_SIZE:
        raise WorkloadError(f"{where} has {len(rows)} items; an array has {MIN_SIZE} to {MAX_SIZE} elements")
    named = [name for name, _ in rows[0]]
    if not named:
        raise WorkloadError(f"{where}[0] must have at least one parameter")
    _check_names(named, f"{where}[0]")
    columns: dict[str, list[str]] = {name: [] for name in named}
    for index, row in enumerate(rows):
        _check_same(row, columns, f"{where}[{index}]")
        for name, value in row:
            if len(value) > MAX_VALUE_CHARACTERS or _FORBIDDEN.search(value):
                _check_value(value, f"{where}[{index}].{name}")
            columns[name].append(value)
    return ItemTable(tuple(Column(name, 1, tuple(values)) for name, values in columns.items()), len(rows))


def _check_same(row: Row, columns: Mapping[str, object], where: str) -> None:
    present = {name for name, _ in row}
    if len(present) == len(row) == len(columns) and present == columns.keys():
        return
    _check_once([name for name, _ in row], where)
    missing = next((name for name in columns if name not in present), None)
    if missing is not None:
        raise WorkloadError(f"{where} has no parameter {missing}, which the first item has")
    added = next(name for name, _ in row if name not in columns)
    raise WorkloadError(f"{where} has a parameter {added}, which the first item has not")


def _check_names(listed: Sequence[str], where: str) -> None:
    _check_once(listed, where)
    for name in listed:
        if _NAME.fullmatch(name) is None:
            raise WorkloadError(
                f"{where}: {name!r} must be a name of letters, digits and '_', not beginning with a digit, "
                "as of an environment variable"
            )
        if name.startswith(RESERVED):
            raise WorkloadError(f"{where}: {name} is reserved: names that begin with {RESERVED} are Batchwright's own")


def _check_once(listed: Iterable[str], where: str) -> None:
    twice = [name for name, times in Counter(listed).items() if times > 1]
    if twice:
        raise WorkloadError(f"{where} has the parameter {twice[0]} twice")


def _check_value(value: str, where: str) -> None:
    if len(value) > MAX_VALUE_CHARACTERS:
        raise WorkloadError(f"{where} has {len(value)} characters; a value may have {MAX_VALUE_CHARACTERS}")
    found = _FORBIDDEN.search(value)
    if found is not None:
        raise WorkloadError(f"{where} has the character U+{ord(found[0]):04X}, which a value may not have")


def _check_bytes(table: ItemTable) -> None:
    # A separator a value.
    size = sum(len("".join(column.values).encode()) + len(column.values) for column in table.columns)
    if size > MAX_TABLE_BYTES:
        raise WorkloadError(
            f"{_ITEMS}: the values take {size} bytes, and a Job has room for {MAX_TABLE_BYTES}: use shorter values, or "
            "a matrix, or keep the table in a file and let each element read its row by AWS_BATCH_JOB_ARRAY_INDEX"
        )
