"""What waits in a queue, and in which order."""

from __future__ import annotations

import builders as b
from batchwright.scheduling.snapshot import Candidate
from batchwright.scheduling.waiting import Waiting


def waiting(*candidates: Candidate) -> Waiting:
    found = Waiting()
    for candidate in candidates:
        found.put(candidate)
    return found


def lines_of(found: Waiting) -> dict[str, list[list[str]]]:
    return {
        share: sorted([candidate.uid for _, candidate, _ in line] for line in lines.values())
        for share, lines in found.lines.items()
    }


def test_equal_requests_are_one_group_each_share_in_its_own_line() -> None:
    found = waiting(
        b.candidate("b", after=2),
        b.candidate("a", after=1),
        b.candidate("big", shape=b.shape(cpu=9000)),
        b.candidate("bound", environment="e2"),
        b.candidate("short", seconds=5),
        b.candidate("licensed", consumables=(("licence", 1),)),
        b.candidate("x", share="x"),
    )
    assert lines_of(found) == {"": [["a", "b"], ["big"], ["bound"], ["licensed"], ["short"]], "x": [["x"]]}
    assert sorted(found.groups.values()) == [1, 1, 1, 1, 3]


def test_the_order_is_by_turn_however_they_come() -> None:
    found = waiting(
        b.candidate("late", after=9),
        b.candidate("further", after=1, depth=1),
        b.candidate("early", after=1),
        b.candidate("urgent", after=8, priority=3),
        b.candidate("back", after=7, returning=True),
    )
    assert lines_of(found) == {"": [["back", "urgent", "further", "early", "late"]]}


def test_a_change_moves_it_and_removal_leaves_nothing() -> None:
    found = waiting(b.candidate("a", after=1), b.candidate("b", after=2))
    found.put(b.candidate("a", after=3))
    assert lines_of(found) == {"": [["b", "a"]]}
    assert found.ahead_of(b.candidate("a", after=3)) == 1
    found.put(b.candidate("a", after=3, share="x"))
    assert lines_of(found) == {"": [["b"]], "x": [["a"]]}
    found.remove("a")
    found.remove("a")
    found.remove("b")
    assert (len(found), found.lines, found.groups) == (0, {}, {})
    assert "a" not in found
    assert found.get("a") is None
