"""What Spot instances cost just now (DescribeSpotPriceHistory), asked again every ten minutes.

On-Demand prices are the price list's (`pricelist`). A kind of which neither tells the price is compared by what it is
worth (`launching.worth`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime

import structlog

from batchwright.capacity.ec2.client import Aws
from batchwright.errors import CapacityError

logger = structlog.get_logger(__name__)
SECONDS = 600.0
# DescribeSpotPriceHistory takes so many types at a time.
_TYPES = 100


class SpotPrices:
    """By type and zone, in US dollars an hour."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._known: dict[tuple[str, str], tuple[float, float]] = {}
        self._asked: dict[str, float] = {}

    async def of(self, types: Iterable[str]) -> dict[tuple[str, str], float]:
        """The prices of these types, as far as anybody says."""
        now = time.monotonic()
        listed = sorted(types)
        missing = [name for name in listed if now - self._asked.get(name, -SECONDS) >= SECONDS]
        for begin in range(0, len(missing), _TYPES):
            part = missing[begin : begin + _TYPES]
            try:
                await self._ask(part, now)
            except CapacityError as error:
                # A price is a hint: without one the kinds are compared by what they are worth.
                logger.warning("spot prices not known", error=str(error))
                break
        return {key: price for key, (price, _) in self._known.items() if key[0] in set(listed)}

    async def _ask(self, types: list[str], now: float) -> None:
        pages = self._aws.pages(
            "describe_spot_price_history",
            "SpotPriceHistory",
            InstanceTypes=types,
            ProductDescriptions=["Linux/UNIX"],
            StartTime=datetime.now(UTC),
        )
        async for page in pages:
            for item in page:
                key, when = (item["InstanceType"], item["AvailabilityZone"]), item["Timestamp"].timestamp()
                if key not in self._known or self._known[key][1] <= when:
                    self._known[key] = float(item["SpotPrice"]), when
        self._asked.update(dict.fromkeys(types, now))
