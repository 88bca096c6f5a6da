"""What the chart makes of values, without a cluster: lint, schema, and that it says the same as the code."""

from __future__ import annotations

import json
import os
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from batchwright.chart.values import Values, environment_name
from batchwright.settings import Settings
from batchwright.workloads.attemptpolicy import build_attempt_binding, build_attempt_policy
from batchwright.workloads.elementpolicy import build_element_binding, build_element_policy
from chartvalues import ALL_ON
from helmchart import CHART, Helm, HelmFailed, Manifest, find, with_image

ROOT = CHART.parent.parent
POLICY_KINDS = ("MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding")


def container_of(manifests: list[Manifest]) -> Manifest:
    found: Manifest = find(manifests, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    return found


def environment_of(manifests: list[Manifest]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container_of(manifests)["env"]}


def test_lint_has_nothing_to_say(helm: Helm) -> None:
    said = helm.run("lint", "--strict", str(CHART), "--values=-", stdin=with_image())
    assert "0 chart(s) failed" in said
    assert "[WARNING]" not in said
    assert "[ERROR]" not in said


def test_the_version_is_the_packages() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    package = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert package is not None
    assert chart["version"] == chart["appVersion"] == package[1]


@pytest.mark.parametrize("values", [{}, ALL_ON], ids=["defaults", "everything on"])
def test_nothing_is_for_cert_manager_and_nothing_differs_where_it_is(helm: Helm, values: Manifest) -> None:
    rendered = helm.template(values)
    assert helm.template(values, "--api-versions=cert-manager.io/v1") == rendered
    kinds = {each["kind"] for each in rendered}
    assert not [kind for kind in kinds if kind in ("Secret", "Certificate", "Issuer") or "Webhook" in kind]
    served = [each for each in rendered if each["kind"] == "CustomResourceDefinition"]
    assert served
    assert {each["spec"].get("conversion", {}).get("strategy", "None") for each in served} == {"None"}


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        pytest.param({"replica": 3}, "additional properties 'replica' not allowed", id="unknown key"),
        pytest.param({"image": {"name": "x"}}, "additional properties 'name' not allowed", id="unknown key below"),
        pytest.param({"settings": {"passInterval": 1}}, "'passInterval' not allowed", id="unknown setting"),
        pytest.param({"settings": {"writesInFlight": 0}}, "/settings/writesInFlight", id="setting out of bounds"),
        pytest.param({"settings": {"writesInFlight": "3"}}, "/settings/writesInFlight", id="setting of another type"),
        pytest.param({"replicas": "two"}, "/replicas", id="another type"),
        pytest.param({"leaderElection": {"seconds": 2}}, "/leaderElection/seconds", id="lease too short"),
        pytest.param({"aws": {"roleArn": "role/x"}}, "/aws/roleArn", id="no ARN"),
        pytest.param({"image": {"repository": ""}}, "image.repository: there is no published image", id="no image"),
        pytest.param(
            {"serviceAccount": {"create": False}}, "name the ServiceAccount that is there", id="no ServiceAccount"
        ),
        pytest.param(
            {"aws": {"roleArn": "arn:aws:iam::123456789012:role/x", "podIdentity": {"enabled": True}}},
            "IRSA or by Pod Identity; set one of them",
            id="two ways to a role",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(helm: Helm, values: Manifest, complaint: str) -> None:
    with pytest.raises(HelmFailed, match=re.escape(complaint)):
        helm.template(values)


def test_every_crd_is_that_of_the_api(helm: Helm) -> None:
    rendered = {
        each["metadata"]["name"]: each for each in helm.template() if each["kind"] == "CustomResourceDefinition"
    }
    wanted = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / "crds").glob("*.yaml")}
    assert rendered.keys() == wanted.keys()
    for name, crd in wanted.items():
        assert rendered[name]["spec"] == crd["spec"]
        assert rendered[name]["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_every_policy_is_the_operators_own(helm: Helm) -> None:
    rendered = {
        (each["kind"], each["metadata"]["name"]): each["spec"]
        for each in helm.template()
        if each["kind"] in POLICY_KINDS
    }
    built = (build_attempt_policy(), build_attempt_binding(), build_element_policy(), build_element_binding())
    assert rendered == {(each["kind"], each["metadata"]["name"]): each["spec"] for each in built}


@pytest.mark.parametrize(
    ("version", "enabled", "wanted"),
    [
        pytest.param("1.35.4", "auto", False, id="auto on a cluster that has them not"),
        pytest.param("1.36.0", "auto", True, id="auto on a cluster that has them"),
        pytest.param("1.36.0-eks-4f9a2c1", "auto", True, id="auto on EKS"),
        pytest.param("1.37.2", False, False, id="off"),
        pytest.param("1.35.4", True, True, id="on, where they are beta"),
    ],
)
def test_the_operator_is_told_whether_the_policies_come(
    helm: Helm, version: str, enabled: bool | str, wanted: bool
) -> None:
    rendered = helm.template({"admissionPolicies": {"enabled": enabled}}, f"--kube-version={version}")
    assert any(each["kind"] in POLICY_KINDS for each in rendered) == wanted
    assert environment_of(rendered)["BATCHWRIGHT_ADMISSION_POLICIES"] == ("expect" if wanted else "none")


def test_an_old_cluster_is_refused(helm: Helm) -> None:
    with pytest.raises(HelmFailed, match=re.escape("requires kubeVersion: >=1.33.0-0")):
        helm.template({}, "--kube-version=1.32.9")


def test_settings_reach_the_operator(helm: Helm, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    schema = Values.model_json_schema(by_alias=True)["$defs"]["OperatorSettings"]["properties"]
    for key, field in schema.items():
        # A million is what templates like to write as 1e+06.
        least = field.get("exclusiveMinimum", field.get("minimum", 0))
        given[key] = {"number": least + 1.25, "integer": 1000000, "string": "https://sqs/q", "boolean": True}[
            field["type"]
        ]
    variables = environment_of(
        helm.template({"settings": given, "leaderElection": {"namespace": "elsewhere", "seconds": 17}})
    )
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    read = Settings()
    for key, value in given.items():
        assert getattr(read, environment_name(key).removeprefix("BATCHWRIGHT_").lower()) == value, key
    assert (read.lease_namespace, read.lease_seconds) == ("elsewhere", 17)
    unsaid = Settings.model_fields.keys() - {
        name.removeprefix("BATCHWRIGHT_").lower() for name in variables if name.startswith("BATCHWRIGHT_")
    }
    assert unsaid == {"leader_election", "lease_name"}


def test_a_defaults_change_is_the_operators(helm: Helm) -> None:
    assert [name for name in environment_of(helm.template()) if name.startswith("BATCHWRIGHT_")] == [
        "BATCHWRIGHT_LEASE_NAMESPACE",
        "BATCHWRIGHT_LEASE_SECONDS",
        "BATCHWRIGHT_ADMISSION_POLICIES",
    ]


def test_nothing_is_random(helm: Helm) -> None:
    assert helm.template() == helm.template()


def test_alerts_and_dashboard_are_rendered_as_they_are(helm: Helm) -> None:
    rules = yaml.safe_load((CHART / "files/alerts.yaml").read_text())
    dashboard = json.loads((CHART / "files/dashboard.json").read_text())
    rendered = helm.template({"monitoring": {"prometheusRule": {"enabled": True}, "dashboard": {"enabled": True}}})
    assert find(rendered, "PrometheusRule")["spec"] == rules
    assert json.loads(find(rendered, "ConfigMap")["data"]["batchwright.json"]) == dashboard


def test_nothing_secret_or_local_is_packaged(helm: Helm, tmp_path: Path) -> None:
    helm.run("package", str(CHART), f"--destination={tmp_path}")
    (archive,) = tmp_path.iterdir()
    with tarfile.open(archive) as packed:
        names = {os.path.relpath(name, "batchwright") for name in packed.getnames()}
    assert {"Chart.yaml", "values.yaml", "values.schema.json", "files/alerts.yaml"} <= names
    assert not [name for name in names if name.startswith("tests")]
