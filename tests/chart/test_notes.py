"""What helm tells after an installation: its manifests are ones that the API server takes."""

from __future__ import annotations

import re
import textwrap

import yaml

from helmchart import Manifest
from kubecluster import Cluster


def test_what_is_to_be_applied_next_is_taken(objects: Manifest, chart_kubectl: Cluster) -> None:
    told = re.findall(r"^ *kubectl apply -f - <<EOF\n(.*?)^ *EOF$", objects["info"]["notes"], re.DOTALL | re.MULTILINE)
    manifests = [each for text in told for each in yaml.safe_load_all(textwrap.dedent(text))]
    assert [each["kind"] for each in manifests] == ["ComputeEnvironment", "JobQueue"]
    assert objects["info"]["notes"].count("apiVersion:") == len(manifests)
    said = chart_kubectl.kubectl(
        *("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"),
        stdin=yaml.safe_dump_all(manifests),
    )
    assert len(said.stdout.splitlines()) == len(manifests)
    assert "Warning" not in said.stderr
