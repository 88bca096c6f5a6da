"""`batchwright local aws`: what each command asks of the endpoint."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from batchwright.cli import local_aws
from batchwright.cli.main import app
from batchwright.errors import LocalError
from batchwright.local.ec2.switches import Switches


@pytest.mark.parametrize(
    ("command", "want"),
    [
        pytest.param(["interrupt", "i-1"], {"instance": "i-1", "seconds": 120.0, "how": "INTERRUPTION"}, id="as EC2"),
        pytest.param(
            ["interrupt", "i-1", "--seconds", "5", "--silent"],
            {"instance": "i-1", "seconds": 5.0, "how": "SILENT"},
            id="without a warning",
        ),
        pytest.param(["rebalance", "i-1"], {"instance": "i-1", "how": "REBALANCE"}, id="rebalance"),
        pytest.param(
            ["maintain", "i-1"], {"instance": "i-1", "seconds": 1200.0, "how": "MAINTENANCE"}, id="maintenance"
        ),
    ],
)
def test_what_is_asked(command: list[str], want: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, dict[str, Any] | None]] = []

    def request(name: str, what: str, body: dict[str, Any] | None) -> dict[str, Any]:
        asked.append((name, what, body))
        return {}

    monkeypatch.setattr(local_aws, "_request", request)
    result = CliRunner().invoke(app, ["local", "aws", *command, "--name", "here"])
    assert result.exit_code == 0, result.output
    assert asked == [("here", "interruptions", want)]


def test_pools_are_added_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    switches: dict[str, Any] = {"exhausted": ["c5.large *"]}

    def request(name: str, what: str, body: dict[str, Any] | None) -> dict[str, Any]:
        switches.update(body or {})
        return switches

    monkeypatch.setattr(local_aws, "_request", request)
    CliRunner().invoke(app, ["local", "aws", "exhaust", "m5.large", "us-east-1a"])
    assert switches["exhausted"] == ["c5.large *", "m5.large us-east-1a"]
    CliRunner().invoke(app, ["local", "aws", "restock", "c5.large"])
    assert switches["exhausted"] == ["m5.large us-east-1a"]


@pytest.mark.parametrize(
    ("given", "want"),
    [
        pytest.param(["join_seconds=30"], {"join_seconds": 30.0}, id="seconds"),
        pytest.param(["most=2"], {"most": 2}, id="a number"),
        pytest.param(["most="], {"most": None}, id="no bound any more"),
        pytest.param(["deaf=m5.large,c5.large"], {"deaf": ["m5.large", "c5.large"]}, id="types"),
        pytest.param(["unready="], {"unready": []}, id="none of them"),
        pytest.param(
            ["exhausted=m5.large us-east-1a, c5.large *"],
            {"exhausted": ["m5.large us-east-1a", "c5.large *"]},
            id="pools",
        ),
        pytest.param(["lost=1", "throttled=2", "denied=3"], {"lost": 1, "throttled": 2, "denied": 3}, id="several"),
    ],
)
def test_what_is_switched(given: list[str], want: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, dict[str, Any] | None]] = []

    def request(name: str, what: str, body: dict[str, Any] | None) -> dict[str, Any]:
        asked.append((name, what, body))
        return {}

    monkeypatch.setattr(local_aws, "_request", request)
    result = CliRunner().invoke(app, ["local", "aws", "switch", *given, "--name", "here"])
    assert result.exit_code == 0, result.output
    assert asked == [("here", "switches", want)]
    Switches().change(want)


@pytest.mark.parametrize(
    ("given", "want"),
    [
        pytest.param("dead=1", "no switch is named dead: there are exhausted, most, deaf, unready,", id="name"),
        pytest.param("most", "most needs a value: most=VALUE", id="no value"),
        pytest.param("lost=often", "lost=often: Input should be a valid integer", id="no number"),
        pytest.param("denied=-1", "denied=-1: Input should be greater than or equal to 0", id="below 0"),
        pytest.param("join_seconds=nan", "join_seconds=nan: Input should be a finite number", id="not a number"),
        pytest.param("exhausted=m5.large", "exhausted=m5.large: Value error, m5.large is no pool", id="no pool"),
    ],
)
def test_what_is_no_switch_is_said(given: str, want: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_aws, "_request", lambda *_: pytest.fail("it asked"))
    result = CliRunner().invoke(app, ["local", "aws", "switch", "lost=1", given])
    assert result.exit_code == 2
    assert want in " ".join(result.stderr.replace("│", "").split())


def test_what_cannot_be_done_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def request(*_: object) -> dict[str, Any]:
        raise LocalError("no such instance")

    monkeypatch.setattr(local_aws, "_request", request)
    result = CliRunner().invoke(app, ["local", "aws", "interrupt", "i-9"])
    assert (result.exit_code, result.stderr) == (1, "error: no such instance\n")
