"""Which runtime an `up` uses, and why: kind where Docker runs, else binaries that are there, else binaries to build."""

from __future__ import annotations

from typing import Literal

from batchwright.errors import LocalError
from batchwright.local import binaries, kind
from batchwright.local.state import Runtime

Requested = Literal["auto", "binary", "kind", "existing"]


def choose(requested: Requested, real_node: bool) -> tuple[Runtime, str]:
    """The runtime to use and the reason, in words for the user. LocalError when what was asked for cannot be."""
    if real_node:
        if requested not in ("auto", "binary"):
            raise LocalError(f"--real-node works with --runtime binary only, not {requested} (kind's nodes are real)")
        return "binary", "a real node needs it"
    if requested == "kind":
        missing = kind.why_unavailable()
        if missing:
            raise LocalError(f"--runtime kind: {missing}; use --runtime binary")
    if requested != "auto":
        return requested, "as asked"
    missing = kind.why_unavailable()
    if missing is None:
        return "kind", "kind and Docker work here"
    wanted = binaries.CONTROL_PLANE
    if len(binaries.locate(wanted)) == len(wanted):
        return "binary", f"{missing}; its binaries are ready"
    return "binary", f"{missing}; its binaries are built first"
