"""podTemplate: kept whole but for what the job changes; wrong shapes are named."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from batchwright.api.v1alpha1 import JobDefinitionSpec
from batchwright.errors import WorkloadError
from batchwright.workloads.podtemplate import build_pod_template, main_container
from workload_cases import WHOLE_TEMPLATE, definition, job, requirements, template

DEFAULT = "kubectl.kubernetes.io/default-container"


def pod(given: dict[str, Any], **submitted: object) -> dict[str, Any]:
    """The pod template."""
    return build_pod_template(definition(given), job(**submitted))


def test_kept_but_for_references_and_restart_policy() -> None:
    want = deepcopy(WHOLE_TEMPLATE["podTemplate"])
    want["spec"]["restartPolicy"] = "Never"
    want["spec"]["initContainers"][0]["args"] = ["get", "s3://bucket/key"]
    want["spec"]["containers"][1] |= {"command": ["/bin/work", "s3://bucket/key"], "args": ["--depth", "3"]}

    assert pod(WHOLE_TEMPLATE) == want


def test_definition_is_not_changed() -> None:
    spec = definition(WHOLE_TEMPLATE)
    before = deepcopy(spec.pod_template)
    build_pod_template(spec, job(containerOverrides={"command": ["x"]}))
    assert spec.pod_template == before


def test_overrides_change_the_main_container_only() -> None:
    overrides = {
        "command": ["/bin/other", "Ref::depth"],
        "environment": [{"name": "A", "value": "$(POD)"}],
        "resourceRequirements": requirements("4", "2048", "1"),
    }
    containers = pod(WHOLE_TEMPLATE, containerOverrides=overrides)["spec"]["containers"]
    log, work = containers
    assert log == WHOLE_TEMPLATE["podTemplate"]["spec"]["containers"][0]
    assert work["command"] == ["/bin/other", "3"]
    assert "args" not in work
    assert [variable["name"] for variable in work["env"]] == ["AWS_BATCH_JOB_ID", "AWS_BATCH_JOB_ATTEMPT", "POD", "A"]
    assert work["env"][-1]["value"] == "$(POD)", "Kubernetes' words here: a reference stays one"
    assert work["resources"] == {
        "requests": {"cpu": "4", "memory": "2048Mi", "nvidia.com/gpu": "1"},
        "limits": {"cpu": "4", "memory": "2048Mi", "ephemeral-storage": "1Gi", "nvidia.com/gpu": "1"},
    }


def test_cpu_override_makes_no_limit_where_there_is_none() -> None:
    overrides = {"resourceRequirements": [{"type": "VCPU", "value": "2"}]}
    (work,) = pod(template(), containerOverrides=overrides)["spec"]["containers"]
    assert work["resources"] == {"requests": {"cpu": "2"}}


@pytest.mark.parametrize(
    ("metadata", "want"),
    [
        pytest.param({}, "a", id="the first"),
        pytest.param(None, "a", id="null metadata"),
        pytest.param({"annotations": {DEFAULT: "b"}}, "b", id="the one named"),
        pytest.param({"annotations": {DEFAULT: ""}}, "a", id="empty"),
    ],
)
def test_main_container(metadata: Any, want: str) -> None:
    given = {"metadata": metadata, "spec": {"containers": [{"name": "a"}, {"name": "b"}]}}
    assert main_container(given)["name"] == want


@pytest.mark.parametrize(
    ("given", "want_text"),
    [
        pytest.param({}, r"podTemplate.spec.containers must list at least one container", id="empty"),
        pytest.param({"spec": []}, r"podTemplate.spec must be an object, not a list", id="spec is a list"),
        pytest.param({"spec": {"containers": {}}}, r"podTemplate.spec.containers must be a list", id="containers"),
        pytest.param(
            {"spec": {"containers": [None]}}, r"podTemplate.spec.containers\[0\] must be an object, not null", id="null"
        ),
        pytest.param({"spec": {"containers": [{}]}}, r"containers\[0\].name must be given", id="no name"),
        pytest.param({"spec": {"containers": [{"name": 3}]}}, r"containers\[0\].name must be a text", id="name"),
        pytest.param(
            {"spec": {"containers": [{"name": "a", "args": ["x", 5]}]}},
            r"containers\[0\].args\[1\] must be a text, not a number: put it in quotes",
            id="number among the arguments",
        ),
        pytest.param(
            {"spec": {"containers": [{"name": "a", "command": "sh"}]}},
            r"containers\[0\].command must be a list, not a text",
            id="command as one text",
        ),
        pytest.param(
            {"spec": {"containers": [{"name": "a"}], "initContainers": [{"args": [True]}]}},
            r"initContainers\[0\].args\[0\] must be a text, not a boolean",
            id="init container",
        ),
        pytest.param(
            {"metadata": {"annotations": {DEFAULT: "c"}}, "spec": {"containers": [{"name": "a"}, {"name": "b"}]}},
            r"default-container\] names 'c', which is none of the containers: a, b",
            id="annotation names nobody",
        ),
        pytest.param(
            {"metadata": {"labels": "x"}, "spec": {"containers": [{"name": "a"}]}},
            r"podTemplate.metadata.labels must be an object",
            id="labels",
        ),
    ],
)
def test_wrong_shape_is_named(given: dict[str, Any], want_text: str) -> None:
    with pytest.raises(WorkloadError, match=want_text):
        pod({"podTemplate": given})


def test_a_definition_of_nothing() -> None:
    with pytest.raises(WorkloadError, match="containerProperties or podTemplate"):
        pod({})


def test_absurdly_deep_template() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"spec": deep}
    spec = JobDefinitionSpec.model_construct(container_properties=None, pod_template=deep, parameters={})
    with pytest.raises(WorkloadError, match="podTemplate is nested too deeply"):
        build_pod_template(spec, job())
