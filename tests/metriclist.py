"""The metrics that are served, as Prometheus sees their names, and what PromQL asks of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import promql_parser as promql
from prometheus_client.metrics import MetricWrapperBase

from batchwright import metrics

# Which Prometheus adds to what it scrapes of a Service.
TARGET_LABELS: Final = frozenset({"namespace", "pod", "service", "job", "instance", "container", "endpoint"})


@dataclass(frozen=True)
class Described:
    """One metric: what `# TYPE` and `# HELP` of a scrape say, and its labels."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str

    @property
    def series(self) -> set[str]:
        """The names of its samples."""
        if self.kind == "histogram":
            return {f"{self.name}_{suffix}" for suffix in ("bucket", "sum", "count")}
        return {self.name}


def described() -> list[Described]:
    """Every metric of the module."""
    found = []
    for each in vars(metrics).values():
        if isinstance(each, MetricWrapperBase):
            [family] = each.describe()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found.append(Described(name, family.type, tuple(each._labelnames), family.documentation))
    return found + [Described(gauge.name, "gauge", gauge.labels, gauge.text) for gauge in metrics.GAUGES]


def labels_of(series: str) -> frozenset[str] | None:
    """The labels that samples of the name may have; None where there is no such metric of ours."""
    for each in described():
        if series in each.series:
            return frozenset(each.labels) | TARGET_LABELS | ({"le"} if series.endswith("_bucket") else frozenset())
    return None


@dataclass(frozen=True)
class Selected:
    """A selector of an expression: the name, its matchers, and the labels by which its samples are put together."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]
    grouped: frozenset[str]


def selectors(expression: str) -> list[Selected]:
    """What an expression asks for. ValueError when it is no PromQL."""
    return list(_selectors(promql.parse(expression), frozenset()))


def _selectors(node: Any, grouped: frozenset[str]) -> Iterator[Selected]:
    if isinstance(node, promql.VectorSelector):
        found = tuple((each.name, str(each.op), each.value) for each in node.matchers.matchers)
        yield Selected(node.name, found, grouped)
        return
    if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
        grouped = grouped | frozenset(node.modifier.labels)
    for attribute in ("expr", "lhs", "rhs", "vector_selector"):
        inner = getattr(node, attribute, None)
        if inner is not None:
            yield from _selectors(inner, grouped)
    for inner in getattr(node, "args", None) or ():
        yield from _selectors(inner, grouped)


def table() -> str:
    """The metrics as docs/operations.md has them."""
    rows = [
        f"| `{each.name}` | {each.kind} | {', '.join(each.labels)} | {each.text.rstrip('.')} |" for each in described()
    ]
    return "\n".join(["| Metric | Type | Labels | What it is |", "|---|---|---|---|", *rows])
