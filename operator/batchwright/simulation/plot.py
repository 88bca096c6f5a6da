"""The measures of a replay drawn with characters: use of the machines and the line over time, waits per share.

Hazard: plotext draws on one figure per process, so that two threads may not draw at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from batchwright.simulation.metrics import Measures
from batchwright.simulation.workload import Machines

NARROWEST: Final = 50
WIDEST: Final = 140
_HEIGHT: Final = 12
_MOST_SHARES: Final = 12
_TICKS: Final = 6
_LEVELS: Final = 4
_LABEL_WIDTH: Final = 7
# Seconds in a unit of the time axis, and how many units are worth taking the next one.
_UNITS: Final = (("seconds", 1, 300), ("minutes", 60, 300), ("hours", 3600, 72), ("days", 86400, float("inf")))


def draw(measures: Measures, machines: Machines, width: int, *, color: bool) -> str:
    """Three plots, one under the other, `width` characters wide (within bounds)."""
    width = min(WIDEST, max(NARROWEST, width))
    span = measures.end - measures.begin
    unit, seconds = _unit(span)
    # A character is two points wide.
    points = width * 2
    times = [(place + 0.5) * span / points / seconds for place in range(points)]
    used = [100 * mean / machines.cpus for mean in measures.in_use.means(measures.begin, measures.end, points)]
    queued = measures.queued.means(measures.begin, measures.end, points)
    busiest = sorted(measures.by_share, key=lambda name: (-measures.by_share[name].cpu_seconds, name))[:_MOST_SHARES]
    chosen = [name for name in measures.by_share if name in busiest]
    panels = [
        (_HEIGHT, partial(_area, f"processors in use, % of {machines.cpus:,}, over {unit}", times, used, 100.0)),
        (_HEIGHT, partial(_area, f"jobs waiting, over {unit}", times, queued, _ceiling(max(1.0, *queued)))),
    ]
    if chosen:
        panels.append((2 * len(chosen) + 4, partial(_bars, measures, chosen)))
    return "\n".join(_drawn(width, height, panel, color) for height, panel in panels)


def _drawn(width: int, height: int, panel: Callable[[Any], None], color: bool) -> str:
    import plotext

    # Else it never draws wider or higher than the terminal of this process, or than 80 by 24 without one.
    plotext.terminal.limit(False, False)
    figure = plotext.figure
    figure.clear()
    figure.plot_size(width, height)
    figure.theme("simple" if color else "colorless")
    panel(figure)
    drawn: str = figure.build().string(colorless=not color)
    return "\n".join(line.rstrip() for line in drawn.splitlines())


def _area(title: str, times: list[float], values: list[float], top: float, figure: Any) -> None:
    end = times[-1] + times[0]
    figure.title(title)
    figure.ruler("x").lim(0, end)
    figure.ruler("y").lim(0, top)
    ticks = [end * place / _TICKS for place in range(_TICKS + 1)]
    figure.ruler("x").ticks(ticks, labels=[f"{tick:.3g}" for tick in ticks])
    levels = [top * place / _LEVELS for place in range(_LEVELS + 1)]
    figure.ruler("y").ticks(levels, labels=[f"{level:,.4g}".rjust(_LABEL_WIDTH) for level in levels])
    figure.draw(figure.signal(times, values, marker="hd").lines().fillx())


def _bars(measures: Measures, chosen: list[str], figure: Any) -> None:
    longest = max(measures.by_share[name].p95 for name in chosen)
    unit, seconds = _unit(longest)
    left_out = len(measures.by_share) - len(chosen)
    rest = f" ({left_out} smaller shares are not drawn)" if left_out else ""
    figure.title(f"95th percentile of the wait, {unit}{rest}")
    # The first share on top, where people begin to read.
    upwards = list(reversed(chosen))
    waits = [measures.by_share[name].p95 / seconds for name in upwards]
    labels = [name.rjust(_LABEL_WIDTH) for name in upwards]
    figure.draw(figure.bar(labels, waits, orientation="horizontal", width=0.5))
    figure.ruler("x").lim(0, max(longest / seconds, 1.0))


def _ceiling(value: float) -> float:
    """The next number that divides well: 1, 2, 4 or 8 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * step for step in (1, 2, 4, 8, 10) if power * step >= value)


def _unit(span: float) -> tuple[str, int]:
    for name, seconds, most in _UNITS:
        if span / seconds <= most:
            return name, seconds
    raise AssertionError("the last unit takes any span")
