"""What instances cost On-Demand, from AWS's price list (GetProducts), asked for once a day.

The price list is a service of its own, in three regions, which many operators cannot reach or may not ask; then prices
stay estimates (`launching.worth`), which is said wherever they appear. Nobody waits for it longer than a moment.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

import orjson
import structlog

from batchwright.capacity.ec2.client import Aws, present_region
from batchwright.errors import CapacityError

logger = structlog.get_logger(__name__)
FRESH_SECONDS = 86_400.0
# After it could not be had it is asked for again.
AGAIN_SECONDS = 3600.0
# How long the first that asks waits: listing a region takes some ten calls.
PATIENCE_SECONDS = 5.0
# Linux on shared hardware, nothing reserved: what RunInstances charges for (AWS Price List, AmazonEC2 attributes).
_LINUX = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
}


class PriceList:
    """The On-Demand prices of one region, in US dollars an hour, by type; None: the region of the environment."""

    def __init__(self, region: str | None = None) -> None:
        self._region = region
        self._aws: Aws | None = None
        self._known: dict[str, float] = {}
        self._due = -AGAIN_SECONDS
        self._asking: asyncio.Task[None] | None = None

    def of(self, name: str) -> float | None:
        """The price of a type, as far as it is known by now."""
        return self._known.get(name)

    async def refresh(self) -> None:
        """Has the list asked for where that is due; the first time its answer is waited for, for a moment."""
        if self._asking is None and time.monotonic() >= self._due:
            self._asking = asyncio.create_task(self._ask())
        if self._asking is not None and not self._known:
            await asyncio.wait({self._asking}, timeout=PATIENCE_SECONDS)
        if self._asking is not None and self._asking.done():
            self._asking = None

    async def _ask(self) -> None:
        region = self._region or await asyncio.to_thread(present_region)
        if region is None:
            # Every other call of EC2 says so.
            return
        self._aws = self._aws or Aws("pricing", endpoint_region(region))
        filters = {"regionCode": region, **_LINUX}
        pages = self._aws.pages(
            "get_products",
            "PriceList",
            ServiceCode="AmazonEC2",
            FormatVersion="aws_v1",
            Filters=[{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in filters.items()],
            MaxResults=100,
        )
        found: dict[str, float] = {}
        try:
            async for page in pages:
                found.update(prices(orjson.loads(str(item)) for item in page))
        except CapacityError as error:
            logger.warning("On-Demand prices not known, and so estimated", region=region, error=str(error))
            self._due = time.monotonic() + AGAIN_SECONDS
            return
        self._known, self._due = found, time.monotonic() + FRESH_SECONDS
        logger.info("On-Demand prices read", region=region, types=len(found))


def prices(products: Iterable[dict[str, Any]]) -> dict[str, float]:
    """The prices by the hour of the products, by type; without those that are not told in US dollars."""
    found: dict[str, float] = {}
    for each in products:
        name = each.get("product", {}).get("attributes", {}).get("instanceType")
        for term in each.get("terms", {}).get("OnDemand", {}).values():
            for dimension in term.get("priceDimensions", {}).values():
                price = float(dimension.get("pricePerUnit", {}).get("USD", 0))
                if name and price > 0 and dimension.get("unit") == "Hrs":
                    found[name] = price
    return found


def endpoint_region(region: str) -> str:
    """The region whose price list service is the nearest: there are three (AWS General Reference)."""
    if region.startswith("ap-"):
        return "ap-south-1"
    return "eu-central-1" if region.startswith(("eu-", "me-", "af-", "il-")) else "us-east-1"
