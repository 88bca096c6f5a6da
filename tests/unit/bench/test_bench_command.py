"""`batchwright bench`: wrong usage is told before anything is run."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from batchwright.bench.scenario import BATCHWRIGHT, all_scenarios
from batchwright.cli.main import app


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(["no-such"], "'no-such' is none of array, ", id="scenario"),
        pytest.param(["single", "--only", "nobody"], "no contender here", id="contender"),
        pytest.param(["single", "--check", "--only", BATCHWRIGHT], "ratios need every contender", id="check of one"),
        pytest.param(["single", "--full", "--size", "7"], "not together with --size", id="two sizes"),
    ],
)
def test_wrong_usage(arguments: list[str], complaint: str) -> None:
    done = CliRunner().invoke(app, ["bench", *arguments])
    assert done.exit_code == 2
    assert complaint in " ".join(done.stderr.replace("│", " ").split())


def test_sizes_without_ranges_are_no_success(tmp_path: Path) -> None:
    ranges = tmp_path / "ranges.json"
    ranges.write_text('{"scenarios": {"single": {"sizes": [500, 900], "figures": {"makespanSeconds": [0, 1]}}}}')
    done = CliRunner().invoke(app, ["bench", "single", "--check", "--ranges", str(ranges)])
    assert done.exit_code == 1
    assert done.stderr == "error: the ranges of scenario single are for sizes 500 to 900, not 1,000\n"


def test_the_list_names_every_scenario() -> None:
    done = CliRunner().invoke(app, ["bench", "--list"])
    assert done.exit_code == 0
    for name in all_scenarios():
        assert f" {name} " in done.stdout
