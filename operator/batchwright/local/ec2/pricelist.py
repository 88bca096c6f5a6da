"""AWS's price list as far as an operator asks it (GetProducts of AmazonEC2), which moto does not know: the simulated
provider's prices, in the price list's own form."""

from __future__ import annotations

from typing import Any

import orjson

from batchwright.capacity.simulated import catalogue

TARGET = "AWSPriceListService.GetProducts"
JSON = dict[str, Any]


def get_products(asked: JSON) -> JSON:
    """The answer to one call: a page of products, of the region and the operating system that are asked for."""
    wanted = {each["Field"]: each["Value"] for each in asked.get("Filters", [])}
    products = [product(found.name, price, wanted.get("regionCode", "us-east-1")) for found, price in catalogue()]
    matching = [
        each for each in products if all(each["product"]["attributes"].get(key) == text for key, text in wanted.items())
    ]
    first, most = int(asked.get("NextToken") or 0), int(asked.get("MaxResults") or 100)
    page = [orjson.dumps(each).decode() for each in matching[first : first + most]]
    rest = {"NextToken": str(first + most)} if first + most < len(matching) else {}
    return {"FormatVersion": "aws_v1", "PriceList": page, **rest}


def product(instance_type: str, price: float, region: str) -> JSON:
    """One instance type with Linux on shared hardware, On-Demand."""
    sku = instance_type.upper().replace(".", "")
    offer = f"{sku}.JRTCKXETXF"
    attributes = {
        "instanceType": instance_type,
        "regionCode": region,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
        "marketoption": "OnDemand",
    }
    dimension = {"unit": "Hrs", "beginRange": "0", "endRange": "Inf", "pricePerUnit": {"USD": f"{price:.10f}"}}
    return {
        "product": {"productFamily": "Compute Instance", "sku": sku, "attributes": attributes},
        "serviceCode": "AmazonEC2",
        "terms": {"OnDemand": {offer: {"sku": sku, "priceDimensions": {f"{offer}.6YS6EN2CT7": dimension}}}},
    }
