"""containerProperties, field by field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batchwright.errors import WorkloadError
from batchwright.workloads.podtemplate import build_pod_template
from batchwright.workloads.serviceaccount import service_account_name
from workload_cases import EVERYTHING, ROLE, container, definition, job, requirements


def pod(given: dict[str, Any], **submitted: object) -> dict[str, Any]:
    """The pod template."""
    return build_pod_template(definition(given), job(**submitted))


def main(given: dict[str, Any], **submitted: object) -> dict[str, Any]:
    """The one container."""
    (only,) = pod(given, **submitted)["spec"]["containers"]
    found: dict[str, Any] = only
    return found


def overridden(**overrides: object) -> dict[str, Any]:
    """A submission with containerOverrides."""
    return {"containerOverrides": overrides}


def test_smallest() -> None:
    assert pod(container())["spec"] == {
        "containers": [
            {
                "name": "main",
                "image": "busybox:1.36",
                "resources": {"requests": {"cpu": "250m", "memory": "128Mi"}, "limits": {"memory": "128Mi"}},
            }
        ],
        "automountServiceAccountToken": False,
        "restartPolicy": "Never",
    }


@pytest.mark.parametrize(
    ("command", "parameters", "want"),
    [
        pytest.param(None, {}, None, id="the image's own"),
        pytest.param([], {}, [], id="none at all"),
        pytest.param(["a", "Ref::x"], {"x": "1"}, ["a", "1"], id="parameter"),
        pytest.param(["echo $HOME $"], {}, ["echo $HOME $"], id="shell variable"),
        pytest.param(["$(date)"], {}, ["$$(date)"], id="shell substitution is not Kubernetes'"),
        pytest.param(["echo $$"], {}, ["echo $$$"], id="shell's process id"),
        pytest.param(["$$(a)"], {}, ["$$$$(a)"], id="both"),
        pytest.param(["Ref::x"], {"x": "$(y)"}, ["$$(y)"], id="a parameter's dollar"),
    ],
)
def test_command(command: list[str] | None, parameters: dict[str, str], want: list[str] | None) -> None:
    given = container(command=command) | {"parameters": parameters}
    found = main(given)
    assert found.get("args") == want
    assert "command" not in found
    if want is not None and command is not None and not parameters:
        assert [_expanded(argument) for argument in want] == command


def _expanded(text: str) -> str:
    """What the kubelet makes of an argument when no variable of that name exists (third_party/forked/golang/expansion).

    `$$` is an escaped `$`; everything else stays.
    """
    out, index = "", 0
    while index < len(text):
        if text.startswith("$$", index):
            out, index = out + "$", index + 2
        else:
            out, index = out + text[index], index + 1
    return out


def test_jobs_parameters_win_over_the_definitions() -> None:
    given = container(command=["Ref::a", "Ref::b"]) | {"parameters": {"a": "1", "b": "2"}}
    assert main(given, parameters={"b": "3"})["args"] == ["1", "3"]


def test_overridden_command_is_substituted_too() -> None:
    given = container(command=["old"]) | {"parameters": {"a": "1"}}
    assert main(given, **overridden(command=["new", "Ref::a"]))["args"] == ["new", "1"]
    assert main(given, **overridden(command=[]))["args"] == []


def test_environment_merges_by_name() -> None:
    given = container(
        environment=[{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)"}],
        secrets=[{"name": "T", "valueFrom": "vault/key"}],
    )
    found = main(given, **overridden(environment=[{"name": "T", "value": "t"}, {"name": "C"}]))
    assert found["env"] == [
        {"name": "A", "value": "1"},
        {"name": "B", "value": "$$(A)"},
        {"name": "T", "value": "t"},
        {"name": "C", "value": ""},
    ]


def test_secret_is_a_key_of_a_kubernetes_secret() -> None:
    found = main(container(secrets=[{"name": "T", "valueFrom": "a.vault/my.key"}]))
    assert found["env"] == [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "a.vault", "key": "my.key"}}}]


@pytest.mark.parametrize(
    ("asked", "overrides", "want"),
    [
        pytest.param(
            requirements("2", "2Gi", "4"),
            [],
            {
                "requests": {"cpu": "2", "memory": "2Gi", "nvidia.com/gpu": "4"},
                "limits": {"memory": "2Gi", "nvidia.com/gpu": "4"},
            },
            id="all three",
        ),
        pytest.param(
            requirements(),
            [{"type": "VCPU", "value": "1.5"}],
            {"requests": {"cpu": "1500m", "memory": "128Mi"}, "limits": {"memory": "128Mi"}},
            id="override of one type",
        ),
        pytest.param(
            requirements(),
            [{"type": "GPU", "value": "1"}, {"type": "MEMORY", "value": "64"}],
            {
                "requests": {"cpu": "250m", "memory": "64Mi", "nvidia.com/gpu": "1"},
                "limits": {"memory": "64Mi", "nvidia.com/gpu": "1"},
            },
            id="override adds a type",
        ),
    ],
)
def test_resources(asked: list[dict[str, str]], overrides: list[dict[str, str]], want: dict[str, Any]) -> None:
    given = container(resourceRequirements=asked)
    assert main(given, **overridden(resourceRequirements=overrides))["resources"] == want


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("VCPU", "0"),
        ("VCPU", "a"),
        ("VCPU", "1e9"),
        ("MEMORY", "0"),
        ("MEMORY", "1.5"),
        ("MEMORY", "1G"),
        ("GPU", "0.5"),
    ],
)
def test_bad_requirement_is_named(kind: str, value: str) -> None:
    with pytest.raises(WorkloadError, match=f"resourceRequirements: the {kind} value '{value}'"):
        pod(container(), **overridden(resourceRequirements=[{"type": kind, "value": value}]))


@pytest.mark.parametrize(
    ("properties", "want"),
    [
        ({"user": "1000"}, {"runAsUser": 1000}),
        ({"user": "0:5"}, {"runAsUser": 0, "runAsGroup": 5}),
        ({"privileged": True}, {"privileged": True}),
        ({"readonlyRootFilesystem": True}, {"readOnlyRootFilesystem": True}),
        ({"privileged": False}, None),
    ],
)
def test_security_context(properties: dict[str, Any], want: dict[str, Any] | None) -> None:
    assert main(container(**properties)).get("securityContext") == want


@pytest.mark.parametrize(
    ("properties", "want"),
    [
        pytest.param({}, {"automountServiceAccountToken": False}, id="none"),
        pytest.param({"serviceAccountName": "runner"}, {"serviceAccountName": "runner"}, id="named"),
        pytest.param({"jobRoleArn": ROLE}, {"serviceAccountName": service_account_name(ROLE)}, id="role"),
        pytest.param({"executionRoleArn": ROLE}, {"automountServiceAccountToken": False}, id="execution role"),
    ],
)
def test_account(properties: dict[str, Any], want: dict[str, Any]) -> None:
    spec = pod(container(**properties))["spec"]
    accounts = ("automountServiceAccountToken", "serviceAccountName")
    assert {key: value for key, value in spec.items() if key in accounts} == want


def test_linux_parameters_and_volumes() -> None:
    spec = pod(EVERYTHING)["spec"]
    assert spec["shareProcessNamespace"] is True
    volumes = {volume.pop("name"): volume for volume in spec["volumes"]}
    claim = volumes["shared"].pop("persistentVolumeClaim")
    assert claim["claimName"].startswith("batchwright-efs-")
    assert volumes == {
        "scratch": {"emptyDir": {}},
        "host": {"hostPath": {"path": "/data"}},
        "pod-dir": {"emptyDir": {}},
        "shared": {},
        "claim": {"persistentVolumeClaim": {"claimName": "results", "readOnly": True}},
        "batchwright-shm": {"emptyDir": {}},
        "batchwright-shm-v2": {"emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
        "batchwright-tmpfs-0": {"emptyDir": {"medium": "Memory", "sizeLimit": "32Mi"}},
        "batchwright-device-0": {"hostPath": {"path": "/dev/fuse"}},
        "batchwright-device-1": {"hostPath": {"path": "/dev/a"}},
    }
    mounts = {mount["mountPath"]: (mount["name"], mount.get("readOnly", False)) for mount in _mounts(spec)}
    assert mounts == {
        "/scratch": ("scratch", False),
        "/host": ("host", True),
        "/in": ("shared", False),
        "/results": ("claim", True),
        "/dev/shm": ("batchwright-shm-v2", False),
        "/tmp": ("batchwright-tmpfs-0", False),
        "/dev/fuse": ("batchwright-device-0", False),
        "/b": ("batchwright-device-1", False),
    }


def _mounts(spec: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = spec["containers"][0]["volumeMounts"]
    return found


def test_ulimits_are_the_annotation_of_the_nri_adjuster() -> None:
    limits = [
        {"name": "nofile", "hardLimit": 4096, "softLimit": 1024},
        {"name": "RLIMIT_MEMLOCK", "hardLimit": -1, "softLimit": -1},
    ]
    annotations = pod(container(ulimits=limits))["metadata"]["annotations"]
    assert json.loads(annotations["ulimits.nri.containerd.io/container.main"]) == [
        {"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 4096},
        {"type": "RLIMIT_MEMLOCK", "soft": 18446744073709551615, "hard": 18446744073709551615},
    ]


def test_accepted_without_effect() -> None:
    """No counterpart in a pod: the fields are documented so."""
    inert = {
        "executionRoleArn": ROLE,
        "logConfiguration": {"logDriver": "awslogs"},
        "linuxParameters": {"maxSwap": 1, "swappiness": 2},
    }
    assert pod(container(**inert)) == pod(container())
