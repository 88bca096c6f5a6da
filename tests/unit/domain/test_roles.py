"""Patterns of IAM roles."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.domain.roles import is_allowed

READER = "arn:aws:iam::123456789012:role/team/reader"


@pytest.mark.parametrize(
    ("patterns", "allowed"),
    [
        pytest.param([], False, id="none"),
        pytest.param([READER], True, id="itself"),
        pytest.param(["*"], True, id="every role"),
        pytest.param(["arn:aws:iam::123456789012:role/team/*"], True, id="a path"),
        pytest.param(["arn:aws:iam::123456789012:role/*"], True, id="a star goes over slashes"),
        pytest.param(["arn:aws:iam::*:role/*/reader"], True, id="stars within"),
        pytest.param(["arn:aws:iam::123456789012:role/team/reader*"], True, id="a star for nothing"),
        pytest.param(["arn:aws:iam::123456789012:role/other", READER], True, id="the second"),
        pytest.param(["arn:aws:iam::123456789012:role/team/read"], False, id="the beginning alone"),
        pytest.param(["*:role/team"], False, id="a part"),
        pytest.param(["arn:aws:iam::210987654321:role/*"], False, id="another account"),
        pytest.param(["arn:aws:iam::123456789012:role/team/?eader"], False, id="only a star is one"),
        pytest.param(["arn:aws:iam::123456789012:role/Team/*"], False, id="case counts"),
        pytest.param([f"{READER}*{READER}"], False, id="the ends may not overlap"),
    ],
)
def test_a_role_a_queue_lists(patterns: list[str], allowed: bool) -> None:
    assert is_allowed(READER, patterns) is allowed


@given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
def test_as_a_regular_expression_would(pattern: str, text: str) -> None:
    wanted = ".*".join(re.escape(part) for part in pattern.split("*"))
    assert is_allowed(text, [pattern]) is (re.fullmatch(wanted, text) is not None)


def test_a_hostile_pattern_takes_no_time() -> None:
    began = time.perf_counter()
    assert not is_allowed("a" * 2048, ["*a" * 1000 + "b"])
    assert time.perf_counter() - began < 1
