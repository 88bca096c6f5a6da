"""What may change in an object once it is there: a BatchJob's spec only by requests to end it or elements of it.

A refused update must name the field and leave the object exactly as it was.
"""

from __future__ import annotations

import copy
from string import ascii_lowercase
from typing import Any, ClassVar

import pytest

from apiserver import ApiServer, Refused
from manifests import Manifest, batch_job, consumable_resource, job_definition, job_queue, scheduling_policy

FULL: dict[str, Any] = {
    "arrayProperties": {"size": 4, "indexes": "0,2"},
    "parameters": {"input": "a"},
    "dependsOn": [{"name": "first"}],
    "containerOverrides": {"command": ["a"], "environment": [{"name": "A", "value": "1"}]},
    "retryStrategy": {"attempts": 2},
    "timeout": {"attemptDurationSeconds": 60},
    "tags": {"team": "a"},
    "propagateTags": True,
    "shareIdentifier": "UserA1",
    "schedulingPriorityOverride": 5,
    "consumableResourcePropertiesOverride": {
        "consumableResourceList": [{"consumableResource": "licences", "quantity": 1}]
    },
    "preemptionConfiguration": {"preemptionRetriesBeforeTermination": 1},
}
# Besides these, quotaShareName cannot change; it is not given together with shareIdentifier.
OTHER: dict[str, Any] = {
    "jobQueue": "urgent",
    "jobDefinition": "hello:2",
    "arrayProperties": {"size": 4, "indexes": "0,3"},
    "parameters": {"input": "b"},
    "dependsOn": [{"name": "first", "type": "N_TO_N"}],
    "containerOverrides": {"command": ["a"], "environment": [{"name": "A", "value": "2"}]},
    "retryStrategy": {"attempts": 3},
    "timeout": {"attemptDurationSeconds": 61},
    "tags": {"team": "a", "more": ""},
    "propagateTags": False,
    "shareIdentifier": "UserA2",
    "schedulingPriorityOverride": 6,
    "consumableResourcePropertiesOverride": {
        "consumableResourceList": [{"consumableResource": "licences", "quantity": 2}]
    },
    "preemptionConfiguration": {},
}
CANNOT_CHANGE = "cannot change: submit a new BatchJob"
ONCE = "can be set once and not taken back"
ADDED_TO = "can be added to and not taken back"
BY_USER = {"reason": "by the user"}
ARRAY = {"arrayProperties": {"size": 20}}


def _refused_update(api: ApiServer, before: Manifest, spec: dict[str, Any]) -> Refused:
    """Send the update, check that it is refused and changed nothing, and return the refusal."""
    changed = copy.deepcopy(before)
    changed["spec"] = spec
    with pytest.raises(Refused) as refusal:
        api.replace(changed)
    metadata = before["metadata"]
    assert api.find(before["kind"], metadata["name"], metadata.get("namespace")) == before
    assert refusal.value.status == 422
    return refusal.value


def _says(refused: Refused, field: str, text: str) -> bool:
    return any(about == field and text in message for about, message in refused.causes)


@pytest.mark.parametrize("field", OTHER)
def test_submitted_field_cannot_change(api: ApiServer, namespace: str, field: str) -> None:
    before = api.create(batch_job("job", namespace, **FULL))
    refused = _refused_update(api, before, before["spec"] | {field: OTHER[field]})
    assert _says(refused, f"spec.{field}", f"a BatchJob's {field} {CANNOT_CHANGE}"), refused.causes
    assert len(refused.causes) == 1


@pytest.mark.parametrize("field", FULL)
def test_submitted_field_cannot_go(api: ApiServer, namespace: str, field: str) -> None:
    before = api.create(batch_job("job", namespace, **FULL))
    refused = _refused_update(api, before, {key: value for key, value in before["spec"].items() if key != field})
    assert _says(refused, f"spec.{field}", CANNOT_CHANGE), refused.causes


@pytest.mark.parametrize("field", FULL)
def test_absent_field_cannot_be_added(api: ApiServer, namespace: str, field: str) -> None:
    before = api.create(batch_job("job", namespace))
    refused = _refused_update(api, before, before["spec"] | {field: FULL[field]})
    assert _says(refused, f"spec.{field}", CANNOT_CHANGE), refused.causes


