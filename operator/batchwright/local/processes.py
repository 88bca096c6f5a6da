"""The processes of an embedded cluster: started detached, found again, ended.

Every process of a cluster carries the cluster's directory in its environment, and that mark, not a pid file, says whose
it is: a recycled pid is never mistaken for ours, and what a killed `up` left behind is found as well.

Hazard: signals go through a pidfd, opened before the mark is checked, so that a pid recycled in between is not hit.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batchwright.errors import LocalError

MARK: Final = "BATCHWRIGHT_LOCAL_CLUSTER"
COMPONENT: Final = "BATCHWRIGHT_LOCAL_COMPONENT"
_MARK_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Process:
    """A live process of a cluster; `started_at` is Unix seconds."""

    pid: int
    component: str
    started_at: float


def spawn(component: str, argv: Sequence[str], directory: Path, environment: Mapping[str, str]) -> int:
    """Start a detached process of the cluster, logging to logs/<component>.log; return its pid."""
    logs = directory / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / f"{component}.log").open("ab") as log:
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=directory,
            env=marked(directory, component, {**os.environ, **environment}),
        )
    # For a moment after exec the kernel shows no environment yet, and `find` would take the child for dead.
    deadline = time.monotonic() + _MARK_SECONDS
    while child.poll() is None and _inspect(child.pid, directory) is None and time.monotonic() < deadline:
        time.sleep(0.005)
    # The child outlives us on purpose; without this, Popen warns when it is collected.
    child.returncode = 0
    return child.pid


def marked(directory: Path, component: str, environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with the marks by which `find` knows the cluster's processes."""
    return {**environment, MARK: str(directory), COMPONENT: component}


def find(directory: Path, component: str | None = None) -> list[Process]:
    """Every live process of the cluster, or of one component of it."""
    found = (_inspect(int(entry.name), directory) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [process for process in found if process and component in (None, process.component)]


def end(directory: Path, components: Iterable[str] | None = None, seconds: float = 10.0) -> list[Process]:
    """Terminate the cluster's processes (only those of `components`, if given), and kill what is left after `seconds`.

    Returns what was ended. LocalError when a process outlives even SIGKILL.
    """
    wanted = None if components is None else set(components)
    targets = [process for process in find(directory) if wanted is None or process.component in wanted]
    descriptors = {}
    for process in targets:
        descriptor = _open(process, directory)
        if descriptor is not None:
            descriptors[descriptor] = process
    try:
        _signal(descriptors, signal.SIGTERM)
        remaining = _wait(descriptors, seconds)
        _signal(remaining, signal.SIGKILL)
        stuck = _wait(remaining, 10.0)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    if stuck:
        names = ", ".join(f"{process.component} (pid {process.pid})" for process in stuck.values())
        raise LocalError(f"these processes survive SIGKILL: {names}; look for stuck disk or mount operations")
    return targets


def _open(process: Process, directory: Path) -> int | None:
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    if _inspect(process.pid, directory) is None:
        os.close(descriptor)
        return None
    return descriptor


def _signal(descriptors: Iterable[int], number: signal.Signals) -> None:
    for descriptor in descriptors:
        try:
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            continue


def _wait(descriptors: Mapping[int, Process], seconds: float) -> dict[int, Process]:
    """Those still alive after `seconds`: a pidfd becomes readable when its process ends."""
    alive = dict(descriptors)
    poll = select.poll()
    for descriptor in alive:
        poll.register(descriptor, select.POLLIN)
    deadline = time.monotonic() + seconds
    while alive and (left := deadline - time.monotonic()) > 0:
        for descriptor, _ in poll.poll(left * 1000):
            poll.unregister(descriptor)
            del alive[descriptor]
    return alive


def _inspect(pid: int, directory: Path) -> Process | None:
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (PermissionError, FileNotFoundError, ProcessLookupError):
        return None  # another user's, or gone
    environment = dict(item.split(b"=", 1) for item in raw.split(b"\0") if b"=" in item)
    if environment.get(MARK.encode()) != str(directory).encode():
        return None
    after_name = stat[stat.rindex(")") + 2 :].split()
    if after_name[0] in {"Z", "X"}:
        return None
    component = environment.get(COMPONENT.encode(), b"").decode()
    if component in {"", "control-plane"}:
        component = _executable(pid) or component
    return Process(pid, component, _boot_time() + int(after_name[19]) / os.sysconf("SC_CLK_TCK"))


def _executable(pid: int) -> str:
    try:
        return Path(os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0", 1)[0])).name
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _boot_time() -> float:
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    raise LocalError("/proc/stat has no btime: is /proc mounted?")
