"""Free TCP ports for a cluster's components.

Hazard: between choosing and binding another process may take a port; they are drawn at random below the kernel's
ephemeral range (32768), where no outgoing connection lands, and a component that cannot bind says so in its log.
"""

from __future__ import annotations

import random
import socket

from batchwright.errors import LocalError

_FIRST, _LAST = 20_000, 32_000


def free_ports(count: int, address: str = "127.0.0.1") -> list[int]:
    """`count` different ports that nothing listens on at `address`."""
    chosen: list[int] = []
    for port in random.sample(range(_FIRST, _LAST), k=_LAST - _FIRST):
        if len(chosen) == count:
            return chosen
        if _is_free(port, address):
            chosen.append(port)
    raise LocalError(f"fewer than {count} free TCP ports between {_FIRST} and {_LAST} at {address}")


def _is_free(port: int, address: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