@pytest.mark.parametrize(
    ("before_spec", "after_spec"),
    [
        pytest.param({"quotaShareName": "a"}, {"quotaShareName": "b"}, id="changes"),
        pytest.param({"quotaShareName": "a"}, {}, id="goes"),
        pytest.param({}, {"quotaShareName": "a"}, id="comes"),
    ],
)
def test_quota_share_of_a_job_cannot_change(
    api: ApiServer, namespace: str, before_spec: dict[str, Any], after_spec: dict[str, Any]
) -> None:
    before = api.create(batch_job("job", namespace, **before_spec))
    refused = _refused_update(api, before, batch_job("job", namespace, **after_spec)["spec"])
    assert _says(refused, "spec.quotaShareName", f"a BatchJob's quotaShareName {CANNOT_CHANGE}"), refused.causes
    assert len(refused.causes) == 1


@pytest.mark.parametrize("request_field", ["terminate", "cancel"])
class TestRequests:
    """terminate and cancel: set once, by whoever, whenever; never changed."""

    def test_can_be_set_later(self, api: ApiServer, namespace: str, request_field: str) -> None:
        api.create(batch_job("job", namespace, **FULL))
        changed = api.patch("BatchJob", "job", namespace, {"spec": {request_field: BY_USER}})
        assert changed["spec"][request_field] == BY_USER
        assert changed["metadata"]["generation"] == 2

    def test_same_again_is_accepted(self, api: ApiServer, namespace: str, request_field: str) -> None:
        """`kubectl apply` of the same file twice must not fail."""
        before = api.create(batch_job("job", namespace, **{request_field: BY_USER}))
        after = api.patch("BatchJob", "job", namespace, {"spec": {request_field: BY_USER}})
        assert after["metadata"]["generation"] == before["metadata"]["generation"]

    def test_other_reason_is_refused(self, api: ApiServer, namespace: str, request_field: str) -> None:
        before = api.create(batch_job("job", namespace, **{request_field: BY_USER}))
        refused = _refused_update(api, before, before["spec"] | {request_field: {"reason": "another"}})
        assert _says(refused, f"spec.{request_field}", f"{request_field} {ONCE}"), refused.causes

    def test_taking_back_is_refused(self, api: ApiServer, namespace: str, request_field: str) -> None:
        before = api.create(batch_job("job", namespace, **{request_field: BY_USER}))
        refused = _refused_update(api, before, {k: v for k, v in before["spec"].items() if k != request_field})
        assert _says(refused, f"spec.{request_field}", f"{request_field} {ONCE}"), refused.causes

    def test_the_other_request_still_can_be_set(self, api: ApiServer, namespace: str, request_field: str) -> None:
        other = "cancel" if request_field == "terminate" else "terminate"
        api.create(batch_job("job", namespace, **{request_field: BY_USER}))
        changed = api.patch("BatchJob", "job", namespace, {"spec": {other: BY_USER}})
        assert changed["spec"][other] == changed["spec"][request_field] == BY_USER


