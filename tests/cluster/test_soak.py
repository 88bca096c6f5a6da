"""A bounded part of `make soak`: the operator's memory stays flat while work comes and goes."""

from __future__ import annotations

import pytest

from chaos.soak import Soak, judge

SECONDS = 60
# Of a thousand jobs that were forgotten, the store alone would keep twice this.
MIB_PER_1000_JOBS = 3.0


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_memory_stays_flat() -> None:
    with Soak() as running:
        samples = running.run(SECONDS)
    verdict = judge(samples)
    assert verdict.jobs >= 100, f"hardly any work was done: {verdict}"
    assert verdict.mib_per_1000_jobs < MIB_PER_1000_JOBS, f"{verdict}; {samples[len(samples) // 2 :]}"
