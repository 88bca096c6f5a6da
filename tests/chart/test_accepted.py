"""What the chart makes of many values, judged by a real API server (dry run, strict) and by kubeconform.

kubeconform's schemas are made of what that API server publishes, so that nothing is downloaded for it. The kinds of the
Prometheus Operator are its own CRDs, from its Go module.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

import charttools
from apiserver import ApiServer, Manifest
from chartvalues import ALL_OFF, ALL_ON, make_surroundings
from helmchart import Helm
from kubecluster import Cluster

VALUES = [
    pytest.param({}, id="defaults"),
    pytest.param(ALL_ON, id="everything on"),
    pytest.param(ALL_OFF, id="everything off"),
    pytest.param({"aws": {"podIdentity": {"enabled": True}}, "networkPolicy": {"enabled": True}}, id="pod identity"),
    pytest.param({"rbac": dict.fromkeys(("jobRoles", "efsVolumes", "managedEnvironments"), False)}, id="fewer rights"),
    pytest.param(
        {"podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}, "crds": {"keep": False}},
        id="as on OpenShift",
    ),
    pytest.param({"fullnameOverride": "a" * 60, "nameOverride": "b" * 60}, id="long names"),
]


@pytest.fixture(scope="module", autouse=True)
def surroundings(chart_kubectl: Cluster) -> None:
    """The namespaces that the values name, and the kinds of the Prometheus Operator."""
    make_surroundings(chart_kubectl)


@pytest.fixture(scope="module")
def schemas(surroundings: None, chart_api: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of schemas as kubeconform wants them."""
    directory = tmp_path_factory.mktemp("schemas")
    published = chart_api.request("GET", "/openapi/v2")["definitions"]
    definitions = {name: strict(schema) for name, schema in published.items()}
    quantity = "io.k8s.apimachinery.pkg.api.resource.Quantity"
    definitions[quantity] = {"type": ["string", "number"]}
    (directory / "_definitions.json").write_text(json.dumps({"definitions": definitions}))
    for name, schema in published.items():
        for kind in schema.get("x-kubernetes-group-version-kind", ()):
            parts = (kind["kind"], kind["group"].partition(".")[0], kind["version"])
            file = "-".join(part.lower() for part in parts if part) + ".json"
            (directory / file).write_text(json.dumps({"$ref": f"_definitions.json#/definitions/{name}"}))
    return directory


def strict(schema: Manifest) -> Manifest:
    """A schema of the API server's as plain JSON Schema that refuses what it does not know."""
    if "$ref" in schema:
        return {"$ref": schema["$ref"].replace("#/", "_definitions.json#/", 1)}
    if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
        return {"type": ["string", "integer"]}
    made = {key: value for key, value in schema.items() if key in ("type", "enum", "required")}
    if "items" in schema:
        made["items"] = strict(schema["items"])
    if "additionalProperties" in schema:
        made["additionalProperties"] = strict(schema["additionalProperties"])
    elif "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        made["additionalProperties"] = False
    if "properties" in schema:
        made["properties"] = {name: strict(each) for name, each in schema["properties"].items()}
    return made


@pytest.mark.parametrize("values", VALUES)
def test_the_api_server_takes_it(helm: Helm, chart_kubectl: Cluster, values: Manifest) -> None:
    rendered = helm.template(values)
    said = chart_kubectl.kubectl(
        *("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-"),
        stdin=yaml.safe_dump_all(rendered),
    )
    assert len(said.stdout.splitlines()) == len(rendered)
    assert "Warning" not in said.stderr


@pytest.mark.parametrize("values", VALUES)
def test_kubeconform_finds_it_right(helm: Helm, schemas: Path, values: Manifest) -> None:
    assert conform(schemas, helm.template(values)) == []


def test_kubeconform_would_tell(helm: Helm, schemas: Path) -> None:
    """That what it is asked here can fail at all."""
    rendered = helm.template()
    (deployment,) = (each for each in rendered if each["kind"] == "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["livenessprobe"] = {}
    assert conform(schemas, rendered) == ["Deployment"]


def conform(schemas: Path, manifests: list[Manifest]) -> list[str]:
    """The kinds of which kubeconform finds one wrong, or knows no schema."""
    done = subprocess.run(
        [
            *(charttools.ensure("kubeconform"), "-strict", "-output=json"),
            f"-schema-location={schemas}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json",
        ],
        input=yaml.safe_dump_all(manifests),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    found: list[Manifest] = json.loads(done.stdout)["resources"] or []
    return [each["kind"] for each in found if each["status"] != "statusValid"]
