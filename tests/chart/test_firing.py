"""Each alert fires where it should and stays quiet where it should: Prometheus' own promtool evaluates the rules."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

import charttools
from helmchart import CHART

FILE = CHART / "files/alerts.yaml"
SEVERITIES = {
    rule["alert"]: rule["labels"]["severity"]
    for group in yaml.safe_load(FILE.read_text())["groups"]
    for rule in group["rules"]
}
LEADER = "batchwright_leader{namespace='b', pod='%s'}"
ERRORS = "batchwright_api_write_errors_total{namespace='b', method='POST', resource='pods', code='%s'}"
WRITES = "batchwright_api_writes_total{namespace='b', method='POST', resource='pods'}"
WAITING = "batchwright_jobs_waiting{namespace='b', queue='q', reason='%s'}"
FINISHED = "batchwright_jobs_finished_total{namespace='b', queue='q', state='%s', cause='%s'}"
SUCCEEDED, FAILED = FINISHED % ("SUCCEEDED", ""), FINISHED % ("FAILED", "Exited")
BUCKET = "batchwright_pass_duration_seconds_bucket{namespace='b', le='%s'}"
REFUSED = "batchwright_launches_refused_total{namespace='b', environment='e', cause='%s'}"
LAUNCHED = "batchwright_instances_launched_total{namespace='b', environment='e'}"
WARNED = "batchwright_instances_warned_total{namespace='b', environment='e', warning='%s'}"
PENDING = "batchwright_status_writes_pending{namespace='b'}"
DECISIONS = "batchwright_decision_errors_total{namespace='b'}"
QUEUE, ENVIRONMENT = {"namespace": "b", "queue": "q"}, {"namespace": "b", "environment": "e"}


class Case(NamedTuple):
    """Series with a sample a minute, in promtool's notation; after so many minutes the alert fires with these labels,
    or is quiet where there are none."""

    alert: str
    minutes: int
    series: dict[str, str]
    fires: dict[str, str] | None = None


CASES = {
    "nothing is scraped": Case("IsAbsent", 6, {"up": "1x9"}, {}),
    "one that stands by is scraped": Case("IsAbsent", 6, {LEADER % "a": "0x9"}),
    "all stand by": Case("HasNoLeader", 5, {LEADER % "a": "0x9", LEADER % "b": "0x9"}, {"namespace": "b"}),
    "one of two works": Case("HasNoLeader", 5, {LEADER % "a": "1x9", LEADER % "b": "0x9"}),
    "a failover": Case("HasNoLeader", 3, {LEADER % "a": "1 1 0 0 0 0", LEADER % "b": "0 0 0 1 1 1"}),
    "two namespaces": Case(
        "HasSeveralLeaders", 5, {LEADER % "a": "1x9", "batchwright_leader{namespace='c', pod='c'}": "1x9"}, {}
    ),
    "a hand-over": Case("HasSeveralLeaders", 3, {LEADER % "a": "1 1 1 0 0 0", LEADER % "b": "0 0 1 1 1 1"}),
    "no bookmark": Case(
        "WatchIsSilent",
        6,
        {"batchwright_watch_age_seconds{namespace='b', resource='pods'}": "0+60x9"},
        {"namespace": "b", "resource": "pods"},
    ),
    "bookmarks": Case("WatchIsSilent", 6, {"batchwright_watch_age_seconds{namespace='b', resource='pods'}": "60x9"}),
    "no pass": Case("DoesNotPass", 6, {"batchwright_pass_age_seconds{namespace='b'}": "0+60x9"}, {"namespace": "b"}),
    "idle passes": Case("DoesNotPass", 6, {"batchwright_pass_age_seconds{namespace='b'}": "30x9"}),
    "a decision fails": Case("DecisionsFail", 4, {DECISIONS: "0 0 1 1 1 1"}, {"namespace": "b"}),
    "decisions failed long ago": Case("DecisionsFail", 20, {DECISIONS: "0 2 5x30"}),
    "a look fails": Case(
        "ReconcilingFails",
        4,
        {"batchwright_reconcile_errors_total{namespace='b', kind='JobQueue'}": "0 0 1 1 1 1"},
        {"namespace": "b", "kind": "JobQueue"},
    ),
    "no look fails": Case(
        "ReconcilingFails", 4, {"batchwright_reconcile_errors_total{namespace='b', kind='JobQueue'}": "0x9"}
    ),
    "passes take two seconds": Case(
        "PassesAreSlow",
        30,
        {BUCKET % "1": "0x40", BUCKET % "2.5": "0+9x40", BUCKET % "+Inf": "0+9x40"},
        {"namespace": "b"},
    ),
    "passes take milliseconds": Case(
        "PassesAreSlow", 30, {BUCKET % "0.005": "0+9x40", BUCKET % "1": "0+9x40", BUCKET % "+Inf": "0+9x40"}
    ),
    "statuses pile up": Case("StatusesAreLate", 25, {PENDING: "600x30"}, {"namespace": "b"}),
    "statuses come in waves": Case("StatusesAreLate", 25, {PENDING: "0 900x6 0 900x6 0 900x6 0 900x6"}),
    "forbidden": Case(
        "MayNotWrite", 20, {ERRORS % "403": "0+1x30"}, {"namespace": "b", "method": "POST", "resource": "pods"}
    ),
    "conflicts": Case("MayNotWrite", 20, {ERRORS % "409": "0+9x30"}),
    "one in ten fails": Case("WritesFail", 20, {ERRORS % "500": "0+1x30", WRITES: "0+10x30"}, {"namespace": "b"}),
    "one in fifty fails": Case("WritesFail", 20, {ERRORS % "500": "0+1x30", WRITES: "0+50x30"}),
    "refusals are no failures": Case("WritesFail", 20, {ERRORS % "422": "0+9x30", WRITES: "0+10x30"}),
    "jobs wait, none ends": Case(
        "NothingFinishes", 70, {WAITING % "NoRoom": "1x90", SUCCEEDED: "7x90", FAILED: "0x90"}, {"namespace": "b"}
    ),
    "they wait, now for this and now for that": Case(
        "NothingFinishes",
        70,
        {WAITING % "NoRoom": "1 0 " * 45, WAITING % "Behind": "0 1 " * 45, SUCCEEDED: "0x90"},
        {"namespace": "b"},
    ),
    "jobs wait, some end": Case("NothingFinishes", 70, {WAITING % "NoRoom": "1x90", SUCCEEDED: "0+1x90"}),
    "nothing waits, nothing ends": Case("NothingFinishes", 70, {WAITING % "NoRoom": "0x90", SUCCEEDED: "0x90"}),
    "seven hours": Case(
        "JobsWaitLong",
        20,
        {"batchwright_oldest_runnable_job_age_seconds{namespace='b', queue='q'}": "25200x30"},
        QUEUE,
    ),
    "an hour": Case(
        "JobsWaitLong", 20, {"batchwright_oldest_runnable_job_age_seconds{namespace='b', queue='q'}": "3600x30"}
    ),
    "all fail": Case("JobsFail", 70, {FAILED: "0+1x90", SUCCEEDED: "0x90"}, QUEUE),
    "they fail of this and of that": Case(
        "JobsFail",
        70,
        {FAILED: "0+1x90", FINISHED % ("FAILED", "OutOfMemory"): "0+1x90", SUCCEEDED: "0+1x90"},
        QUEUE,
    ),
    "a third fails": Case("JobsFail", 70, {FAILED: "0+1x90", SUCCEEDED: "0+2x90"}),
    "few fail": Case("JobsFail", 70, {FAILED: "0x30 1x60", SUCCEEDED: "0x90"}),
    "an error of the provider": Case("LaunchesFail", 20, {REFUSED % "error": "0+1x30"}, ENVIRONMENT),
    "looks broken off": Case(
        "LaunchesFail",
        20,
        {"batchwright_provider_errors_total{namespace='b', environment='e'}": "0+1x30"},
        ENVIRONMENT,
    ),
    "sold out is no error": Case("LaunchesFail", 20, {REFUSED % "capacity": "0+1x30"}),
    "nothing to be had": Case("IsSoldOut", 70, {REFUSED % "capacity": "0+1x90", LAUNCHED: "3x90"}, ENVIRONMENT),
    "another type is to be had": Case("IsSoldOut", 70, {REFUSED % "capacity": "0+1x90", LAUNCHED: "0+1x90"}),
    "each is taken back": Case(
        "IsInterruptedOften", 60, {WARNED % "interrupted": "0+1x90", LAUNCHED: "0+1x90"}, ENVIRONMENT
    ),
    "one in ten is taken back": Case("IsInterruptedOften", 60, {WARNED % "interrupted": "0+1x90", LAUNCHED: "0+10x90"}),
    "rebalances alone": Case("IsInterruptedOften", 60, {WARNED % "rebalance": "0+1x90", LAUNCHED: "0+1x90"}),
}


def test_every_alert_is_seen_to_fire_and_to_be_quiet() -> None:
    for fires in (True, False):
        assert {f"Batchwright{case.alert}" for case in CASES.values() if (case.fires is not None) == fires} == {
            *SEVERITIES
        }


def evaluated(directory: Path, case: Case) -> subprocess.CompletedProcess[str]:
    """What promtool finds of a case."""
    alert = f"Batchwright{case.alert}"
    selector = f'ALERTS{{alertname="{alert}", alertstate="firing"}}'
    labels = {"alertname": alert, "alertstate": "firing", "severity": SEVERITIES[alert], **(case.fires or {})}
    told = ", ".join(f'{name}="{value}"' for name, value in labels.items())
    wanted = [] if case.fires is None else [{"labels": f"ALERTS{{{told}}}", "value": 1}]
    test: dict[str, Any] = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values.strip()} for name, values in case.series.items()],
        "promql_expr_test": [{"expr": selector, "eval_time": f"{case.minutes}m", "exp_samples": wanted}],
    }
    file = directory / "rules.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(FILE)], "evaluation_interval": "1m", "tests": [test]}))
    return subprocess.run(
        [charttools.ensure("promtool"), "test", "rules", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_an_alert(tmp_path: Path, case: Case) -> None:
    done = evaluated(tmp_path, case)
    assert done.returncode == 0, done.stdout + done.stderr
    # And it would say so.
    assert evaluated(tmp_path, case._replace(fires={} if case.fires is None else None)).returncode != 0


def test_promtool_finds_nothing_wrong() -> None:
    check = [charttools.ensure("promtool"), "check", "rules", "--lint=all", "--lint-fatal", str(FILE)]
    done = subprocess.run(check, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
