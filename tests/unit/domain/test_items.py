"""Parameters of each element: tables from lists, matrices and ConfigMaps, and the size they give."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from batchwright.api.v1alpha1.array import ArrayItems, ArrayProperties, ItemAxis, ItemsSource
from batchwright.domain import itemtext
from batchwright.domain.items import MAX_TABLE_BYTES, Column, ItemTable, array_size, item_table
from batchwright.errors import WorkloadError

CONFIG_MAP = ArrayItems(config_map=ItemsSource(name="cm"))
WHERE = "arrayProperties.items.configMap cm, key items"


def listed(*rows: dict[str, str]) -> ArrayItems:
    """Items as they may have been stored, whatever the rules of the schema say now."""
    return ArrayItems.model_construct(rows=rows, matrix=None, config_map=None)


def matrix(*axes: tuple[str, tuple[str, ...]]) -> ArrayItems:
    """A matrix, unchecked."""
    made = tuple(ItemAxis.model_construct(name=name, values=values) for name, values in axes)
    return ArrayItems.model_construct(rows=None, matrix=made, config_map=None)


def rows(table: ItemTable) -> list[dict[str, str]]:
    """All rows."""
    return [table.row(index) for index in range(table.size)]


def test_list() -> None:
    given_ = [{"lr": "0.1", "seed": "1"}, {"seed": "2", "lr": ""}, {"lr": "$(x) $$ ü\n", "seed": "3"}]
    table = item_table(ArrayItems.model_validate({"list": given_}), None)
    assert (table.size, table.names) == (3, ("lr", "seed"))
    assert rows(table) == given_


def test_matrix_varies_the_last_fastest() -> None:
    given_ = {"matrix": [{"name": "a", "values": ["1", "2"]}, {"name": "b", "values": ["x", "y", "z"]}]}
    table = item_table(ArrayItems.model_validate(given_), None)
    assert table.names == ("a", "b")
    assert [tuple(row.values()) for row in rows(table)] == list(itertools.product("12", "xyz"))


@given(
    st.lists(st.lists(st.text("abc", max_size=2), min_size=1, max_size=5), min_size=1, max_size=4).filter(
        lambda axes: math.prod(map(len, axes)) >= 2
    )
)
def test_matrix_is_the_product(axes: list[list[str]]) -> None:
    table = item_table(matrix(*((f"p{place}", tuple(values)) for place, values in enumerate(axes))), None)
    assert [tuple(row.values()) for row in rows(table)] == list(itertools.product(*axes))


@pytest.mark.parametrize("index", [-1, 2])
def test_no_row_beyond_the_table(index: int) -> None:
    with pytest.raises(IndexError, match=f"no element {index} of 2"):
        item_table(listed({"a": "1"}, {"a": "2"}), None).row(index)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("- a: 1\n  b: x\n- b: y\n  a: 2\n", [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}], id="yaml maps"),
        pytest.param("- one\n- two three\n", [{"item": "one"}, {"item": "two three"}], id="yaml values"),
        pytest.param("[one, {item: two}]", [{"item": "one"}, {"item": "two"}], id="yaml, flow style, mixed"),
        pytest.param(
            "- 1.50\n- true\n- 010\n- 1_000\n- 2024-01-01\n- No\n- 1e3\n- '~'\n- \"\"\n- =\n- 0x1F",
            [
                {"item": text}
                for text in ("1.50", "true", "010", "1_000", "2024-01-01", "No", "1e3", "~", "", "=", "0x1F")
            ],
            id="yaml as written",
        ),
        pytest.param("- !!str 1\n- >-\n  two\n  words\n", [{"item": "1"}, {"item": "two words"}], id="yaml styles"),
        pytest.param("- &a {x: '1'}\n- *a\n", [{"x": "1"}, {"x": "1"}], id="yaml alias"),
        pytest.param(
            '[{"a": 1.50, "b": true}, {"a": 1e3, "b": "\\ud83d\\ude00"}]',
            [{"a": "1.50", "b": "true"}, {"a": "1e3", "b": "😀"}],
            id="json as written",
        ),
        pytest.param(
            '\n ["a\\/b", 12345678901234567890123, false]',
            [{"item": "a/b"}, {"item": "12345678901234567890123"}, {"item": "false"}],
            id="json values",
        ),
    ],
)
def test_config_map(text: str, want: list[dict[str, str]]) -> None:
    assert rows(item_table(CONFIG_MAP, text)) == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param(None, "the ConfigMap has no such key", id="no key"),
        pytest.param("", "must be a YAML or JSON list, of maps.* not nothing", id="empty"),
        pytest.param("a: 1", "must be a YAML or JSON list, of maps.* not a map", id="a map"),
        pytest.param("hello", "not a plain value", id="a value"),
        pytest.param("[1, 2", "is not YAML: line 2, column 1: did not find expected", id="cut"),
        pytest.param("- 1\n---\n- 2", "is not YAML: line 2, column 1: but found another document", id="two documents"),
        pytest.param("- 1", "has 1 items; an array has 2 to 100000 elements", id="one item"),
        pytest.param("[]", "has 0 items", id="no item"),
        pytest.param("- {}\n- {}", r"\[0\] must have at least one parameter", id="no parameter"),
        pytest.param("- {a: 1}\n- {a: 1, a: 2}", r"\[1\] has the parameter a twice", id="twice, yaml"),
        pytest.param('[{"a": 1, "a": 2}, {"a": 1}]', r"\[0\] has the parameter a twice", id="twice, json"),
        pytest.param("- {a: 1}\n- x", r"\[1\] has no parameter a, which the first item has", id="map, then value"),
        pytest.param("- a:\n- a: 1", r'\[0\].a is null: give a text, which may be empty \(""\)', id="null, yaml"),
        pytest.param('[{"a": null}, 1]', r"\[0\].a is null", id="null, json"),
        pytest.param("- a: [1]\n- a: 1", r"\[0\].a must be a text, a number or a boolean, not a list", id="list, yaml"),
        pytest.param('[{"a": {}}, 1]', r"\[0\].a must be a text, a number or a boolean, not a map", id="map, json"),
        pytest.param("- [1]\n- 1", r"\[0\] must be a text.* not a list", id="list in a list, yaml"),
        pytest.param("[[1], 1]", r"\[0\] must be a text.* not a list", id="list in a list, json"),
        pytest.param("- {[1]: 1}\n- 1", r"\[0\]: the name of a parameter must be a text", id="list as name"),
        pytest.param("- &b {a: 1}\n- {<<: *b}", r"\[1\] has a merge key", id="merge"),
        pytest.param("- !!binary aGk=\n- 1", r"\[0\] has the tag 'binary'", id="binary"),
        pytest.param("- !!python/name:os.system x\n- 1", r"\[0\] has the tag 'python/name:os.system'", id="python"),
        pytest.param("- &a [*a]\n- 1", r"\[0\] must be a text", id="circle"),
        pytest.param('["\\ud800", "a"]', r"\[0\].item has the character U\+D800", id="half a pair"),
        pytest.param('["\\u001f", "a"]', r"\[0\].item has the character U\+001F", id="separator"),
        pytest.param("- a-b: 1\n- a-b: 2", r"\[0\]: 'a-b' must be a name of letters", id="name"),
        pytest.param("- 1a: 1\n- 1a: 2", r"\[0\]: '1a' must be a name of letters", id="name that begins with a digit"),
        pytest.param("[" * 100_000, "is nested too deeply", id="deep, json"),
        pytest.param("- " * 100_000, "is nested too deeply", id="deep, yaml"),
    ],
)
def test_config_map_that_is_wrong(text: str | None, want: str) -> None:
    with pytest.raises(WorkloadError, match=f"^{WHERE}.*{want}"):
        item_table(CONFIG_MAP, text)


def test_pythons_own_yaml_parser_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PyYAML has no C parser."""
    monkeypatch.setattr(itemtext, "_LOADER", yaml.SafeLoader)
    test_config_map("- 1.50\n- 010\n", [{"item": "1.50"}, {"item": "010"}])
    test_config_map_that_is_wrong("- " * 100_000, "is nested too deeply")
    test_config_map_that_is_wrong("- a: [\n", "is not YAML: line")


