"""What was used and what it cost, as text. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from batchwright.api.v1alpha1.usage import Holding, JobUsage, Usage
from batchwright.cli.formats import FINISHED, state_of
from batchwright.cli.pagelines import labelled, listed
from batchwright.domain.metering import PER_DOLLAR, ZERO, Amounts
from batchwright.domain.texts import moment
from batchwright.domain.usagetext import amounts_of, units

JSON = dict[str, Any]


def used_by(job: JSON, at: datetime) -> Amounts:
    """What the job used until `at`: what its status says, and what it has held since."""
    wire = (job.get("status") or {}).get("usage")
    if not wire:
        return ZERO
    usage = JobUsage.model_validate(wire)
    found = amounts_of(usage)
    if usage.holding is None or state_of(job) in FINISHED:
        return found
    seconds = max(0, int((at - moment(usage.updated_at)).total_seconds()))
    return found.plus(_rate(usage.holding), seconds)


def _rate(holding: Holding) -> Amounts:
    vcpu = units(holding.vcpus, 1000)
    return Amounts(
        vcpu=vcpu,
        memory=units(holding.memory_gib, 1000),
        gpu=units(holding.gpus, 1000),
        cost=units(holding.hourly_cost, PER_DOLLAR) // 3600,
        unpriced=vcpu if holding.hourly_cost is None else 0,
    )


def usage_lines(job: JSON, at: datetime) -> list[str]:
    """Lines of a page about one job; none where nothing was used."""
    used = used_by(job, at)
    if used.is_zero:
        return []
    is_over = state_of(job) in FINISHED
    lines = [labelled("Used", resources(used) + ("" if is_over else " so far"))]
    if costs(used) != "-":
        notes = []
        if used.estimated:
            notes.append(
                "by estimated prices" if used.estimated == used.cost else f"{dollars(used.estimated)} estimated"
            )
        if used.unpriced:
            notes.append(f"{seconds(used.unpriced)} vCPU-s without a price")
        if used.lost_cost:
            notes.append(f"{dollars(used.lost_cost)} in attempts that did not succeed")
        lines.append(labelled("Cost", costs(used) + (f" ({', '.join(notes)})" if notes else "")))
    ranges = ((job.get("status") or {}).get("usage") or {}).get("elements") or ()
    texts = []
    for each in ranges:
        amounts = amounts_of(Usage.model_validate(each))
        price = costs(amounts)
        texts.append(f"{each['indexes']}: {resources(amounts)}" + ("" if price == "-" else f", {price}"))
    return lines + listed("Of elements", texts)


def resources(used: Amounts) -> str:
    """`120 vCPU-s, 240 GiB-s`."""
    parts = [f"{seconds(used.vcpu)} vCPU-s", f"{seconds(used.memory)} GiB-s"]
    return ", ".join([*parts, f"{seconds(used.gpu)} GPU-s"] if used.gpu else parts)


def seconds(thousandths: int) -> str:
    """Thousandths as a number that is not longer than it need be."""
    value = max(0, thousandths) / 1000
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def dollars(amount: int) -> str:
    """Trillionths of a dollar, to at least two digits that say something."""
    value = max(0, amount) / PER_DOLLAR
    if value == 0 or value >= 0.1:
        return f"${value:,.2f}"
    return f"${value:.4f}" if value >= 0.0010 else f"${value:.6f}"


def costs(used: Amounts) -> str:
    """The cost; a dash where nothing that was used had a price."""
    return "-" if not used.cost and used.unpriced else dollars(used.cost)
