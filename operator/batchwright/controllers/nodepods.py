"""What is kept of the nodes of a multi-node job, but the main one: their pods, and what is on its way to be seen."""

from __future__ import annotations

from dataclasses import dataclass, field

from batchwright.domain.observations import Pod


@dataclass(slots=True)
class Nodes:
    """What an entry has more if it is a multi-node job: the pods of its nodes but the main one, by uid.

    `machines` is where a start that is under way puts them, `made` the names of pods that were made and have not been
    seen, `seen` those that have; `lost` which vanished, by the uid of its main node's pod; `setbacks` is how often they
    all went back.
    """

    pods: dict[str, Pod] = field(default_factory=dict)
    machines: tuple[str, ...] = ()
    made: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    making: bool = False
    lost: tuple[str, str] = ("", "")
    setbacks: int = 0

    def see(self, uid: str, record: Pod | None) -> bool:
        """A pod was seen, changed, or is gone; whether that is news."""
        before = self.pods.get(uid)
        if record == before:
            return False
        if record is not None:
            self.seen.add(record.name)
            self.made.discard(record.name)
            self.pods[uid] = record
        elif before is not None:
            del self.pods[uid]
            if not before.is_finished:
                self.lost = before.main, f"Node {before.index}: its pod {before.name} is gone"
        return True
