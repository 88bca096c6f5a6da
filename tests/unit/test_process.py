"""How the operator's process ends."""

from __future__ import annotations

import pytest

from batchwright.errors import Conflict
from batchwright.process import cause_of

CONFLICT = Conflict("the object has been modified")
TWO = BaseExceptionGroup("tasks", [CONFLICT, KeyError(7)])


@pytest.mark.parametrize(
    ("error", "want"),
    [
        pytest.param(CONFLICT, CONFLICT, id="an error"),
        pytest.param(BaseExceptionGroup("tasks", [CONFLICT]), CONFLICT, id="that ended a group of tasks"),
        pytest.param(BaseExceptionGroup("a", [BaseExceptionGroup("b", [CONFLICT])]), CONFLICT, id="within another"),
        pytest.param(TWO, TWO, id="two errors are told as they are"),
    ],
)
def test_one_error_ends_it_as_that_error(error: BaseException, want: BaseException) -> None:
    assert cause_of(error) is want
