"""The operator as a detached process of the embedded cluster (`--operator`)."""

from __future__ import annotations

import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from batchwright.errors import LocalError
from batchwright.local import processes
from batchwright.local.waiting import wait_until

COMPONENT: Final = "operator"
MODULE: Final = ("batchwright", "operator", "run")
_READY_SECONDS: Final = 60.0


def start(
    directory: Path,
    kubeconfig: Path,
    port: int,
    environment: Mapping[str, str],
    *,
    alone: bool,
    module: Sequence[str] = MODULE,
    seconds: float = _READY_SECONDS,
) -> None:
    """Start the operator unless it runs, and wait until its liveness endpoint answers.

    `alone`: no other can be on the cluster, so it need not ask, nor wait for the lease of one that was killed.
    `module`: what Python runs, a module and its arguments. Raises LocalError when it ended, or does not answer within
    `seconds`.
    """
    url = f"http://127.0.0.1:{port}/healthz"
    if not processes.find(directory, COMPONENT):
        argv = [sys.executable, "-m", *module, "--liveness", url]
        argv += ["--no-leader-election"] if alone else []
        processes.spawn(COMPONENT, argv, directory, {"KUBECONFIG": str(kubeconfig), **environment})
    log = directory / "logs" / f"{COMPONENT}.log"
    wait_until(
        lambda: _is_live(url) or not processes.find(directory, COMPONENT),
        seconds,
        lambda: f"the operator did not answer at {url} within {seconds:.0f} s; its log is {log}",
    )
    if not processes.find(directory, COMPONENT):
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
        raise LocalError(f"the operator ended at once; the end of {log}:\n{tail}")


def _is_live(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # nosec B310
            return bool(answer.status == 200)
    except OSError:
        return False