@pytest.mark.parametrize("field", ["terminateElements", "cancelElements"])
class TestElementRequests:
    """terminateElements and cancelElements: added to, by whoever, whenever; an entry is never changed or taken back."""

    FIRST: ClassVar = {"indexes": "17", **BY_USER}
    SECOND: ClassVar = {"indexes": "3,7-9", "reason": "too slow"}

    def test_can_be_set_later(self, api: ApiServer, namespace: str, field: str) -> None:
        api.create(batch_job("job", namespace, **ARRAY))
        changed = api.patch("BatchJob", "job", namespace, {"spec": {field: [self.FIRST]}})
        assert changed["spec"][field] == [self.FIRST]
        assert changed["metadata"]["generation"] == 2

    def test_another_can_be_added(self, api: ApiServer, namespace: str, field: str) -> None:
        before = api.create(batch_job("job", namespace, **ARRAY, **{field: [self.FIRST]}))
        changed = api.replace(before | {"spec": before["spec"] | {field: [self.SECOND, self.FIRST]}})
        assert changed["spec"][field] == [self.SECOND, self.FIRST]

    def test_entry_cannot_change(self, api: ApiServer, namespace: str, field: str) -> None:
        before = api.create(batch_job("job", namespace, **ARRAY, **{field: [self.FIRST, self.SECOND]}))
        other = [self.FIRST, self.SECOND | {"reason": "another"}]
        refused = _refused_update(api, before, before["spec"] | {field: other})
        assert _says(refused, f"spec.{field}[1].reason", "a request that was made cannot change"), refused.causes

    def test_indexes_of_an_entry_cannot_change(self, api: ApiServer, namespace: str, field: str) -> None:
        before = api.create(batch_job("job", namespace, **ARRAY, **{field: [self.FIRST]}))
        refused = _refused_update(api, before, before["spec"] | {field: [self.FIRST | {"indexes": "17-18"}]})
        assert _says(refused, f"spec.{field}", f"{field} {ADDED_TO}"), refused.causes

    @pytest.mark.parametrize("left", [pytest.param(["SECOND"], id="one"), pytest.param([], id="all")])
    def test_entry_cannot_be_taken_back(self, api: ApiServer, namespace: str, field: str, left: list[str]) -> None:
        before = api.create(batch_job("job", namespace, **ARRAY, **{field: [self.FIRST, self.SECOND]}))
        refused = _refused_update(api, before, before["spec"] | {field: [getattr(self, name) for name in left]})
        assert _says(refused, f"spec.{field}", f"{field} {ADDED_TO}"), refused.causes

    def test_field_cannot_go(self, api: ApiServer, namespace: str, field: str) -> None:
        before = api.create(batch_job("job", namespace, **ARRAY, **{field: [self.FIRST]}))
        refused = _refused_update(api, before, {key: value for key, value in before["spec"].items() if key != field})
        assert _says(refused, f"spec.{field}", f"{field} {ADDED_TO}"), refused.causes

    def test_single_job_gets_none_later(self, api: ApiServer, namespace: str, field: str) -> None:
        before = api.create(batch_job("job", namespace))
        refused = _refused_update(api, before, before["spec"] | {field: [self.FIRST]})
        assert _says(refused, f"spec.{field}", f"{field} is for array jobs"), refused.causes

    def test_requests_of_two_users_are_merged(self, api: ApiServer, namespace: str, field: str) -> None:
        """Server-side apply adds by indexes, so that one who knows nothing of the other's entry keeps it."""
        job = batch_job("job", namespace, **ARRAY, **{field: [self.FIRST]})
        api.create(job)
        body = {key: job[key] for key in ("apiVersion", "kind", "metadata")} | {"spec": {field: [self.SECOND]}}
        path = f"/apis/batchwright.io/v1alpha1/namespaces/{namespace}/batchjobs/job"
        applied = api.request("PATCH", path, body, {"fieldManager": "another"}, "application/apply-patch+yaml")
        assert applied["spec"][field] == [self.FIRST, self.SECOND]


ELEMENTS: dict[str, Any] = {
    "size": 100_000,
    "statusSummary": {
        "SUBMITTED": 0,
        "PENDING": 1,
        "RUNNABLE": 99_957,
        "STARTING": 0,
        "RUNNING": 0,
        "SUCCEEDED": 40,
        "FAILED": 2,
    },
    "statusSummaryLastUpdatedAt": "2026-01-02T03:04:05Z",
    "succeededIndexes": "0-39",
    "failedIndexes": "40,41",
    "failures": [{"indexes": "40,41", "statusReason": "Essential container in task exited", "exitCode": 3}],
}


def test_status_of_an_array_reads_back_as_written(api: ApiServer, namespace: str) -> None:
    job = api.create(batch_job("job", namespace, arrayProperties={"size": 100_000}))
    written = api.write_status(job | {"status": {"state": "PENDING", "arrayProperties": ELEMENTS}})
    assert written["status"]["arrayProperties"] == ELEMENTS


