"""Lines of a wait that is no terminal's: every transition at once, an array's counts every few seconds.

Invariant: the last counts are printed too, if late: what is held back is printed when its time has come, and at the
end. Runs in the event loop that the wait runs in.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

from batchwright.cli.tracking import Transition

SECONDS: Final = 5.0


class Pace:
    """Prints transitions with `write`, those of mere progress at most once in `seconds` an array."""

    def __init__(self, write: Callable[[str], None], seconds: float = SECONDS) -> None:
        self._write = write
        self._seconds = seconds
        self._printed: dict[str, float] = {}
        self._held: dict[str, tuple[Transition, asyncio.TimerHandle]] = {}

    def show(self, seen: Sequence[Transition]) -> None:
        """Prints what is to be printed now, and keeps the rest for its time."""
        for each in seen:
            uid = each.job["metadata"]["uid"]
            left = self._printed.get(uid, 0.0) + self._seconds - time.monotonic()
            handle = self._release(uid)
            if each.is_progress and uid in self._printed and left > 0:
                handle = handle or asyncio.get_running_loop().call_later(left, self._due, uid)
                self._held[uid] = each, handle
                continue
            if handle is not None:
                handle.cancel()
            self._print(uid, each)

    def close(self) -> None:
        """Prints what is held back."""
        for uid in list(self._held):
            self._held[uid][1].cancel()
            self._due(uid)

    def _release(self, uid: str) -> asyncio.TimerHandle | None:
        held = self._held.pop(uid, None)
        return held[1] if held else None

    def _due(self, uid: str) -> None:
        self._print(uid, self._held.pop(uid)[0])

    def _print(self, uid: str, transition: Transition) -> None:
        self._printed[uid] = time.monotonic()
        self._write(transition.line())
