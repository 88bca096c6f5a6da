"""The cluster that tests run against, as a user of kubectl has it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

KUBECTL_SECONDS = 60


@dataclass(frozen=True)
class Cluster:
    """A cluster with our CRDs: its administrator's kubeconfig, and a kubectl."""

    kubeconfig: Path
    kubectl_binary: Path

    def kubectl(self, *arguments: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run kubectl; with `check`, a failure raises with what kubectl said."""
        done = subprocess.run(
            [self.kubectl_binary, f"--kubeconfig={self.kubeconfig}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=KUBECTL_SECONDS,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(arguments)} exited {done.returncode}: {done.stderr}")
        return done
