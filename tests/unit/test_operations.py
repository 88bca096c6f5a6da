"""docs/operations.md says of metrics, probes and traces what is so."""

from __future__ import annotations

import re

from batchwright import metrics
from documentation import ROOT
from metriclist import labels_of, selectors, table

TEXT = (ROOT / "docs/operations.md").read_text()


def test_the_table_of_metrics_is_that_of_the_module() -> None:
    assert table() in TEXT, f"docs/operations.md must have this table:\n\n{table()}"


def test_every_metric_that_is_named_is_there() -> None:
    named = set(re.findall(r"`(batchwright_\w+)", TEXT))
    named |= {each.name for line in re.findall(r"\| `([^`|]*\([^`|]*)` \|", TEXT) for each in selectors(line)}
    assert len(named) > 20
    for name in named - {
        "batchwright_job_wait_seconds",
        "batchwright_job_run_seconds",
        "batchwright_pass_duration_seconds",
    }:
        assert labels_of(name) is not None, name


def test_queries_are_promql() -> None:
    [block] = re.findall(r"\| Question \| PromQL \|\n(.*?)\n\n", TEXT, re.DOTALL)
    queries = re.findall(r"\| `(.*)` \|", block)
    assert len(queries) >= 5
    for query in queries:
        for each in selectors(query):
            labels = labels_of(each.name)
            assert labels is not None
            assert each.grouped <= labels


def test_the_bound_on_shares_is_the_modules() -> None:
    assert f"first {metrics.MOST_SHARES} that" in TEXT
    assert f'share="{metrics.OTHER_SHARES}"' in TEXT
