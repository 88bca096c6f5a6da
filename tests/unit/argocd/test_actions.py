"""What people can do in Argo CD: the cases of its own layout, and that it is what the command line does."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from lupa.lua51 import LuaError

from argolua import ActionCase, DiscoveryCase, act, action_cases, actions_of, discovery_cases, merge_patch
from batchwright.api.v1alpha1 import BatchJobSpec
from batchwright.cli.retrying import build_retry, chosen_elements

JSON = dict[str, Any]
ACTIONS = action_cases()
DISCOVERIES = discovery_cases()
FAILED = ACTIONS["batchwright.io/BatchJob/retry testdata/failed.yaml"].resource
ARRAY = ACTIONS["batchwright.io/BatchJob/retry testdata/array-failed.yaml"].resource
MINUTE = re.compile(r"-retry-\d{12}$")


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in DISCOVERIES.items()])
def test_discovery(case: DiscoveryCase) -> None:
    assert actions_of(case.resource) == case.want


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in ACTIONS.items()])
def test_action(case: ActionCase) -> None:
    done = [(each.operation, each.resource) for each in act(case.resource, case.action)]
    assert [_timeless(each) for each in done] == [_timeless(each) for each in case.want]


def _timeless(impact: tuple[str, JSON]) -> tuple[str, JSON]:
    """A name that ends with the time of the action, without it."""
    operation, resource = impact
    name = MINUTE.sub("-retry-", resource["metadata"]["name"])
    return operation, {**resource, "metadata": {**resource["metadata"], "name": name}}


@pytest.mark.parametrize("name", [name for name, case in ACTIONS.items() if case.want[0][0] == "patch"])
def test_an_action_changes_its_own_field_alone(name: str) -> None:
    """An empty object that came back as a list would show here."""
    case = ACTIONS[name]
    field = "terminate" if case.action == "terminate" else "state"
    [impact] = act(case.resource, case.action)
    patch = merge_patch(case.resource, impact.resource)
    assert patch in ({}, {"spec": {field: impact.resource["spec"][field]}})


def test_what_was_asked_once_is_not_asked_again() -> None:
    asked = ACTIONS["batchwright.io/BatchJob/terminate testdata/terminating.yaml"].resource
    [impact] = act(asked, "terminate")
    assert merge_patch(asked, impact.resource) == {}


@pytest.mark.parametrize("job", [pytest.param(FAILED, id="a single job"), pytest.param(ARRAY, id="an array")])
def test_retry_makes_what_the_command_line_makes(job: JSON) -> None:
    [impact] = act(job, "retry")
    chosen = chosen_elements(job, None, failed=False) if "arrayProperties" in job["spec"] else None
    want = build_retry(job, impact.resource["metadata"]["name"], chosen)
    assert impact.resource["spec"] == _without_empty(want["spec"])
    owner = impact.resource["metadata"].pop("ownerReferences")
    assert impact.resource["metadata"] == want["metadata"]
    assert [each["uid"] for each in owner] == [job["metadata"]["uid"]]


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_empty(each) for key, each in value.items() if each not in ({}, [])}
    return value


@pytest.mark.parametrize(
    ("said", "want"),
    [
        pytest.param({"containerOverrides": {"command": []}}, {"containerOverrides": {"command": []}}, id="command"),
        pytest.param({"retryStrategy": {}}, {"retryStrategy": {"attempts": 1}}, id="retryStrategy"),
        pytest.param(
            {"consumableResourcePropertiesOverride": {}},
            {"consumableResourcePropertiesOverride": {"consumableResourceList": []}},
            id="consumableResourcePropertiesOverride",
        ),
        pytest.param({"containerOverrides": {}, "parameters": {}, "tags": {}}, {}, id="what means nothing"),
        pytest.param({"parameters": {"deep": ""}, "propagateTags": False}, None, id="empty text and false"),
    ],
)
def test_what_is_empty_keeps_its_meaning(said: JSON, want: JSON | None) -> None:
    """Empty objects come out of Lua as lists, which the API server would refuse."""
    job = {**FAILED, "spec": {"jobQueue": "normal", "jobDefinition": "hello", **said}}
    [impact] = act(job, "retry")
    expected = {"jobQueue": "normal", "jobDefinition": "hello:3", **(said if want is None else want)}
    assert impact.resource["spec"] == expected
    # And the schema takes it.
    assert BatchJobSpec.model_validate(impact.resource["spec"]).job_definition == "hello:3"


def test_a_long_name_gives_way_to_the_jobs_id() -> None:
    job = copy.deepcopy(FAILED)
    job["metadata"]["name"] = "x" * 110
    [impact] = act(job, "retry")
    assert impact.resource["metadata"]["name"].startswith(f"{job['metadata']['uid']}-retry-")
    job["metadata"]["name"] = "x" * 109
    [impact] = act(job, "retry")
    assert len(impact.resource["metadata"]["name"]) == 128


def test_no_label_or_annotation_is_copied() -> None:
    """Argo CD's marks on a job that is not in Git would have it pruned."""
    job = copy.deepcopy(FAILED)
    job["metadata"]["labels"] = {"app.kubernetes.io/instance": "nightly"}
    job["metadata"]["annotations"] = {"argocd.argoproj.io/tracking-id": "nightly:batchwright.io/BatchJob:default/x"}
    [impact] = act(job, "retry")
    assert impact.resource["metadata"].keys() == {"name", "namespace", "ownerReferences"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("running", "only a job that FAILED can be retried, and this one is RUNNING", id="running"),
        pytest.param("succeeded", "this one is SUCCEEDED", id="succeeded"),
        pytest.param("array-never-sized", "no element of this array failed", id="no element"),
    ],
)
def test_retry_of_what_cannot_be_says_why(name: str, said: str) -> None:
    with pytest.raises(LuaError, match=said):
        act(DISCOVERIES[f"batchwright.io/BatchJob/testdata/{name}.yaml"].resource, "retry")


def test_more_elements_than_one_job_can_name_are_for_the_command_line() -> None:
    job = copy.deepcopy(ARRAY)
    job["status"]["arrayProperties"]["failedIndexes"] = ",".join(str(each) for each in range(0, 8000, 2))
    assert len(job["status"]["arrayProperties"]["failedIndexes"]) > 16384
    assert actions_of(job)["retry"]["disabled"]