def test_longest_index_ranges_of_an_array_fit(api: ApiServer, namespace: str) -> None:
    """Every other element failed: no range is longer than one index, twice over."""
    evens, odds = (",".join(map(str, range(first, 100_000, 2))) for first in (0, 1))
    job = api.create(batch_job("job", namespace, arrayProperties={"size": 100_000}))
    elements = {"size": 100_000, "succeededIndexes": evens, "failedIndexes": odds, "failures": [{"indexes": odds}]}
    written = api.write_status(job | {"status": {"state": "FAILED", "arrayProperties": elements}})
    assert written["status"]["arrayProperties"] == elements


@pytest.mark.parametrize(
    ("change", "want_field", "want_text"),
    [
        pytest.param(
            {"statusSummary": {"FAILED": -1}}, "statusSummary.FAILED", "greater than or equal to 0", id="count"
        ),
        pytest.param({"size": 0}, "size", "greater than or equal to 1", id="size"),
        pytest.param({"failures": [{"indexes": str(n)} for n in range(21)]}, "failures", "20", id="kinds-of-failure"),
    ],
)
def test_impossible_status_of_an_array_is_refused(
    api: ApiServer, namespace: str, change: dict[str, Any], want_field: str, want_text: str
) -> None:
    job = api.create(batch_job("job", namespace, arrayProperties={"size": 100_000}))
    with pytest.raises(Refused) as refusal:
        api.write_status(job | {"status": {"arrayProperties": ELEMENTS | change}})
    assert _says(refusal.value, f"status.arrayProperties.{want_field}", want_text), refusal.value.causes


def test_labels_and_status_can_change(api: ApiServer, namespace: str) -> None:
    """The transition rules are about the spec alone."""
    job = api.create(batch_job("job", namespace, **FULL))
    labelled = api.patch("BatchJob", "job", namespace, {"metadata": {"labels": {"a": "b"}}})
    written = api.write_status(labelled | {"status": {"state": "RUNNABLE", "statusReason": "waiting"}})
    assert written["status"] == {"state": "RUNNABLE", "statusReason": "waiting"}
    assert written["metadata"]["generation"] == job["metadata"]["generation"]


def test_status_write_leaves_the_spec(api: ApiServer, namespace: str) -> None:
    job = api.create(batch_job("job", namespace))
    other = job["spec"] | {"jobQueue": "stolen"}
    written = api.write_status(job | {"spec": other, "status": {"state": "FAILED"}})
    assert written["spec"] == job["spec"]


def test_unknown_state_is_refused(api: ApiServer, namespace: str) -> None:
    job = api.create(batch_job("job", namespace))
    with pytest.raises(Refused) as refusal:
        api.write_status(job | {"status": {"state": "DONE"}})
    assert _says(refusal.value, "status.state", "supported values"), refusal.value.causes


def test_the_longest_lists_can_be_resubmitted(api: ApiServer, namespace: str) -> None:
    """The transition rules are evaluated within the API server's cost limit for the largest jobs that fit in etcd."""
    large = {
        "dependsOn": [{"name": f"{n:03d}".rjust(128, "x")} for n in range(500)],
        "parameters": {f"{n:03d}".rjust(256, "k"): "v" * 2048 for n in range(256)},
        "containerOverrides": {"command": ["a" * 512] * 512},
        "tags": {f"{n:02d}".rjust(128, "t"): "v" * 256 for n in range(50)},
    }
    before = api.create(batch_job("job", namespace, **large))
    changed = api.patch("BatchJob", "job", namespace, {"spec": {"terminate": BY_USER}})
    assert changed["spec"] == before["spec"] | {"terminate": BY_USER}


def test_an_element_of_the_largest_list_of_items_can_be_ended(api: ApiServer, namespace: str) -> None:
    rows = [dict.fromkeys(ascii_lowercase[:10], "v") for _ in range(10_000)]
    before = api.create(batch_job("job", namespace, arrayProperties={"items": {"list": rows}}))
    asked = [{"indexes": str(number), **BY_USER} for number in range(64)]
    for count in (63, 64):
        changed = api.patch("BatchJob", "job", namespace, {"spec": {"terminateElements": asked[:count]}})
    assert changed["spec"] == before["spec"] | {"terminateElements": asked}


