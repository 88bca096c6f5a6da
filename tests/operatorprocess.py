"""The operator as a process that tests start, kill and start again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scrapes import Scrape

READY_SECONDS = 60


class OperatorProcess:
    """One operator on the cluster of a kubeconfig; its log is kept over restarts. `environment` may be changed between
    a kill and a start.

    Without leader election unless a setting says otherwise: one that was killed keeps its lease for a while.
    """

    def __init__(
        self, kubeconfig: Path, log: Path, *flags: str, environment: Mapping[str, str] | None = None, **settings: str
    ) -> None:
        settings = {"leader_election": "false", **settings}
        self._kubeconfig = kubeconfig
        self._told = settings
        self._flags = flags
        self._log = log
        self._settings = {f"BATCHWRIGHT_{name.upper()}": value for name, value in settings.items()}
        self._process: subprocess.Popen[bytes] | None = None
        self._url = ""
        self.environment: Mapping[str, str] = environment or {}

    def another(self, **settings: str) -> OperatorProcess:
        """One more on the same cluster, with the same log; its settings are this one's but for those given."""
        return OperatorProcess(
            self._kubeconfig, self._log, *self._flags, environment=None, **{**self._told, **settings}
        )

    def start(self, *, wait: bool = True) -> None:
        """Starts it; with `wait`, returns when its probes answer."""
        self._url = url = f"http://127.0.0.1:{_free_port()}/healthz"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "batchwright", "operator", "run", "--liveness", url, *self._flags],
                env={**os.environ, "KUBECONFIG": str(self._kubeconfig), **self._settings, **self.environment},
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + READY_SECONDS
        while wait and not _answers(url):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the operator did not start:\n{self._log.read_text()[-3000:]}")
            time.sleep(0.1)

    def strike_down(self) -> None:
        """SIGKILL at this instant, from any thread; `kill` takes note of it later."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)

    @property
    def has_ended(self) -> bool:
        """Whether it was started and runs no more."""
        return self._process is not None and self._process.poll() is not None

    def kill(self) -> None:
        """SIGKILL: nothing can be put in order first."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def stop(self) -> None:
        """SIGTERM, and its end within 20 s."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def wait_end(self, seconds: float) -> int:
        """The exit code of the present process, once it has ended by itself."""
        assert self._process is not None, "the operator does not run"
        code = self._process.wait(seconds)
        self._process = None
        return code

    def probes(self) -> dict[str, Any]:
        """What its liveness endpoint says; HTTPError when it says no."""
        with urllib.request.urlopen(self._url, timeout=5) as answer:
            return dict(json.load(answer))

    def metrics(self) -> Scrape:
        """What Prometheus would read of it now."""
        with urllib.request.urlopen(self._url.removesuffix("healthz") + "metrics", timeout=5) as answer:
            return Scrape.of(answer.read().decode())

    @property
    def pid(self) -> int:
        """The process id of the present process."""
        assert self._process is not None, "the operator does not run"
        return self._process.pid

    def cpu_seconds(self) -> float:
        """CPU time of the present process so far."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self) -> int:
        """Memory of the present process that is in use (RSS)."""
        [line] = [
            line for line in Path(f"/proc/{self.pid}/status").read_text().splitlines() if line.startswith("VmRSS:")
        ]
        return int(line.split()[1]) * 1024

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self._log.read_text(errors="replace")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
