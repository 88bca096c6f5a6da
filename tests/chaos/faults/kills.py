"""kill -9 of the operator at its n-th API write for n in turn, before the server sees it and after it was done."""

from __future__ import annotations

import time
from itertools import cycle, islice
from statistics import median

from chaos.ground import Ground
from chaos.strikes import Asked, Kill, Rule

NAME = "kills"
# Up to which write of a life; the first six or so are the start-up's own.
WINDOW = 30
IDLE_SECONDS = 6
# A life without an n-th write, whatever work there is, is none that the kill could end.
LIFE_SECONDS = 120


def points(kills: int) -> list[tuple[int, bool]]:
    """(n, after) of so many kills: every one in turn, or where there are fewer kills, evenly spread over all."""
    every = [(number, after) for number in range(1, WINDOW + 1) for after in (False, True)]
    if kills >= len(every):
        return list(islice(cycle(every), kills))
    # An odd step, so that both kinds have their turn.
    step = (len(every) // kills) | 1
    return [every[(position * step) % len(every)] for position in range(kills)]


def inject(ground: Ground) -> None:
    """Kills as often as the run was asked to; where a life has no n-th write, new work is submitted."""
    ready: list[float] = []
    for number, after in points(ground.kills):

        def is_due(asked: Asked, number: int = number) -> bool:
            return asked.number >= number and asked.is_write

        # Before the rule holds: a write of the one that is replaced would be its first, and the next one would live on.
        ground.operator.kill()
        ground.proxy.count_from_here()
        began = time.monotonic()
        with ground.proxy.rule(Rule(Kill(after), is_due, times=1)) as rule:
            ground.operator.start(wait=False)
            while not ground.until(lambda: ground.operator.has_ended, IDLE_SECONDS, tending=False):
                if time.monotonic() - began > LIFE_SECONDS:
                    ground.miss(NAME, f"write {number}")
                    break
                ground.tend()
                ground.keep_busy()
        ready.append(time.monotonic() - began)
        for what in rule.struck:
            ground.strike(NAME, f"{'after' if after else 'before'} {what}")
        ground.tend_wishes()
    ground.restart_operator()
    ground.note(NAME, f"median life of a killed operator {median(ready):.1f} s")
