"""The operator as shipped, with the time of each of its passes noted: what its own clock knows and no other does.

    python -m batchwright.bench.observed --passes FILE --liveness URL

The notes are written to the file when the operator is told to end (SIGTERM).
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from unittest import mock

import orjson

from batchwright import metrics
from batchwright.process import run_operator
from batchwright.settings import Settings


class Passes:
    """The passes so far. `started`: seconds from the start of this process until the end of its first pass."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.started = 0.0

    def observe(self, seconds: float) -> None:
        """A pass took so long; in place of the histogram's own method."""
        if not self.seconds:
            self.started = age_seconds()
        self.seconds.append(seconds)


def age_seconds() -> float:
    """How long ago this process was started."""
    fields = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Runs the operator to its end, and writes what was noted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passes", type=Path, required=True)
    parser.add_argument("--liveness")
    arguments = parser.parse_args()
    passes = Passes()
    try:
        with mock.patch.object(metrics.PASS_SECONDS, "observe", passes.observe):
            run_operator(
                liveness=arguments.liveness,
                verbose=False,
                json_logs=False,
                context=None,
                kubeconfig=None,
                settings=Settings(),
            )
    finally:
        arguments.passes.write_bytes(orjson.dumps({"started": passes.started, "seconds": passes.seconds}))


if __name__ == "__main__":
    main()
