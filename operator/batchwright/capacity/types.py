"""instanceTypes in AWS Batch's words: types, families, and the three that stand for several families."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from batchwright.capacity.port import InstanceType
from batchwright.errors import Misconfigured

# AWS Batch User Guide, instance types: what the words stand for. `optimal` is by now what default_x86_64 is.
WORDS: Final = {
    "optimal": ("m4", "c4", "r4", "m5", "c5", "r5", "m6i", "c6i", "r6i", "c7i"),
    "default_x86_64": ("m6i", "c6i", "r6i", "c7i"),
    "default_arm64": ("m6g", "c6g", "r6g", "c7g"),
}


def family(name: str) -> str:
    """The family of a type: m5 of m5.large."""
    return name.partition(".")[0]


def select(asked: Sequence[str] | None, known: Iterable[InstanceType]) -> tuple[InstanceType, ...]:
    """The types that are asked for, in the order in which they are, each family from small to large.

    Raises Misconfigured where nothing is called so."""
    there = sorted(known, key=lambda found: (family(found.name), found.vcpus, found.memory, found.name))
    chosen: dict[str, InstanceType] = {}
    for word in asked or ("optimal",):
        families = WORDS.get(word, (word,))
        if "." in word:
            matching = [found for found in there if found.name == word]
        else:
            matching = [found for found in there if family(found.name) in families and not _is_metal(found.name)]
        if not matching:
            raise Misconfigured(
                f"No instance type {word} is offered where the environment may start any", "InstanceType"
            )
        chosen.update({found.name: found for found in matching})
    return tuple(chosen.values())


def _is_metal(name: str) -> bool:
    return name.partition(".")[2].startswith("metal")
