"""`batchwright simulate` from the trace to the report."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from batchwright.cli import exits
from batchwright.cli.main import CommandLine
from batchwright.cli.simulate import simulate
from batchwright.simulation.metrics import measure
from batchwright.simulation.plot import NARROWEST, WIDEST, draw
from batchwright.simulation.replay import Result as Replayed
from batchwright.simulation.replay import Run
from batchwright.simulation.workload import Machines
from documentation import ROOT

SYNTHETIC = str(ROOT / "examples/traces/synthetic.swf")
# Two users on four processors: the second waits ten seconds for the first, then a third job of a second.
SMALL = """; MaxProcs: 4
1 0 -1 10 -1 -1 -1 4 20 -1 1 1 1 1 1 1 -1 -1
2 0 -1 30 -1 -1 -1 4 40 -1 1 2 1 1 2 1 -1 -1
3 5 -1 -1 -1 -1 -1 4 40 -1 5 2 1 1 2 1 -1 -1
4 40 -1 1 -1 -1 -1 2 40 -1 1 2 1 1 1 1 -1 -1
"""

app = typer.Typer(cls=CommandLine, pretty_exceptions_enable=False)
app.command("simulate")(simulate)
# One command alone would not be a verb.
app.command("other")(lambda: None)


def invoke(*arguments: str, stdin: str | bytes | None = None) -> Result:
    """Runs the verb in this process."""
    return CliRunner().invoke(
        app, ["simulate", *arguments], input=stdin, env={"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"}
    )


def report(*arguments: str, stdin: str | bytes = SMALL) -> dict[str, object]:
    """The report of SMALL as JSON."""
    done = invoke("-", "-o", "json", *arguments, stdin=stdin)
    assert done.exit_code == exits.OK, done.output
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_the_small_trace_as_json() -> None:
    found = report()
    assert (found["trace"], found["scheduler"]) == ("-", "first come, first served")
    assert (found["nodes"], found["cpusPerNode"]) == (1, 4)
    assert found["jobs"] == {
        "replayed": 3,
        "finished": 3,
        "cancelled": 0,
        "neverStarted": 0,
        "leftOut": {"run time not known (it never ran)": 1},
    }
    assert (found["beginSeconds"], found["endSeconds"], found["utilisation"]) == (0, 41, round(162 / 164, 4))
    assert found["fairness"] == {"contendedSeconds": 10, "jainByWeight": 0.5, "jainByEntitlement": 0.5}
    [first, second] = found["shares"]  # type: ignore[misc]
    assert first["waitSeconds"] == {"mean": 0, "median": 0, "p95": 0, "max": 0}
    assert second["waitSeconds"] == {"mean": 5, "median": 0, "p95": 10, "max": 10}
    assert second["contended"] == {"weight": 1, "servedCpuSeconds": 0, "satisfaction": 0}
    assert second["partOfCpuSeconds"] == round(122 / 162, 4)
    assert [queue["queue"] for queue in found["queues"]] == ["queue1", "queue2"]  # type: ignore[attr-defined]
    over = found["overTime"]
    assert isinstance(over, dict)
    assert (over["utilisation"][0], over["utilisation"][-1], over["queued"][0], over["queued"][-1]) == (1, 0.5, 1, 0)


def test_a_gzip_trace_says_the_same() -> None:
    assert report(stdin=gzip.compress(SMALL.encode())) == report()


def test_shares_by_group_and_machines_by_flag() -> None:
    found = report("--share-by", "group", "--nodes", "2", "--cpus-per-node", "4")
    assert [share["share"] for share in found["shares"]] == ["group1"]  # type: ignore[attr-defined]
    assert found["nodes"] == 2
    assert found["endSeconds"] == 41
    assert found["fairness"] == {"contendedSeconds": 0, "jainByWeight": None, "jainByEntitlement": None}


def test_a_policy_weighs_the_shares(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(
        "{apiVersion: batchwright.io/v1alpha1, kind: SchedulingPolicy, metadata: {name: fair}, spec: "
        "{fairsharePolicy: {shareDistribution: [{shareIdentifier: user1, weightFactor: 0.25}]}}}"
    )
    [first, second] = report("--policy", str(file))["shares"]  # type: ignore[misc]
    assert (first["contended"]["weight"], second["contended"]["weight"]) == (4, 1)
    # Of four processors over ten seconds 32 CPU-seconds were the first's due, and it had all 40.
    assert first["contended"]["satisfaction"] == 1.25


def test_the_table_has_totals_shares_queues_and_plots() -> None:
    done = invoke(SYNTHETIC, "--plot")
    assert done.exit_code == exits.OK, done.output
    lines = done.stdout.splitlines()
    assert "Machines:        16 × 8 = 128 processors" in lines
    assert [line.split()[0] for line in lines if re.match(r"(user|queue)\d", line)] == [
        *(f"user{number}" for number in range(1, 6)),
        *("queue1", "queue2"),
    ]
    [total] = [line for line in lines if line.startswith("(all)")]
    assert total.split()[1] == "500"
    assert "processors in use, % of 128, over hours" in done.stdout
    assert "95th percentile of the wait, hours" in done.stdout


@pytest.mark.parametrize("arguments", [["--no-plot"], []], ids=["asked not to", "no terminal"])
def test_no_plot(arguments: list[str]) -> None:
    done = invoke("-", *arguments, stdin=SMALL)
    assert done.exit_code == exits.OK
    assert "CPU-HOURS" in done.stdout
    assert "processors in use" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "want"),
    [
        pytest.param(["/nowhere.swf"], "", exits.ERROR, "error: TRACE /nowhere.swf: No such file", id="no file"),
        pytest.param(["-"], "1 2\n", exits.ERROR, "error: -: line 1: column 3 (wait time) is missing", id="bad line"),
        pytest.param(["-", "--nodes", "3"], SMALL, exits.ERROR, "give --cpus-per-node too", id="machines"),
        pytest.param(["-", "--policy", "/no.yaml"], SMALL, exits.ERROR, "--policy /no.yaml: No such", id="no policy"),
        pytest.param(["-", "--nodes", "0"], SMALL, exits.USAGE, "--nodes", id="no nodes"),
        pytest.param(["-", "-o", "json", "--plot"], SMALL, exits.USAGE, "not together with -o json", id="plot in JSON"),
        pytest.param(["-", "--share-by", "moon"], SMALL, exits.USAGE, "executable", id="no such share"),
    ],
)
def test_what_is_wrong_is_said(arguments: list[str], stdin: str, code: int, want: str) -> None:
    done = invoke(*arguments, stdin=stdin)
    assert done.exit_code == code, done.output
    assert want in " ".join(done.output.replace("│", " ").split())


def plotted(runs: list[Run], width: int, *, color: bool = False) -> list[str]:
    """The lines of a plot."""
    machines = Machines(1, 4)
    return draw(measure(Replayed(tuple(runs), ()), machines), machines, width, color=color).splitlines()


def test_a_plot_is_as_full_as_the_machines() -> None:
    # Full for the first half, half full for the second.
    lines = plotted([Run(1, 0, 0, 500, 4, "a", "q"), Run(2, 0, 500, 1000, 2, "a", "q")], 100)
    assert max(map(len, lines)) == 100
    full = next(line for line in lines if line.lstrip().startswith("75┤"))
    assert 40 <= full.count("█") <= 50
    half = next(line for line in lines if line.lstrip().startswith("25┤"))
    assert half.count("█") >= 85


@pytest.mark.parametrize(
    ("width", "want"), [(5, NARROWEST), (80, 80), (500, WIDEST)], ids=["too narrow", "as asked", "too wide"]
)
def test_the_width_of_plots_is_bounded(width: int, want: int) -> None:
    assert max(map(len, plotted([Run(1, 0, 0, 10, 4, "a", "q")], width))) == want


def test_many_shares_are_not_all_drawn() -> None:
    lines = plotted([Run(number, 0, number, 20 + number, 1, f"user{number}", "q") for number in range(1, 31)], 80)
    assert sum("┤█" in line and "user" in line for line in lines) == 12
    assert any("(18 smaller shares are not drawn)" in line for line in lines)


def test_colours_only_where_wanted() -> None:
    runs = [Run(1, 0, 5, 10, 4, "a", "q")]
    assert not any("\x1b" in line for line in plotted(runs, 80))
    assert any("\x1b" in line for line in plotted(runs, 80, color=True))


@pytest.mark.parametrize(
    "runs",
    [[Run(1, 7, 7, 7, 4, "a", "q")], [Run(1, 0, 0, 1e9, 4, "a", "q")]],
    ids=["no time at all", "thirty years"],
)
def test_extremes_are_drawn(runs: list[Run]) -> None:
    assert len(plotted(runs, 80)) > 20
