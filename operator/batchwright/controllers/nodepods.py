"""What is kept of the nodes of a multi-node job, but the main one: their pods, and what is on its way to be seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from batchwright.domain.ganglife import is_lost
from batchwright.domain.gangnames import Published
from batchwright.domain.observations import Pod


@dataclass(slots=True)
class Nodes:
    """What an entry has more if it is a multi-node job: the pods of its nodes but the main one, by uid.

    `machines` is where a start that is under way puts them, `made` the names of pods that were made and have not been
    seen, `seen` those that have; `removed` the uids of `pods` that had ended and are gone; `lost` is the last one that
    vanished before its end. `together` is the main node's pod with which all of them have run, by uid, and `setbacks`
    how many starts in a row have failed: all went back before that. `vacant_since` is since when the main node has no
    pod although it is to have one, `released` since when one is let start, or is to be, by its uid: both begin anew
    with the operator. `group` is the PodGroup that nodes of a main node's pod, by its uid, are made in, empty for none;
    `apart` whether they are to be made in none, since one did not come to be bound. `published` is which of their names
    have been, None where nobody knows.
    """

    pods: dict[str, Pod] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    machines: tuple[str, ...] = ()
    made: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    making: bool = False
    lost: Pod | None = None
    together: str = ""
    setbacks: int = 0
    vacant_since: datetime | None = None
    released: tuple[str, datetime] | None = None
    group: tuple[str, str] | None = None
    apart: bool = False
    published: Published | None = None

    def has_bound(self, main: str) -> bool:
        """Whether a node of this pod of the main node has been given its machine: in a group, all have then."""
        return any(pod.main == main and pod.node for pod in self.pods.values())

    def waits_as_group(self) -> bool:
        """Whether the nodes are made in a group that has not been bound."""
        return self.group is not None and self.group[1] != "" and not self.has_bound(self.group[0])

    def see(self, uid: str, record: Pod | None, main: Pod | None) -> bool:
        """A pod was seen, changed, or is gone; whether that is news. `main` is its main node's, None where there is
        none. What ended by itself has ended, whoever deletes its pod afterwards: the pod garbage collector does, with
        the Node, or above a number of them."""
        before = self.pods.get(uid)
        if record == before:
            return False
        if before is not None and before.is_finished and not before.deleting:
            if record is None and main is not None and not main.is_finished:
                self.removed.add(uid)
                return False
            if record is not None and record.deleting:
                return False
        if record is not None:
            self.seen.add(record.name)
            self.made.discard(record.name)
            self.pods[uid] = record
        elif before is not None:
            del self.pods[uid]
            # Its deletion, end and removal may come before anything is decided.
            if not before.is_finished or is_lost(before):
                self.lost = before
        return True

    def note_start(self, mains: Iterable[Pod], size: int) -> None:
        """Notes whether the start that is under way has come together, for as long as its main node's pod is the last:
        what has run together may be lost one by one."""
        live = [pod for pod in mains if not pod.is_finished]
        main = max(live, key=lambda pod: (pod.failures, pod.created_at), default=None)
        if main is None or main.uid == self.together:
            return
        others = [pod for pod in self.pods.values() if pod.main == main.uid]
        running = [pod for pod in (main, *others) if pod.is_up]
        self.together = main.uid if len(running) == size else ""

    def end(self, main: str) -> None:
        """The main node's pod has ended: those of its other nodes that are gone matter no more."""
        for uid in [uid for uid in self.removed if self.pods[uid].main == main]:
            self.removed.remove(uid)
            del self.pods[uid]
