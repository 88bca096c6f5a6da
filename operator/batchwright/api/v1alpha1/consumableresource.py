"""ConsumableResource: something counted that jobs hold while they run, such as licences; and what a job asks of it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from batchwright.api.v1alpha1.common import Conditions, Model, ObjectName
from batchwright.api.v1alpha1.validation import Rule, list_map

# Whole numbers up to here are exact in every JSON reader (RFC 8259, section 6: 2^53 - 1).
MAX_QUANTITY: Final = 10**15

ResourceType = Literal["REPLENISHABLE", "NON_REPLENISHABLE"]


class ConsumableResourceRequirement(Model):
    """What a job, or each element of an array, holds of one resource (AWS: ConsumableResourceRequirement)."""

    consumable_resource: ObjectName = Field(description="consumableResource is the name of a ConsumableResource.")
    quantity: int = Field(
        ge=1, le=MAX_QUANTITY, description="quantity the job, or each element of an array, holds while it runs."
    )


class ConsumableResourceProperties(Model):
    """The consumable resources of a job (AWS: ConsumableResourceProperties)."""

    consumable_resource_list: Annotated[
        tuple[ConsumableResourceRequirement, ...],
        Field(max_length=50, json_schema_extra=list_map("consumableResource")),
    ] = Field(default=(), description="consumableResourceList: the resources, each once.")


class ConsumableResourceSpec(Model):
    """Desired state of a ConsumableResource."""

    total_quantity: int = Field(
        ge=0,
        le=MAX_QUANTITY,
        description="totalQuantity there is in all. It may be changed at any time; jobs that run keep what they hold.",
    )
    resource_type: Annotated[
        ResourceType,
        Rule(
            "self == oldSelf",
            "resourceType cannot change: make another ConsumableResource",
            reason="FieldValueForbidden",
        ),
    ] = Field(
        default="REPLENISHABLE",
        description="resourceType REPLENISHABLE: given back when the job ends; NON_REPLENISHABLE: gone once a job has "
        "started with it.",
    )


class ConsumableResourceStatus(Model):
    """Observed state of a ConsumableResource."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="observedGeneration is the generation of the spec this status speaks of."
    )
    available_quantity: int | None = Field(
        default=None, ge=0, description="availableQuantity: what the next job can have."
    )
    in_use_quantity: int | None = Field(default=None, ge=0, description="inUseQuantity: what running jobs hold.")
    used_quantity: int | None = Field(
        default=None, ge=0, description="usedQuantity of a NON_REPLENISHABLE resource: what is gone for good."
    )
    conditions: Conditions = Field(
        default=(), description="conditions: Ready; Stalled, True, where somebody has to mend it."
    )


class ConsumableResource(Model):
    """A ConsumableResource is a counted thing, such as licences, of which jobs hold some while they run."""

    spec: ConsumableResourceSpec = Field(description="spec: how much there is.")
    status: ConsumableResourceStatus | None = Field(default=None, description="status: how much is left.")
