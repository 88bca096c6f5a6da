"""Two operators, and the Lease is taken away while writes of the one that leads are under way: they come late."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from chaos.ground import Ground
from chaos.strikes import Asked, Delay, Rule

NAME = "lease-stolen"
LEASES = "kube-system"
THIEF = "thief"
# Longer than the other one needs to take over: what was sent before arrives after it.
LATE = Delay(6.0)
# What is promised of a failover (ROADMAP.md).
FAILOVER_SECONDS = 15


def inject(ground: Ground) -> None:
    """The thief's lease lasts a second; who was robbed ends, and is started again to stand by."""
    lease = f"chaos-{ground.namespace}"
    ground.operator.kill()
    pair = [ground.operator.another(leader_election="true", lease_name=lease) for _ in range(2)]
    for each in pair:
        each.start()
    took = []
    try:
        for _ in range(1 if ground.bounded else 4):
            ground.keep_busy()
            robbed = _holder(ground, lease)
            with ground.proxy.rule(Rule(LATE, _is_work, share=0.5)) as rule:
                if not ground.until_struck(lambda: bool(rule.struck)):
                    raise AssertionError("nobody wrote anything")
                _steal(ground, lease)
                began = time.monotonic()
                if not ground.until(lambda: _holder(ground, lease) not in (THIEF, robbed), FAILOVER_SECONDS):  # noqa: B023
                    raise AssertionError(f"the Lease is still {_holder(ground, lease)}'s")
                took.append(time.monotonic() - began)
                ground.pause(LATE.seconds)
            ground.strike_each(NAME, {f"late {what}": count for what, count in rule.struck.items()})
            for each in pair:
                if each.has_ended:
                    each.kill()
                    each.start(wait=False)
        ground.note(NAME, f"the other one led after {max(took):.1f} s at most")
    finally:
        for each in pair:
            each.kill()
        ground.api.delete("Lease", lease, LEASES)
        ground.restart_operator()


def _is_work(asked: Asked) -> bool:
    return asked.is_write and asked.resource != "leases"


def _holder(ground: Ground, lease: str) -> str:
    found = ground.api.find("Lease", lease, LEASES)
    return "" if found is None else str(found["spec"].get("holderIdentity") or "")


def _steal(ground: Ground, lease: str) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {"holderIdentity": THIEF, "leaseDurationSeconds": 1, "acquireTime": now, "renewTime": now}
    ground.api.patch("Lease", lease, LEASES, {"spec": spec})
