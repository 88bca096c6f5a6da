"""What waits in one queue: by share, and within a share by what is asked, each in order.

Jobs that ask the same of the same environments are one `Group`: they are judged once a pass, however many they are
(Kueue's equivalence hashing, KEP-9694), and a pass never looks at those behind the first.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from batchwright.scheduling.snapshot import Candidate, Gang, Shape, Turn

Consumables = tuple[tuple[str, int], ...]
_Key = tuple[Shape, str | None, float | None, Consumables, Gang | None]


@dataclass(frozen=True, eq=False, slots=True)
class Group:
    """Equal requests. `environment` is the one they are bound to, None for those of the queue; `seconds` the longest
    that they run, if that is known."""

    shape: Shape
    environment: str | None
    seconds: float | None
    consumables: Consumables
    gang: Gang | None = None


# A turn ends with the uid, so that of two entries nothing behind it is ever compared.
Entry = tuple[Turn, Candidate, Group]
Line = list[Entry]


class Waiting:
    """The candidates of one queue."""

    def __init__(self) -> None:
        self.lines: dict[str, dict[Group, Line]] = {}
        self.groups: Counter[Group] = Counter()
        # How many pods of a group wait in each share.
        self.pods: defaultdict[Group, Counter[str]] = defaultdict(Counter)
        self._known: dict[str, Entry] = {}
        self._by_key: dict[_Key, Group] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, uid: str) -> bool:
        return uid in self._known

    def get(self, uid: str) -> tuple[Candidate, Group] | None:
        """The candidate of that job, and its group."""
        known = self._known.get(uid)
        return None if known is None else known[1:]

    def put(self, candidate: Candidate) -> bool:
        """The job waits, as it is described now; whether that is news."""
        known = self._known.get(candidate.uid)
        if known is not None:
            if known[1] == candidate:
                return False
            self.remove(candidate.uid)
        key = _key_of(candidate)
        group = self._by_key.get(key)
        if group is None:
            group = self._by_key[key] = Group(*key)
        entry = self._known[candidate.uid] = candidate.turn, candidate, group
        self.groups[group] += 1
        self.pods[group][candidate.share] += candidate.count
        lines = self.lines.get(candidate.share)
        if lines is None:
            lines = self.lines[candidate.share] = {}
        line = lines.get(group)
        if line is None:
            lines[group] = [entry]
        elif line[-1] < entry:
            # Most jobs arrive in the order of their turns.
            line.append(entry)
        else:
            insort(line, entry)
        return True

    def remove(self, uid: str) -> None:
        """The job waits no more."""
        known = self._known.pop(uid, None)
        if known is None:
            return
        turn, candidate, group = known
        lines = self.lines[candidate.share]
        line = lines[group]
        del line[bisect_left(line, (turn,))]
        if not line:
            del lines[group]
            if not lines:
                del self.lines[candidate.share]
        self.groups[group] -= 1
        pods = self.pods[group]
        pods[candidate.share] -= candidate.count
        if not line:
            del pods[candidate.share]
        if not self.groups[group]:
            del self.groups[group]
            del self.pods[group]
            del self._by_key[_key_of(candidate)]

    def candidates(self) -> Iterator[tuple[Candidate, Group]]:
        """All of them, in no order."""
        for _, candidate, group in self._known.values():
            yield candidate, group

    def ahead_of(self, candidate: Candidate) -> int:
        """How many of the same share come before it."""
        lines = self.lines.get(candidate.share, {})
        return sum(bisect_left(line, (candidate.turn,)) for line in lines.values())


def _key_of(candidate: Candidate) -> _Key:
    return candidate.shape, candidate.environment, candidate.seconds, candidate.consumables, candidate.gang
