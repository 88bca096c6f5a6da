"""The effective request of a pod, case by case as kube-scheduler's own tests have them."""

from __future__ import annotations

from typing import Any

import pytest

from batchwright.domain.podresources import pod_requests
from batchwright.errors import WorkloadError

MI = 1 << 20


def asks(cpu: str | None = None, memory: str | None = None, **more: str) -> dict[str, Any]:
    """A container with requests."""
    given = {"cpu": cpu, "memory": memory, **more}
    return {"resources": {"requests": {name: value for name, value in given.items() if value is not None}}}


def sidecar(cpu: str) -> dict[str, Any]:
    """A restartable init container."""
    return {**asks(cpu), "restartPolicy": "Always"}


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        pytest.param({}, {}, id="no containers"),
        pytest.param({"containers": [{}]}, {}, id="nothing asked"),
        pytest.param({"containers": [{"resources": None}], "initContainers": None}, {}, id="nulls"),
        pytest.param({"containers": [asks("1"), asks("500m", "64Mi")]}, {"cpu": 1500, "memory": 64 * MI}, id="sum"),
        pytest.param(
            {"containers": [asks("1")], "initContainers": [asks("3"), asks("2", "1Mi")]},
            {"cpu": 3000, "memory": MI},
            id="greatest init container",
        ),
        pytest.param(
            {"containers": [asks("2")], "initContainers": [asks("1")]}, {"cpu": 2000}, id="init container within"
        ),
        pytest.param(
            {"containers": [asks("1")], "initContainers": [sidecar("500m")]}, {"cpu": 1500}, id="sidecar adds up"
        ),
        pytest.param(
            {"containers": [asks("1")], "initContainers": [sidecar("1"), asks("3")]},
            {"cpu": 4000},
            id="init container after a sidecar",
        ),
        pytest.param(
            {"containers": [asks("1")], "initContainers": [asks("3"), sidecar("1")]},
            {"cpu": 3000},
            id="init container before a sidecar",
        ),
        pytest.param(
            {"containers": [asks("1")], "initContainers": [sidecar("1"), asks("3"), sidecar("4"), asks("2")]},
            {"cpu": 7000},
            id="sidecars pile up",
        ),
        pytest.param(
            {"containers": [{"resources": {"limits": {"cpu": "2", "nvidia.com/gpu": 1}, "requests": {"cpu": "1"}}}]},
            {"cpu": 1000, "nvidia.com/gpu": 1},
            id="limit where no request",
        ),
        pytest.param(
            {"containers": [asks("1", "1Mi")], "overhead": {"cpu": "250m"}},
            {"cpu": 1250, "memory": MI},
            id="overhead",
        ),
        pytest.param(
            {"containers": [asks("1", "1Mi")], "resources": {"requests": {"cpu": "3"}}},
            {"cpu": 3000, "memory": MI},
            id="pod-level request in place of the sum",
        ),
        pytest.param(
            {"containers": [asks("1")], "resources": {"limits": {"cpu": "3", "memory": "2Mi"}}},
            {"cpu": 1000, "memory": 2 * MI},
            id="pod-level limit where nothing is requested",
        ),
        pytest.param(
            {"containers": [asks("1")], "resources": {"requests": {"hugepages-2Mi": "4Mi", "x.io/y": "1"}}},
            {"cpu": 1000, "hugepages-2Mi": 4 * MI},
            id="pod level knows cpu, memory, hugepages",
        ),
        pytest.param(
            {"containers": [asks("1")], "resources": {"requests": {"cpu": "3"}}, "overhead": {"cpu": "1"}},
            {"cpu": 4000},
            id="overhead over pod level",
        ),
    ],
)
def test_pod_requests(spec: dict[str, Any], want: dict[str, int]) -> None:
    assert pod_requests(spec) == {**want, "pods": 1}


@pytest.mark.parametrize(
    ("spec", "want_text"),
    [
        ({"containers": "x"}, "spec.containers must be a list"),
        ({"containers": 7}, "spec.containers must be a list"),
        ({"containers": [None, 3]}, r"spec.containers\[1\] must be an object"),
        ({"initContainers": [{"resources": []}]}, r"spec.initContainers\[0\].resources must be an object"),
        ({"containers": [asks("1x")]}, r"spec.containers\[0\].resources.requests.cpu: '1x' is not a quantity"),
        ({"containers": [asks(), {"resources": {"limits": {"cpu": []}}}]}, r"containers\[1\].resources.limits.cpu: "),
        ({"overhead": {"cpu": None}}, "spec.overhead.cpu: None is not a quantity"),
        ({"resources": {"limits": 1}}, "spec.resources.limits must be an object"),
    ],
)
def test_malformed_spec_names_the_field(spec: dict[str, Any], want_text: str) -> None:
    with pytest.raises(WorkloadError, match=want_text):
        pod_requests(spec)
