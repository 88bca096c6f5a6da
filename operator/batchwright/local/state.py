"""What is remembered of an embedded cluster between commands: one JSON file, replaced atomically.

Invariants: the file exists from before the first process starts until after the last has gone; `phase` is `creating`
until the control plane has answered ready once, so that an `up` killed half-way is recognised and torn down.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from batchwright.errors import LocalError

FILE = "state.json"

Phase = Literal["creating", "ready"]
Runtime = Literal["binary", "kind", "existing"]


class Ports(BaseModel):
    """TCP ports of the control plane, chosen once and kept over restarts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    api_server: int
    etcd: int
    etcd_peer: int
    controller_manager: int
    scheduler: int
    kwok: int


class ClusterState(BaseModel):
    """The remembered facts of one cluster. Times are Unix seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    runtime: Runtime
    phase: Phase = "creating"
    created_at: float
    started_at: float
    version: str = ""
    host_address: str = "127.0.0.1"
    real_node: bool = False
    audit: bool = False
    without_controllers: tuple[str, ...] = ()
    feature_gates: tuple[str, ...] = ()
    served_apis: tuple[str, ...] = ()
    ports: Ports | None = None
    context: str = ""
    binaries: dict[str, Path] = {}
    aws_port: int | None = None
    operator_port: int | None = None


def load_state(directory: Path) -> ClusterState | None:
    """The cluster's state; None when there is none. LocalError when the file is not one of ours."""
    path = directory / FILE
    try:
        return ClusterState.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise LocalError(
            f"{path} cannot be read (written by another version?): {error.error_count()} faults; "
            f"run `batchwright local down --name {directory.name}` to clear it"
        ) from error


def save_state(directory: Path, state: ClusterState) -> None:
    """Write the state so that a reader sees the old file or the new one, never a part."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = directory / f".{FILE}.{os.getpid()}"
    temporary.write_text(state.model_dump_json(indent=2) + "\n")
    temporary.replace(directory / FILE)
