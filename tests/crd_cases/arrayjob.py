"""BatchJobs about arrays and the elements' dependencies: refused ones, and ones that must be accepted.

A range that ends before it begins ("9-3") and an index beyond the size are no cases here: CEL may not cost what it
takes to find them, so they are the operator's to answer.
"""

from __future__ import annotations

from string import ascii_lowercase
from typing import Any

import pytest

from crd_cases import bj, without
from manifests import Manifest

WAY_OUT = "leave arrayProperties out"
INDEXES = "such as 17 or 3,7-9"
RESERVED = "names that begin with AWS_BATCH are reserved"
NAME_FORM = "letters, digits and '_' that does not begin with a digit"
ONE_OF = "give exactly one of name and jobId"
REASON = "by the user"


def array(**properties: object) -> Manifest:
    """A BatchJob with exactly these arrayProperties."""
    return bj(arrayProperties=properties)


def items(**source: object) -> Manifest:
    """An array of items from this source."""
    return array(items=source)


def rows(count: int, **values: str) -> list[dict[str, str]]:
    """A list of items with these parameters, or with one called `n`."""
    return [values or {"n": str(number)} for number in range(count)]


def axis(name: str, count: int) -> dict[str, Any]:
    """A parameter of a matrix with so many values."""
    return {"name": name, "values": [str(number) for number in range(count)]}


def waits(*needed: dict[str, str], size: int | None = 4) -> Manifest:
    """An array (or, without a size, a single job) with these dependencies."""
    job = bj(dependsOn=list(needed), arrayProperties={"size": size})
    return job if size else without(job, "arrayProperties")


def ending(field: str, *indexes: str) -> Manifest:
    """An array some elements of which are asked to end."""
    return bj(arrayProperties={"size": 4}, **{field: [{"indexes": each, "reason": REASON} for each in indexes]})


