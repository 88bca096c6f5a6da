"""`Ref::name` in commands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.domain.placeholders import substitute

PARAMETERS = {"in": "s3://a", "input": "s3://b", "n": "3", "a.b": "dot", "loop": "Ref::n", "empty": "", "\\1": "slash"}


@pytest.mark.parametrize(
    ("argument", "want"),
    [
        pytest.param("Ref::n", "3", id="whole argument"),
        pytest.param("--n=Ref::n;", "--n=3;", id="inside"),
        pytest.param("Ref::input", "s3://b", id="longest name wins"),
        pytest.param("Ref::inp", "s3://ap", id="shorter name where the longer does not fit"),
        pytest.param("Ref::nRef::n", "33", id="twice"),
        pytest.param("Ref::unknown", "Ref::unknown", id="unknown stays"),
        pytest.param("Ref::a.b", "dot", id="a dot is a dot"),
        pytest.param("Ref::axb", "Ref::axb", id="and no wildcard"),
        pytest.param("Ref::loop", "Ref::n", id="values are not looked at again"),
        pytest.param("[Ref::empty]", "[]", id="empty value"),
        pytest.param("Ref::\\1", "slash", id="no meaning in a name's characters"),
        pytest.param("ref::n Ref:n", "ref::n Ref:n", id="the mark as it is"),
        pytest.param("", "", id="empty argument"),
    ],
)
def test_substitute(argument: str, want: str) -> None:
    assert substitute([argument], PARAMETERS) == (want,)


def test_without_parameters_nothing_changes() -> None:
    assert substitute(["Ref::a", "b"], {}) == ("Ref::a", "b")


@given(st.lists(st.text()), st.dictionaries(st.text(min_size=1), st.text()))
def test_total_and_keeps_the_number_of_arguments(arguments: list[str], parameters: dict[str, str]) -> None:
    done = substitute(arguments, parameters)
    assert len(done) == len(arguments)
    assert all(new == old for new, old in zip(done, arguments, strict=True) if "Ref::" not in old)


@given(st.text(), st.text(), st.text(min_size=1), st.text())
def test_a_known_name_is_replaced_wherever_it_stands(before: str, after: str, name: str, value: str) -> None:
    # The surroundings must not make another reference together with the one in the middle.
    before, after = before.replace("R", "").replace(":", ""), after.replace("R", "").replace(":", "")
    assert substitute([f"{before}Ref::{name}{after}"], {name: value}) == (f"{before}{value}{after}",)
