"""The process that is a node: PID 1 of its namespaces, started, found, entered and ended.

Found by the mark the cluster's processes carry in their environment (see `batchwright.local.processes`), so that no
pid file can go stale and what a killed command left half-made is found too.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Final

from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from batchwright.errors import LocalError
from batchwright.local import processes
from batchwright.local.commands import require, run
from batchwright.local.realnode import init
from batchwright.local.realnode.init import PROCESSES_FILE, STATUS_FILE

COMPONENT: Final = "real-node"
_START_SECONDS: Final = 20.0


class _NotYet(Exception):
    """The namespaces are not there yet."""


def ensure_init(directory: Path, state: Path) -> int:
    """The pid (as the host counts) of the node's PID 1, started when it is not running."""
    found = find_init(directory)
    if found is not None:
        return found
    (state / STATUS_FILE).unlink(missing_ok=True)
    (state / "logs").mkdir(exist_ok=True)
    command = [
        *(
            require("unshare", "util-linux"),
            "--net",
            "--pid",
            "--mount",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--",
        ),
        # By its path and isolated: only the standard library, whatever the working directory or PYTHONPATH.
        *(sys.executable, "-I", init.__file__, str(state)),
    ]
    processes.spawn(COMPONENT, command, directory, {})
    try:
        return _await_init(directory, state)
    except _NotYet as error:
        log = directory / "logs" / f"{COMPONENT}.log"
        raise LocalError(f"the node's namespaces did not come up within {_START_SECONDS:.0f} s; see {log}") from error


@retry(
    retry=retry_if_exception_type(_NotYet),
    stop=stop_after_delay(_START_SECONDS),
    wait=wait_fixed(0.02),
    reraise=True,
)
def _await_init(directory: Path, state: Path) -> int:
    if not processes.find(directory, COMPONENT):
        raise LocalError(f"the node's PID 1 ended at once; see {directory / 'logs' / f'{COMPONENT}.log'}")
    pid = find_init(directory)
    if pid is None or not (state / STATUS_FILE).exists():
        raise _NotYet
    return pid


def find_init(directory: Path) -> int | None:
    """The host's pid of the node's PID 1; None when the node is not running."""
    for process in processes.find(directory, COMPONENT):
        if _is_first_in_namespace(process.pid):
            return process.pid
    return None


def end_init(directory: Path) -> None:
    """End the node and wait until its last process is gone."""
    # The kernel reaps everything in the PID namespace before it lets go of PID 1.
    processes.end(directory, components=[COMPONENT])


def enter(pid: int, command: Sequence[str], *, what: str, timeout: float = 20.0, stdin: IO[bytes] | None = None) -> str:
    """Run a program in the node's namespaces and return its standard output."""
    inside = ["nsenter", "--target", str(pid), "--net", "--pid", "--mount", "--", *command]
    return run(inside, what=what, timeout=timeout, stdin=stdin)


def apply_programs(pid: int, state: Path, wanted: dict[str, Any]) -> None:
    """Tell PID 1 what to run. What runs already with the same command line is left alone."""
    file = state / PROCESSES_FILE
    text = json.dumps(wanted, indent=2) + "\n"
    if file.exists() and file.read_text() == text:
        return
    temporary = state / f".{PROCESSES_FILE}"
    temporary.write_text(text)
    temporary.replace(file)
    os.kill(pid, signal.SIGHUP)


def forget_programs(state: Path) -> None:
    """Nothing is to run until `apply_programs` says so."""
    for file in (PROCESSES_FILE, STATUS_FILE):
        (state / file).unlink(missing_ok=True)


def program_states(state: Path) -> dict[str, Any]:
    """What PID 1 says of its programs: name → running, starts, lastExit."""
    try:
        found: dict[str, Any] = json.loads((state / STATUS_FILE).read_text())["programs"]
    except FileNotFoundError:
        return {}
    return found


def _is_first_in_namespace(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    for line in status.splitlines():
        if line.startswith("NSpid:"):
            numbers = line.split()[1:]
            return len(numbers) > len(_own_numbers()) and numbers[-1] == "1"
    return False


def _own_numbers() -> list[str]:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("NSpid:"):
            return line.split()[1:]
    return []
