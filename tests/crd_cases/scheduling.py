"""Objects of the scheduler that must be refused or accepted: shares, quotas, consumable resources, limits."""

from __future__ import annotations

from typing import Any

import pytest

from crd_cases import bj, ce, cr, jd, jq, named, sp, without
from manifests import Manifest, container

QUEUE_DEFAULTS = {"state": "ENABLED", "priority": 0}
LIMITS = [{"capacityUnit": "vcpu", "maxCapacity": 8}]
LIMIT_ACTION = {
    "reason": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
    "state": "RUNNABLE",
    "maxTimeSeconds": 600,
    "action": "CANCEL",
}


def shares(*identifiers: str) -> list[dict[str, Any]]:
    """A shareDistribution of these identifiers."""
    return [{"shareIdentifier": each} for each in identifiers]


def quota(name: str = "team-a", **fields: object) -> dict[str, Any]:
    """A quota share."""
    return {"name": name, "capacityLimits": LIMITS, **fields}


def limited(unit: str, capacity: object = 1) -> Manifest:
    """A queue with one quota share of one limit."""
    return jq(quotaShares=[quota(capacityLimits=[{"capacityUnit": unit, "maxCapacity": capacity}])])


def sharing(**configuration: object) -> Manifest:
    """A queue with one quota share that lends or borrows so."""
    return jq(quotaShares=[quota(resourceSharingConfiguration=configuration)])


def holding(*resources: dict[str, Any]) -> Manifest:
    """A job that holds these consumable resources."""
    return bj(consumableResourcePropertiesOverride={"consumableResourceList": list(resources)})


SHARE = "spec.fairsharePolicy.shareDistribution"
QUOTA = "spec.quotaShares[0]"
SHARING = f"{QUOTA}.resourceSharingConfiguration"
HELD = "spec.consumableResourcePropertiesOverride.consumableResourceList"

