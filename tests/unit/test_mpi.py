"""The script of the MPI examples' main node, run: it waits for each of the other nodes, and for nobody else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

DOCUMENTS = ["examples/multinode/mpi.yaml", "docs/howto/mpi.md"]
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


def run(name: str, directory: Path, mpirun: str) -> list[str]:
    """The words that the script says where `mpirun` is what starts the processes."""
    (directory / "hosts").write_text("main.job slots=8\nn1.job slots=8\nn2.job slots=8\n")
    for program, text in {"ssh": SSH, "mpirun": f"#!/bin/sh\n{mpirun}\n", "sleep": "#!/bin/sh\n"}.items():
        (directory / program).write_text(text)
        (directory / program).chmod(0o755)
    done = subprocess.run(
        ["sh", "-ec", script_of(name).replace(HOSTS, "hosts")],
        cwd=directory,
        env=os.environ | {"PATH": f"{directory}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        timeout=20,
        check=True,
        text=True,
    )
    return done.stdout.split()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_main_node_waits_for_each_of_the_others(name: str, tmp_path: Path) -> None:
    assert run(name, tmp_path, "cat asked") == ["n1.job"] * 2 + ["n2.job"] * 2


@pytest.mark.parametrize("name", DOCUMENTS)
def test_mpirun_may_be_root_and_leaves_the_names_as_they_are(name: str, tmp_path: Path) -> None:
    """Open MPI 4 refuses root otherwise, and cuts a name at its first dot, where it is no name any more."""
    words = run(name, tmp_path, 'echo "$@"')
    assert words[:6] == ["--allow-run-as-root", "--mca", "orte_keep_fqdn_hostnames", "1", "--hostfile", "hosts"]
