"""The script of the kubeadm page, run as an instance runs it, beside stand-ins for what an instance has."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from batchwright.api.v1alpha1.nodejoin import NodeJoin
from batchwright.capacity.ec2.userdata import user_data
from capacityparts import blueprint
from documentation import ROOT, Page

# The metadata service answers a key, and to that key alone.
CURL = """#!/bin/bash
case "$*" in
  *"-X PUT"*"/api/token") echo key ;;
  *"X-aws-ec2-metadata-token: key"*"/placement/availability-zone") echo eu-west-1b ;;
  *"X-aws-ec2-metadata-token: key"*"/placement/region") echo eu-west-1 ;;
  *"X-aws-ec2-metadata-token: key"*"/instance-id") echo i-0123456789abcdef0 ;;
  *"X-aws-ec2-metadata-token: key"*"/instance-type") echo m6i.large ;;
  *) exit 22 ;;
esac
"""
AWS = """#!/bin/bash
[[ "$*" == *"--region eu-west-1 --name /batch/join-token --with-decryption"* ]] && echo abcdef.0123456789abcdef
"""
KUBEADM = """#!/bin/bash
[[ "$1 $2" == "join --config" ]] && cp "$3" "$JOINED"
"""


def script() -> str:
    """The user data of the page's environment."""
    (declared,) = Page(ROOT / "docs/howto/kubeadm.md").manifests()
    return user_data(blueprint(join=NodeJoin.model_validate(declared["spec"]["nodeJoin"]))) or ""


def run(tmp_path: Path, **programs: str) -> subprocess.CompletedProcess[str]:
    for name, text in {"curl": CURL, "aws": AWS, "kubeadm": KUBEADM, **programs}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "user-data").write_text(script().replace("/run/", f"{tmp_path}/"))
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "JOINED": str(tmp_path / "joined")}
    return subprocess.run(
        ["bash", tmp_path / "user-data"], env=environment, capture_output=True, text=True, timeout=30, check=False
    )


def test_an_instance_joins_with_its_labels_taints_and_id(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    joined = yaml.safe_load((tmp_path / "joined").read_text())
    assert {each["name"]: each["value"] for each in joined["nodeRegistration"]["kubeletExtraArgs"]} == {
        "node-labels": "batchwright.io/capacity-type=ON_DEMAND,batchwright.io/compute-environment=env,"
        "topology.kubernetes.io/zone=eu-west-1b,node.kubernetes.io/instance-type=m6i.large",
        "register-with-taints": "batchwright.io/compute-environment=env:NoSchedule",
        "provider-id": "aws:///eu-west-1b/i-0123456789abcdef0",
    }
    assert joined["discovery"]["bootstrapToken"]["token"] == "abcdef.0123456789abcdef"
    # The token does not stay behind.
    assert not (tmp_path / "join.yaml").exists()


@pytest.mark.parametrize("program", ["curl", "aws"])
def test_it_does_not_join_without_what_it_has_to_know(tmp_path: Path, program: str) -> None:
    assert run(tmp_path, **{program: "#!/bin/bash\nexit 1\n"}).returncode != 0
    assert not (tmp_path / "joined").exists()
