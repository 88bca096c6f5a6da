"""Results as figures per job, medians over rounds, the ratio to plain Jobs, and the targets beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from perf.scenario import Result

# (figure, unit, decimals, target of batchwright in words, limit, whether the limit is of the ratio to plain)
FIGURES: tuple[tuple[str, str, int, str, float | None, bool], ...] = (
    ("makespan", "s", 2, "", None, False),
    ("jobs per second", "1/s", 1, "", None, False),
    ("submitting", "s", 2, "", None, False),
    ("API writes, all", "per job", 2, "", None, False),
    ("API writes, operator", "per job", 2, "≤ 3", 3.0, False),
    ("API reads, operator", "per job", 2, "", None, False),
    ("CPU operator", "ms per job", 2, "< 5", 5.0, False),
    ("CPU kube-apiserver", "ms per job", 2, "≤ 1.2 × plain", 1.2, True),
    ("CPU of all components", "ms per job", 2, "", None, False),
    ("peak memory operator", "MiB", 0, "", None, False),
)


def figures(result: Result) -> dict[str, float | None]:
    """The figures of one run. CPU milliseconds per job are CPU-seconds per 1,000 jobs."""

    def milliseconds(seconds: float) -> float:
        return seconds * 1000 / result.jobs

    has_operator = "operator" in result.cpu_seconds
    return {
        "makespan": result.makespan_seconds,
        "jobs per second": result.jobs / result.makespan_seconds,
        "submitting": result.submit_seconds,
        "API writes, all": result.writes.total() / result.jobs,
        "API writes, operator": result.operator_writes.total() / result.jobs if has_operator else None,
        "API reads, operator": result.operator_reads.total() / result.jobs if has_operator else None,
        "CPU operator": milliseconds(result.cpu_seconds["operator"]) if has_operator else None,
        "CPU kube-apiserver": milliseconds(result.cpu_seconds["kube-apiserver"]),
        "CPU of all components": milliseconds(sum(result.cpu_seconds.values())),
        "peak memory operator": result.operator_peak_mib,
    }


def medians(results: Iterable[Result]) -> dict[str, float | None]:
    """The median of each figure over rounds of one contender."""
    rounds = [figures(result) for result in results]
    return {name: _median([each[name] for each in rounds]) for name in rounds[0]}


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def per_job(results: Sequence[Result], counts: Callable[[Result], Mapping[str, int]]) -> dict[str, float]:
    """The mean number of requests of each verb and resource, the most frequent first."""
    total: Counter[str] = Counter()
    for result in results:
        total.update(counts(result))
    jobs = sum(result.jobs for result in results)
    return {what: count / jobs for what, count in sorted(total.items(), key=lambda pair: (-pair[1], pair[0]))}


def as_json(results: Mapping[str, Sequence[Result]]) -> dict[str, Any]:
    """Everything measured, for programs: per contender the medians, the writes, and each round."""
    return {
        name: {
            "medians": medians(rounds),
            "writesPerJob": per_job(rounds, lambda result: result.writes),
            "operatorWritesPerJob": per_job(rounds, lambda result: result.operator_writes),
            "operatorReadsPerJob": per_job(rounds, lambda result: result.operator_reads),
            "rounds": [{**figures(each), "cpuSeconds": each.cpu_seconds} for each in rounds],
        }
        for name, rounds in results.items()
    }


def show(console: Console, results: Mapping[str, Sequence[Result]], title: str) -> None:
    """The tables."""
    found = {name: medians(rounds) for name, rounds in results.items()}
    table = Table("", "unit", *found, "ratio to plain", "target", title=title, title_justify="left")
    for figure, unit, decimals, target, limit, of_ratio in FIGURES:
        values = [found[name][figure] for name in found]
        ratio = _ratio(found, figure)
        judged = ratio if of_ratio else found.get("batchwright", {}).get(figure)
        verdict = "" if limit is None or judged is None else " (met)" if judged <= limit else " (missed)"
        cells = ["–" if value is None else f"{value:.{decimals}f}" for value in values]
        table.add_row(figure, unit, *cells, "" if ratio is None else f"{ratio:.2f}", target + verdict)
    console.print(table)
    for name, rounds in results.items():
        every = per_job(rounds, lambda result: result.writes)
        own = per_job(rounds, lambda result: result.operator_writes)
        writes = Table("write", "per job", "by the operator", title=f"API writes, {name}", title_justify="left")
        for what, count in every.items():
            # What happens once or twice in a run is no cost of a job.
            if count >= 0.01:
                writes.add_row(what, f"{count:.2f}", f"{own[what]:.2f}" if what in own else "")
        console.print(writes)


def _ratio(found: Mapping[str, Mapping[str, float | None]], figure: str) -> float | None:
    ours, plain = found.get("batchwright", {}).get(figure), found.get("plain", {}).get(figure)
    return ours / plain if ours is not None and plain else None
