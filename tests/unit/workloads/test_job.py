"""The Job: its rules, identity, environment and placement."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batchwright import names
from batchwright.errors import WorkloadError
from batchwright.workloads.job import Retry, effective_retry, effective_timeout, job_request, needs_admission, work_name
from workload_cases import (
    EVERYTHING,
    RETRY_BY_TEXT,
    RETRY_CODES,
    RETRY_SPOT,
    UID,
    WHOLE_TEMPLATE,
    container,
    definition,
    job,
    render,
    template,
)

MI = 1 << 20
TIMEOUT, NO_RETRY, DISRUPTED, START_FAILED = (
    names.POD_CONDITION_TIMEOUT,
    names.POD_CONDITION_NO_RETRY,
    names.POD_CONDITION_DISRUPTED,
    names.POD_CONDITION_START_FAILED,
)


def rules(retry: dict[str, Any] | None, given: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
    """The policy's rules as (action, condition) and (action, container, operator, values), after the first, which is
    always that neither preemption nor the end of an instance is charged to anybody."""
    rendered = render((given or container()) | ({"retryStrategy": retry} if retry else {}))
    found: list[tuple[Any, ...]] = []
    for rule in rendered["spec"]["podFailurePolicy"]["rules"]:
        if "onPodConditions" in rule:
            assert {each["status"] for each in rule["onPodConditions"]} == {"True"}
            types = [each["type"] for each in rule["onPodConditions"]]
            # What Kubernetes disrupts and what we say was lost with its host are treated alike.
            found.append((rule["action"], *(each for each in types if each != names.POD_CONDITION_HOST_CHARGED)))
            assert (DISRUPTED in types) is (names.POD_CONDITION_HOST_CHARGED in types)
        else:
            asked = rule["onExitCodes"]
            found.append((rule["action"], asked.get("containerName"), asked["operator"], asked["values"]))
    assert found[0] == ("Ignore", "batchwright.io/Preempted", "batchwright.io/HostTerminated")
    return found[1:]


@pytest.mark.parametrize(
    ("retry", "want"),
    [
        pytest.param(None, [], id="one attempt: all are final without a rule"),
        pytest.param(
            {"attempts": 3},
            [("FailIndex", TIMEOUT), ("FailIndex", NO_RETRY), ("Count", DISRUPTED), ("Count", START_FAILED)],
            id="no rules",
        ),
        pytest.param(
            RETRY_SPOT,
            [
                ("FailIndex", TIMEOUT),
                ("FailIndex", NO_RETRY),
                ("Count", DISRUPTED),
                ("FailIndex", START_FAILED),
                ("FailIndex", "main", "NotIn", [0]),
            ],
            id="lost hosts only",
        ),
        pytest.param(
            RETRY_CODES,
            [
                ("FailIndex", TIMEOUT),
                ("FailIndex", NO_RETRY),
                ("Count", DISRUPTED),
                ("Count", START_FAILED),
                ("FailIndex", "main", "In", [4, *range(40, 50)]),
            ],
            id="some codes",
        ),
        pytest.param(
            {
                "attempts": 2,
                "evaluateOnExit": [{"action": "RETRY", "onExitCode": "75"}, {"action": "EXIT", "onExitCode": "*"}],
            },
            [
                ("FailIndex", TIMEOUT),
                ("FailIndex", NO_RETRY),
                ("Count", DISRUPTED),
                ("Count", START_FAILED),
                ("FailIndex", "main", "NotIn", [75]),
            ],
            id="all codes but one",
        ),
    ],
)
def test_failure_policy(retry: dict[str, Any] | None, want: list[tuple[Any, ...]]) -> None:
    assert rules(retry) == want


def test_failure_policy_with_other_containers() -> None:
    """They fail the pod too; the main container's word comes first."""
    found = rules(RETRY_SPOT, template({"name": "work", "image": "a"}, {"name": "log", "image": "b"}))
    assert found[4:] == [
        ("FailIndex", "work", "NotIn", [0]),
        ("Count", "work", "NotIn", [0]),
        ("FailIndex", None, "NotIn", [0]),
    ]


def test_failure_policy_names_the_annotated_container() -> None:
    assert rules(RETRY_CODES, WHOLE_TEMPLATE)[4][1] == "work"


