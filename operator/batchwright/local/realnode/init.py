"""PID 1 of a node's namespaces: makes the private view of the file system, then keeps the node's programs running.

    python -I init.py DIRECTORY

DIRECTORY/processes.json, read at start and on SIGHUP, says what to run:
`{"programs": {name: {"argv": [...], "environment": {...}, "configuration": "..."}}}`.  What is new is started, what is
gone or changed is ended, and what dies is started again after a pause that doubles from half a second to ten.
DIRECTORY/status.json says what runs.  On SIGTERM it exits, and the kernel kills everything in the namespace.

Invariants: only the standard library, so that it stays small and starts fast; every orphan is reaped; nothing it
mounts is seen by the host.  Hazard: it runs where /run, /var/lib and /var/log are empty directories of its own.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

PROCESSES_FILE: Final = "processes.json"
STATUS_FILE: Final = "status.json"

_SHORTEST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 10.0
_SETTLED_SECONDS: Final = 30.0
_SIGNALS: Final = (signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM)

# What containerd, the kubelet and runc write at fixed places must not reach the host.
HIDDEN_DIRECTORIES: Final = ("/run", "/var/lib", "/var/log")
# The node's state, bound to the usual places: short paths, for a Unix socket's has 107 characters at most.
_STATE_PLACES: Final = {
    "containerd": "/var/lib/containerd",
    "kubelet": "/var/lib/kubelet",
    "pods": "/var/log/pods",
}
# The kubelet sets these for the whole machine (`setupKernelTunables`); it finds its wish granted and writes nothing.
_KERNEL_SETTINGS: Final = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
_MS_NODEV_NOSUID: Final = 0x4 | 0x2
_MS_BIND: Final = 0x1000
_MS_REC: Final = 0x4000
_MS_SHARED: Final = 1 << 20

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Program:
    """A program to be kept running."""

    argv: list[str]
    environment: dict[str, str]
    configuration: str
    pid: int | None = None
    starts: int = 0
    started_at: float = 0.0
    started_at_clock: float = 0.0
    pause: float = _SHORTEST_PAUSE
    start_at: float = 0.0
    last_exit: str = ""


@dataclass
class Supervisor:
    """The programs of one node."""

    directory: Path
    programs: dict[str, Program] = field(default_factory=dict)
    ending: dict[int, float] = field(default_factory=dict)

    def reload(self) -> None:
        """Bring the programs in line with processes.json."""
        file = self.directory / PROCESSES_FILE
        wanted: dict[str, Any] = json.loads(file.read_text())["programs"] if file.exists() else {}
        for name, program in list(self.programs.items()):
            new = wanted.get(name)
            now = {"argv": program.argv, "environment": program.environment, "configuration": program.configuration}
            if new != now:
                if program.pid is not None:
                    os.kill(program.pid, signal.SIGTERM)
                    self.ending[program.pid] = time.monotonic() + 5.0
                del self.programs[name]
        for name, new in wanted.items():
            self.programs.setdefault(name, Program(**new))

    def reap(self) -> None:
        """Collect every child that has ended, ours or an orphan of a container."""
        while True:
            try:
                pid, code = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.ending.pop(pid, None)
            for program in self.programs.values():
                if program.pid == pid:
                    self._ended(program, code)

    def _ended(self, program: Program, code: int) -> None:
        now = time.monotonic()
        if now - program.started_at > _SETTLED_SECONDS:
            program.pause = _SHORTEST_PAUSE
        program.pid, program.start_at = None, now + program.pause
        program.pause = min(2 * program.pause, _LONGEST_PAUSE)
        program.last_exit = f"exit code {os.waitstatus_to_exitcode(code)}"

    def start_due(self) -> None:
        """Start what should run and does not, and kill what does not end."""
        now = time.monotonic()
        for name, program in self.programs.items():
            if program.pid is None and program.start_at <= now:
                program.starts, program.started_at, program.started_at_clock = program.starts + 1, now, time.time()
                try:
                    program.pid = self._spawn(name, program)
                except OSError as error:  # PID 1 must not die of a missing binary: it would take the node along
                    program.start_at, program.last_exit = now + _LONGEST_PAUSE, f"cannot be started: {error}"
        for pid, deadline in list(self.ending.items()):
            if deadline <= now:
                os.kill(pid, signal.SIGKILL)
                del self.ending[pid]

    def _spawn(self, name: str, program: Program) -> int:
        log = str(self.directory / "logs" / f"{name}.log")
        return os.posix_spawn(
            program.argv[0],
            program.argv,
            program.environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=(*_SIGNALS, signal.SIGPIPE),
        )

    def next_wakeup(self) -> float:
        """Seconds until something is due; a minute when nothing is."""
        due = [program.start_at for program in self.programs.values() if program.pid is None]
        return max(0.0, min([*due, *self.ending.values()], default=time.monotonic() + 60.0) - time.monotonic())

    def report(self) -> None:
        """Write status.json."""
        report = {
            name: {
                "running": program.pid is not None,
                "starts": program.starts,
                "startedAt": program.started_at_clock,
                "lastExit": program.last_exit,
            }
            for name, program in self.programs.items()
        }
        temporary = self.directory / f".{STATUS_FILE}"
        temporary.write_text(json.dumps({"programs": report}) + "\n")
        temporary.replace(self.directory / STATUS_FILE)

    def run(self) -> None:
        """Supervise until SIGTERM."""
        while True:
            self.start_due()
            self.report()
            received = signal.sigtimedwait(_SIGNALS, self.next_wakeup())
            if received is not None and received.si_signo == signal.SIGTERM:
                return
            if received is not None and received.si_signo == signal.SIGHUP:
                self.reload()
            self.reap()


def make_private_view(directory: Path) -> None:
    """Hide the host's run-time state behind empty directories, and put the node's own where programs expect it."""
    cluster = directory.parent  # the kubeconfig and the binaries' cache may lie here
    held = os.open(cluster, os.O_PATH)
    for path in HIDDEN_DIRECTORIES:
        _mount("tmpfs", path, "tmpfs", _MS_NODEV_NOSUID, "mode=755")
    if any(cluster.is_relative_to(path) for path in HIDDEN_DIRECTORIES):
        cluster.mkdir(parents=True)
        _mount(f"/proc/self/fd/{held}", str(cluster), "", _MS_BIND | _MS_REC)
    os.close(held)
    for name, place in _STATE_PLACES.items():
        (directory / name).mkdir(exist_ok=True)
        Path(place).mkdir()
        _mount(str(directory / name), place, "", _MS_BIND)
    # Pods with mountPropagation need shared mounts; their peers are in this namespace only.
    _mount("", "/", "", _MS_REC | _MS_SHARED)
    settings = Path("/run/kernel-settings")
    settings.mkdir()
    for name, value in _KERNEL_SETTINGS.items():
        target = Path("/proc/sys", name)
        if target.exists():
            copy = settings / name.replace("/", ".")
            copy.write_text(f"{value}\n")
            _mount(str(copy), str(target), "", _MS_BIND)
    resolver = Path(os.path.realpath("/etc/resolv.conf"))
    if resolver.is_relative_to("/run"):  # systemd-resolved's; the link now leads into our empty /run
        resolver.parent.mkdir(parents=True, exist_ok=True)
        resolver.touch()
    if resolver.exists():
        _mount(str(directory / "resolv.conf"), str(resolver), "", _MS_BIND)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    arguments = (os.fsencode(text) if text else None for text in (source, target, kind))
    source_bytes, target_bytes, kind_bytes = arguments
    if _libc.mount(source_bytes, target_bytes, kind_bytes, ctypes.c_ulong(flags), options.encode() or None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount {source or kind} on {target}: {os.strerror(number)}")


def main() -> None:
    """Run as PID 1."""
    directory = Path(sys.argv[1])
    if os.getpid() != 1:
        sys.exit("this is the PID 1 of a node's namespaces; `batchwright local up --real-node` starts it")
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    make_private_view(directory)
    os.chdir("/")
    supervisor = Supervisor(directory)
    supervisor.reload()
    supervisor.run()


if __name__ == "__main__":
    main()
