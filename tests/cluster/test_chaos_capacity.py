"""A bounded part of `make chaos` where instances are bought: the AWS endpoint fails in every way there is, and takes
instances back. At the end every job is right, each has run as often as it says, and no instance is left over.
"""

from __future__ import annotations

import pytest

from chaos.faults import all_faults
from chaos.run import Plan, Run

SEED = 20261123
NAMES = ("aws-gone", "aws-slow", "aws-throttled", "aws-answers-lost", "aws-kills", "aws-interruptions")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_is_lost_bought_twice_or_left_over() -> None:
    known = all_faults()
    plan = Plan([[known[name] for name in NAMES]], SEED, bounded=True)
    with Run(plan) as run:
        verdict = run.round(0, plan.rounds[0])
    assert verdict.differences == []
    assert verdict.errors == []
    assert {name for name, struck in verdict.struck.items() if struck.counts.total()} == set(NAMES)


def test_every_short_fault_of_capacity_is_part_of_it() -> None:
    assert set(NAMES) == {fault.name for fault in all_faults().values() if fault.buys and not fault.is_long}
