"""The operator's clock is turned by hours, forth and back, while it works (libfaketime; not its monotonic clock)."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from chaos.ground import Ground, Want
from chaos.logrecords import records

NAME = "clock-turned"
LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
SHOWN_SECONDS = 30
NEAR = timedelta(minutes=30)


def shows(log: str, hours: int, now: datetime) -> bool:
    """Whether a line of the log bears the time of a clock that is so many hours ahead of `now`."""
    times = (datetime.fromisoformat(each["timestamp"]) for each in records(log) if "timestamp" in each)
    return any(abs(time - now - timedelta(hours=hours)) < NEAR for time in times)


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
        for number, hours in enumerate((5, -7, 0)):
            ground.want(f"hasty{number}", ground.submit(f"hasty{number}", "endless", timeout=short), late)
            _turn(ground, clock, hours)
        ground.operator.environment = {}
        ground.operator.kill()
        ground.operator.start()


def _turn(ground: Ground, clock: Path, hours: int) -> None:
    """The operator's clock is so many hours ahead; it has struck once a line of its log says so."""
    turned, since = f"{hours:+}h", len(ground.operator.log)
    clock.write_text(f"{turned}\n")
    # It logs that, by its clock.
    ground.proxy.cut_connections(watches_only=True)
    ground.pause(ground.lasting(5, 12))
    if ground.until(lambda: shows(ground.operator.log[since:], hours, datetime.now(UTC)), SHOWN_SECONDS):
        ground.strike(NAME, turned)
    else:
        ground.miss(NAME, turned)