@given(st.lists(st.dictionaries(st.just("a"), st.text(st.characters(codec="utf-8"), max_size=20)), max_size=6))
def test_any_json_is_read_or_refused(listed_: list[dict[str, str]]) -> None:
    try:
        table = item_table(CONFIG_MAP, json.dumps(listed_))
    except WorkloadError:
        forbidden = {"\x00", "\x1d", "\x1e", "\x1f"}
        assert len(listed_) < 2 or not all(listed_) or any(forbidden & set(row["a"]) for row in listed_)
    else:
        assert rows(table) == listed_


@given(st.text(max_size=60) | st.text("-[]{}:,&*!<> \n'\"a1", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        table = item_table(CONFIG_MAP, text)
    except WorkloadError:
        return
    assert len(rows(table)) >= 2


@pytest.mark.parametrize(
    ("items", "want"),
    [
        pytest.param(listed({"a": "1"}), r"items.list has 1 items; an array has 2 to 100000", id="one"),
        pytest.param(
            listed(*[{"lr": "1"}] * 3, {"x": "1"}),
            r"items.list\[3\] has no parameter lr, which the first item has",
            id="missing",
        ),
        pytest.param(
            listed({"a": "1"}, {"a": "1", "b": "2"}),
            r"items.list\[1\] has a parameter b, which the first item has not",
            id="added",
        ),
        pytest.param(
            listed({"AWS_BATCH_X": "1"}, {"AWS_BATCH_X": "2"}), r"list\[0\]: AWS_BATCH_X is reserved", id="reserved"
        ),
        pytest.param(listed({"": "1"}, {"": "2"}), r"list\[0\]: '' must be a name", id="empty name"),
        pytest.param(listed({"é": "1"}, {"é": "2"}), r"list\[0\]: 'é' must be a name", id="letters beyond ASCII"),
        pytest.param(listed({"a\n": "1"}, {"a\n": "2"}), r"list\[0\]: 'a\\n' must be a name", id="line break"),
        pytest.param(
            listed({"a": "1"}, {"a": "x" * 1025}), r"list\[1\].a has 1025 characters; a value may have 1024", id="long"
        ),
        pytest.param(listed({"a": "\x00"}, {"a": ""}), r"list\[0\].a has the character U\+0000", id="NUL"),
        pytest.param(matrix(("a", ("1",))), r"matrix makes 1 = 1 elements; an array has 2 to 100000", id="one by one"),
        pytest.param(
            matrix(("a", ("1",) * 1000), ("b", ("2",) * 101)), r"matrix makes 1000 x 101 = 101000", id="too many"
        ),
        pytest.param(matrix(("a", ("1", "2")), ("a", ("3",))), r"matrix has the parameter a twice", id="axis twice"),
        pytest.param(matrix(("a", ("1", "2")), ("b", ())), r"matrix: b must have at least one value", id="no value"),
        pytest.param(matrix(), r"matrix must name at least one parameter", id="no axis"),
        pytest.param(matrix(("a", ("1", "\x1e"))), r"matrix: value 1 of a has the character U\+001E", id="separator"),
        pytest.param(
            ArrayItems.model_construct(rows=None, matrix=None, config_map=None),
            "items: give one of list, matrix and configMap",
            id="nothing",
        ),
    ],
)
def test_items_that_are_wrong(items: ArrayItems, want: str) -> None:
    with pytest.raises(WorkloadError, match=rf"^arrayProperties\.{want}|^arrayProperties\.items\.{want}"):
        item_table(items, None)


def test_largest_table_and_one_byte_more() -> None:
    # A separator a value, and é is two bytes.
    rows_ = [{"a": "é" * 511 + "x"}] * 200
    assert sum(len(row["a"].encode()) + 1 for row in rows_) == MAX_TABLE_BYTES
    assert item_table(listed(*rows_), None).size == 200
    with pytest.raises(
        WorkloadError, match=r"the values take 204801 bytes, and a Job has room for 204800: use shorter"
    ):
        item_table(listed(*rows_[1:], {"a": "é" * 512}), None)


def test_matrix_takes_the_sum_of_its_values() -> None:
    table = item_table(matrix(*((name, ("x" * 1000,) * 10) for name in "abcde")), None)
    assert table.size == 100_000


TABLE = ItemTable((Column("a", 1, ("1", "2", "3")),), 3)


@pytest.mark.parametrize(
    ("properties", "table", "want"),
    [
        pytest.param({"size": 2}, None, 2, id="size"),
        pytest.param({"size": 100_000, "indexes": "99999"}, None, 100_000, id="last index"),
        pytest.param({"items": {}}, TABLE, 3, id="items"),
        pytest.param({"size": 3, "indexes": "0-2"}, TABLE, 3, id="both"),
    ],
)
def test_array_size(properties: dict[str, Any], table: ItemTable | None, want: int) -> None:
    assert array_size(ArrayProperties.model_construct(**properties), table) == want


@pytest.mark.parametrize(
    ("properties", "table", "want"),
    [
        pytest.param({}, None, "arrayProperties: give size, or items", id="neither"),
        pytest.param(
            {"size": 4}, TABLE, "arrayProperties.size is 4 and arrayProperties.items make 3 elements", id="disagree"
        ),
        pytest.param({"size": 1}, None, "arrayProperties.size must be from 2 to 100000, not 1", id="one"),
        pytest.param({"size": 100_001}, None, "arrayProperties.size must be from 2 to 100000, not 100001", id="many"),
        pytest.param(
            {"size": 10, "indexes": "3,7-10"},
            None,
            "arrayProperties.indexes has 10, and the last index of an array of 10 is 9",
            id="beyond",
        ),
        pytest.param({"size": 10, "indexes": "7-3"}, None, "arrayProperties.indexes: the range 7-3 ends", id="range"),
        pytest.param({"size": 10, "indexes": ""}, None, "arrayProperties.indexes names no index", id="no index"),
    ],
)
def test_array_size_that_is_wrong(properties: dict[str, Any], table: ItemTable | None, want: str) -> None:
    with pytest.raises(WorkloadError, match=f"^{want}"):
        array_size(ArrayProperties.model_construct(**properties), table)
