"""The report of a simulation for people: what was replayed, the totals, a row for each share. Pure."""

from __future__ import annotations

from typing import Final

from batchwright.cli.formats import duration
from batchwright.cli.output import Grid
from batchwright.cli.pagelines import labelled
from batchwright.simulation.metrics import Waits
from batchwright.simulation.report import Report, part_of, shares

NONE: Final = "-"
_HOUR: Final = 3600


def heading(report: Report) -> str:
    """The totals, a line each."""
    found, machines = report.measures, report.machines
    fairness = found.fairness
    jobs = f"{found.all.jobs:,} finished"
    jobs += f", {found.cancelled:,} cancelled" if found.cancelled else ""
    jobs += f", {found.unfinished:,} never started" if found.unfinished else ""
    lines = [
        labelled("Trace", report.source),
        labelled("Scheduler", report.scheduler),
        labelled("Machines", f"{machines.nodes:,} × {machines.cpus_per_node:,} = {machines.cpus:,} processors"),
        labelled("Jobs", jobs),
        *(labelled("Left out", f"{count:,} {reason}") for reason, count in report.workload.left_out.items()),
        labelled("Time", f"{duration(found.end - found.begin)} from the first submission to the last end"),
        labelled("Utilisation", f"{found.utilisation:.1%}" + _lost(report)),
    ]
    if fairness.by_weight is None:
        lines.append(labelled("Fairness", "no two shares ever asked for more than there was"))
    else:
        lines.append(
            labelled(
                "Fairness",
                f"{fairness.by_weight:.3f} of service by weight, {_number(fairness.by_entitlement, 3)} by what was due "
                f"(Jain's index, 1 is best), over {duration(fairness.contended)} of contention",
            )
        )
    return "\n".join(lines)


def share_grid(report: Report) -> Grid:
    """A row a share, and one for all."""
    found = report.measures
    titles = ("SHARE", *_WAIT_TITLES, "CPU-HOURS", "CPU%", "WEIGHT", "OF ITS DUE")
    rows = []
    for name in shares(found):
        service = found.fairness.shares.get(name)
        waits = found.by_share.get(name)
        rows.append(
            (
                name,
                *_wait_cells(waits),
                *_usage_cells(waits, found.all.cpu_seconds),
                _number(service.weight if service else None, 3),
                NONE if service is None or service.satisfaction is None else f"{service.satisfaction:.0%}",
            )
        )
    rows.append(("(all)", *_wait_cells(found.all), *_usage_cells(found.all, found.all.cpu_seconds), "", ""))
    return Grid(titles, rows)


def queue_grid(report: Report) -> Grid:
    """A row a queue."""
    found = report.measures
    rows = [
        (name, *_wait_cells(waits), *_usage_cells(waits, found.all.cpu_seconds))
        for name, waits in found.by_queue.items()
    ]
    return Grid(("QUEUE", *_WAIT_TITLES, "CPU-HOURS", "CPU%"), rows)


_WAIT_TITLES: Final = ("JOBS", "WAIT MEAN", "MEDIAN", "95%", "MAX", "SLOWDOWN")


def _wait_cells(waits: Waits | None) -> tuple[str, ...]:
    if waits is None or not waits.jobs:
        return ("0", *(NONE,) * (len(_WAIT_TITLES) - 1))
    times = (waits.mean, waits.median, waits.p95, waits.longest)
    return f"{waits.jobs:,}", *map(duration, times), f"{waits.slowdown_mean:.1f}"


def _usage_cells(waits: Waits | None, whole: float) -> tuple[str, str]:
    used = waits.cpu_seconds if waits else 0.0
    return f"{used / _HOUR:,.1f}", f"{part_of(used, whole):.1%}"


def _lost(report: Report) -> str:
    lost = report.measures.lost
    return f", {lost / _HOUR:,.1f} CPU-hours of it lost to preemption" if lost else ""


def _number(value: float | None, digits: int) -> str:
    return NONE if value is None else f"{value:.{digits}f}".rstrip("0").rstrip(".")
