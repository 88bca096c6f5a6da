"""No permanent difference: what Argo CD applies is what it reads back, for every kind and every field.

The API server adds nothing but defaults at places where a merge leaves them alone, and changes no quantity, duration or
order. `kubectl diff` merges as Argo CD does by default, and asks the server with --server-side.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from apiserver import ApiServer, Manifest
from argosync import LAST_APPLIED, differences, prepared
from chartvalues import ALL_ON, make_surroundings, remove_surroundings
from crd_cases import accepted, arrayjob, capacity, multinode, scheduling
from documentation import pages
from helmchart import new_helm
from kubecluster import Cluster
from watches import until

OURS = "batchwright.io/v1alpha1"
# The bound of all annotations of an object: what is longer is applied on the server's side.
LONGEST_NOTE = 250_000
CASES = accepted.ACCEPTED + arrayjob.ACCEPTED + scheduling.ACCEPTED + capacity.ACCEPTED + multinode.ACCEPTED


def _documents() -> Iterator[Any]:
    for page in pages():
        declared = [each for each in page.manifests() if each["apiVersion"] == OURS]
        if declared:
            yield pytest.param(declared, id=page.name)


@pytest.fixture
def applied(api: ApiServer, namespace: str) -> Iterator[Any]:
    """Applies a manifest as Argo CD does (client-side) and returns it; what has no namespace is deleted afterwards."""
    made: list[Manifest] = []

    def apply(manifest: Manifest) -> Manifest:
        wanted = prepared(manifest, "example", namespace)
        metadata = wanted["metadata"]
        text = json.dumps(wanted)
        note = {LAST_APPLIED: text} if len(text) < LONGEST_NOTE else {}
        sent = {**wanted, "metadata": {**metadata, "annotations": {**metadata["annotations"], **note}}}
        api.create(sent)
        made.append(wanted)
        return wanted

    yield apply
    for each in made:
        api.delete(each["kind"], each["metadata"]["name"], each["metadata"].get("namespace"))


@pytest.mark.parametrize("manifest", [pytest.param(case.values[0], id=case.id) for case in CASES])
def test_every_field_is_read_back_as_applied(api: ApiServer, applied: Any, manifest: Manifest) -> None:
    assert differences(api, applied(manifest)) == []


@pytest.mark.parametrize("declared", list(_documents()))
def test_a_page_of_the_documentation_is_synced(api: ApiServer, applied: Any, declared: list[Manifest]) -> None:
    for manifest in declared:
        assert differences(api, applied(manifest)) == []


@pytest.fixture(params=[pytest.param({}, id="defaults"), pytest.param(ALL_ON, id="everything on")])
def chart(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[str]:
    """What the chart renders for this cluster, as YAML, and what it needs there; gone afterwards, but our kinds."""
    with new_helm() as helm:
        rendered = helm.template(request.param, f"--kube-version={_version(cluster)}")
    text = yaml.safe_dump_all(rendered)
    make_surroundings(cluster)
    yield text
    kept = yaml.safe_dump_all(each for each in rendered if each["kind"] != "CustomResourceDefinition")
    cluster.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", stdin=kept)
    remove_surroundings(cluster)


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param(["--server-side", "--force-conflicts", "--field-manager=argocd-controller"], id="server-side"),
        pytest.param([], id="client-side"),
    ],
)
def test_the_chart_is_synced(cluster: Cluster, chart: str, flags: list[str]) -> None:
    cluster.kubectl("apply", *flags, "-f", "-", stdin=chart)

    def is_synced() -> bool:
        found = cluster.kubectl("diff", *flags, "-f", "-", stdin=chart, check=False)
        print(found.stdout, found.stderr)
        return (found.returncode, found.stdout) == (0, "")

    # kubectl asks twice, and a controller may write a status in between.
    until(is_synced, "there is a difference after a sync")
    # And it would have said so.
    other = re.sub(r"replicas: \d", "replicas: 5", chart)
    assert other != chart
    assert cluster.kubectl("diff", *flags, "-f", "-", stdin=other, check=False).returncode == 1


def _version(cluster: Cluster) -> str:
    return str(json.loads(cluster.kubectl("version", "-o", "json").stdout)["serverVersion"]["gitVersion"])
