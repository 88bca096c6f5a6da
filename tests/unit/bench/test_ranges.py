"""Rounds become medians, ratios and verdicts; a figure out of its range is told."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from batchwright.bench.figures import FIGURES, percentile
from batchwright.bench.ranges import Ranges, ScenarioRanges, deviations, load_ranges, ranges_for
from batchwright.bench.rounds import Outcome, run_rounds
from batchwright.bench.scenario import BATCHWRIGHT, PLAIN, Measured, Run, Scenario, Target, all_scenarios
from batchwright.bench.summary import Spread, Summary, as_json, summarize
from batchwright.errors import BenchmarkError


def scenario(*targets: Target) -> Scenario:
    """A scenario whose contenders take 2 and 3 seconds, and a little more in each round."""
    calls: Counter[str] = Counter()

    def measure(run: Run) -> Measured:
        calls[run.contender] += 1
        seconds = {PLAIN: 2.0, BATCHWRIGHT: 3.0}[run.contender] + calls[run.contender]
        return Measured({"makespanSeconds": seconds}, Counter({"create jobs": 2 * run.size}), units=run.size)

    return Scenario("made-up", "for this test", "job", 10, (10,), (PLAIN, BATCHWRIGHT), targets, measure)


def summary(*targets: Target, only: tuple[str, ...] = (PLAIN, BATCHWRIGHT)) -> Summary:
    """Three rounds of it: medians 4 and 5."""
    return summarize(run_rounds(scenario(*targets), 10, 3, only))


def test_contenders_take_turns() -> None:
    told: list[str] = []
    outcome = run_rounds(scenario(), 10, 3, (PLAIN, BATCHWRIGHT), tell=told.append)
    assert [each.rpartition(", ")[2] for each in told] == [PLAIN, BATCHWRIGHT, BATCHWRIGHT, PLAIN, PLAIN, BATCHWRIGHT]
    assert len(outcome.loads) == 6


def test_medians_spread_and_ratios() -> None:
    found = summary()
    assert found.figures[BATCHWRIGHT] == {"makespanSeconds": Spread(5.0, 4.0, 6.0)}
    assert found.ratios == {"makespanSeconds": 1.25}
    assert as_json(found)["contenders"][PLAIN]["writesPerUnit"] == {"create jobs": 2.0}


@pytest.mark.parametrize(
    ("target", "want"),
    [
        pytest.param(Target("makespanSeconds", at_most=5), True, id="met"),
        pytest.param(Target("makespanSeconds", at_most=4.9), False, id="missed"),
        pytest.param(Target("makespanSeconds", at_most=1.2, to_plain=True), False, id="ratio missed"),
        pytest.param(Target("makespanSeconds", at_least=1.2, to_plain=True), True, id="ratio met"),
        pytest.param(Target("operatorPeakMiB", at_most=1), None, id="not measured"),
    ],
)
def test_targets(target: Target, want: bool | None) -> None:
    [verdict] = summary(target).verdicts
    assert verdict.met is want


def test_targets_of_another_size_are_not_judged() -> None:
    assert summary(Target("makespanSeconds", at_most=1, size=11)).verdicts == []


@pytest.mark.parametrize(
    ("known", "want"),
    [
        pytest.param({"figures": {"makespanSeconds": (4, 6)}}, [], id="within"),
        pytest.param(
            {"figures": {"makespanSeconds": (1, 4.5)}},
            ["made-up 10: makespanSeconds is 5, and should be 1 to 4.5"],
            id="above",
        ),
        pytest.param(
            {"figures": {"makespanSeconds": (5.5, 9)}},
            ["made-up 10: makespanSeconds is 5, and should be 5.5 to 9"],
            id="below",
        ),
        pytest.param(
            {"figures": {"operatorPeakMiB": (1, 2)}},
            ["made-up 10: operatorPeakMiB was not measured, and should be 1 to 2"],
            id="not measured",
        ),
        pytest.param(
            {"ratiosToPlain": {"makespanSeconds": (0.5, 1.2)}},
            ["made-up 10: ratio to plain of makespanSeconds is 1.25, and should be 0.5 to 1.2"],
            id="ratio",
        ),
    ],
)
def test_deviations(known: dict[str, object], want: list[str]) -> None:
    bounds = ScenarioRanges.model_validate({"sizes": (1, 100), **known})
    assert [str(each) for each in deviations(summary(), bounds)] == want


@pytest.mark.parametrize(
    ("name", "size", "complaint"),
    [
        pytest.param("single", 100, None, id="there"),
        pytest.param("array", 100, "no ranges for scenario array", id="no such scenario"),
        pytest.param("single", 99, "for sizes 100 to 200, not 99", id="too small"),
        pytest.param("empty", 100, "no ranges for scenario empty", id="nothing to check"),
    ],
)
def test_a_check_needs_something_to_check(name: str, size: int, complaint: str | None) -> None:
    known = ScenarioRanges(sizes=(100, 200), figures={"makespanSeconds": (1, 2)})
    ranges = Ranges(scenarios={"single": known, "empty": ScenarioRanges(sizes=(1, 1000))})
    if complaint is None:
        assert ranges_for(ranges, name, size) is known
        return
    with pytest.raises(BenchmarkError, match=complaint):
        ranges_for(ranges, name, size)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param(None, "No such file", id="no file"),
        pytest.param("[]", "is not a file of ranges", id="something else"),
        pytest.param('{"scenarios": {}, "colour": 1}', "colour", id="an unknown key"),
    ],
)
def test_unreadable_ranges(tmp_path: Path, text: str | None, complaint: str) -> None:
    path = tmp_path / "ranges.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BenchmarkError, match=complaint):
        load_ranges(path)


def test_the_committed_ranges_are_of_scenarios_and_figures_that_exist() -> None:
    known = load_ranges().scenarios
    assert set(known) == set(all_scenarios())
    for name, ranges in known.items():
        # A plain `batchwright bench --check` must have ranges for what it runs.
        assert ranges_for(load_ranges(), name, all_scenarios()[name].quick)
        for key, (least, most) in [*ranges.figures.items(), *ranges.ratios_to_plain.items()]:
            assert key in FIGURES
            assert least <= most


@pytest.mark.parametrize(
    ("percent", "want"),
    [pytest.param(50, 2, id="median"), pytest.param(99, 4, id="near the end"), pytest.param(0, 1, id="least")],
)
def test_percentiles(percent: float, want: float) -> None:
    assert percentile([4, 1, 3, 2], percent) == want


def test_the_outcome_of_one_contender_has_no_ratios() -> None:
    found = summary(Target("makespanSeconds", at_most=1.2, to_plain=True), only=(BATCHWRIGHT,))
    assert isinstance(found.outcome, Outcome)
    assert found.ratios == {}
    assert [verdict.met for verdict in found.verdicts] == [None]
