"""What jobs used and what it cost, as statuses have it: decimals in texts, so that nothing is rounded on the way."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, StringConstraints

from batchwright.api.v1alpha1.common import Model, Timestamp, Word
from batchwright.api.v1alpha1.validation import Matching

Decimal = Annotated[
    str,
    StringConstraints(min_length=1, max_length=32),
    Matching(r"^[0-9]+([.][0-9]+)?$", "must be a decimal number, such as 0.192"),
]
# What the operator writes needs no rule.
Amount = Annotated[str, StringConstraints(min_length=1, max_length=40)]
# Ranges of one array that are counted apart.
MAX_RANGES: Final = 10


class Usage(Model):
    """Resources held over time, and their price."""

    vcpu_seconds: Amount = Field(default="0", description="vcpuSeconds: vCPUs times the seconds they were held.")
    memory_gib_seconds: Amount = Field(
        default="0", alias="memoryGiBSeconds", description="memoryGiBSeconds: GiB of memory times seconds."
    )
    gpu_seconds: Amount | None = Field(default=None, description="gpuSeconds: GPUs times seconds.")
    cost: Amount | None = Field(
        default=None,
        description="cost in US dollars: the price of each node when it was launched, times the part of it that was "
        "taken, times the time. Absent where no node had a price.",
    )
    estimated_cost: Amount | None = Field(
        default=None, description="estimatedCost: how much of the cost goes by prices that were estimated."
    )
    unpriced_vcpu_seconds: Amount | None = Field(
        default=None,
        description="unpricedVcpuSeconds: vCPU-seconds on nodes without a price, for which cost has nothing.",
    )
    lost_vcpu_seconds: Amount | None = Field(
        default=None, description="lostVcpuSeconds: those of attempts that failed, or were preempted or interrupted."
    )
    lost_cost: Amount | None = Field(default=None, description="lostCost: the cost of those attempts.")


class RangeUsage(Usage):
    """What some elements used."""

    indexes: Word = Field(description='indexes of the elements, as "0-9999".')


class Holding(Model):
    """What is held just now."""

    vcpus: Amount = Field(default="0", description="vcpus held.")
    memory_gib: Amount = Field(default="0", alias="memoryGiB", description="memoryGiB held.")
    gpus: Amount | None = Field(default=None, description="gpus held.")
    hourly_cost: Amount | None = Field(
        default=None, description="hourlyCost: what an hour of that costs, in US dollars."
    )


class JobUsage(Usage):
    """What all attempts of a job used."""

    updated_at: Timestamp = Field(description="updatedAt: the time that the amounts speak of.")
    holding: Holding | None = Field(
        default=None,
        description="holding: what running attempts hold, and so use since updatedAt, beside the amounts.",
    )
    elements: Annotated[tuple[RangeUsage, ...], Field(max_length=MAX_RANGES)] = Field(
        default=(),
        description="elements: the same by ranges of an array's elements; those that used nothing are left out.",
    )


class QueueUsage(Usage):
    """What the jobs of one share used, those that are deleted too."""

    share: Annotated[str, StringConstraints(max_length=255)] = Field(
        default="", description="share: shareIdentifier or quotaShareName; empty in queues without shares."
    )
    updated_at: Timestamp = Field(description="updatedAt: the time that the amounts speak of.")
