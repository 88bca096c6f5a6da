"""The audit log is read from a mark on, over rotations, and led back to submissions."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from batchwright.bench.accounts import Account
from batchwright.bench.audit import AuditLog, Request, by_what
from batchwright.bench.clusters import BENCH_AGENT
from batchwright.bench.execution import EXECUTION_AGENT
from batchwright.cluster.client import USER_AGENT
from batchwright.cluster.resources import BATCH_JOBS, JOBS, Resource
from batchwright.errors import BenchmarkError

KWOK = "kwok-controller/v0.8.0 (linux/amd64)"


def line(agent: str, verb: str, resource: str, name: str = "", second: float = 0, namespace: str = "default") -> str:
    """One entry; `resource` with its subresource after a slash."""
    kind, _, subresource = resource.partition("/")
    about = {"resource": kind, "subresource": subresource, "name": name, "namespace": namespace}
    at = f"2026-11-23T01:00:{second:09.6f}Z"
    return json.dumps({"verb": verb, "userAgent": agent, "objectRef": about, "requestReceivedTimestamp": at}) + "\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "audit.log"
    path.write_text(line(BENCH_AGENT, "create", "jobs", "before the mark"))
    return path


def add(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.writelines(lines)


@pytest.mark.parametrize(
    ("entry", "want"),
    [
        pytest.param(line("x/1 (y)", "create", "pods/binding"), Request("x/1", "create", "pods/binding"), id="usual"),
        pytest.param(line("x", "watch", "pods"), None, id="a watch"),
        pytest.param(line("x", "update", "leases"), None, id="a heartbeat of a leader"),
        pytest.param(line("x", "patch", "nodes/status"), None, id="a heartbeat of a node"),
        pytest.param('{"verb": "get", "userAgent": "x"}\n', None, id="about no object"),
        pytest.param(line("x", "create", "pods")[:-1], None, id="still being written"),
    ],
)
def test_what_counts(log: Path, entry: str, want: Request | None) -> None:
    audit = AuditLog(log)
    add(log, entry)
    assert audit.requests() == (Counter() if want is None else Counter({want: 1}))


def test_requests_of_one_namespace(log: Path) -> None:
    audit = AuditLog(log)
    add(log, line("x", "create", "pods"), line("x", "create", "pods", namespace="other"))
    assert audit.requests("other").total() == 1


def test_rotations_lose_nothing(log: Path) -> None:
    audit = AuditLog(log)
    for number in range(3):
        add(log, line("x", "create", f"kind{number}"))
        os.rename(log, log.with_name(f"audit-2026-11-23T01-00-0{number}.000.log"))
    add(log, line("x", "create", "kind3"))
    assert by_what(audit.requests(), lambda _: True) == {f"create kind{number}": 1 for number in range(4)}


def test_a_file_that_is_gone_is_an_error(log: Path) -> None:
    audit = AuditLog(log)
    log.rename(log.with_name("elsewhere"))
    log.write_text("")
    with pytest.raises(RuntimeError, match="no longer there"):
        audit.requests()


@pytest.mark.parametrize(
    ("resource", "is_faked", "submission", "starter", "started"),
    [
        pytest.param(JOBS, False, "a-1", KWOK, ("patch", "pods/status", "a-1-0-x7k2p"), id="plain"),
        pytest.param(
            BATCH_JOBS, False, "a-1", KWOK, ("patch", "pods/status", "a-1-0123abcd-0-x7k2p"), id="batchwright"
        ),
        pytest.param(JOBS, True, "a-1", EXECUTION_AGENT, ("patch", "jobs/status", "a-1"), id="plain, faked"),
        pytest.param(
            BATCH_JOBS, True, "a-1", EXECUTION_AGENT, ("patch", "jobs/status", "a-1-0123abcd"), id="ours, faked"
        ),
    ],
)
def test_from_submission_to_running(
    log: Path, resource: Resource, is_faked: bool, submission: str, starter: str, started: tuple[str, str, str]
) -> None:
    audit = AuditLog(log)
    add(
        log,
        line(BENCH_AGENT, "create", resource.plural, submission, 10),
        line("kube-scheduler/v1", "patch", "pods/status", "a-1-0-x7k2p", 11),
        line(starter, *started, 12.5),
        # What comes later is the end.
        line(starter, *started, 14),
    )
    account = Account.of(audit, resource, is_faked=is_faked)
    assert account.latencies() == [2.5]


def test_requests_are_the_operators_by_its_user_agent(log: Path) -> None:
    audit = AuditLog(log)
    add(
        log,
        line(BENCH_AGENT, "create", "batchjobs", "a", 1),
        line(USER_AGENT, "create", "jobs", "a-0123abcd", 2),
        line(USER_AGENT, "list", "pods", second=2),
        line(USER_AGENT, "patch", "batchjobs/status", "a", 4),
        line(KWOK, "patch", "pods/status", "a-0123abcd-0-x7k2p", 3),
        line(KWOK, "patch", "pods/status", "a-0123abcd-1-x7k2q", 5),
    )
    account = Account.of(audit, BATCH_JOBS, is_faked=False)
    figures = account.figures(units=2, jobs=1, makespan=4.0)
    assert figures == {
        "submitToRunningP50Seconds": 2.0,
        "submitToRunningP99Seconds": 4.0,
        "writesPerUnit": 2.5,
        "operatorWritesPerUnit": 1.0,
        "operatorReadsPerUnit": 0.5,
        "statusWritesPerSecond": 0.25,
    }


def test_a_pod_of_nobody_is_an_error(log: Path) -> None:
    audit = AuditLog(log)
    add(log, line(BENCH_AGENT, "create", "jobs", "a", 1), line(KWOK, "patch", "pods/status", "b-0-x7k2p", 2))
    with pytest.raises(BenchmarkError, match="b-0-x7k2p ran, and nothing submitted"):
        Account.of(audit, JOBS, is_faked=False).latencies()
