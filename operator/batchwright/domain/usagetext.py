"""Amounts as statuses write them, and back, without a loss."""

from __future__ import annotations

from typing import Any, Final

from batchwright.api.v1alpha1.usage import Holding, Usage
from batchwright.domain.metering import PER_DOLLAR, THOUSAND, Amounts

_HOUR: Final = 3600


def decimal(amount: int, unit: int) -> str:
    """`amount` of `unit`ths as a decimal: 1500 thousandths are "1.5". What is below zero for a moment is shown as 0."""
    whole, rest = divmod(max(0, amount), unit)
    digits = len(str(unit)) - 1
    return f"{whole}.{rest:0{digits}d}".rstrip("0").rstrip(".")


def units(text: str | None, unit: int) -> int:
    """The inverse; 0 for None."""
    if text is None:
        return 0
    whole, _, rest = text.partition(".")
    digits = len(str(unit)) - 1
    return int(whole) * unit + int(rest[:digits].ljust(digits, "0"))


def usage_fields(amounts: Amounts) -> dict[str, Any]:
    """The fields of a Usage."""
    has_price = amounts.cost > 0 or (amounts.unpriced == 0 and amounts.vcpu > 0)
    return {
        "vcpu_seconds": decimal(amounts.vcpu, THOUSAND),
        "memory_gib_seconds": decimal(amounts.memory, THOUSAND),
        "gpu_seconds": decimal(amounts.gpu, THOUSAND) if amounts.gpu > 0 else None,
        "cost": decimal(amounts.cost, PER_DOLLAR) if has_price else None,
        "estimated_cost": decimal(amounts.estimated, PER_DOLLAR) if amounts.estimated > 0 else None,
        "unpriced_vcpu_seconds": decimal(amounts.unpriced, THOUSAND) if amounts.unpriced > 0 else None,
        "lost_vcpu_seconds": decimal(amounts.lost_vcpu, THOUSAND) if amounts.lost_vcpu > 0 else None,
        "lost_cost": decimal(amounts.lost_cost, PER_DOLLAR) if amounts.lost_cost > 0 else None,
    }


def amounts_of(usage: Usage) -> Amounts:
    """What a status says was used."""
    return Amounts(
        vcpu=units(usage.vcpu_seconds, THOUSAND),
        memory=units(usage.memory_gib_seconds, THOUSAND),
        gpu=units(usage.gpu_seconds, THOUSAND),
        cost=units(usage.cost, PER_DOLLAR),
        unpriced=units(usage.unpriced_vcpu_seconds, THOUSAND),
        estimated=units(usage.estimated_cost, PER_DOLLAR),
        lost_vcpu=units(usage.lost_vcpu_seconds, THOUSAND),
        lost_cost=units(usage.lost_cost, PER_DOLLAR),
    )


def holding_of(rate: Amounts) -> Holding | None:
    """What is held just now; None for nothing."""
    if rate.vcpu <= 0 and rate.memory <= 0 and rate.gpu <= 0:
        return None
    return Holding(
        vcpus=decimal(rate.vcpu, THOUSAND),
        memory_gib=decimal(rate.memory, THOUSAND),
        gpus=decimal(rate.gpu, THOUSAND) if rate.gpu > 0 else None,
        hourly_cost=decimal(rate.cost * _HOUR, PER_DOLLAR) if rate.cost > 0 else None,
    )
