"""The demo's third act: Spot nodes from zero, an interruption, and back to zero, checked from outside."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from batchwright.cli.main import app
from batchwright.local import cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
NAME = f"growing-{os.getpid()}"


@pytest.fixture(autouse=True)
def no_cluster_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The demo's cluster lives among no others, and goes at the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        try:
            yield
        finally:
            cluster.down(NAME)


def test_from_zero_by_an_interruption_to_zero_and_again() -> None:
    """The second run finds the cluster, its endpoint and its network there."""
    for run in (1, 2):
        result = CliRunner().invoke(app, ["demo", "--name", NAME, "--act", "3"])
        assert result.exit_code == 0, result.output
        assert "checked: each of the 40 elements succeeded exactly once" in result.stdout
        assert re.search(
            r"on [3-9] instances, [3-9] of them Spot; none was there before, and none was left", result.stdout
        )
        victim = re.search(r"interruption: (i-[0-9a-f]+) was warned of; its [1-9]", result.stdout)
        assert victim is not None, result.stdout
        assert f"EC2 warns: {victim[1]} is taken back" in result.stderr
        assert "is cordoned: interrupted" in result.stderr
        assert ("start the control plane" in result.stderr) is (run == 1)
