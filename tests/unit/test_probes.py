"""When the liveness probe fails: a watch that is silent, or an operator that looks at nothing any more."""

from __future__ import annotations

import math

import pytest

from batchwright.errors import BatchwrightError
from batchwright.health import checked_age


def test_an_age_is_shown_by_the_tenth() -> None:
    assert checked_age(12.345, 400.0, "a watch has been silent") == 12.3


def test_any_age_will_do_for_one_that_stands_by() -> None:
    assert checked_age(86_400.0, math.inf, "there has been no pass") == 86_400.0


def test_too_old_fails_and_says_what_and_how_much() -> None:
    with pytest.raises(BatchwrightError, match="there has been no pass for 181 s, and 180 s are the most"):
        checked_age(181.2, 180.0, "there has been no pass")
