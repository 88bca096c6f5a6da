"""What of the embedded AWS endpoint goes wrong, as somebody has switched it: read and written by HTTP at /batchwright.

`POST /batchwright/switches` with a JSON object changes those that it names, `GET` shows all.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any, get_origin, get_type_hints

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Pool = Annotated[str, AfterValidator(lambda text: _pool(text))]


@dataclass
class Switches:
    """`exhausted` pools are "type zone", with * for every one of either; `most` instances come of one launch; what is
    `deaf` (types) never joins, what is `unready` joins and is never Ready, what is `stillborn` ends by itself before it
    would join; `throttled`, `denied` and `lost` count the calls (launches, for the last) that are refused so, or whose
    answer is lost after they were carried out; `slow_seconds` every call takes longer, and `late_seconds` the answer to
    a launch that has been carried out; `join_seconds` an instance takes to be a node; `fill_seconds` a group takes to
    start what it was asked for, and `node_group_seconds` a node group to be made."""

    exhausted: list[Pool] = field(default_factory=list)
    most: Count | None = None
    deaf: list[str] = field(default_factory=list)
    unready: list[str] = field(default_factory=list)
    stillborn: list[str] = field(default_factory=list)
    throttled: Count = 0
    denied: Count = 0
    lost: Count = 0
    slow_seconds: Seconds = 0.0
    late_seconds: Seconds = 0.0
    join_seconds: Seconds = 1.0
    fill_seconds: Seconds = 0.0
    node_group_seconds: Seconds = 0.0

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


def _pool(text: str) -> str:
    if len(text.split()) != 2:
        raise ValueError(f"{text} is no pool: give a type and a zone, * for every one")
    return text


def parse(given: Iterable[str]) -> dict[str, Any]:
    """What `NAME=VALUE` switches, as `Switches.change` takes it: lists are parted by commas, and nothing for `most` is
    no bound. Raises ValueError."""
    kinds, found = get_type_hints(Switches, include_extras=True), dict[str, Any]()
    for text in given:
        name, sign, value = text.partition("=")
        if name not in kinds:
            raise ValueError(f"no switch is named {name}: there are {', '.join(kinds)}")
        if not sign:
            raise ValueError(f"{name} needs a value: {name}=VALUE")
        listed = [each.strip() for each in value.split(",") if each.strip()]
        try:
            known = listed if get_origin(kinds[name]) is list else value or None
            found[name] = TypeAdapter(kinds[name]).validate_python(known)
        except ValidationError as error:
            raise ValueError(f"{text}: {error.errors()[0]['msg']}") from None
    return found
