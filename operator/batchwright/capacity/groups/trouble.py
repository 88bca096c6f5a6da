"""Why a group does not get the instances that it wants: read from its activities and from a node group's health.

Auto Scaling gives no code for what went wrong but in some of its texts; the others are known by their words (Auto
Scaling User Guide, troubleshooting launch failures; EKS API reference, Issue).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from batchwright.capacity.ec2.fleet import CAPACITY_CODES

JSON = dict[str, Any]
_CODE = re.compile(r"(?:^|\. |: )([A-Z][A-Za-z]+(?:\.[A-Za-z]+)*) - ")
_WORDS = (
    ("do not have sufficient", "InsufficientInstanceCapacity"),
    ("no spot capacity available", "InsufficientInstanceCapacity"),
    ("unable to fulfill capacity", "UnfulfillableCapacity"),
    ("your current vcpu limit", "VcpuLimitExceeded"),
    ("max spot instance count", "MaxSpotInstanceCountExceeded"),
    ("more instances", "InstanceLimitExceeded"),
    ("your spot request price", "SpotMaxPriceTooLow"),
    ("free addresses", "InsufficientFreeAddressesInSubnet"),
    ("not authorized", "UnauthorizedOperation"),
)
# What passes by itself, of EKS's words; AsgInstanceLaunchFailures is whatever its text says.
_PASSING = {"InsufficientFreeAddresses", "InstanceLimitExceeded"}
# Activities that are not at their end.
_ENDS = ("Successful", "Failed", "Cancelled")


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that a group could not do. `id` tells it from another of the same words."""

    id: str
    code: str
    message: str
    is_capacity: bool


def of_activities(activities: Iterable[JSON]) -> Failure | None:
    """The last activity, where it is a launch that failed and nothing is under way; AWS gives the newest first."""
    listed = list(activities)
    if not listed or any(each.get("StatusCode") not in _ENDS for each in listed):
        return None
    newest = listed[0]
    if newest["StatusCode"] != "Failed":
        return None
    message = newest.get("StatusMessage") or newest.get("Description") or "a launch failed"
    code = code_of(message)
    return Failure(newest["ActivityId"], code, message, code in CAPACITY_CODES)


def of_health(issues: Iterable[JSON]) -> Failure | None:
    """The first of a node group's health issues."""
    for issue in issues:
        word, message = issue.get("code", ""), issue.get("message", "")
        about = ", ".join(issue.get("resourceIds", []))
        code = code_of(message, word) if word == "AsgInstanceLaunchFailures" else word
        text = f"{word}: {message}" + (f" ({about})" if about else "")
        return Failure(f"{word}/{message}", code, text, code in CAPACITY_CODES or word in _PASSING)
    return None


def code_of(message: str, otherwise: str = "LaunchFailed") -> str:
    """AWS's word for what a text tells."""
    if found := _CODE.search(message):
        return found[1]
    low = message.lower()
    return next((code for words, code in _WORDS if words in low), otherwise)