def test_job_itself() -> None:
    rendered = render(container() | {"retryStrategy": {"attempts": 4}})
    labels = {
        names.LABEL_JOB_ID: UID,
        names.LABEL_JOB_NAME: "hello-1",
        names.LABEL_QUEUE: "normal",
        names.LABEL_ENVIRONMENT: "nodes",
        "app.kubernetes.io/managed-by": "batchwright",
    }
    assert (rendered["apiVersion"], rendered["kind"]) == ("batch/v1", "Job")
    assert rendered["metadata"] == {
        "name": "hello-1-4f9e2c1a",
        "namespace": "science",
        "labels": labels,
        "annotations": {
            "batchwright.io/job-definition": "hello:3",
            "batchwright.io/compute-environment": "nodes",
        },
        "ownerReferences": [
            {
                "apiVersion": "batchwright.io/v1alpha1",
                "kind": "BatchJob",
                "name": "hello-1",
                "uid": UID,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    spec = rendered["spec"]
    assert spec["template"]["metadata"]["labels"] == {**labels, "batchwright.io/retries": "true"}
    assert {key: value for key, value in spec.items() if key not in ("template", "podFailurePolicy")} == {
        "completionMode": "Indexed",
        "completions": 1,
        "parallelism": 1,
        "backoffLimitPerIndex": 3,
        "podReplacementPolicy": "Failed",
    }


def test_long_names_are_cut_in_labels() -> None:
    one, two = "q" * 100 + "1", "q" * 100 + "2"
    labels = [render(container(), name=name)["metadata"]["labels"][names.LABEL_JOB_NAME] for name in (one, two)]
    assert labels[0] != labels[1]
    assert all(len(label) == 63 and label.startswith("q" * 54 + "-") for label in labels)


@pytest.mark.parametrize(
    ("name", "uid", "want"),
    [
        pytest.param("hello", UID, "hello-4f9e2c1a", id="short"),
        pytest.param("a.b.c", UID, "a-b-c-4f9e2c1a", id="dots"),
        pytest.param("x" * 128, UID, "x" * 43 + "-4f9e2c1a", id="longest"),
        pytest.param("x" * 42 + "-yy", UID, "x" * 42 + "-4f9e2c1a", id="cut at a hyphen"),
        pytest.param("hello", "not-a-uuid", "hello-2184a32a", id="another kind of uid"),
    ],
)
def test_work_name(name: str, uid: str, want: str) -> None:
    assert work_name(name, uid) == want


def variables(container: dict[str, Any]) -> dict[str, str | None]:
    """A container's environment; a name must come once."""
    listed = [variable["name"] for variable in container["env"]]
    assert len(listed) == len(set(listed))
    return {variable["name"]: variable.get("value") for variable in container["env"]}


@pytest.mark.parametrize(
    ("retry", "want_attempt"),
    [
        pytest.param({"attempts": 1}, {"AWS_BATCH_JOB_ATTEMPT": "1"}, id="one"),
        pytest.param({"attempts": 2}, {}, id="two"),
    ],
)
def test_every_container_gets_aws_batchs_variables(retry: dict[str, Any], want_attempt: dict[str, str]) -> None:
    pod = render(WHOLE_TEMPLATE | {"retryStrategy": retry})["spec"]["template"]["spec"]
    ours = {
        "AWS_BATCH_JOB_ID": UID,
        "AWS_BATCH_JQ_NAME": "normal",
        "AWS_BATCH_CE_NAME": "nodes",
        "AWS_EXECUTION_ENV": "AWS_ECS_EC2",
        **want_attempt,
    }
    fetch, proxy, log, work = pod["initContainers"] + pod["containers"]
    assert variables(fetch) == variables(proxy) == variables(log) == ours
    assert variables(work) == {**ours, "A": "$(AWS_BATCH_JOB_ID)", "POD": None}
    assert list(variables(work)).index("AWS_BATCH_JOB_ID") < list(variables(work)).index("A"), "for A to refer to it"


def test_user_cannot_forge_our_labels() -> None:
    labels = render(WHOLE_TEMPLATE)["spec"]["template"]["metadata"]["labels"]
    assert labels["app"] == "mine"
    assert labels[names.LABEL_JOB_ID] == UID
    assert names.LABEL_RETRIES not in labels


def test_placement_is_merged() -> None:
    spec = render(WHOLE_TEMPLATE)["spec"]["template"]["spec"]
    assert spec["nodeSelector"] == {"zone": "a", "disk": "ssd"}
    assert spec["tolerations"] == [
        {"key": "mine", "operator": "Exists"},
        {"key": "batch", "operator": "Exists", "effect": "NoSchedule"},
    ]


@pytest.mark.parametrize(
    ("given", "want_gates"),
    [
        pytest.param(container() | {"retryStrategy": RETRY_BY_TEXT}, [names.GATE_ADMISSION], id="rules on texts"),
        pytest.param(container() | {"retryStrategy": RETRY_SPOT}, [], id="rules a Job can say"),
        pytest.param(container() | {"retryStrategy": {**RETRY_BY_TEXT, "attempts": 1}}, [], id="no retry at all"),
        pytest.param(
            WHOLE_TEMPLATE | {"retryStrategy": RETRY_BY_TEXT}, ["example.com/wait", names.GATE_ADMISSION], id="both"
        ),
    ],
)
def test_gate(given: dict[str, Any], want_gates: list[str]) -> None:
    spec = render(given)["spec"]["template"]["spec"]
    assert [gate["name"] for gate in spec.get("schedulingGates", [])] == want_gates
    assert needs_admission(definition(given), job()) == (names.GATE_ADMISSION in want_gates)


@pytest.mark.parametrize(
    ("by_definition", "by_job", "want"),
    [
        pytest.param(True, None, {"team": "b", "cost": "1", "é": "ü"}, id="as the definition says"),
        pytest.param(False, None, None, id="not"),
        pytest.param(True, False, None, id="the job says no"),
        pytest.param(False, True, {"team": "b", "cost": "1", "é": "ü"}, id="the job says yes"),
    ],
)
def test_tags(by_definition: bool, by_job: bool | None, want: dict[str, str] | None) -> None:
    given = container() | {"tags": {"team": "a", "cost": "1"}, "propagateTags": by_definition}
    rendered = render(given, job(tags={"team": "b", "é": "ü"}, propagateTags=by_job))
    found = rendered["spec"]["template"]["metadata"]["annotations"].get("batchwright.io/tags")
    assert (json.loads(found) if found else None) == want


def test_too_many_tags_together() -> None:
    given = container() | {"tags": {f"d{n}": "" for n in range(40)}, "propagateTags": True}
    with pytest.raises(WorkloadError, match="tags: job and definition have 60 together"):
        render(given, job(tags={f"j{n}": "" for n in range(20)}))


@pytest.mark.parametrize(
    ("by_definition", "by_job", "want"),
    [
        pytest.param(None, None, 1, id="default"),
        pytest.param({"attempts": 3}, None, 3, id="definition"),
        pytest.param({"attempts": 3}, {"attempts": 2}, 2, id="job"),
        pytest.param({"attempts": 3}, {}, 1, id="job without attempts"),
    ],
)
def test_effective_retry(by_definition: dict[str, Any] | None, by_job: dict[str, Any] | None, want: int) -> None:
    given = definition(container() | {"retryStrategy": by_definition})
    assert effective_retry(given, job(retryStrategy=by_job)) == Retry(want, ())


def test_jobs_strategy_replaces_the_whole_of_the_definitions() -> None:
    given = definition(container() | {"retryStrategy": RETRY_SPOT})
    assert effective_retry(given, job(retryStrategy={"attempts": 2})) == Retry(2, ())
    assert len(effective_retry(given, job()).rules) == 2


@pytest.mark.parametrize(("by_definition", "by_job", "want"), [(None, None, None), (60, None, 60), (60, 90, 90)])
def test_effective_timeout(by_definition: int | None, by_job: int | None, want: int | None) -> None:
    def timeout(seconds: int | None) -> dict[str, int] | None:
        return None if seconds is None else {"attemptDurationSeconds": seconds}

    given = definition(container() | {"timeout": timeout(by_definition)})
    assert effective_timeout(given, job(timeout=timeout(by_job))) == want


def test_request() -> None:
    found = job_request(definition(WHOLE_TEMPLATE), job())
    assert found.resources == {"cpu": 1100, "memory": 1024 * MI, "ephemeral-storage": 1024 * MI, "pods": 1}
    assert found.node_selector == {"zone": "a"}
    assert found.tolerations == ({"key": "mine", "operator": "Exists"},)


def test_request_of_a_container_with_overrides() -> None:
    overrides = {"resourceRequirements": [{"type": "VCPU", "value": "8"}]}
    found = job_request(definition(EVERYTHING), job(containerOverrides=overrides))
    assert found.resources == {"cpu": 8000, "memory": 2048 * MI, "nvidia.com/gpu": 2, "pods": 1}


def test_request_names_the_field() -> None:
    given = template({"name": "a", "resources": {"requests": {"cpu": "fast"}}})
    with pytest.raises(WorkloadError, match=r"^podTemplate.spec.containers\[0\].resources.requests.cpu: 'fast'"):
        job_request(definition(given), job())
