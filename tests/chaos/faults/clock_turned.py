"""The operator's clock is turned by hours, forth and back, while it works (libfaketime; not its monotonic clock)."""

from __future__ import annotations

import tempfile
from pathlib import Path

from chaos.ground import Ground, Want

NAME = "clock-turned"
LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


def inject(ground: Ground) -> None:
    """Timeouts must neither come hours early nor never: a job that may run for an hour runs on, one of 2 s ends."""
    if not LIBRARIES:
        raise AssertionError("libfaketime is missing: apt-get install libfaketime")
    patient = {"attemptDurationSeconds": 3600}
    ground.simulated("ten-seconds", cpu="500m", simulate={"seconds": "10"})
    ground.want("patient", ground.submit("patient", "ten-seconds", timeout=patient), Want("SUCCEEDED", {0: 1}, (0,)))
    short = {"attemptDurationSeconds": 2}
    late = Want("FAILED", {0: 1}, reason="exceeded timeout")
    with tempfile.TemporaryDirectory(prefix="chaos-clock-") as directory:
        clock = Path(directory) / "clock"
        clock.write_text("+0\n")
        ground.operator.environment = {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        ground.operator.kill()
        ground.operator.start()
        for number, turned in enumerate(("+5h", "-7h", "+0h")):
            ground.want(f"hasty{number}", ground.submit(f"hasty{number}", "endless", timeout=short), late)
            clock.write_text(f"{turned}\n")
            ground.strike(NAME, turned)
            ground.pause(ground.lasting(5, 12))
        ground.operator.environment = {}
        ground.operator.kill()
        ground.operator.start()
