"""A bounded part of `make chaos`: two clusters, every fault that does not need minutes, and eight kills.

The whole of it, with a kill at every write in turn and faults at full length, is `make chaos` (docs/reliability.md).
"""

from __future__ import annotations

import pytest

from chaos.faults import all_faults
from chaos.run import Plan, Run, Verdict

SEED = 20261123
KILLS = 8
OBJECTS = 150
ANSWERS = ("answers-409", "answers-410", "answers-429", "answers-500", "answers-lost", "requests-lost", "requests-late")
TOGETHER = [
    pytest.param(("kills", "watches-cut", "watches-delayed", "network-cut", *ANSWERS), id="the way to the API server"),
    pytest.param(
        (
            "hostile-objects",
            "jobs-deleted",
            "pods-deleted",
            "batchjobs-deleted",
            "quota-filled",
            "right-revoked",
            "clock-turned",
            "network-silent",
            "etcd-restart",
            "api-server-restart",
            "lease-stolen",
        ),
        id="the world around",
    ),
]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("names", TOGETHER)
def test_nothing_is_lost_and_nothing_runs_twice(names: tuple[str, ...]) -> None:
    known = all_faults()
    plan = Plan([[known[name] for name in names]], SEED, KILLS, OBJECTS, bounded=True)
    with Run(plan) as run:
        verdict: Verdict = run.round(0, plan.rounds[0])
    # A fault that struck nothing is a difference too.
    assert verdict.differences == []
    assert verdict.errors == []
    assert "kills" not in names or verdict.struck["kills"].times == KILLS


def test_every_short_fault_is_part_of_it() -> None:
    """A new fault comes with the bounded run, or says that it is LONG."""
    named = {name for param in TOGETHER for name in param.values[0]}
    assert named | {"calm"} == {fault.name for fault in all_faults().values() if not (fault.is_long or fault.buys)}
