"""Whose a process is, and that it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchwright.local import processes
from batchwright.local.waiting import wait_until

SLEEP = [sys.executable, "-c", "import time; time.sleep(300)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(300)",
]


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    processes.end(tmp_path, seconds=0)


def running(directory: Path, component: str) -> None:
    wait_until(lambda: bool(processes.find(directory, component)), 10, lambda: f"{component} does not run")


def test_a_process_is_found_by_its_mark(directory: Path) -> None:
    pid = processes.spawn("one", SLEEP, directory, {"EXTRA": "1"})
    running(directory, "one")
    [found] = processes.find(directory)
    assert (found.pid, found.component) == (pid, "one")
    assert abs(found.started_at - time.time()) < 30
    assert processes.find(directory, "two") == []
    assert processes.find(directory / "elsewhere") == []
    assert os.getsid(pid) == pid, "it must survive the terminal it was started from"


def test_end_spares_everybody_else(directory: Path) -> None:
    stranger = subprocess.Popen(SLEEP)
    try:
        for name in ("one", "two"):
            processes.spawn(name, SLEEP, directory, {})
            running(directory, name)
        assert [p.component for p in processes.end(directory, ["one"])] == ["one"]
        assert [p.component for p in processes.find(directory)] == ["two"]
        processes.end(directory)
        assert processes.find(directory) == []
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait(10)


def test_a_process_that_ignores_sigterm_is_killed(directory: Path) -> None:
    processes.spawn("stubborn", STUBBORN, directory, {})
    log = directory / "logs" / "stubborn.log"
    wait_until(lambda: "ready" in log.read_text(), 10, lambda: "it is not ready")
    began = time.monotonic()
    processes.end(directory, seconds=0.5)
    assert 0.5 <= time.monotonic() - began < 5
    assert processes.find(directory) == []


def test_children_of_a_process_are_the_clusters_too(directory: Path) -> None:
    argv = ["/bin/sh", "-c", f"{sys.executable} -c 'import time; time.sleep(300)' & wait"]
    processes.spawn("parent", argv, directory, {})
    wait_until(lambda: len(processes.find(directory)) == 2, 10, lambda: f"{processes.find(directory)}")
    processes.end(directory)
    assert processes.find(directory) == []
