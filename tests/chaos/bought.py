"""Work for instances that are bought for it, as a part of a round whose faults strike at the AWS endpoint.

The environments are MANAGED and have no node at first. What runs in `bought` runs once: a fault that takes instances
away has an environment of its own, `taken`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from chaos.ground import Ground, Want
from chaos.market import Market
from cloud import bought

SIZE = 6
PATIENCE = 6
STEP_SECONDS = 12.0
_numbers = count()


def market_of(ground: Ground) -> Market:
    """Where the round's instances are bought."""
    assert ground.market is not None, "a fault of capacity says BUYS = True"
    return ground.market


def prepare(ground: Ground) -> None:
    """Environments with a queue each: two of instances, and one of an Auto Scaling group."""
    cloud = market_of(ground).cloud
    for name, kind in (("bought", "EC2"), ("taken", "SPOT")):
        full = bought(ground, cloud, name, type=kind)
        ground.queue(name, full)
    ground.queue("grouped", bought(ground, cloud, "grouped", provider="AUTO_SCALING_GROUPS"))
    ground.simulated("brief", cpu="1500m", simulate={"seconds": "1"})
    ground.simulated("longer", cpu="1500m", simulate={"seconds": "10"})


def environments(ground: Ground) -> list[str]:
    """The full names of the environments."""
    return [f"{ground.namespace}-{name}" for name in ("bought", "taken", "grouped")]


def submit(ground: Ground) -> None:
    """Jobs and an array that wait for instances; each of their pods runs once."""
    prefix = f"buy{next(_numbers)}"
    job = ground.submit(f"{prefix}-one", "brief", queue="bought")
    ground.want(f"{prefix}-one", job, Want("SUCCEEDED", {0: 1}, (0,)))
    grouped = ground.submit(f"{prefix}-grouped", "brief", queue="grouped")
    ground.want(f"{prefix}-grouped", grouped, Want("SUCCEEDED", {0: 1}, (0,)))
    array = ground.submit(f"{prefix}-many", "brief", queue="bought", arrayProperties={"size": SIZE})
    ground.want(f"{prefix}-many", array, Want("SUCCEEDED", dict.fromkeys(range(SIZE), 1)))


def keep_buying(ground: Ground, holds: Callable[[], bool]) -> bool:
    """Submits work until it comes to hold, and says whether it did: instances that are there may do for a while."""
    for _ in range(PATIENCE):
        submit(ground)
        if ground.until(holds, STEP_SECONDS):
            return True
    return False


def launched(ground: Ground) -> int:
    """How many instances were ever launched for `bought`."""
    return len(market_of(ground).cloud.instances(environments(ground)[0]))


def left_over(ground: Ground) -> list[str]:
    """What AWS still shows when every job has ended."""
    return [] if ground.market is None else ground.market.left_over(environments(ground))
