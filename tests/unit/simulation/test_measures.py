"""Waits, use over time and fairness, against numbers worked out by hand and slow ways to the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.simulation.fairness import compute_fairness, divide, jain
from batchwright.simulation.metrics import bounded_slowdown, compute_waits, measure, natural, percentile
from batchwright.simulation.replay import Result, Run, Unrun
from batchwright.simulation.steps import Steps, steps
from batchwright.simulation.workload import Machines

FOUR = Machines(2, 2)


def run(submit: float, start: float, end: float, cpus: int = 1, share: str = "a", **more: object) -> Run:
    """A run."""
    return Run(0, submit, start, end, cpus, share, "queue1", **more)  # type: ignore[arg-type]


def unrun(submit: float, until: float, share: str = "a", *, cancelled: bool = False) -> Unrun:
    """A job of one processor that never ran."""
    return Unrun(9, submit, until, 1, share, "queue1", cancelled)


def equal(share: str) -> float:
    return 1.0


@pytest.mark.parametrize(
    ("one", "want"),
    [
        pytest.param(run(0, 0, 100), 1.0, id="no wait"),
        pytest.param(run(0, 100, 200), 2.0, id="waited as long as it ran"),
        pytest.param(run(0, 9, 10), 1.0, id="a second's job counts as ten"),
        pytest.param(run(0, 99, 100), 10.0, id="a second's job that waited"),
        pytest.param(run(5, 5, 5), 1.0, id="no time at all"),
    ],
)
def test_bounded_slowdown(one: Run, want: float) -> None:
    assert bounded_slowdown(one) == want


def test_waits() -> None:
    found = compute_waits([run(0, wait, wait + 20, cpus=2) for wait in (0, 10, 20, 1000)])
    assert (found.jobs, found.mean, found.median, found.p95, found.longest) == (4, 257.5, 10, 1000, 1000)
    assert found.slowdown_mean == (1 + 1.5 + 2 + 51) / 4
    assert found.slowdown_p95 == 51
    assert found.cpu_seconds == 4 * 2 * 20


def test_the_waits_of_nobody_are_none() -> None:
    assert compute_waits([]).jobs == 0


@pytest.mark.parametrize(
    ("percent", "count", "want"), [(50, 1, 1), (50, 4, 2), (95, 20, 19), (95, 21, 20), (95, 100, 95), (100, 7, 7)]
)
def test_percentiles_are_of_the_nearest_rank(percent: int, count: int, want: int) -> None:
    assert percentile(range(1, count + 1), percent) == want


def test_a_replay_is_measured() -> None:
    found = measure(Result((run(10, 10, 20, 4), run(10, 20, 30, 2, "b")), ()), FOUR)
    assert (found.begin, found.end, found.utilisation) == (10, 30, 60 / 80)
    assert found.in_use == Steps((10, 20, 30), (4, 2, 0))
    assert found.queued == Steps((10, 20), (1, 0))
    assert (found.all.jobs, found.by_share["a"].mean, found.by_share["b"].mean) == (2, 0, 10)
    assert list(found.by_queue) == ["queue1"]


def test_lost_work_is_use_but_no_work_and_its_job_waits_again() -> None:
    found = measure(Result((run(0, 8, 10, 2, lost=((1, 3), (4, 6))),), ()), FOUR)
    assert found.lost == 8
    assert found.all.cpu_seconds == 4
    assert found.all.longest == 8
    assert found.utilisation == 12 / 40
    assert found.in_use == Steps((1, 3, 4, 6, 8, 10), (2, 0, 2, 0, 2, 0))
    assert found.queued == Steps((0, 1, 3, 4, 6, 8), (1, 0, 1, 0, 1, 0))


def test_what_did_not_run_waited_and_is_counted() -> None:
    found = measure(Result((run(0, 0, 10),), (unrun(2, 10), unrun(3, 7, cancelled=True))), FOUR)
    assert (found.unfinished, found.cancelled, found.all.jobs) == (1, 1, 1)
    assert found.queued == Steps((0, 2, 3, 7, 10), (0, 1, 2, 1, 0))


def test_a_replay_of_no_length_has_no_use() -> None:
    assert measure(Result((run(5, 5, 5),), ()), FOUR).utilisation == 0


CHANGES = st.lists(st.tuples(st.integers(0, 20), st.integers(-3, 3)), max_size=12)


@given(CHANGES, st.integers(0, 20), st.integers(1, 20), st.integers(1, 7))
def test_means_over_parts_of_time_are_those_of_small_steps(
    changes: list[tuple[float, float]], begin: int, length: int, count: int
) -> None:
    made = steps(changes)
    fine = 4 * count
    width = length / fine
    sampled = [_area(changes, begin + place * width, begin + (place + 1) * width) / width for place in range(fine)]
    want = [sum(sampled[place * 4 : place * 4 + 4]) / 4 for place in range(count)]
    assert made.means(begin, begin + length, count) == pytest.approx(want, abs=1e-9)
    assert made.integral(begin, begin + length) == pytest.approx(sum(sampled) * width, abs=1e-9)


def _area(changes: list[tuple[float, float]], low: float, high: float) -> float:
    """Every change holds from its time for ever: the area is the sum of theirs."""
    return sum(change * (high - min(high, max(low, time))) for time, change in changes)


def test_no_time_has_no_mean() -> None:
    assert steps([(1, 1)]).means(5, 5, 3) == [0, 0, 0]


@pytest.mark.parametrize(
    ("values", "want"),
    [
        pytest.param([1, 1, 1, 1], 1.0, id="equal"),
        pytest.param([7, 0, 0, 0], 0.25, id="one has all"),
        pytest.param([1, 3], 16 / 20, id="between"),
        pytest.param([], None, id="nobody"),
        pytest.param([0, 0], None, id="nothing"),
    ],
)
def test_jain(values: list[float], want: float | None) -> None:
    assert jain(values) == want


@pytest.mark.parametrize(
    ("amount", "asked", "weights", "want"),
    [
        pytest.param(9, {"a": 9, "b": 9}, {"a": 1, "b": 2}, {"a": 3, "b": 6}, id="by weight"),
        pytest.param(
            9, {"a": 1, "b": 9, "c": 9}, {"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 4, "c": 4}, id="one asks less"
        ),
        pytest.param(9, {"a": 2, "b": 3}, {"a": 1, "b": 5}, {"a": 2, "b": 3}, id="enough for all"),
    ],
)
def test_divide(amount: float, asked: dict[str, float], weights: dict[str, float], want: dict[str, float]) -> None:
    assert divide(amount, asked, weights) == pytest.approx(want)


@given(
    st.integers(0, 50),
    st.dictionaries(st.sampled_from("abcdef"), st.tuples(st.integers(1, 20), st.integers(1, 9)), min_size=1),
)
def test_a_division_wastes_nothing_and_no_share_could_have_more_without_one_of_less_losing(
    amount: int, shares: dict[str, tuple[int, int]]
) -> None:
    asked: dict[str, float] = {share: ask for share, (ask, _) in shares.items()}
    weights: dict[str, float] = {share: weight for share, (_, weight) in shares.items()}
    parts = divide(amount, asked, weights)
    assert sum(parts.values()) == pytest.approx(min(amount, sum(asked.values())))
    level = max(parts[share] / weights[share] for share in parts)
    for share, part in parts.items():
        assert part <= asked[share] + 1e-9
        assert part == pytest.approx(asked[share]) or part / weights[share] == pytest.approx(level)


def test_service_counts_only_while_two_shares_ask_and_one_waits() -> None:
    # Alone until 10; b waits until 20; from then on nobody waits.
    found = compute_fairness(Result((run(0, 0, 20, 4), run(10, 20, 30, 4, "b")), ()), equal)
    assert found.contended == 10
    assert {share: (each.served, each.entitled) for share, each in found.shares.items()} == {
        "a": (40, 20),
        "b": (0, 20),
    }
    assert (found.by_weight, found.by_entitlement) == (0.5, 0.5)


def test_a_share_that_asks_little_and_gets_it_has_its_due() -> None:
    # b asks for one of four processors and has it at once; a waits for a fourth.
    result = Result((run(0, 0, 10, 3), run(0, 0, 10, 1, "b"), run(0, 10, 20, 1)), ())
    found = compute_fairness(result, equal)
    assert found.by_entitlement == pytest.approx(1.0)
    assert found.by_weight == pytest.approx(16 / (2 * 10))
    assert [each.satisfaction for each in found.shares.values()] == pytest.approx([1.0, 1.0])


def test_weights_say_what_is_due() -> None:
    result = Result((run(0, 0, 10, 3), run(0, 0, 10, 1, "b"), run(0, 10, 20, 4), run(0, 10, 20, 4, "b")), ())
    assert compute_fairness(result, {"a": 3.0, "b": 1.0}.__getitem__).by_weight == pytest.approx(1.0)
    assert compute_fairness(result, equal).by_weight == pytest.approx(0.8)


def test_without_contention_there_is_nothing_to_be_fair_about() -> None:
    found = compute_fairness(Result((run(0, 0, 10), run(0, 5, 10)), ()), equal)
    assert (found.contended, found.by_weight, found.by_entitlement, found.shares) == (0, None, None, {})


def test_names_sort_by_their_number() -> None:
    assert sorted(["user10", "user2", "unknown", "user1"], key=natural) == ["unknown", "user1", "user2", "user10"]
