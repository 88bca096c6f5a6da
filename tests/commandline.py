"""The command line as tests of a cluster run it: as a process, or in this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from typer.testing import CliRunner

from apiserver import ApiServer
from batchwright.cli import exits
from batchwright.cli.main import app
from kubecluster import Cluster


@dataclass(frozen=True)
class CommandLine:
    """`batchwright` as a process, in a namespace of the test's own."""

    cluster: Cluster
    api: ApiServer
    namespace: str

    def start(self, *arguments: str, stdin: str = "", **env: str) -> subprocess.Popen[str]:
        """Starts it; options come after the verb."""
        verb, *rest = arguments
        process = subprocess.Popen(
            [sys.executable, "-m", "batchwright", verb, "-n", self.namespace, *rest],
            env={**os.environ, "KUBECONFIG": str(self.cluster.kubeconfig), "NO_COLOR": "1", "COLUMNS": "300", **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write(stdin)
        process.stdin.close()
        process.stdin = None
        return process

    def run(self, *arguments: str, stdin: str = "", want: int = exits.OK, **env: str) -> tuple[str, str]:
        """Runs it in this process to its end with the exit code that is wanted; stdout and stderr."""
        verb, *rest = arguments
        environment = {"KUBECONFIG": str(self.cluster.kubeconfig), "NO_COLOR": "1", "COLUMNS": "300", **env}
        done = CliRunner().invoke(app, [verb, "-n", self.namespace, *rest], input=stdin, env=environment)
        said = f"{arguments} exited {done.exit_code}:\n{done.stdout}\n{done.stderr}"
        assert done.exit_code == want, said
        assert isinstance(done.exception, SystemExit | None), said
        return done.stdout, done.stderr

    def submit(self, name: str, *arguments: str, **status: object) -> str:
        """Submits a job and gives it a status; its jobId."""
        out, _ = self.run("submit", name, "-q", self.queue, "-d", "hello", "-o", "json", *arguments)
        if status:
            self.set_status(name, **status)
        return str(json.loads(out)["metadata"]["uid"])

    @property
    def queue(self) -> str:
        """A queue of the namespace's own; it need not exist."""
        return f"{self.namespace}-queue"

    def set_status(self, name: str, **status: object) -> None:
        """Writes what the operator would."""
        path = f"/apis/batchwright.io/v1alpha1/namespaces/{self.namespace}/batchjobs/{name}/status"
        self.api.request("PATCH", path, {"status": status}, content_type="application/merge-patch+json")

    def spec(self, name: str) -> dict[str, Any]:
        """The job's spec as it is."""
        found = self.api.find("BatchJob", name, self.namespace)
        assert found is not None
        return dict(found["spec"])
