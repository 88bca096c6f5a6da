"""Jobs and elements as people type them, sets of indexes, and what a job has of them."""

from __future__ import annotations

import re

import pytest
import typer

from batchwright.cli.arrays import check_elements, elements_of, first_failed, short_runs, size_of
from batchwright.cli.references import Reference, element_allowed, parse_reference, whole_jobs_only
from batchwright.domain.indexes import parse_indexes, runs_of
from batchwright.errors import NotFound
from unit.cli.objects import JSON, array, job

UID = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("sim", Reference("sim"), id="a job"),
        pytest.param("bj/sim", Reference("sim"), id="with its kind"),
        pytest.param("sim:17", Reference("sim", ((17, 17),)), id="an element"),
        pytest.param("batchjob.batchwright.io/sim:0", Reference("sim", ((0, 0),)), id="an element, with the kind"),
        pytest.param("sim:7-9,3,4", Reference("sim", ((3, 4), (7, 9))), id="several, in any order"),
        pytest.param(f"{UID}:2", Reference(UID, ((2, 2),)), id="by jobId, as AWS writes it"),
    ],
)
def test_references(text: str, want: Reference) -> None:
    assert parse_reference(text) == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param(":17", "no job before the colon", id="no job"),
        pytest.param("sim:", "names no element", id="no element"),
        pytest.param("sim:x", "'x' is neither an index nor a range", id="a word"),
        pytest.param("sim:-3", "'-3' is neither", id="half a range"),
        pytest.param("sim:3,,4", "'' is neither", id="an empty part"),
        pytest.param("sim:9-3", "ends before it begins", id="backwards"),
        pytest.param("sim:1:2", "'1:2' is neither", id="two colons"),
    ],
)
def test_malformed_references_are_refused_with_what_is_right(text: str, want: str) -> None:
    with pytest.raises(typer.BadParameter, match=re.escape(want)) as refusal:
        parse_reference(text)
    assert "17" in refusal.value.message


def test_verbs_refuse_what_they_do_not_take() -> None:
    with pytest.raises(typer.BadParameter, match="takes whole jobs: say sim"):
        whole_jobs_only(["other", "sim:3"])
    with pytest.raises(typer.BadParameter, match="several elements: name one, such as sim:17"):
        element_allowed("sim:3-4")
    assert element_allowed("sim:3") == "sim:3"


@pytest.mark.parametrize(
    ("given", "size", "elements"),
    [
        pytest.param(job(), None, None, id="no array"),
        pytest.param(array(size=10), 10, ((0, 9),), id="by size"),
        pytest.param(
            array(size=None, spec={"arrayProperties": {"items": {"list": [{"a": "1"}] * 3}}}),
            3,
            ((0, 2),),
            id="by list",
        ),
        pytest.param(
            array(
                size=None,
                spec={
                    "arrayProperties": {
                        "items": {"matrix": [{"name": "a", "values": ["1", "2"]}, {"name": "b", "values": ["x"] * 5}]}
                    }
                },
            ),
            10,
            ((0, 9),),
            id="by matrix",
        ),
        pytest.param(
            array(size=None, spec={"arrayProperties": {"items": {"configMap": {"name": "rows"}}}}),
            None,
            None,
            id="by a ConfigMap not read yet",
        ),
        pytest.param(array(size=10, spec={"arrayProperties": {"indexes": "7-9,3"}}), 10, ((3, 3), (7, 9)), id="retry"),
    ],
)
def test_size_and_elements(given: JSON, size: int | None, elements: object) -> None:
    assert size_of(given) == size
    assert elements_of(given) == elements


def test_the_status_knows_the_size_that_a_config_map_makes() -> None:
    seen = array(size=None, spec={"arrayProperties": {"items": {"configMap": {"name": "rows"}}}}, state="PENDING")
    seen["status"]["arrayProperties"]["size"] = 4
    assert elements_of(seen) == ((0, 3),)


@pytest.mark.parametrize(
    ("given", "indexes", "want"),
    [
        pytest.param(array(), "10", "job sim has no element 10: the array's indexes are 0 to 9", id="one too far"),
        pytest.param(array(), "8-12,99999", "job sim has no elements 10-12,99999: the array's", id="some too far"),
        pytest.param(job(), "0", "job sim is no array, and has no elements: say sim in place of sim:0", id="no array"),
        pytest.param(
            array(spec={"arrayProperties": {"indexes": "3,7-9"}}), "4", "0 to 9, and it runs 3,7-9 alone", id="retry"
        ),
        pytest.param(
            array(size=None, spec={"arrayProperties": {"items": {"configMap": {"name": "rows"}}}}),
            "4",
            "no elements yet: its items are read from a ConfigMap when it starts",
            id="not known yet",
        ),
    ],
)
def test_elements_that_are_not_there(given: JSON, indexes: str, want: str) -> None:
    with pytest.raises(NotFound, match=re.escape(want)):
        check_elements(given, parse_indexes(indexes))


def test_elements_that_are_there() -> None:
    check_elements(array(), parse_indexes("0,9"))
    check_elements(array(spec={"arrayProperties": {"indexes": "3,7-9"}}), parse_indexes("8"))


def test_the_first_failure_is_the_first_that_was_seen() -> None:
    groups = [{"indexes": "8"}, {"indexes": "2-3"}]
    assert first_failed(array(failed="2-3,8", failures=groups)) == 8
    assert first_failed(array(failed="2-3,8")) == 2
    assert first_failed(array()) is None


def test_long_sets_are_cut_between_runs_and_counted() -> None:
    runs = runs_of(range(0, 200, 2))
    text = short_runs(runs, 20)
    assert text == "0,2,4,6,8,10,12,14,… (92 more)"
    assert short_runs(((0, 99_999),)) == "0-99999"
