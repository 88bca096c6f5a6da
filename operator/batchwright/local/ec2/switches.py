"""What of the embedded AWS endpoint goes wrong, as somebody has switched it: read and written by HTTP at /batchwright.

`POST /batchwright/switches` with a JSON object changes those that it names, `GET` shows all.
"""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass
class Switches:
    """`exhausted` pools are "type zone", with * for every one of either; `most` instances come of one launch; what is
    `deaf` (types) never joins, and what is `unready` (types) joins and is never Ready; `throttled`, `denied` and `lost`
    count the calls (launches, for the last) that are refused so, or whose answer is lost after they were carried out;
    `slow_seconds` every call takes longer, and `late_seconds` the answer to a launch that has been carried out;
    `join_seconds` an instance takes to be a node; `fill_seconds` a group takes to start what it was asked for, and
    `node_group_seconds` a node group to be made."""

    exhausted: list[str] = field(default_factory=list)
    most: int | None = None
    deaf: list[str] = field(default_factory=list)
    unready: list[str] = field(default_factory=list)
    throttled: int = 0
    denied: int = 0
    lost: int = 0
    slow_seconds: float = 0.0
    late_seconds: float = 0.0
    join_seconds: float = 1.0
    fill_seconds: float = 0.0
    node_group_seconds: float = 0.0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def change(self, changes: dict[str, Any]) -> None:
        """Sets those that are named. Raises KeyError for a name that is none."""
        known = {each.name for each in fields(self)}
        if unknown := changes.keys() - known:
            raise KeyError(f"no such switch: {', '.join(sorted(unknown))}")
        with self._lock:
            for name, value in changes.items():
                setattr(self, name, value)

    def take(self, name: str) -> bool:
        """Counts a switch that counts down by one; whether it was on."""
        with self._lock:
            left = int(getattr(self, name))
            if left > 0:
                setattr(self, name, left - 1)
            return left > 0

    def is_exhausted(self, instance_type: str, zone: str) -> bool:
        """Whether nothing of the type is to be had in the zone."""
        pools = {f"{kind} {where}" for kind in (instance_type, "*") for where in (zone, "*")}
        return bool(pools & set(self.exhausted))

    def to_wire(self) -> dict[str, Any]:
        """All of them."""
        return asdict(self)
