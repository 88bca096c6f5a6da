"""Hypothesis strategies: any JobDefinition and BatchJob the API server would store, and any JSON as a podTemplate."""

from __future__ import annotations

import string
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

from workload_cases import ROLE

NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?([.][a-z0-9]([-a-z0-9]{0,60}[a-z0-9])?)?", fullmatch=True)
UIDS = st.uuids().map(str)
TEXTS = st.text(max_size=20) | st.sampled_from(["Ref::a", "$(X) $$ Ref::ab", "-Ref::abRef::a"])
VARIABLES = st.sampled_from(["A", "B", "PATH", "AWS_EXECUTION_ENV", "x y"])
PATHS = st.sampled_from(["/a", "/b", "/c/d", "/dev/shm"])
VOLUME_NAMES = st.sampled_from(["v", "w", "batchwright-shm", "batchwright-tmpfs-0"])


def _unique(elements: st.SearchStrategy[dict[str, Any]], key: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(elements, max_size=3, unique_by=lambda each: each[key])


def _object(**optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object of which any field may be missing."""
    return st.fixed_dictionaries({}, optional=optional)


VCPU = st.sampled_from(["0.001", "0.25", "1", "16", "999999.999"])
MEMORY = st.sampled_from(["4", "2048", "512Mi", "999999999Gi"])
GPU = st.sampled_from(["1", "8"])


def _requirement(kind: str, values: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, str]]:
    return values.map(lambda value: {"type": kind, "value": value})


REQUIREMENTS = st.tuples(_requirement("VCPU", VCPU), _requirement("MEMORY", MEMORY), _requirement("GPU", GPU)).flatmap(
    lambda three: st.integers(2, 3).map(lambda count: list(three[:count]))
)
SOME_REQUIREMENTS = REQUIREMENTS.flatmap(
    lambda listed: st.lists(st.sampled_from(listed), unique_by=lambda r: r["type"])
)
ENVIRONMENT = _unique(st.fixed_dictionaries({"name": VARIABLES}, optional={"value": TEXTS}), "name")
SECRETS = _unique(st.fixed_dictionaries({"name": VARIABLES, "valueFrom": st.just("vault/key")}), "name")
EFS = st.fixed_dictionaries({"fileSystemId": st.just("fs-0a")}, optional={"rootDirectory": PATHS})
VOLUMES = _unique(
    st.fixed_dictionaries({"name": VOLUME_NAMES})
    | st.fixed_dictionaries({"name": VOLUME_NAMES, "host": _object(sourcePath=PATHS)})
    | st.fixed_dictionaries({"name": VOLUME_NAMES, "efsVolumeConfiguration": EFS})
    | st.fixed_dictionaries({"name": VOLUME_NAMES, "persistentVolumeClaim": st.just({"claimName": "c"})}),
    "name",
)
MOUNTS = _unique(st.fixed_dictionaries({"sourceVolume": VOLUME_NAMES, "containerPath": PATHS}), "containerPath")
LINUX = _object(
    initProcessEnabled=st.booleans(),
    sharedMemorySize=st.integers(1, 1048576),
    tmpfs=_unique(st.fixed_dictionaries({"containerPath": PATHS, "size": st.integers(1, 1048576)}), "containerPath"),
    devices=st.lists(st.fixed_dictionaries({"hostPath": PATHS}), max_size=3),
)
ULIMITS = _unique(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["nofile", "memlock"]), "hardLimit": st.just(-1), "softLimit": st.integers(-1, 2**63)}
    ),
    "name",
)
CONTAINERS = st.fixed_dictionaries(
    {"image": st.just("busybox"), "resourceRequirements": REQUIREMENTS},
    optional={
        "command": st.lists(TEXTS, max_size=4),
        "environment": ENVIRONMENT,
        "secrets": SECRETS,
        "volumes": VOLUMES,
        "mountPoints": MOUNTS,
        "user": st.sampled_from(["0", "1000", "1000:2147483647"]),
        "privileged": st.booleans(),
        "readonlyRootFilesystem": st.booleans(),
        "linuxParameters": LINUX,
        "ulimits": ULIMITS,
        "jobRoleArn": st.sampled_from([ROLE, "arn:aws:iam::123456789012:role/" + "!" * 300]),
    },
)

REASONS = st.sampled_from(["*", "Host EC2*", "Essential*", "OutOfMemory*", "Cannot*", "Task failed to start"])
CODES = st.sampled_from(["*", "1", "1*", "137", "128"])
RULES = st.lists(
    st.fixed_dictionaries(
        {"action": st.sampled_from(["RETRY", "EXIT", "exit"])},
        optional={"onExitCode": CODES, "onReason": REASONS, "onStatusReason": REASONS},
    ),
    max_size=5,
)
RETRIES = st.fixed_dictionaries({"attempts": st.integers(1, 10)}, optional={"evaluateOnExit": RULES})
TAGS = st.dictionaries(st.text(min_size=1, max_size=10), st.text(max_size=10), max_size=5)
PARAMETERS = st.dictionaries(st.sampled_from(["a", "ab", "input"]), TEXTS)

K8S_CONTAINER = st.fixed_dictionaries(
    {"image": st.just("busybox")},
    optional={
        "command": st.lists(TEXTS, max_size=3),
        "args": st.lists(TEXTS, max_size=3),
        "env": st.lists(st.fixed_dictionaries({"name": VARIABLES, "value": TEXTS}), max_size=3),
        "resources": _object(
            requests=st.fixed_dictionaries({}, optional={"cpu": VCPU}), limits=st.just({"memory": "1Gi"})
        ),
    },
)


def _named(containers: list[dict[str, Any]], prefix: str) -> list[dict[str, Any]]:
    return [{"name": f"{prefix}-{number}", **each} for number, each in enumerate(containers)]


POD_TEMPLATES = st.builds(
    lambda containers, init, metadata, spec: {
        "metadata": metadata,
        "spec": {**spec, "containers": _named(containers, "c"), "initContainers": _named(init, "i")},
    },
    st.lists(K8S_CONTAINER, min_size=1, max_size=3),
    st.lists(K8S_CONTAINER, max_size=2),
    _object(
        labels=st.just({"app": "x", "batchwright.io/retries": "true"}),
        annotations=st.just({"kubectl.kubernetes.io/default-container": "c-0"}),
    ),
    _object(
        nodeSelector=st.just({"zone": "a"}),
        tolerations=st.just([{"operator": "Exists"}]),
        restartPolicy=st.just("Always"),
    ),
)

_BOTH: dict[str, st.SearchStrategy[Any]] = {
    "parameters": PARAMETERS,
    "retryStrategy": RETRIES,
    "timeout": st.just({"attemptDurationSeconds": 60}),
    "tags": TAGS,
    "propagateTags": st.booleans(),
}
DEFINITIONS = st.fixed_dictionaries({"containerProperties": CONTAINERS}, optional=_BOTH) | st.fixed_dictionaries(
    {"podTemplate": POD_TEMPLATES}, optional=_BOTH
)
OVERRIDES = _object(
    command=st.lists(TEXTS, max_size=3), environment=ENVIRONMENT, resourceRequirements=SOME_REQUIREMENTS
)
JOBS = st.fixed_dictionaries({}, optional={**_BOTH, "containerOverrides": OVERRIDES})

# Names that are read, so that wrong shapes turn up where it matters.
KEYS = st.sampled_from(
    [
        "metadata",
        "labels",
        "annotations",
        "kubectl.kubernetes.io/default-container",
        "spec",
        "containers",
        "initContainers",
        "name",
        "command",
        "args",
        "env",
        "resources",
        "requests",
        "limits",
        "cpu",
        "memory",
        "nodeSelector",
        "tolerations",
        "schedulingGates",
        "overhead",
    ]
) | st.text(string.ascii_letters, max_size=3)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.just("1e9")
ANY_JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=25
)
ANY_OBJECT = st.dictionaries(KEYS, ANY_JSON, max_size=5)


@st.composite
def nearly_templates(draw: st.DrawFn) -> dict[str, Any]:
    """A good podTemplate with one thing in it replaced by any JSON."""
    template: dict[str, Any] = deepcopy(draw(POD_TEMPLATES))
    here: Any = template
    while True:
        key = draw(st.sampled_from(sorted(here)) if isinstance(here, dict) else st.integers(0, len(here) - 1))
        inner = here[key]
        if not isinstance(inner, (dict, list)) or not inner or draw(st.booleans()):
            here[key] = draw(ANY_JSON)
            return template
        here = inner
