"""Alerts and dashboard ask for what is served, and each alert leads to its section of the documentation."""

from __future__ import annotations

import json
import re
from typing import Any, get_args

import pytest
import yaml

from batchwright.capacity.fleet import Alert
from batchwright.controllers.gauges import ELEMENT_STATES, STATES, WAIT_REASONS
from batchwright.domain.observations import FINAL_STATES
from batchwright.metrics import FailureCause
from documentation import ROOT, Page
from metriclist import described, labels_of, selectors

CHART = ROOT / "helm/batchwright/files"
OPERATIONS = ROOT / "docs/operations.md"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((CHART / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads((CHART / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
# What Prometheus' own client library serves of the process.
OF_THE_PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds_total"}
VALUES = {
    "state": {*STATES, *ELEMENT_STATES, *FINAL_STATES},
    "cause": {"capacity", "error", *FailureCause},
    "reason": set(WAIT_REASONS),
    "warning": set(get_args(Alert)),
}
EXPRESSIONS = [
    *(pytest.param(rule["expr"], id=rule["alert"]) for rule in RULES),
    *(
        pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
        for panel in PANELS
        for target in panel["targets"]
    ),
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_asks_for_what_is_served(expression: str) -> None:
    found = selectors(expression)
    assert found
    for each in found:
        if each.name in OF_THE_PROCESS:
            continue
        labels = labels_of(each.name)
        assert labels is not None, f"there is no metric {each.name}"
        assert {name for name, _, _ in each.matchers} <= labels
        assert each.grouped <= labels
        for name, _, value in each.matchers:
            if name in VALUES:
                assert set(value.split("|")) <= VALUES[name]


@pytest.mark.parametrize("wrong", ["sum(rate(x[5m])", "batchwright_jobs{state=RUNNABLE}"])
def test_what_is_no_promql_would_be_noticed(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"parse|expect|unclosed|unexpected"):
        selectors(wrong)


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_an_alert_says_what_how_bad_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    said = rule["annotations"]
    assert said.keys() == {"summary", "description", "runbook"}
    assert said["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"
    assert rule["alert"].lower() in Page(OPERATIONS).anchors()
    # A label that the expression aggregates away would be shown as nothing.
    shown = set(re.findall(r"\$labels\.(\w+)", said["summary"] + said["description"]))
    assert all(shown <= each.grouped for each in selectors(rule["expr"]))


def test_no_alert_is_documented_that_is_not_there() -> None:
    documented = set(re.findall(r"^#+ (Batchwright\w+)$", OPERATIONS.read_text(), re.MULTILINE))
    assert documented == {rule["alert"] for rule in RULES}


def rule_named(name: str) -> dict[str, Any]:
    return next(rule for rule in RULES if rule["alert"] == name)


def test_what_waits_is_counted_with_arrays_which_are_never_runnable() -> None:
    [panel] = [each for each in PANELS if each["title"] == "Jobs that wait for capacity"]
    for expression in (rule_named("BatchwrightNothingFinishes")["expr"], panel["targets"][0]["expr"]):
        assert selectors(expression)[0].name == "batchwright_jobs_waiting"
    [why] = [each for each in PANELS if each["title"] == "Why jobs wait"]
    assert [each.grouped for each in selectors(why["targets"][0]["expr"])] == [{"reason"}]
    for text in (OPERATIONS.read_text(), (CHART / "alerts.yaml").read_text()):
        assert "status.state=RUNNABLE" not in text


def test_leaders_are_added_up_over_all_namespaces() -> None:
    """Releases in two namespaces write the same objects of the cluster."""
    [found] = selectors(rule_named("BatchwrightHasSeveralLeaders")["expr"])
    assert (found.name, found.grouped) == ("batchwright_leader", frozenset())


def test_panels_do_not_overlap_and_have_numbers_of_their_own() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]
                assert x < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_the_dashboard_shows_every_metric() -> None:
    asked = {each.name for panel in PANELS for target in panel["targets"] for each in selectors(target["expr"])}
    assert {each.name for each in described() if not each.series & asked} == set()