REFUSED = [
    # SchedulingPolicy
    pytest.param(named(sp(), "n" * 129), "metadata.name", "at most 128 characters", id="sp-long-name"),
    pytest.param(sp() | {"spec": None}, "spec", "", id="sp-no-spec"),
    pytest.param(sp(shareDecaySeconds=-1), "spec.fairsharePolicy.shareDecaySeconds", "0", id="sp-decay-negative"),
    pytest.param(sp(shareDecaySeconds=604801), "spec.fairsharePolicy.shareDecaySeconds", "604800", id="sp-decay-long"),
    pytest.param(sp(computeReservation=100), "spec.fairsharePolicy.computeReservation", "99", id="sp-reservation-100"),
    pytest.param(sp(shareDistribution=[{}]), f"{SHARE}[0].shareIdentifier", "Required value", id="sp-no-identifier"),
    *(
        pytest.param(sp(shareDistribution=shares(text)), f"{SHARE}[0].shareIdentifier", want, id=f"sp-{case}")
        for case, text, want in [
            ("dash", "User-A", "letters and digits"),
            ("inner-star", "User*A", "one *, such as UserA*"),
            ("two-stars", "UserA**", "one *, such as UserA*"),
            ("star-alone", "*", "one *, such as UserA*"),
            ("empty", "", "at least 1"),
            ("long", "u" * 257, "256"),
            ("long-without-star", "u" * 256, "letters and digits"),
        ]
    ),
    *(
        pytest.param(
            sp(shareDistribution=[{"shareIdentifier": "A", "weightFactor": weight}]),
            f"{SHARE}[0].weightFactor",
            want,
            id=f"sp-weight-{weight}",
        )
        for weight, want in [
            (0, "from 0.0001 to 999.9999"),
            (0.00009, "from 0.0001 to 999.9999"),
            (-1, "from 0.0001 to 999.9999"),
            (999.99999, "from 0.0001 to 999.9999"),
            (1000, "from 0.0001 to 999.9999"),
            ("1", "must be of type number"),
        ]
    ),
    pytest.param(sp(shareDistribution=shares("A", "A")), f"{SHARE}[1]", "Duplicate value", id="sp-twice"),
    *(
        pytest.param(sp(shareDistribution=shares(*listed)), SHARE, "may not overlap", id=f"sp-overlap-{case}")
        for case, listed in [
            ("user-guide", ["UserA*", "UserA1"]),
            ("the-other-way-round", ["UserA1", "B", "UserA*"]),
            ("the-prefix-itself", ["UserA", "UserA*"]),
            ("two-prefixes", ["User*", "UserA*"]),
        ]
    ),
    pytest.param(sp(shareDistribution=shares(*(f"u{n}" for n in range(501)))), SHARE, "500", id="sp-501"),
    # ConsumableResource
    pytest.param(named(cr(), "n" * 129), "metadata.name", "at most 128 characters", id="cr-long-name"),
    pytest.param(without(cr(), "totalQuantity"), "spec.totalQuantity", "Required value", id="cr-no-total"),
    pytest.param(cr(totalQuantity=-1), "spec.totalQuantity", "0", id="cr-total-negative"),
    pytest.param(cr(totalQuantity=10**15 + 1), "spec.totalQuantity", "1000000000000000", id="cr-total-too-large"),
    pytest.param(cr(totalQuantity=1.5), "spec.totalQuantity", "integer", id="cr-total-fraction"),
    pytest.param(cr(resourceType="CONSUMABLE"), "spec.resourceType", "supported values", id="cr-type"),
    # Quota shares of a JobQueue
    pytest.param(
        jq(schedulingPolicy="fair", quotaShares=[quota()]),
        "spec.quotaShares",
        "give one of them",
        id="jq-two-ways",
    ),
    pytest.param(jq(schedulingPolicy="Fair"), "spec.schedulingPolicy", "name of an object", id="jq-policy-form"),
    pytest.param(
        jq(schedulingPolicy="arn:aws:batch:eu-west-1:1:scheduling-policy/fair"),
        "spec.schedulingPolicy",
        "name of an object",
        id="jq-policy-arn",
    ),
    pytest.param(jq(quotaShares=[quota(), quota()]), "spec.quotaShares[1]", "Duplicate value", id="jq-quota-twice"),
    pytest.param(jq(quotaShares=[quota(f"q{n}") for n in range(101)]), "spec.quotaShares", "100", id="jq-quotas-101"),
    pytest.param(jq(quotaShares=[quota("-a")]), f"{QUOTA}.name", "name of a quota share", id="jq-quota-name"),
    pytest.param(jq(quotaShares=[quota("a" * 129)]), f"{QUOTA}.name", "128", id="jq-quota-name-long"),
    pytest.param(jq(quotaShares=[quota(state="on")]), f"{QUOTA}.state", "supported values", id="jq-quota-state"),
    pytest.param(jq(quotaShares=[{"name": "a"}]), f"{QUOTA}.capacityLimits", "Required value", id="jq-quota-no-limits"),
    pytest.param(jq(quotaShares=[quota(capacityLimits=[])]), f"{QUOTA}.capacityLimits", "1", id="jq-quota-limits-0"),
    pytest.param(
        jq(quotaShares=[quota(capacityLimits=[{"capacityUnit": f"a/{n}", "maxCapacity": 1} for n in range(17)])]),
        f"{QUOTA}.capacityLimits",
        "16",
        id="jq-quota-limits-17",
    ),
    pytest.param(
        jq(quotaShares=[quota(capacityLimits=LIMITS * 2)]),
        f"{QUOTA}.capacityLimits[1]",
        "Duplicate value",
        id="jq-quota-unit-twice",
    ),
    *(
        pytest.param(limited(unit), f"{QUOTA}.capacityLimits[0].capacityUnit", want, id=f"jq-unit-{case}")
        for case, unit, want in [
            ("cpu", "cpu", "must be vcpu, memoryMiB"),
            ("upper-case", "VCPU", "must be vcpu, memoryMiB"),
            ("without-domain", "gpu", "with its domain, such as nvidia.com/gpu"),
            ("two-slashes", "a/b/c", "with its domain, such as nvidia.com/gpu"),
            ("empty", "", "at least 1"),
        ]
    ),
    pytest.param(limited("vcpu", -1), f"{QUOTA}.capacityLimits[0].maxCapacity", "0", id="jq-capacity-negative"),
    pytest.param(limited("vcpu", 0.5), f"{QUOTA}.capacityLimits[0].maxCapacity", "integer", id="jq-capacity-fraction"),
    pytest.param(sharing(strategy="BORROW"), f"{SHARING}.strategy", "supported values", id="jq-strategy"),
    *(
        pytest.param(
            sharing(borrowLimit=10, **strategy),
            f"{SHARING}.borrowLimit",
            "borrowLimit is for strategy LEND_AND_BORROW",
            id=f"jq-borrow-{case}",
        )
        for case, strategy in [
            ("absent", {}),
            ("reserve", {"strategy": "RESERVE"}),
            ("lend", {"strategy": "LEND"}),
        ]
    ),
    *(
        pytest.param(
            sharing(lendLimit=10, **strategy),
            f"{SHARING}.lendLimit",
            "lendLimit is for strategies LEND and LEND_AND_BORROW",
            id=f"jq-lend-{case}",
        )
        for case, strategy in [("absent", {}), ("reserve", {"strategy": "RESERVE"})]
    ),
    *(
        pytest.param(
            sharing(strategy="LEND_AND_BORROW", **{field: value}), f"{SHARING}.{field}", want, id=f"jq-{field}-{value}"
        )
        for field, value, want in [
            ("borrowLimit", -2, "-1 for whatever is lent"),
            ("borrowLimit", 1000001, "-1 for whatever is lent"),
            ("lendLimit", -1, "a percentage from 0 to 100"),
            ("lendLimit", 101, "a percentage from 0 to 100"),
        ]
    ),
    pytest.param(
        jq(quotaShares=[quota(preemptionConfiguration={"inSharePreemption": True})]),
        f"{QUOTA}.preemptionConfiguration.inSharePreemption",
        "must be of type string",
        id="jq-in-share-boolean",
    ),
    # Limits of a JobQueue
    pytest.param(jq(maxConcurrency=0), "spec.maxConcurrency", "leave it out for no limit", id="jq-at-once-0"),
    pytest.param(
        jq(preemption={"lowerPriorityQueues": "yes"}),
        "spec.preemption.lowerPriorityQueues",
        "supported values",
        id="jq-preemption",
    ),
    pytest.param(
        jq(jobStateTimeLimitActions=[LIMIT_ACTION] * 11), "spec.jobStateTimeLimitActions", "10", id="jq-actions-11"
    ),
    *(
        pytest.param(
            jq(jobStateTimeLimitActions=[LIMIT_ACTION | {field: value}]),
            f"spec.jobStateTimeLimitActions[0].{field}",
            want,
            id=f"jq-action-{field}-{value}",
        )
        for field, value, want in [
            ("reason", "CAPACITY", "supported values"),
            ("reason", "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS", "supported values"),
            ("state", "PENDING", "supported values"),
            ("maxTimeSeconds", 0, "1 to 86400 seconds"),
            ("maxTimeSeconds", 86401, "1 to 86400 seconds"),
            ("action", "FAIL", "supported values"),
        ]
    ),
    *(
        pytest.param(
            jq(jobStateTimeLimitActions=[{key: value for key, value in LIMIT_ACTION.items() if key != field}]),
            f"spec.jobStateTimeLimitActions[0].{field}",
            "Required value",
            id=f"jq-action-no-{field}",
        )
        for field in LIMIT_ACTION
    ),
    # ComputeEnvironment
    pytest.param(ce(computeResources={"maxvCpus": -1}), "spec.computeResources.maxvCpus", "0", id="ce-max-negative"),
    pytest.param(ce(computeResources={"maxvCpus": "8"}), "spec.computeResources.maxvCpus", "integer", id="ce-max-text"),
    # BatchJob and JobDefinition
    pytest.param(
        bj(shareIdentifier="A", quotaShareName="a"), "spec.quotaShareName", "not both", id="bj-share-and-quota-share"
    ),
    pytest.param(bj(shareIdentifier="UserA*"), "spec.shareIdentifier", "letters and digits only", id="bj-share-star"),
    pytest.param(bj(shareIdentifier="a_b"), "spec.shareIdentifier", "letters and digits only", id="bj-share-form"),
    pytest.param(bj(shareIdentifier="a" * 256), "spec.shareIdentifier", "255", id="bj-share-long"),
    pytest.param(bj(shareIdentifier=""), "spec.shareIdentifier", "at least 1", id="bj-share-empty"),
    pytest.param(bj(quotaShareName="a.b"), "spec.quotaShareName", "name of a quota share", id="bj-quota-form"),
    pytest.param(bj(schedulingPriorityOverride=-1), "spec.schedulingPriorityOverride", "0", id="bj-priority-negative"),
    pytest.param(bj(schedulingPriorityOverride=10000), "spec.schedulingPriorityOverride", "9999", id="bj-priority"),
    pytest.param(
        bj(preemptionConfiguration={"preemptionRetriesBeforeTermination": 101}),
        "spec.preemptionConfiguration.preemptionRetriesBeforeTermination",
        "100",
        id="bj-preemption-retries-101",
    ),
    pytest.param(holding({"quantity": 1}), f"{HELD}[0].consumableResource", "Required value", id="bj-held-unnamed"),
    pytest.param(holding({"consumableResource": "a"}), f"{HELD}[0].quantity", "Required value", id="bj-held-uncounted"),
    pytest.param(holding({"consumableResource": "a", "quantity": 0}), f"{HELD}[0].quantity", "1", id="bj-held-0"),
    pytest.param(
        holding({"consumableResource": "arn:aws:batch:eu-west-1:1:consumable-resource/a", "quantity": 1}),
        f"{HELD}[0].consumableResource",
        "name of an object",
        id="bj-held-arn",
    ),
    pytest.param(
        holding(*({"consumableResource": "a", "quantity": n} for n in (1, 2))),
        f"{HELD}[1]",
        "Duplicate value",
        id="bj-held-twice",
    ),
    pytest.param(
        holding(*({"consumableResource": f"r{n}", "quantity": 1} for n in range(51))), HELD, "50", id="bj-held-51"
    ),
    pytest.param(
        jd(containerProperties=container(), schedulingPriority=10000),
        "spec.schedulingPriority",
        "9999",
        id="jd-high",
    ),
    pytest.param(
        jd(
            containerProperties=container(),
            consumableResourceProperties={"consumableResourceList": [{"consumableResource": "a", "quantity": 0}]},
        ),
        "spec.consumableResourceProperties.consumableResourceList[0].quantity",
        "1",
        id="jd-held-0",
    ),
]

