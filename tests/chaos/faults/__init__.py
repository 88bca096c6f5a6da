"""The faults: one module each, found by listing this package.

A fault is a module with a docstring, whose first line says what it does, and a function `inject(ground)`, which strikes
while the workload runs, takes itself back before it returns, and calls `ground.strike` for every time it struck: one
that did not strike is a difference. What needs something to strike waits for it (`ground.strike_for`,
`ground.until_struck`), and work is submitted meanwhile. A module may say `LONG = True`: it takes more than a minute,
and the bounded run of `make test` leaves it out. With `BUYS = True` it strikes where instances are bought: its run has
an AWS endpoint, and work that is bought for.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from chaos.ground import Ground


@dataclass(frozen=True)
class Fault:
    """One fault. Its name is that of its module, with hyphens."""

    name: str
    says: str
    inject: Callable[[Ground], None]
    is_long: bool
    buys: bool = False


def all_faults() -> dict[str, Fault]:
    """Every fault of this package by name."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        loaded = import_module(f"{__name__}.{module.name}")
        name = module.name.replace("_", "-")
        says = (loaded.__doc__ or "").splitlines()[0].rstrip(".")
        found[name] = Fault(name, says, loaded.inject, getattr(loaded, "LONG", False), getattr(loaded, "BUYS", False))
    return found
