"""The outside check of the fault harness sees what it is there to see, and the proxy's rules strike what they say."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from chaos.exactlyonce import errors_said, wrong
from chaos.faults import all_faults
from chaos.faults.kills import WINDOW, points
from chaos.ground import Want
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
        pytest.param(array("0", ""), ARRAY, {0: 1, 1: 1}, "of 2 elements", id="an element lost from the status"),
        pytest.param(gang(0), Want("SUCCEEDED", codes=(0,)), {0: 1, 1: 1}, "", id="all nodes of a gang"),
        pytest.param(gang(0), Want("SUCCEEDED", codes=(0,)), {0: 2, 1: 1}, "", id="a gang that went back"),
        pytest.param(gang(0), Want("SUCCEEDED", codes=(0,)), {0: 1, 1: 2}, "more often", id="a node run twice"),
        pytest.param(
            gang(1, 0), Want("SUCCEEDED", codes=(1, 0)), {0: 1}, "says 2 attempts", id="a gang's lost attempt"
        ),
        pytest.param(array("0-1", "1"), ARRAY, {0: 1, 1: 1}, "of 2 elements", id="an element in both"),
    ],
)
def test_what_is_wrong_is_told(found: dict[str, Any], want: Want, ran: dict[int, int], told: str) -> None:
    texts = list(wrong(found, want, Counter(ran)))
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
    log = "\n".join(
        [
            "2026-03-01T12:00:00Z [warning  ] watch interrupted",
            "2026-03-01T12:00:00Z [error    ] status refused error=forbidden",
            "2026-03-01T12:00:00Z [error    ] task failed error=\"RuntimeError('ApiClient is not open')\"",
            "2026-03-01T12:00:00Z [error    ] decision failed job=a",
        ]
    )
    assert [line.partition("] ")[2] for line in errors_said(log)] == ["decision failed job=a"]