# (manifest, defaults the API server adds to the spec)
ACCEPTED = [
    pytest.param(sp() | {"spec": {}}, {}, id="sp-least"),
    pytest.param(sp(), {}, id="sp-empty"),
    pytest.param(
        sp(
            shareDecaySeconds=604800,
            computeReservation=99,
            shareDistribution=[
                {"shareIdentifier": "UserA*", "weightFactor": 0.0001},
                {"shareIdentifier": "UserB1", "weightFactor": 999.9999},
                {"shareIdentifier": "UserB2", "weightFactor": 2},
                {"shareIdentifier": "User"},
                {"shareIdentifier": "usera1"},
            ],
        ),
        {},
        id="sp-everything",
    ),
    pytest.param(sp(shareDistribution=shares(*(f"{n:03d}" * 85 for n in range(500)))), {}, id="sp-500-longest"),
    pytest.param(sp(shareDistribution=shares(*(f"{n:03d}" * 85 + "*" for n in range(500)))), {}, id="sp-500-prefixes"),
    pytest.param(
        sp(shareDistribution=shares(*(f"{n:03d}" * 85 + "*" * (n < 50) for n in range(500)))), {}, id="sp-50-prefixes"
    ),
    pytest.param(cr(), {"resourceType": "REPLENISHABLE"}, id="cr-least"),
    pytest.param(cr(totalQuantity=0, resourceType="NON_REPLENISHABLE"), {}, id="cr-none-left"),
    pytest.param(cr(totalQuantity=10**15), {"resourceType": "REPLENISHABLE"}, id="cr-most"),
    pytest.param(
        jq(
            quotaShares=[
                quota(
                    "Research_1",
                    state="DISABLED",
                    capacityLimits=[
                        {"capacityUnit": "vcpu", "maxCapacity": 0},
                        {"capacityUnit": "memoryMiB", "maxCapacity": 10**12},
                        {"capacityUnit": "nvidia.com/gpu", "maxCapacity": 8},
                        *({"capacityUnit": f"example.com/Part_{n}.x", "maxCapacity": n} for n in range(13)),
                    ],
                    resourceSharingConfiguration={"strategy": "LEND_AND_BORROW", "borrowLimit": 200, "lendLimit": 50},
                    preemptionConfiguration={"inSharePreemption": "ENABLED"},
                ),
                quota("a", resourceSharingConfiguration={"strategy": "LEND", "lendLimit": 0}),
                quota("b", resourceSharingConfiguration={"strategy": "LEND_AND_BORROW", "borrowLimit": -1}),
                quota("c", resourceSharingConfiguration={"strategy": "LEND_AND_BORROW", "lendLimit": 100}),
                quota("d", resourceSharingConfiguration={"strategy": "RESERVE"}),
                quota("e", resourceSharingConfiguration={}, preemptionConfiguration={}),
                *(quota(f"{n:02d}".rjust(128, "q")) for n in range(94)),
            ]
        ),
        QUEUE_DEFAULTS,
        id="jq-quotas-100",
    ),
    pytest.param(jq(schedulingPolicy="fair", quotaShares=[]), QUEUE_DEFAULTS, id="jq-policy-and-no-quotas"),
    pytest.param(
        jq(
            jobStateTimeLimitActions=[
                LIMIT_ACTION | {"maxTimeSeconds": 1},
                LIMIT_ACTION | {"maxTimeSeconds": 86400, "action": "TERMINATE"},
                LIMIT_ACTION | {"reason": "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"},
                LIMIT_ACTION | {"reason": "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"},
            ],
            maxConcurrency=1,
            preemption={},
        ),
        QUEUE_DEFAULTS,
        id="jq-limits",
    ),
    pytest.param(ce(computeResources={}), {"type": "UNMANAGED", "state": "ENABLED"}, id="ce-resources-empty"),
    pytest.param(ce(computeResources={"maxvCpus": 0}), {"type": "UNMANAGED", "state": "ENABLED"}, id="ce-max-vcpus-0"),
    pytest.param(bj(shareIdentifier="a" * 255), {}, id="bj-share-longest"),
    pytest.param(
        bj(
            quotaShareName="Research_1",
            schedulingPriorityOverride=0,
            preemptionConfiguration={"preemptionRetriesBeforeTermination": 0},
        ),
        {},
        id="bj-quota-share",
    ),
    pytest.param(bj(preemptionConfiguration={}, consumableResourcePropertiesOverride={}), {}, id="bj-scheduling-empty"),
]
