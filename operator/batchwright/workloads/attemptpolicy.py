"""AWS_BATCH_JOB_ATTEMPT of jobs that may be retried, by a MutatingAdmissionPolicy (KEP-3962): no webhook, no write.

A Job makes all its pods from one template; only the pod's own annotation says how often its index has failed before.
- reinvocationPolicy Never: the policy applied twice would do no harm here, and once is enough.
- failurePolicy Fail: a pod that lost the variable would look like no AWS Batch pod at all. It concerns none but pods
  with our label and the Job controller's annotation.
- A policy made a moment ago does not act yet, and its absence raises no error: create `probe_pod` as a dry run, and go
  on when `shows_attempt` holds of the answer.
"""

from __future__ import annotations

from typing import Any, Final

from batchwright import names
from batchwright.workloads.job import ATTEMPT
from batchwright.workloads.probe import build_probe, variables_of
from batchwright.workloads.shapes import Wire

_API = "admissionregistration.k8s.io/v1"
_PROBED_FAILURES: Final = 1

_FAILURES = f"object.metadata.annotations['{names.POD_FAILURE_COUNT}']"


def build_attempt_policy() -> Wire:
    """The policy, cluster-wide, to be applied with `build_attempt_binding`."""
    return {
        "apiVersion": _API,
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": names.ATTEMPT_POLICY, "labels": {names.MANAGED_BY: names.FIELD_MANAGER}},
        "spec": {
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "matchConstraints": {
                "objectSelector": {"matchLabels": {names.LABEL_RETRIES: "true"}},
                "resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
                ],
            },
            "matchConditions": [
                {
                    "name": "pod-of-an-indexed-job",
                    "expression": "has(object.metadata.annotations) && "
                    f"'{names.POD_FAILURE_COUNT}' in object.metadata.annotations",
                }
            ],
            "variables": [{"name": "attempt", "expression": f"string(int({_FAILURES}) + 1)"}],
            "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": _mutation()}}],
        },
    }


def build_attempt_binding() -> Wire:
    """The binding that puts the policy into force everywhere."""
    return {
        "apiVersion": _API,
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": names.ATTEMPT_POLICY, "labels": {names.MANAGED_BY: names.FIELD_MANAGER}},
        "spec": {"policyName": names.ATTEMPT_POLICY},
    }


def probe_pod() -> Wire:
    """A pod for a dry-run create in any namespace."""
    return build_probe({names.LABEL_RETRIES: "true"}, {names.POD_FAILURE_COUNT: str(_PROBED_FAILURES)})


def shows_attempt(pod: Any) -> bool:
    """Whether the API server's answer to `probe_pod` carries the attempt: the policy acts."""
    return all(variables.get(ATTEMPT) == str(_PROBED_FAILURES + 1) for variables in variables_of(pod))


def _mutation() -> str:
    return (
        "Object{spec: Object.spec{"
        f"containers: {_with_attempt('object.spec.containers', 'containers')}, "
        f"initContainers: {_with_attempt('object.spec.?initContainers.orValue([])', 'initContainers')}"
        "}}"
    )


def _with_attempt(listed: str, field: str) -> str:
    kind = f"Object.spec.{field}"
    variable = f'{kind}.env{{name: "{ATTEMPT}", value: variables.attempt}}'
    return f"{listed}.map(each, {kind}{{name: each.name, env: [{variable}]}})"
