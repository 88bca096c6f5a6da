"""Rendering is total: whatever the API server stores becomes a Job whose names and labels are valid."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchwright import names
from batchwright.domain import reasons
from batchwright.domain.retry import Outcome, evaluate
from batchwright.errors import WorkloadError
from batchwright.workloads.job import ATTEMPT, effective_retry, job_request, needs_admission
from workload_cases import CASES, Case, definition, job, render
from workload_strategies import ANY_OBJECT, DEFINITIONS, JOBS, NAMES, UIDS, nearly_templates

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
OURS = ["AWS_BATCH_JOB_ID", "AWS_BATCH_JQ_NAME", "AWS_BATCH_CE_NAME", "AWS_EXECUTION_ENV"]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(DEFINITIONS, JOBS, NAMES, UIDS)
def test_what_is_accepted_renders(given_: dict[str, Any], submitted: dict[str, Any], name: str, uid: str) -> None:
    rendered = render(given_, job(**submitted), name=name, uid=uid)

    metadata, spec = rendered["metadata"], rendered["spec"]
    assert len(metadata["name"]) <= 52
    assert DNS_LABEL.fullmatch(metadata["name"])
    pod = spec["template"]
    for labels in (metadata["labels"], pod["metadata"]["labels"]):
        assert all(LABEL_VALUE.fullmatch(value) for value in labels.values())
        assert labels[names.LABEL_JOB_ID] == uid
    retry = effective_retry(definition(given_), job(**submitted))
    assert spec["backoffLimitPerIndex"] == retry.attempts - 1
    assert (pod["metadata"]["labels"].get(names.LABEL_RETRIES) == "true") == (retry.attempts > 1)
    assert pod["spec"]["restartPolicy"] == "Never"
    assert len(spec["podFailurePolicy"]["rules"]) <= 20
    for container in pod["spec"]["containers"] + pod["spec"].get("initContainers", []):
        variables = [variable["name"] for variable in container["env"]]
        wanted = [*OURS, ATTEMPT] if retry.attempts == 1 else OURS
        assert variables[: len(wanted)] == wanted
        assert not set(variables[len(wanted) :]) & {*OURS, ATTEMPT}
    json.dumps(rendered, allow_nan=False)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(DEFINITIONS, JOBS)
def test_the_same_input_gives_the_same_job_and_is_left_alone(given_: dict[str, Any], submitted: dict[str, Any]) -> None:
    spec, asked = definition(given_), job(**submitted)
    before = deepcopy(spec.to_wire()), deepcopy(asked.to_wire())
    assert render(given_, asked) == render(given_, asked)
    job_request(spec, asked)
    assert (spec.to_wire(), asked.to_wire()) == before


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(DEFINITIONS, JOBS)
def test_gate_is_there_when_the_operator_must_decide(given_: dict[str, Any], submitted: dict[str, Any]) -> None:
    pod = render(given_, job(**submitted))["spec"]["template"]
    gates = [gate["name"] for gate in pod["spec"].get("schedulingGates", [])]
    assert (names.GATE_ADMISSION in gates) == needs_admission(definition(given_), job(**submitted))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(DEFINITIONS, JOBS, st.integers(1, 255), st.text(max_size=10))
def test_policy_agrees_with_evaluate(
    given_: dict[str, Any], submitted: dict[str, Any], code: int, message: str
) -> None:
    """Run the rendered rules as the Job controller would, for every outcome a pod can show."""
    retry = effective_retry(definition(given_), job(**submitted))
    if retry.attempts == 1:
        return
    rendered = render(given_, job(**submitted))["spec"]
    pod = rendered["template"]
    main = pod["metadata"].get("annotations", {}).get(names.DEFAULT_CONTAINER) or pod["spec"]["containers"][0]["name"]
    exact = not needs_admission(definition(given_), job(**submitted))
    for seen, outcome in _outcomes(main, code, message):
        wanted = evaluate(retry.rules, outcome)
        did = _action(rendered["podFailurePolicy"]["rules"], *seen)
        if exact:
            assert did == ("Count" if wanted == "RETRY" else "FailIndex"), (seen, outcome)
        elif wanted == "RETRY":
            assert did == "Count", (seen, outcome)


Seen = tuple[tuple[str, ...], dict[str, int]]


def _outcomes(main: str, code: int, message: str) -> list[tuple[Seen, Outcome]]:
    """(conditions that are True, exit codes by container) and what it means."""
    host = Outcome(None, message, reasons.host_terminated("i-0"))
    return [
        (((), {main: code}), Outcome(code, "", reasons.ESSENTIAL_CONTAINER_EXITED)),
        (((), {main: code}), Outcome(code, reasons.OUT_OF_MEMORY, reasons.ESSENTIAL_CONTAINER_EXITED)),
        (((), {main: 128}), Outcome(128, reasons.cannot_start(message), reasons.TASK_FAILED_TO_START)),
        (((names.POD_CONDITION_DISRUPTED,), {main: code}), host),
        (((names.POD_CONDITION_DISRUPTED,), {}), host),
        (
            ((names.POD_CONDITION_START_FAILED,), {}),
            Outcome(None, reasons.cannot_pull(message), reasons.TASK_FAILED_TO_START),
        ),
        (
            ((names.POD_CONDITION_TIMEOUT,), {main: 137}),
            Outcome(137, "", reasons.ATTEMPT_TIMED_OUT),
        ),
    ]


def _action(rules: list[dict[str, Any]], conditions: tuple[str, ...], codes: dict[str, int]) -> str:
    """The Job controller's matchPodFailurePolicy."""
    for rule in rules:
        wanted = rule.get("onPodConditions")
        if wanted is not None:
            if any(each["type"] in conditions for each in wanted):
                return str(rule["action"])
            continue
        asked = rule["onExitCodes"]
        for container, code in codes.items():
            if code == 0 or asked.get("containerName", container) != container:
                continue
            if (code in asked["values"]) == (asked["operator"] == "In"):
                return str(rule["action"])
    return "Count"


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=500)
@given(ANY_OBJECT | nearly_templates(), JOBS)
def test_any_pod_template_renders_or_says_what_is_wrong(template: dict[str, Any], submitted: dict[str, Any]) -> None:
    given_ = {"podTemplate": template}
    for refusal in (
        _refusal(lambda: render(given_, job(**submitted))),
        _refusal(lambda: job_request(definition(given_), job(**submitted))),
    ):
        assert refusal is None or refusal.startswith("podTemplate"), refusal


def _refusal(attempt: Callable[[], object]) -> str | None:
    """The WorkloadError's text, if it is raised; any other error fails the test."""
    try:
        attempt()
    except WorkloadError as error:
        return str(error)
    return None


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_job_stays_small(case: Case) -> None:
    """A Job is copied to every watcher: 16 KB is generous, and 255 exit codes alone would be 1 KB."""
    assert len(json.dumps(render(case.definition, job(**case.job), name=case.job_name))) < 16_384
