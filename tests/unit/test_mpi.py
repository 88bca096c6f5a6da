"""The script of the MPI examples' main node, run: it waits for each of the other nodes, and for nobody else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
HOSTS = "/etc/batchwright/hosts"
# The real one reads what it is not kept from; a node answers at the second try.
SSH = """#!/bin/sh
[ "$1" = -n ] && shift || cat >/dev/null
echo "$1" >>asked
[ "$(grep -c "$1" asked)" -ge 2 ]
"""


def script_of(name: str) -> str:
    text = (ROOT / name).read_text()
    if name.endswith(".md"):
        text = "---\n".join(part.split("```")[0] for part in text.split("```yaml\n")[1:])
    for body in yaml.safe_load_all(text):
        if body["kind"] == "JobDefinition" and body["spec"].get("type") == "multinode":
            script: str = body["spec"]["nodeProperties"]["nodeRangeProperties"][0]["container"]["command"][-1]
            return script
    raise AssertionError(f"{name} has no multi-node job")


@pytest.mark.parametrize("name", ["examples/multinode/mpi.yaml", "docs/howto/mpi.md"])
def test_the_main_node_waits_for_each_of_the_others(name: str, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("main.job slots=8\nn1.job slots=8\nn2.job slots=8\n")
    for program, text in {"ssh": SSH, "mpirun": "#!/bin/sh\ncat asked\n", "sleep": "#!/bin/sh\n"}.items():
        (tmp_path / program).write_text(text)
        (tmp_path / program).chmod(0o755)
    run = subprocess.run(
        ["sh", "-ec", script_of(name).replace(HOSTS, "hosts")],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        timeout=20,
        check=True,
        text=True,
    )
    assert run.stdout.split() == ["n1.job"] * 2 + ["n2.job"] * 2
