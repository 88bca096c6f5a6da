"""Kubernetes quantities as integers, and sums of resources.

`Resources` maps a resource's name to an integer: "cpu" in milli-CPU, "memory" and "ephemeral-storage" in bytes,
"pods" and everything else (extended resources such as nvidia.com/gpu, hugepages in bytes) in units. Amounts are rounded
up, as Kubernetes does: a request is never understated. A name that is absent means none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from math import ceil, isfinite
from typing import Any, Final

from batchwright.errors import QuantityError

Resources = dict[str, int]

CPU: Final = "cpu"
MEMORY: Final = "memory"
PODS: Final = "pods"

MEBIBYTE: Final = 1 << 20

_FORM = re.compile(r"([+-]?)([0-9]+(?:[.][0-9]*)?|[.][0-9]+)(?:([eE][+-]?[0-9]+)|([numkMGTPE]|[KMGTPE]i))?", re.ASCII)
_SUFFIX: Final[Mapping[str, Fraction]] = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    **{letter: Fraction(1000 ** (power + 1)) for power, letter in enumerate("kMGTPE")},
    **{f"{letter}i": Fraction(1024 ** (power + 1)) for power, letter in enumerate("KMGTPE")},
}
# apimachinery's Quantity caps what is larger (k8s.io/apimachinery/pkg/api/resource).
_LARGEST: Final = Fraction(2**63 - 1)
_LONGEST: Final = 256
_LARGEST_EXPONENT: Final = 400


@lru_cache(maxsize=8192)
def _parse(text: str) -> Fraction:
    found = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        shown = text if len(text) <= 40 else f"{text[:40]}…"
        raise QuantityError(f"{shown!r} is not a quantity: give a number such as 2, 0.5, 500m, 1e3 or 64Mi")
    sign, digits, exponent, suffix = found.groups()
    value = Fraction(Decimal(digits))
    if exponent:
        # Beyond this every value is capped or rounds to the least amount; 10**n would only cost time.
        power = max(-_LARGEST_EXPONENT, min(int(exponent[1:]), _LARGEST_EXPONENT))
        value *= Fraction(10) ** power
    elif suffix:
        value *= _SUFFIX[suffix]
    value = min(value, _LARGEST)
    return -value if sign == "-" else value


def parse_quantity(text: str | int | float) -> Fraction:
    """The exact value of a Kubernetes quantity; numbers as JSON has them are taken too. Capped at ±(2^63 - 1).

    Raises QuantityError when `text` is none.
    """
    if isinstance(text, str):
        return _parse(text)
    if isinstance(text, bool) or not isinstance(text, (int, float)) or not isfinite(text):
        raise QuantityError(f"{text!r} is not a quantity: give a number such as 2, 0.5, 500m, 1e3 or 64Mi")
    value = Fraction(str(text))
    return max(-_LARGEST, min(value, _LARGEST))


def parse_cpu_milli(text: str | int | float) -> int:
    """A CPU quantity in milli-CPU, rounded up. Raises QuantityError."""
    return _parse_up(text, 1000) if isinstance(text, str) else ceil(parse_quantity(text) * 1000)


def parse_bytes(text: str | int | float) -> int:
    """A memory or storage quantity in bytes, rounded up. Raises QuantityError."""
    return _parse_up(text, 1) if isinstance(text, str) else ceil(parse_quantity(text))


@lru_cache(maxsize=8192)
def _parse_up(text: str, factor: int) -> int:
    # Every pod event brings the same few texts again, and fractions are slow.
    return ceil(_parse(text) * factor)


def format_cpu(milli: int) -> str:
    """Milli-CPU as vCPUs in AWS's way: 250 is "0.25"."""
    sign = "-" if milli < 0 else ""
    whole, rest = divmod(abs(milli), 1000)
    return f"{sign}{whole}.{rest:03d}".rstrip("0").rstrip(".")


def format_bytes(count: int) -> str:
    """Bytes in MiB, AWS's unit of memory, with one decimal (cut, not rounded) where it is not whole: "2048 MiB"."""
    sign = "-" if count < 0 else ""
    amount = abs(count)
    if 0 < amount < MEBIBYTE:
        return f"{sign}{amount} bytes"
    whole, rest = divmod(amount, MEBIBYTE)
    return f"{sign}{whole}.{rest * 10 // MEBIBYTE} MiB" if rest else f"{sign}{whole} MiB"


def resources_from_wire(mapping: Mapping[str, Any]) -> Resources:
    """A resource list of the API (a node's allocatable, a container's requests). Raises QuantityError with the name."""
    found: Resources = {}
    for name, text in mapping.items():
        try:
            found[name] = parse_cpu_milli(text) if name == CPU else parse_bytes(text)
        except QuantityError as error:
            raise QuantityError(f"{name}: {error}") from error
    return found


def add(first: Mapping[str, int], second: Mapping[str, int]) -> Resources:
    """The sum by name."""
    total = dict(first)
    for name, amount in second.items():
        total[name] = total.get(name, 0) + amount
    return total


def subtract(first: Mapping[str, int], second: Mapping[str, int]) -> Resources:
    """What is left of `first`; a name may fall below zero, which means overcommitted."""
    left = dict(first)
    for name, amount in second.items():
        left[name] = left.get(name, 0) - amount
    return left


def fits(request: Mapping[str, int], free: Mapping[str, int]) -> bool:
    """Whether every amount asked is free. Asking zero of something always fits, as in kube-scheduler."""
    return all(amount <= 0 or amount <= free.get(name, 0) for name, amount in request.items())