SIZES = [
    pytest.param(array(size=size), "spec.arrayProperties.size", f"an array has 2 to 100000 elements: {WAY_OUT}", id=id_)
    for size, id_ in [(1, "size-1"), (0, "size-0"), (-1, "size-negative"), (100_001, "size-100001")]
]
ITEMS = [
    pytest.param(array(), "spec.arrayProperties.size", "give size (2 to 100000), or items", id="array-empty"),
    pytest.param(
        array(maxConcurrency=3), "spec.arrayProperties.size", "give size (2 to 100000), or items", id="array-sizeless"
    ),
    pytest.param(items(), "spec.arrayProperties.items", "exactly one of list, matrix and configMap", id="items-none"),
    pytest.param(
        items(list=rows(2), configMap={"name": "sweep"}),
        "spec.arrayProperties.items",
        "exactly one of list, matrix and configMap",
        id="items-two-sources",
    ),
    pytest.param(
        items(list=[]),
        "spec.arrayProperties.items.list",
        f"2 elements or more: for a single job {WAY_OUT}",
        id="list-empty",
    ),
    pytest.param(
        items(list=rows(1)),
        "spec.arrayProperties.items.list",
        f"2 elements or more: for a single job {WAY_OUT}",
        id="list-of-one",
    ),
    pytest.param(items(list=rows(10_001)), "spec.arrayProperties.items.list", "10000", id="list-10001"),
    pytest.param(
        items(list=rows(10_000, **dict.fromkeys(ascii_lowercase[:11], ""))),
        "spec.arrayProperties.items.list",
        "a list has 100000 values at most",
        id="list-of-110000-values",
    ),
    pytest.param(items(list=[{}, {}]), "spec.arrayProperties.items.list[0]", "at least 1", id="list-empty-item"),
    pytest.param(
        items(list=[{"a": "1", "b": "1"}, {"a": "1"}]),
        "spec.arrayProperties.items.list",
        "the same parameters as the first one: give an empty value where there is none",
        id="list-item-lacks-one",
    ),
    pytest.param(
        items(list=[{"a": "1"}, {"b": "1"}]),
        "spec.arrayProperties.items.list",
        "the same parameters as the first one",
        id="list-other-name",
    ),
    *(
        pytest.param(items(list=rows(2, **{name: "x"})), "spec.arrayProperties.items.list", NAME_FORM, id=f"list-{id_}")
        for name, id_ in [("1x", "name-digit"), ("a-b", "name-dash"), ("a b", "name-blank"), ("é", "name-accent")]
    ),
    pytest.param(
        items(list=rows(2, AWS_BATCH_JOB_ID="x")), "spec.arrayProperties.items.list", RESERVED, id="list-reserved"
    ),
    pytest.param(
        items(list=rows(2, **{"x" * 129: "x"})),
        "spec.arrayProperties.items.list[0]",
        "1 to 128 characters",
        id="list-name-long",
    ),
    pytest.param(
        items(list=rows(2, lr="x" * 1025)), "spec.arrayProperties.items.list[0].lr", "1024", id="list-value-long"
    ),
    pytest.param(
        items(list=[{"lr": 0.1}, {"lr": 0.2}]),
        "spec.arrayProperties.items.list[0].lr",
        "must be of type string",
        id="list-value-number",
    ),
    *(
        pytest.param(
            array(size=size, items={"list": rows(3)}),
            "spec.arrayProperties.size",
            "the number of items in the list, or be left out",
            id=f"list-of-3-size-{size}",
        )
        for size in (2, 4)
    ),
    pytest.param(items(matrix=[]), "spec.arrayProperties.items.matrix", "at least 1", id="matrix-empty"),
    pytest.param(
        items(matrix=[{"name": "a", "values": []}, axis("b", 2)]),
        "spec.arrayProperties.items.matrix[0].values",
        "at least 1",
        id="matrix-no-values",
    ),
    *(
        pytest.param(
            items(matrix=axes), "spec.arrayProperties.items.matrix", "an array has 2 to 100000 elements", id=id_
        )
        for axes, id_ in [
            ([axis("a", 1)], "matrix-of-one"),
            ([axis("a", 1), axis("b", 1)], "matrix-of-one-by-one"),
            ([axis("a", 317), axis("b", 316)], "matrix-100172"),
            ([axis(f"a{n}", 1000) for n in range(10)], "matrix-beyond-64-bits"),
        ]
    ),
    pytest.param(
        items(matrix=[axis("a", 2), axis("a", 3)]),
        "spec.arrayProperties.items.matrix[1]",
        "Duplicate value",
        id="matrix-name-twice",
    ),
    pytest.param(
        items(matrix=[axis(f"a{n}", 2) for n in range(11)]), "spec.arrayProperties.items.matrix", "10", id="matrix-11"
    ),
    *(
        pytest.param(
            items(matrix=[axis(name, 2)]), "spec.arrayProperties.items.matrix[0].name", want, id=f"matrix-{id_}"
        )
        for name, want, id_ in [
            ("1x", NAME_FORM, "name-digit"),
            ("a.b", NAME_FORM, "name-dot"),
            ("", "at least 1", "name-empty"),
            ("AWS_BATCH_X", RESERVED, "reserved"),
        ]
    ),
    *(
        pytest.param(
            array(size=size, items={"matrix": [axis("a", 2), axis("b", 3)]}),
            "spec.arrayProperties.size",
            "the number of combinations of the matrix, or be left out",
            id=f"matrix-of-6-size-{size}",
        )
        for size in (5, 7)
    ),
    pytest.param(items(configMap={}), "spec.arrayProperties.items.configMap.name", "Required value", id="map-no-name"),
    pytest.param(
        items(configMap={"name": "My_Map"}),
        "spec.arrayProperties.items.configMap.name",
        "must be the name of an object",
        id="map-name-form",
    ),
    pytest.param(
        items(configMap={"name": "sweep", "key": "a/b"}),
        "spec.arrayProperties.items.configMap.key",
        "must be a key of a ConfigMap",
        id="map-key-form",
    ),
]
RUNS = [
    *(
        pytest.param(array(size=9, indexes=text), "spec.arrayProperties.indexes", INDEXES, id=f"indexes-{text!r}")
        for text in ("x", "3-", "-3", "", "100000", "100000x", "3,", "3, 4", "3;4")
    ),
    pytest.param(array(size=9, indexes="1," * 8192 + "1"), "spec.arrayProperties.indexes", "16384", id="indexes-long"),
    *(
        pytest.param(
            array(size=9, maxConcurrency=number),
            "spec.arrayProperties.maxConcurrency",
            "must be 1 to 100000: leave it out for no limit",
            id=f"at-once-{number}",
        )
        for number in (0, -1, 100_001)
    ),
]
DEPENDENCIES = [
    pytest.param(waits({"type": "N_TO_N"}), "spec.dependsOn[0]", ONE_OF, id="n-to-n-of-nothing"),
    pytest.param(
        waits({"name": "a"}, {"name": "b", "jobId": "u", "type": "SEQUENTIAL"}),
        "spec.dependsOn[1]",
        ONE_OF,
        id="sequential-both",
    ),
    pytest.param(
        waits({"type": "SEQUENTIAL"}, size=None),
        "spec.dependsOn",
        "SEQUENTIAL without a name or jobId orders the elements of an array: give arrayProperties",
        id="sequential-single",
    ),
    pytest.param(
        waits({"condition": "Failed"}), "spec.dependsOn[0]", "only type SEQUENTIAL goes without", id="condition-alone"
    ),
    *(
        pytest.param(waits({"name": "a", field: value}), f"spec.dependsOn[0].{field}", want, id=f"{field}-{value}")
        for field, value, want in [
            ("type", "ONE_TO_ONE", 'supported values: "N_TO_N", "SEQUENTIAL"'),
            ("type", "", 'supported values: "N_TO_N", "SEQUENTIAL"'),
            ("condition", "Always", 'supported values: "Succeeded", "Completed", "Failed"'),
            ("condition", "SUCCEEDED", 'supported values: "Succeeded", "Completed", "Failed"'),
        ]
    ),
    *(
        pytest.param(
            waits({"name": "case", "type": kind}),
            "spec.dependsOn",
            "a job cannot depend on itself: to order the elements of an array, give type SEQUENTIAL and no name",
            id=f"itself-{kind}",
        )
        for kind in ("N_TO_N", "SEQUENTIAL")
    ),
]
ENDINGS = [
    case
    for field, single in [("terminateElements", "terminate"), ("cancelElements", "cancel")]
    for case in [
        pytest.param(
            without(ending(field, "1"), "arrayProperties"),
            f"spec.{field}",
            f"{field} is for array jobs: give {single} instead",
            id=f"{single}-element-of-single",
        ),
        pytest.param(ending(field, "1:2"), f"spec.{field}[0].indexes", INDEXES, id=f"{single}-element-form"),
        pytest.param(ending(field, ""), f"spec.{field}[0].indexes", INDEXES, id=f"{single}-element-empty"),
        pytest.param(ending(field, "1", "1"), f"spec.{field}[1]", "Duplicate value", id=f"{single}-element-twice"),
        pytest.param(ending(field, *map(str, range(65))), f"spec.{field}", "64", id=f"{single}-65-elements"),
        pytest.param(
            bj(arrayProperties={"size": 4}, **{field: [{"indexes": "1"}]}),
            f"spec.{field}[0].reason",
            "Required value",
            id=f"{single}-element-no-reason",
        ),
        pytest.param(
            bj(arrayProperties={"size": 4}, **{field: [{"reason": REASON}]}),
            f"spec.{field}[0].indexes",
            "Required value",
            id=f"{single}-no-element",
        ),
    ]
]
REFUSED = SIZES + ITEMS + RUNS + DEPENDENCIES + ENDINGS

