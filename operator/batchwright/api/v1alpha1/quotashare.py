"""Quota shares of a JobQueue: what each may use, lend and borrow.

In AWS Batch they are resources of their own, for service jobs; here they are part of the queue and for every job. In
Kueue's words a share is a ClusterQueue, the queue its cohort, `maxCapacity` the nominalQuota, `borrowLimit` and
`lendLimit` (in percent of it) the borrowingLimit and the lendingLimit.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, StringConstraints

from batchwright.api.v1alpha1.common import SUBDOMAIN, Model, State
from batchwright.api.v1alpha1.validation import Between, Matching, Rule, list_map, rules

UNLIMITED: Final = -1
# In MiB or in vCPUs this is within 63 bits of bytes or milli-CPU.
MAX_CAPACITY: Final = 10**12

QuotaShareName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128),
    Matching(
        r"^[A-Za-z0-9][A-Za-z0-9_-]*$",
        "must be the name of a quota share: letters, digits, '-' and '_', a letter or digit first",
    ),
]
CapacityUnit = Annotated[
    str,
    StringConstraints(min_length=1, max_length=317),
    Matching(
        f"^(vcpu|memoryMiB|{SUBDOMAIN}/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)$",
        "must be vcpu, memoryMiB or the name of an extended resource with its domain, such as nvidia.com/gpu",
    ),
]
# A percentage beyond the bound says no more than -1 does.
BorrowPercent = Annotated[
    int, Between(UNLIMITED, 1_000_000, "must be a percentage from 0 to 1000000, or -1 for whatever is lent")
]
LendPercent = Annotated[int, Between(0, 100, "must be a percentage from 0 to 100")]
Strategy = Literal["RESERVE", "LEND", "LEND_AND_BORROW"]


class CapacityLimit(Model):
    """What a share may use of one resource without borrowing (AWS: QuotaShareCapacityLimit)."""

    capacity_unit: CapacityUnit = Field(
        description="capacityUnit: vcpu, memoryMiB, or an extended resource such as nvidia.com/gpu."
    )
    max_capacity: int = Field(
        ge=0, le=MAX_CAPACITY, description="maxCapacity the share's jobs may use at one time without borrowing."
    )


class ResourceSharingConfiguration(Model):
    """What a share does with capacity that it or another does not use (AWS: ...ResourceSharingConfiguration)."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "!has(self.borrowLimit) || (has(self.strategy) && self.strategy == 'LEND_AND_BORROW')",
                "borrowLimit is for strategy LEND_AND_BORROW: give that strategy, or leave borrowLimit out",
                field_path=".borrowLimit",
                reason="FieldValueForbidden",
            ),
            Rule(
                "!has(self.lendLimit) || (has(self.strategy) && self.strategy != 'RESERVE')",
                "lendLimit is for strategies LEND and LEND_AND_BORROW: give one of them, or leave lendLimit out",
                field_path=".lendLimit",
                reason="FieldValueForbidden",
            ),
        )
    )

    strategy: Strategy = Field(
        default="RESERVE",
        description="strategy RESERVE keeps what the share does not use; LEND lets other shares use it, and takes it "
        "back when it is needed; LEND_AND_BORROW also lets this share use what others lend. Default RESERVE.",
    )
    borrow_limit: BorrowPercent | None = Field(
        default=None,
        description="borrowLimit: how much the share may borrow, in percent of each maxCapacity. -1, and absent: "
        "whatever is lent.",
    )
    lend_limit: LendPercent | None = Field(
        default=None,
        description="lendLimit: how much the share may lend, in percent of each maxCapacity. Absent: all. Beyond AWS.",
    )

    @property
    def borrow_percent(self) -> int:
        """What may be borrowed in percent of each limit: UNLIMITED, or 0 where the strategy does not borrow."""
        if self.strategy != "LEND_AND_BORROW":
            return 0
        return UNLIMITED if self.borrow_limit is None else self.borrow_limit

    @property
    def lend_percent(self) -> int:
        """What may be lent in percent of each limit: 0 where the strategy does not lend."""
        if self.strategy == "RESERVE":
            return 0
        return 100 if self.lend_limit is None else self.lend_limit


class SharePreemption(Model):
    """Preemption within a share (AWS: QuotaSharePreemptionConfiguration)."""

    in_share_preemption: State = Field(
        default="DISABLED",
        description="inSharePreemption ENABLED: a job may take the place of running jobs of the share that have a "
        "lower scheduling priority. Default DISABLED.",
    )


class QuotaShare(Model):
    """A part of a queue's capacity, for the jobs that name it (AWS: CreateQuotaShare)."""

    name: QuotaShareName = Field(description="name of the share, which jobs give as quotaShareName.")
    state: State = Field(
        default="ENABLED",
        description="state ENABLED takes jobs; of a DISABLED share new jobs wait and those submitted finish. "
        "Default ENABLED.",
    )
    capacity_limits: Annotated[
        tuple[CapacityLimit, ...],
        Field(min_length=1, max_length=16, json_schema_extra=list_map("capacityUnit")),
    ] = Field(
        description="capacityLimits: what the share's jobs may use, by resource; a resource not listed is not limited."
    )
    resource_sharing_configuration: ResourceSharingConfiguration = Field(
        default=ResourceSharingConfiguration(),
        description="resourceSharingConfiguration: whether the share lends and borrows. Absent: neither.",
    )
    preemption_configuration: SharePreemption = Field(
        default=SharePreemption(), description="preemptionConfiguration of the share's own jobs."
    )


QuotaShares = Annotated[tuple[QuotaShare, ...], Field(max_length=100, json_schema_extra=list_map("name"))]
