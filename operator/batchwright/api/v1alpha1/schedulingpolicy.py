"""SchedulingPolicy: fair share among the share identifiers of a queue's jobs.

`weightFactor` is the one number of the API that is not whole, because AWS Batch has it so.

Hazard: entries that overlap are refused by the API server only where there are few entries with a *, since each is
compared with every other one and a rule's cost is bounded; whoever reads a policy asks `find_overlap` about all.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from batchwright.api.v1alpha1.common import Conditions, Model
from batchwright.api.v1alpha1.validation import Between, Matching, Rule, list_map

MAX_SHARES: Final = 500
# Entries with a * times entries: twice as many of the longest were beyond what one call of a rule may cost (seen).
MAX_COMPARED: Final = 25_000
ShareIdentifier = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255),
    Matching(r"^[A-Za-z0-9]+$", "must be a share identifier: letters and digits only, such as UserA1"),
]
# AWS: up to 255 letters and digits, "and can be followed by an asterisk".
SharePattern = Annotated[
    str,
    StringConstraints(min_length=1, max_length=256),
    Matching(
        r"^[A-Za-z0-9]{1,255}[*]?$",
        "must be a share identifier of letters and digits, such as UserA1, or the beginning of some and one *, such "
        "as UserA*",
    ),
]


WeightFactor = Annotated[float, Between(0.0001, 999.9999, "must be a number from 0.0001 to 999.9999: lower is more")]


def find_overlap(identifiers: Iterable[str]) -> tuple[str, str] | None:
    """Two of `identifiers` (each with one * at its end, or none) that both mean some share; None if there are none.

    In the order below what begins with a prefix comes right after it, so neighbours are enough.
    """
    ordered = sorted(identifiers, key=lambda each: (each.removesuffix("*"), not each.endswith("*")))
    for first, second in pairwise(ordered):
        if first == second or (first.endswith("*") and second.startswith(first[:-1])):
            return first, second
    return None


class ShareAttributes(Model):
    """The weight of one share identifier, or of all that begin alike (AWS: ShareAttributes)."""

    share_identifier: SharePattern = Field(
        description="shareIdentifier of jobs; with a * at its end, every identifier that begins so."
    )
    weight_factor: WeightFactor = Field(
        default=1.0,
        description="weightFactor: the lower, the more a share gets: at 0.125 eight times as much as at 1. Default 1.",
    )


# The prefix is in a list in a list because its size is then small where the rule's cost is estimated.
_APART = Rule(
    f"self.filter(a, a.shareIdentifier.endsWith('*')).size() * self.size() > {MAX_COMPARED} || "
    "self.all(a, !a.shareIdentifier.endsWith('*') || "
    "[[a.shareIdentifier.substring(0, a.shareIdentifier.size() - 1)]].all(prefix, "
    "self.exists_one(b, b.shareIdentifier.startsWith(prefix[0]))))",
    "entries may not overlap: take out what an entry with a * already means, as UserA* does UserA1",
)


class FairsharePolicy(Model):
    """How a queue is shared (AWS: FairsharePolicy)."""

    share_decay_seconds: int = Field(
        default=0,
        ge=0,
        le=604800,
        description="shareDecaySeconds: the time over which past use counts less and less. Default 0, which means 600.",
    )
    compute_reservation: int = Field(
        default=0,
        ge=0,
        le=99,
        description="computeReservation: percent of the vCPUs kept for share identifiers that are not active yet, "
        "to the power of the number of those that are. Default 0.",
    )
    share_distribution: Annotated[
        tuple[ShareAttributes, ...],
        Field(max_length=MAX_SHARES, json_schema_extra=list_map("shareIdentifier")),
        _APART,
    ] = Field(
        default=(),
        description="shareDistribution: weights of share identifiers; of those not listed it is 1. Entries may not "
        "overlap, as UserA* and UserA1 do.",
    )


class SchedulingPolicySpec(Model):
    """Desired state of a SchedulingPolicy."""

    fairshare_policy: FairsharePolicy = Field(
        default=FairsharePolicy(),
        description="fairsharePolicy: how the queue's share identifiers share it. Absent: all alike.",
    )


class SchedulingPolicyStatus(Model):
    """Observed state of a SchedulingPolicy."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="observedGeneration is the generation of the spec this status speaks of."
    )
    conditions: Conditions = Field(
        default=(), description="conditions: Ready; Stalled, True, where somebody has to mend it."
    )


class SchedulingPolicy(Model):
    """A SchedulingPolicy says how the jobs of a queue share it, by their share identifiers."""

    spec: SchedulingPolicySpec = Field(description="spec: what the policy shall be.")
    status: SchedulingPolicyStatus | None = Field(default=None, description="status: whether it can be used.")
