"""The outside check of the fault harness sees what it is there to see, and the proxy's rules strike what they say."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from batchwright.names import LABEL_JOB_ID
from chaos.exactlyonce import standing, wrong
from chaos.faults import all_faults
from chaos.faults.clock_turned import shows
from chaos.faults.kills import WINDOW, points
from chaos.ground import Struck, Want
from chaos.logrecords import defects, errors_to_be_said, tracebacks
from chaos.run import without_effect
from chaos.said import repeated, unsaid
from chaos.soak import Sample, judge
from chaos.strikes import Asked, CutAfter, Rule, writes

ONCE = Want("SUCCEEDED", {0: 1}, (0,))
ARRAY = Want("SUCCEEDED", {0: 1, 1: 1})


def status(state: str = "SUCCEEDED", *codes: int, **over: Any) -> dict[str, Any]:
    return {"state": state, "attempts": [{"container": {"exitCode": code}} for code in codes], **over}


def array(succeeded: str, failed: str, state: str = "SUCCEEDED") -> dict[str, Any]:
    return status(state, arrayProperties={"size": 2, "succeededIndexes": succeeded, "failedIndexes": failed})


def gang(*codes: int) -> dict[str, Any]:
    return status("SUCCEEDED", *codes, nodeProperties={"numNodes": 2, "mainNode": 0})


@pytest.mark.parametrize(
    ("found", "want", "ran", "told"),
    [
        pytest.param(status("SUCCEEDED", 0), ONCE, {0: 1}, "", id="right"),
        pytest.param(status("RUNNING"), ONCE, {0: 1}, "wanted SUCCEEDED", id="stranded"),
        pytest.param({}, ONCE, {}, "wanted SUCCEEDED", id="never looked at"),
        pytest.param(status("SUCCEEDED", 0), ONCE, {0: 2}, "ran {0: 2}", id="run twice"),
        pytest.param(status("SUCCEEDED", 0), ONCE, {}, "ran {}", id="said to have run"),
        pytest.param(status("SUCCEEDED", 1, 0), ONCE, {0: 1}, "exit codes", id="an attempt that never was"),
        pytest.param(
            status("SUCCEEDED", 0, preemptions=1), Want("SUCCEEDED", codes=(0,)), {0: 2}, "", id="preempted once"
        ),
        pytest.param(
            status("SUCCEEDED", 0, preemptions=1),
            Want("SUCCEEDED", codes=(0,)),
            {0: 3},
            "ran 3 times",
            id="and no more",
        ),
        pytest.param(
            status("FAILED", statusReason="other"), Want("FAILED", reason="enough"), {}, "enough", id="another reason"
        ),
        pytest.param(array("0-1", ""), ARRAY, {0: 1, 1: 1}, "", id="array right"),
        pytest.param(array("0-1", ""), ARRAY, {0: 1, 1: 2}, "ran", id="an element twice"),
        pytest.param(array("0-1", ""), Want("SUCCEEDED"), {0: 1}, "never ran", id="an element that never ran"),
        pytest.param(array("0-1", ""), Want("SUCCEEDED"), {0: 1, 1: 2}, "more than 1", id="whichever ran, but once"),
        pytest.param(array("0-1", ""), Want("SUCCEEDED", most=2), {0: 1, 1: 2}, "", id="as often as it may"),
        pytest.param(array("0-1", ""), Want("SUCCEEDED", most=2), {0: 3, 1: 1}, "more than 2", id="and not more often"),
        pytest.param(status("FAILED"), Want("FAILED"), {0: 1}, "says 0 attempts", id="no attempt of what ran"),
        pytest.param(array("0", ""), ARRAY, {0: 1, 1: 1}, "of 2 elements", id="an element lost from the status"),
        pytest.param(gang(0), Want("SUCCEEDED", codes=(0,)), {0: 1, 1: 1}, "", id="all nodes of a gang"),
        pytest.param(
            gang(0), Want("SUCCEEDED", codes=(0,), extra=1), {0: 2, 1: 1}, "", id="a gang that lost a machine"
        ),
        pytest.param(gang(0), Want("SUCCEEDED", codes=(0,)), {0: 2, 1: 2}, "ran 2 times", id="a gang run twice"),
        pytest.param(
            {**gang(0), "preemptions": 1}, Want("SUCCEEDED", codes=(0,)), {0: 2, 1: 2}, "", id="a gang preempted"
        ),
        pytest.param(
            {**gang(0), "preemptions": 1},
            Want("SUCCEEDED", codes=(0,)),
            {0: 3, 1: 2},
            "ran 3 times",
            id="a gang preempted once, and run thrice",
        ),
        pytest.param(gang(0), Want("SUCCEEDED", codes=(0,)), {0: 1, 1: 2}, "more often", id="a node run twice"),
        pytest.param(
            gang(1, 0), Want("SUCCEEDED", codes=(1, 0)), {0: 1, 1: 1}, "says attempts", id="a gang's lost attempt"
        ),
        pytest.param(gang(0), Want("SUCCEEDED", codes=(0,)), {0: 1}, "{1: 0}", id="a node that was never made"),
        pytest.param(
            gang(1, 0), Want("SUCCEEDED", codes=(1, 0)), {0: 2, 1: 1}, "{1: 1}", id="or not for the second attempt"
        ),
        pytest.param(array("0-1", "1"), ARRAY, {0: 1, 1: 1}, "of 2 elements", id="an element in both"),
    ],
)
def test_what_is_wrong_is_told(found: dict[str, Any], want: Want, ran: dict[int, int], told: str) -> None:
    texts = list(wrong(found, want, Counter(ran)))
    assert told in " ".join(texts) if told else not texts


@pytest.mark.parametrize(("given_back", "told"), [(0, "ran 2 times"), (1, "")])
def test_a_gang_runs_again_as_often_as_its_job_says_it_went_back(given_back: int, told: str) -> None:
    texts = list(wrong(gang(0), Want("SUCCEEDED", codes=(0,)), Counter({0: 2, 1: 1}), given_back))
    assert told in " ".join(texts) if told else not texts


@pytest.mark.parametrize(
    ("jobs", "pods", "told"),
    [
        pytest.param(["a"], [("a", "Succeeded")], "", id="what has ended stays with its job"),
        pytest.param(["a", "a"], [], "2 Kubernetes Jobs", id="two Jobs"),
        pytest.param(["gone"], [], "a Kubernetes Job of jobId gone", id="a Job of what is deleted"),
        pytest.param([], [("a", "Running")], "is Running", id="a pod that goes on"),
        pytest.param([], [("gone", "Running")], "of jobId gone", id="a pod of what is deleted goes on"),
        pytest.param([], [("gone", "Succeeded")], "of jobId gone", id="or has ended"),
    ],
)
def test_what_stands_at_the_end_is_told(jobs: list[str], pods: list[tuple[str, str]], told: str) -> None:
    texts = standing(
        [{"metadata": {"labels": {LABEL_JOB_ID: job_id}}} for job_id in jobs],
        [
            {"metadata": {"name": "p", "labels": {LABEL_JOB_ID: job_id}}, "status": {"phase": phase}}
            for job_id, phase in pods
        ],
        {"a"},
    )
    assert told in " ".join(texts) if told else not texts


@pytest.mark.parametrize(
    ("method", "path", "want"),
    [
        ("POST", "/apis/batch/v1/namespaces/n/jobs", "create jobs"),
        ("PATCH", "/apis/batchwright.io/v1alpha1/namespaces/n/batchjobs/a/status", "patch batchjobs/status"),
        ("DELETE", "/api/v1/namespaces/n/pods/p", "delete pods"),
        ("PATCH", "/apis/batchwright.io/v1alpha1/jobqueues/q/status", "patch jobqueues/status"),
        ("GET", "/api/v1/namespaces", "read namespaces"),
        ("GET", "/apis", "read /apis"),
    ],
)
def test_requests_have_names(method: str, path: str, want: str) -> None:
    assert Asked(method, path, is_watch=False).what == want


def test_a_rule_strikes_its_share_and_no_more_than_it_may() -> None:
    rule = Rule(CutAfter(), writes, share=0.5, times=2)
    write, read = Asked("POST", "/api/v1/namespaces/n/pods", False, 1), Asked("GET", "/api/v1/pods", False)
    assert not rule.wants(read, 0.0)
    assert not rule.wants(write, 0.5)
    assert [rule.wants(write, 0.1) for _ in range(3)] == [True, True, False]
    assert rule.struck == {"create pods": 2}


@pytest.mark.parametrize("kills", [1, 8, 60, 61, 1000])
def test_kills_go_through_the_writes_in_turn(kills: int) -> None:
    found = points(kills)
    assert len(found) == kills
    assert len({number for number, _ in found}) >= min(kills, WINDOW) // 2
    assert kills == 1 or {after for _, after in found} == {False, True}


def test_every_fault_says_what_it_does() -> None:
    assert len(all_faults()) >= 20
    assert all(fault.says for fault in all_faults().values())


def test_only_defects_of_the_operator_s_own_are_errors() -> None:
    log = logged(
        {"event": "watch interrupted", "level": "warning"},
        {"event": "status refused", "level": "error", "error": "forbidden"},
        {"event": "task failed", "level": "error", "error": "RuntimeError('ApiClient is not open')"},
        {"event": "decision failed", "level": "error", "name": "a", "exception": "KeyError: 7"},
    )
    assert defects(log) == ["decision failed: KeyError: 7"]


@pytest.mark.parametrize(
    ("logger", "level", "count"),
    [
        pytest.param("kopf.objects", "error", 1, id="a handler failed"),
        pytest.param("asyncio", "error", 1, id="a task whose exception nobody took"),
        pytest.param("kopf.objects", "warning", 0, id="kopf tries again"),
        pytest.param("aiohttp.access", "error", 0, id="somebody else's"),
    ],
)
def test_what_kopf_and_asyncio_caught_is_a_defect(logger: str, level: str, count: int) -> None:
    log = logged({"event": "Handler 'see' failed", "level": level, "logger": logger, "exception": "KeyError: 7"})
    assert len(defects(log)) == count


def test_what_kopf_tries_again_is_no_defect() -> None:
    again = "Request attempt #1/9 failed; will retry: GET https://127.0.0.1/api/v1/namespaces"
    assert defects(logged({"event": again, "level": "error", "logger": "kopf._cogs.clients.watching"})) == []


def test_a_traceback_at_an_end_is_found() -> None:
    plain = 'Traceback (most recent call last):\n  File "a.py", line 1\n    x()\nKeyError: 7\n'
    group = "  + Exception Group Traceback (most recent call last):\n  | ExceptionGroup: (1 sub-exception)\n"
    group += '    | Traceback (most recent call last):\n    |   File "b.py", line 2\n    | KeyError: 8\n'
    line = '{"event": "going", "exception": "Traceback (most recent call last):"}\n'
    assert [each.splitlines()[-1] for each in tracebacks(line + plain + line + group)] == [
        "KeyError: 7",
        "    | KeyError: 8",
    ]
    assert tracebacks(f"{line}error: the Lease is thief's now: this operator ends\n") == []


def logged(*told: dict[str, Any]) -> str:
    lines = [json.dumps(record) for record in told]
    return "\n".join(("2026-03-01 12:00:00 ERROR kopf: not ours", *lines, lines[-1][:20]))


def refused(name: str, error: str = "pods is forbidden", **over: str) -> dict[str, Any]:
    return {"event": "action failed", "level": "warning", "name": name, "error": error, "cause": "Forbidden", **over}


def about(**what: str) -> dict[str, Any]:
    return {"event": "node not stopped", "level": "warning", "error": "pods is forbidden", "cause": "Forbidden", **what}


def event(name: str, message: str, uid: str = "u") -> dict[str, Any]:
    return {"involvedObject": {"name": name, "uid": uid}, "reason": "Refused", "message": message}


@pytest.mark.parametrize(
    ("told", "events", "missing"),
    [
        pytest.param([refused("a")], [event("a", "It may not: pods is forbidden")], 0, id="said"),
        pytest.param([refused("a"), refused("a")], [], 1, id="not said, however often it came"),
        pytest.param([refused("a")], [event("b", "pods is forbidden")], 1, id="said of another"),
        pytest.param([refused("a")], [event("a", "something else")], 1, id="something else was said"),
        pytest.param([refused("a", cause="ApiUnavailable")], [], 0, id="it passes by itself"),
        pytest.param([refused("a", level="info")], [], 0, id="no error"),
        pytest.param([about(job="a")], [], 1, id="of a job, while it was looked at"),
        pytest.param([about(environment="e")], [], 1, id="of an environment"),
        pytest.param([about(pod="p", job="a")], [event("a", "pods is forbidden")], 0, id="of a pod, said on its job"),
        pytest.param([about(pod="p", job="a")], [event("p", "pods is forbidden")], 0, id="or on the pod"),
        pytest.param([about(resource="pods")], [], 0, id="of no object"),
    ],
)
def test_an_error_about_an_object_is_said_on_it(told: list[Any], events: list[Any], missing: int) -> None:
    assert len(unsaid(errors_to_be_said(logged(*told)), events)) == missing


@pytest.mark.parametrize(("hours", "want"), [(5, True), (0, False), (-7, False)])
def test_a_turned_clock_shows_in_the_log(hours: int, want: bool) -> None:
    log = logged({"event": "watch interrupted", "level": "warning", "timestamp": "2026-03-01T17:00:03.5Z"})
    assert shows(log, hours, datetime(2026, 3, 1, 12, tzinfo=UTC)) == want


def test_nothing_is_said_twice_of_one_object() -> None:
    events = [event("a", "x"), event("a", "x", uid="v"), event("a", "y")]
    assert repeated(events) == []
    assert len(repeated([*events, event("a", "y")])) == 1


@pytest.mark.parametrize(
    ("per_job", "warm_up", "want"),
    [
        pytest.param(0.0, 0.0, 0.0, id="flat"),
        pytest.param(0.002, 0.0, 2.0, id="two KiB of each job stay"),
        pytest.param(0.0, 50.0, 0.0, id="warming up does not count"),
    ],
)
def test_memory_is_judged_by_its_tail(per_job: float, warm_up: float, want: float) -> None:
    samples = [Sample(n, 10 * n, 90 + per_job * 10 * n + (warm_up if n < 20 else 0)) for n in range(60)]
    verdict = judge(samples)
    assert verdict.mib_per_1000_jobs == pytest.approx(want, abs=0.01)
    assert verdict.growth_mib == pytest.approx(per_job * 200, abs=0.1)
    assert verdict.jobs == 290


@pytest.mark.parametrize(("per_1000", "most", "want"), [(0.1, 5.0, True), (5.1, 5.0, False), (-3.0, 0.0, True)])
def test_a_soak_in_which_memory_grew_fails(per_1000: float, most: float, want: bool) -> None:
    samples = [Sample(n, 10 * n, 90 + per_1000 * n / 100) for n in range(60)]
    assert judge(samples).is_flat(most) == want


def test_a_fault_that_struck_nothing_is_found() -> None:
    known = all_faults()
    struck = {"calm": Struck(Counter(calm=1)), "quota-filled": Struck(Counter({"quota-filled": 0}))}
    names = ["calm", "quota-filled", "kills"]
    assert without_effect([known[name] for name in names], struck) == ["quota-filled", "kills"]