def test_definitions_and_queues_are_edited_in_place(api: ApiServer, namespace: str) -> None:
    definition = api.create(job_definition("hello", namespace))
    definition["spec"] = {"podTemplate": {"spec": {"containers": [{"name": "main", "image": "busybox"}]}}}
    assert api.replace(definition)["metadata"]["generation"] == 2
    queue = api.create(job_queue(namespace))
    try:
        changed = api.patch("JobQueue", namespace, None, {"spec": {"state": "DISABLED", "priority": 5}})
        assert (changed["spec"]["state"], changed["spec"]["priority"]) == ("DISABLED", 5)
        assert changed["metadata"]["generation"] == queue["metadata"]["generation"] + 1
    finally:
        api.delete("JobQueue", namespace)


@pytest.mark.parametrize(("first", "second"), [("REPLENISHABLE", "NON_REPLENISHABLE"), ("NON_REPLENISHABLE", None)])
def test_type_of_a_consumable_resource_cannot_change(
    api: ApiServer, namespace: str, first: str, second: str | None
) -> None:
    """A type that is left out is the default one, and so a change too."""
    before = api.create(consumable_resource(namespace, resourceType=first))
    try:
        refused = _refused_update(
            api, before, consumable_resource("any", **({"resourceType": second} if second else {}))["spec"]
        )
        assert _says(refused, "spec.resourceType", "resourceType cannot change"), refused.causes
        changed = api.patch("ConsumableResource", namespace, None, {"spec": {"totalQuantity": 0}})
        assert changed["spec"] == {"totalQuantity": 0, "resourceType": first}
    finally:
        api.delete("ConsumableResource", namespace)


def test_policies_are_edited_in_place(api: ApiServer, namespace: str) -> None:
    api.create(scheduling_policy(namespace, shareDistribution=[{"shareIdentifier": "UserA*", "weightFactor": 0.125}]))
    try:
        longer = {"shareDecaySeconds": 3600, "shareDistribution": [{"shareIdentifier": "UserB"}]}
        changed = api.patch("SchedulingPolicy", namespace, None, {"spec": {"fairsharePolicy": longer}})
        assert changed["spec"] == {"fairsharePolicy": longer}
    finally:
        api.delete("SchedulingPolicy", namespace)


def test_a_queue_may_change_how_it_is_shared(api: ApiServer, namespace: str) -> None:
    """AWS Batch lets a policy be replaced only; here a queue may gain it, lose it, or take quota shares instead."""
    api.create(job_queue(namespace))
    shares = [{"name": "a", "capacityLimits": [{"capacityUnit": "vcpu", "maxCapacity": 1}]}]
    try:
        for change in (
            {"schedulingPolicy": "fair"},
            {"schedulingPolicy": "fairer"},
            {"schedulingPolicy": None, "quotaShares": shares},
            {"quotaShares": None},
        ):
            changed = api.patch("JobQueue", namespace, None, {"spec": change})
            kept = {field: value for field, value in change.items() if value is not None}
            assert {field: value for field, value in changed["spec"].items() if field in change} == kept
    finally:
        api.delete("JobQueue", namespace)


def test_checkpoint_of_the_most_shares_fits_a_queue(api: ApiServer, namespace: str) -> None:
    queue = api.create(job_queue(namespace, schedulingPolicy="fair"))
    used = [
        {"shareIdentifier": f"{n:03d}" * 85, "usage": f"{n}.000123", "updatedAt": "2026-01-02T03:04:05Z"}
        for n in range(500)
    ]
    status = {"status": "VALID", "fairshare": used, "blocked": "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"}
    try:
        written = api.write_status(queue | {"status": status})
        assert written["status"] == status
        with pytest.raises(Refused) as refusal:
            api.write_status(written | {"status": {"fairshare": used[:1] * 2}})
        assert _says(refusal.value, "status.fairshare[1]", "Duplicate value"), refusal.value.causes
    finally:
        api.delete("JobQueue", namespace)
