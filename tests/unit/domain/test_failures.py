"""Failed elements by how they ended."""

from __future__ import annotations

from batchwright.api.v1alpha1.array import MAX_FAILURE_GROUPS
from batchwright.domain.failures import NO_RECORD, OTHER_FAILURES, Failures
from batchwright.domain.retry import Outcome

EXITED = Outcome(1, "", "Essential container in task exited")
KILLED = Outcome(137, "OutOfMemoryError: Container killed due to memory usage", "Essential container in task exited")


def told(failures: Failures) -> list[tuple[str, str | None, int | None, str | None]]:
    return [(each.indexes, each.status_reason, each.exit_code, each.reason) for each in failures.to_status()]


def test_groups_in_the_order_of_their_first_failure() -> None:
    failures = Failures()
    for index, ended in ((9, KILLED), (3, EXITED), (5, NO_RECORD), (8, KILLED), (4, EXITED), (5 + 1, EXITED)):
        failures.add(index, ended)
    assert told(failures) == [
        ("8,9", KILLED.status_reason, 137, KILLED.reason),
        ("3,4,6", EXITED.status_reason, 1, None),
        ("5", None, None, None),
    ]


def test_beyond_so_many_groups_the_rest_is_counted_together() -> None:
    failures = Failures()
    for index in range(40):
        failures.add(index, Outcome(index, "", "exited"))
    failures.add(40, Outcome(3, "", "exited"))
    groups = told(failures)
    assert len(groups) == MAX_FAILURE_GROUPS == 20
    assert groups[3] == ("3,40", "exited", 3, None)
    assert groups[-1] == ("19-39", OTHER_FAILURES, None, None)


def test_restored_as_it_was() -> None:
    failures = Failures()
    for index in range(30):
        failures.add(index, Outcome(index, "why", "exited"))
    again = Failures()
    for index, ended in again.restore(failures.to_status()).items():
        again.add(index, ended)
    assert again.to_status() == failures.to_status()
    again.add(30, Outcome(30, "", "another"))
    assert told(again)[-1] == ("19-30", OTHER_FAILURES, None, None)
