"""`cost` and the lines of `describe` about it: what is added up, since when, and how it is shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from batchwright.cli.costs import By, cost_grid, is_since, lines_of_jobs, lines_of_queues, parse_since, record
from batchwright.cli.usage_text import dollars, seconds, usage_lines, used_by
from batchwright.domain.metering import PER_DOLLAR
from batchwright.errors import BatchwrightError
from unit.cli.objects import job

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def usage(vcpu: str = "3600", cost: str | None = "0.5", **more: Any) -> dict[str, Any]:
    priced = {} if cost is None else {"cost": cost}
    return {"vcpuSeconds": vcpu, "memoryGiBSeconds": "7200", "updatedAt": "2026-01-01T23:59:00Z", **priced, **more}


def used(name: str, number: int, wire: dict[str, Any], *, state: str = "SUCCEEDED", **spec: Any) -> dict[str, Any]:
    made = job(name, number=number, state=state, usage=wire, stoppedAt="2026-01-01T12:00:00Z")
    made["spec"] |= spec
    return made


JOBS = [
    used("a", 1, usage(), shareIdentifier="red", tags={"team": "weather", "stage": "test"}),
    used("b", 2, usage("7200", "1.25", lostCost="0.25"), shareIdentifier="red", tags={"team": "weather"}),
    used("c", 3, usage("100", None, unpricedVcpuSeconds="100"), quotaShareName="blue"),
]


def rows(by: By) -> list[list[str]]:
    return [list(row) for row in cost_grid(lines_of_jobs(JOBS, by, NOW), by).rows]


@pytest.mark.parametrize(
    ("by", "want"),
    [
        pytest.param(
            By.share,
            [
                ["normal", "red", "2", "3.000", "4.000", "$1.75", "$0.25"],
                ["normal", "blue", "1", "0.028", "2.000", "-", "-"],
            ],
            id="share",
        ),
        pytest.param(By.queue, [["normal", "3", "3.028", "6.000", "$1.75 (in part)", "$0.25"]], id="queue"),
        pytest.param(
            By.tag,
            [
                ["team", "weather", "2", "3.000", "4.000", "$1.75", "$0.25"],
                ["stage", "test", "1", "1.000", "2.000", "$0.50", "-"],
                ["(none)", "", "1", "0.028", "2.000", "-", "-"],
            ],
            id="tag",
        ),
        pytest.param(
            By.job,
            [
                ["lab", "b", "2.000", "2.000", "$1.25", "$0.25"],
                ["lab", "a", "1.000", "2.000", "$0.50", "-"],
                ["lab", "c", "0.028", "2.000", "-", "-"],
            ],
            id="job",
        ),
    ],
)
def test_jobs_are_added_up(by: By, want: list[list[str]]) -> None:
    assert rows(by) == want


def test_labels_are_told_apart_as_tags_are() -> None:
    made = used("a", 1, usage())
    made["metadata"]["labels"] = {"app": "sim"}
    [line] = lines_of_jobs([made], By.label, NOW)
    assert line.keys == ("app", "sim")


QUEUES = [
    {
        "metadata": {"name": "normal"},
        "status": {"usage": [{"share": "red", **usage()}, {"share": "blue", **usage("60", "0.125")}]},
    },
    {"metadata": {"name": "plain"}, "status": {"usage": [usage("10", "0.01")]}},
    {"metadata": {"name": "new"}},
]


def test_queues_are_added_up_by_what_they_have_noted() -> None:
    by_share = [(line.keys, line.used.cost) for line in lines_of_queues(QUEUES, By.share)]
    assert by_share == [
        (("normal", "red"), PER_DOLLAR // 2),
        (("normal", "blue"), PER_DOLLAR // 8),
        (("plain", "(none)"), PER_DOLLAR // 100),
    ]
    by_queue = [(line.keys, line.used.cost) for line in lines_of_queues(QUEUES, By.queue)]
    assert by_queue == [(("normal",), PER_DOLLAR * 5 // 8), (("plain",), PER_DOLLAR // 100), (("new",), 0)]


def test_a_program_gets_every_digit() -> None:
    [line, _] = lines_of_jobs(JOBS, By.share, NOW)
    assert record(line, By.share) == {
        "queue": "normal",
        "share": "red",
        "jobs": 2,
        "vcpuSeconds": "10800",
        "memoryGiBSeconds": "14400",
        "cost": "1.75",
        "lostCost": "0.25",
    }


def test_what_runs_goes_on_costing() -> None:
    holding = {"vcpus": "2", "memoryGiB": "4", "hourlyCost": "36"}
    running = used("a", 1, usage("10", "1", holding=holding), state="RUNNING")
    at = datetime(2026, 1, 2, 0, 0, 0, tzinfo=UTC)
    found = used_by(running, at)
    assert (found.vcpu, found.cost) == (10_000 + 60 * 2000, PER_DOLLAR + 60 * PER_DOLLAR // 100)
    assert usage_lines(running, at) == [
        "Used:            130 vCPU-s, 7,440 GiB-s so far",
        "Cost:            $1.60",
    ]


@pytest.mark.parametrize(
    ("wire", "want"),
    [
        pytest.param(usage(), ["3,600 vCPU-s, 7,200 GiB-s", "$0.50"], id="plain"),
        pytest.param(usage(gpuSeconds="60"), ["3,600 vCPU-s, 7,200 GiB-s, 60 GPU-s", "$0.50"], id="gpu"),
        pytest.param(usage(cost=None, unpricedVcpuSeconds="3600"), ["3,600 vCPU-s, 7,200 GiB-s"], id="no price"),
        pytest.param(
            usage(estimatedCost="0.5", lostCost="0.125"),
            ["3,600 vCPU-s, 7,200 GiB-s", "$0.50 (by estimated prices, $0.12 in attempts that did not succeed)"],
            id="estimated, and some lost",
        ),
        pytest.param(
            usage(estimatedCost="0.25", unpricedVcpuSeconds="60"),
            ["3,600 vCPU-s, 7,200 GiB-s", "$0.50 ($0.25 estimated, 60 vCPU-s without a price)"],
            id="in part",
        ),
        pytest.param(
            usage(elements=[{"indexes": "0-3", **usage("60", "0.0004")}]),
            ["3,600 vCPU-s, 7,200 GiB-s", "$0.50", "0-3: 60 vCPU-s, 7,200 GiB-s, $0.000400"],
            id="an array",
        ),
    ],
)
def test_the_lines_of_a_job(wire: dict[str, Any], want: list[str]) -> None:
    shown = usage_lines(used("a", 1, wire), NOW)
    assert [line.partition(":")[2].strip() for line in shown] == want


def test_a_job_that_used_nothing_has_no_lines() -> None:
    assert usage_lines(job(state="PENDING"), NOW) == []


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("90m", NOW - timedelta(minutes=90), id="minutes"),
        pytest.param("7d", NOW - timedelta(days=7), id="days"),
        pytest.param("2026-01-01", NOW - timedelta(days=1), id="a date"),
        pytest.param("2026-01-01T12:00:00+01:00", NOW - timedelta(hours=13), id="a time"),
    ],
)
def test_since_when(text: str, want: datetime) -> None:
    assert parse_since(text, NOW) == want


@pytest.mark.parametrize("text", ["yesterday", "7", "-1d", "9999999d", "999999w"])
def test_what_is_no_time_is_said(text: str) -> None:
    with pytest.raises(BatchwrightError, match=f"--since {text} is no time: give a span such as"):
        parse_since(text, NOW)


@pytest.mark.parametrize(
    ("state", "hours", "want"),
    [
        pytest.param("SUCCEEDED", 13, True, id="ended since"),
        pytest.param("SUCCEEDED", 11, False, id="ended before"),
        pytest.param("RUNNING", 1, True, id="runs"),
    ],
)
def test_jobs_since(state: str, hours: int, want: bool) -> None:
    assert is_since(used("a", 1, usage(), state=state), NOW - timedelta(hours=hours)) is want


@pytest.mark.parametrize(
    ("amount", "want"),
    [
        pytest.param(0, "$0.00", id="nothing"),
        pytest.param(1234.5, "$1,234.50", id="much"),
        pytest.param(0.0123, "$0.0123", id="cents"),
        pytest.param(0.00005, "$0.000050", id="less"),
    ],
)
def test_dollars(amount: float, want: str) -> None:
    assert dollars(round(amount * PER_DOLLAR)) == want


@pytest.mark.parametrize(("amount", "want"), [(1500, "1.5"), (123_456, "123"), (1_234_567_000, "1,234,567")])
def test_seconds(amount: int, want: str) -> None:
    assert seconds(amount) == want
