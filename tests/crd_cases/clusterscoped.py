"""JobQueues and ComputeEnvironments that must be refused."""

from __future__ import annotations

import pytest

from crd_cases import ce, jq, named, without

LABEL_VALUE = "must be a label value"

REFUSED = [
    # JobQueue
    pytest.param(named(jq(), "n" * 129), "metadata.name", "at most 128 characters", id="jq-long-name"),
    pytest.param(without(jq(), "computeEnvironmentOrder"), "spec.computeEnvironmentOrder", "Required", id="jq-none"),
    pytest.param(jq(computeEnvironmentOrder=[]), "spec.computeEnvironmentOrder", "at least 1", id="jq-empty"),
    pytest.param(
        jq(computeEnvironmentOrder=[{"order": 1, "computeEnvironment": name} for name in "ab"]),
        "spec.computeEnvironmentOrder",
        "each order may be used once",
        id="jq-order-twice",
    ),
    pytest.param(
        jq(computeEnvironmentOrder=[{"order": n, "computeEnvironment": "a"} for n in (1, 2)]),
        "spec.computeEnvironmentOrder[1]",
        "Duplicate value",
        id="jq-environment-twice",
    ),
    pytest.param(
        jq(computeEnvironmentOrder=[{"order": n, "computeEnvironment": f"a{n}"} for n in range(65)]),
        "spec.computeEnvironmentOrder",
        "64",
        id="jq-65",
    ),
    pytest.param(jq(priority=-1), "spec.priority", "0", id="jq-priority-negative"),
    pytest.param(jq(priority=1000001), "spec.priority", "1000000", id="jq-priority-high"),
    pytest.param(jq(state="enabled"), "spec.state", "supported values", id="jq-state"),
    pytest.param(
        jq(namespaceSelector={"team": "a b"}), "spec.namespaceSelector[team]", LABEL_VALUE, id="jq-selector-value"
    ),
    pytest.param(
        jq(namespaceSelector={"te am": "a"}), "spec.namespaceSelector", "must be a label key", id="jq-selector-key"
    ),
    pytest.param(jq(retention={"podSeconds": -1}), "spec.retention.podSeconds", "0", id="jq-retention-negative"),
    *(
        pytest.param(jq(allowedJobRoles=[role]), "spec.allowedJobRoles[0]", want, id=f"jq-role-{case}")
        for case, role, want in [
            ("name", "reader", "must be the ARN of an IAM role"),
            ("two-stars", "**", "or * alone for every role"),
            ("blank", "arn:aws:iam::123456789012:role/a b", "must be the ARN of an IAM role"),
            ("empty", "", "at least 1"),
            ("long", "arn:" + "x" * 2045, "2048"),
        ]
    ),
    pytest.param(jq(allowedJobRoles=["*", "*"]), "spec.allowedJobRoles[1]", "Duplicate value", id="jq-role-twice"),
    pytest.param(jq(allowedJobRoles=[f"arn:{n}" for n in range(65)]), "spec.allowedJobRoles", "64", id="jq-65-roles"),
    # ComputeEnvironment
    pytest.param(named(ce(), "n" * 129), "metadata.name", "at most 128 characters", id="ce-long-name"),
    pytest.param(ce(type="FARGATE"), "spec.type", "supported values", id="ce-type"),
    pytest.param(ce(state=""), "spec.state", "supported values", id="ce-state"),
    pytest.param(ce(nodeSelector={"a/b/c": "x"}), "spec.nodeSelector", "must be a label key", id="ce-label-key"),
    pytest.param(ce(hourlyPrice="$1"), "spec.hourlyPrice", "must be a decimal number", id="ce-price"),
    pytest.param(ce(nodeSelector={"disk": "s s d"}), "spec.nodeSelector[disk]", LABEL_VALUE, id="ce-label-value"),
    pytest.param(ce(tolerations=[{}]), "spec.tolerations[0].key", "give key, or operator Exists", id="ce-no-key"),
    pytest.param(
        ce(tolerations=[{"key": "k", "operator": "Exists", "value": "v"}]),
        "spec.tolerations[0].value",
        "must not be given with operator Exists",
        id="ce-exists-value",
    ),
    pytest.param(
        ce(tolerations=[{"key": "k", "tolerationSeconds": 5}]),
        "spec.tolerations[0].effect",
        "tolerationSeconds needs effect NoExecute",
        id="ce-seconds-without-effect",
    ),
]