# The most parameters that a rule can compare: its cost at run time is bounded too.
WIDEST = rows(10_000, **dict.fromkeys(ascii_lowercase[:10], "v"))
ACCEPTED = [
    pytest.param(manifest, {}, id=id_)
    for manifest, id_ in [
        (array(size=2), "size-2"),
        (array(size=100_000), "size-100000"),
        (array(size=100_000, indexes="3,7-9", maxConcurrency=1), "some-indexes"),
        (array(size=2, indexes="0-99999,5", maxConcurrency=100_000), "indexes-to-99999"),
        (items(list=rows(2)), "list"),
        (array(size=3, items={"list": rows(3)}), "list-of-size"),
        (items(list=rows(2, lr="0.1", _X1="", **{"x" * 128: "v" * 1024})), "list-names"),
        (items(list=rows(10_000)), "list-10000"),
        (items(list=WIDEST), "list-of-100000-values"),
        (items(matrix=[axis("a", 2)]), "matrix-of-one-parameter"),
        (items(matrix=[axis("a", 1), axis("b", 2)]), "matrix-one-by-two"),
        (items(matrix=[axis(f"a{n}", 10 if n < 5 else 1) for n in range(10)]), "matrix-100000"),
        (array(size=6, items={"matrix": [axis("a", 2), axis("b", 3)]}), "matrix-of-size"),
        (items(configMap={"name": "sweep"}), "config-map"),
        (array(size=9, items={"configMap": {"name": "s" * 253, "key": "_rows.yaml"}}), "config-map-key"),
        (waits({"type": "SEQUENTIAL"}), "sequential"),
        (waits({"type": "SEQUENTIAL", "condition": "Completed"}), "sequential-completed"),
        (waits({"jobId": "u", "type": "SEQUENTIAL"}, size=None), "sequential-single-after-id"),
        (
            waits(
                {"name": "a"},
                {"name": "b", "type": "N_TO_N"},
                {"jobId": "u", "type": "N_TO_N", "condition": "Succeeded"},
                {"name": "c", "type": "SEQUENTIAL", "condition": "Failed"},
                {"name": "d", "condition": "Completed"},
                {"type": "SEQUENTIAL"},
            ),
            "dependencies-mixed",
        ),
        (ending("terminateElements", "1", "2-3,5"), "terminate-elements"),
        (ending("cancelElements", *map(str, range(64))), "cancel-64-elements"),
        (bj(terminateElements=[], cancelElements=[]), "single-with-empty-requests"),
    ]
]
